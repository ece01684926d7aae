package caddymodule_test

import (
	"strings"
	"testing"
)

// Methods are compared exactly, and nothing in the request can name another one.
func attackMethods(t *testing.T, s *stage) {
	t.Helper()
	type method struct{ name, raw string }
	const item = " /orders/v1/7"
	for _, test := range []method{
		{"not granted: PUT", by("reader", rawRequest("PUT"+item))},
		{"not granted: DELETE", by("reader", rawRequest("DELETE"+item))},
		{"not granted: OPTIONS", by("reader", rawRequest("OPTIONS"+item))},
		{"not of the operation: PATCH", rawRequest("PATCH" + item)},
		{"not of the operation: HEAD without GET", rawRequest("HEAD /orders/v1/7/8")},
		{"lower case", by("reader", rawRequest("get"+item))},
		{"mixed case", by("reader", rawRequest("Get"+item))},
		{"lower case, all methods granted, not of the operation", rawRequest("get" + item)},
		{"unknown", by("reader", rawRequest("BREW"+item))},
		{"with a suffix", by("reader", rawRequest("GETX"+item))},
		{"with a letter that looks like one", by("reader", rawRequest("G\u0395T"+item))},
		{"with NUL", by("reader", rawRequest("GET\x00"+item))},
		{"with a tab behind it", by("reader", rawRequest("GET\t"+item))},
		{"with two spaces behind it", by("reader", rawRequest("GET "+item))},
		{"with a space before it", by("reader", rawRequest(" GET"+item))},
		{"none", by("reader", rawRequest(item))},
		{"quoted", by("reader", rawRequest(`"GET"`+item))},
		{"longer than Caddy takes", rawRequest(strings.Repeat("A", 33) + " /raw/x")},
		{"TRACE", rawRequest("TRACE /raw/x")},
		{"TRACE, lower case", rawRequest("trace /raw/x")},
		{"CONNECT with a path", rawRequest("CONNECT /raw/x")},
		{"CONNECT, lower case", rawRequest("connect /raw/x")},
		{"CONNECT to a host", rawRequest("CONNECT 127.0.0.1:22")},

		{"override", rawRequest("GET /raw/x", "X-HTTP-Method-Override: DELETE")},
		{"override, lower case", rawRequest("GET /raw/x", "x-http-method-override: DELETE")},
		{"override of POST", rawRequest("POST /raw/x", "X-HTTP-Method-Override: DELETE", "Content-Length: 0")},
		{"override that differs in case", rawRequest("GET /raw/x", "X-HTTP-Method-Override: get")},
		{"override, empty", rawRequest("GET /raw/x", "X-HTTP-Method-Override:")},
		{"override, twice", rawRequest("GET /raw/x", "X-HTTP-Method-Override: GET", "X-HTTP-Method-Override: DELETE")},
		{"override, a list", rawRequest("GET /raw/x", "X-HTTP-Method-Override: GET, DELETE")},
		{"override, HEAD", rawRequest("HEAD /raw/x", "X-HTTP-Method-Override: GET")},
		{"X-HTTP-Method", rawRequest("GET /raw/x", "X-HTTP-Method: DELETE")},
		{"X-Method-Override", rawRequest("GET /raw/x", "X-Method-Override: DELETE")},
		{"X-HTTP-MethodOverride", rawRequest("GET /raw/x", "X-HTTP-MethodOverride: DELETE")},
		{"X-Forwarded-Method", rawRequest("GET /raw/x", "X-Forwarded-Method: DELETE")},
		{"X-Method", rawRequest("GET /raw/x", "X-Method: DELETE")},
		{"override with other separators", rawRequest("GET /raw/x", "X~HTTP~Method~Override: DELETE")},
	} {
		t.Run("refused: "+test.name, func(t *testing.T) {
			t.Parallel()
			s.send(t, portPlain, test.raw).refused(t)
		})
	}
	for _, line := range []string{"TRACE /raw/x", "trace /raw/x", "Trace /raw/x", "CONNECT /raw/x", "connect /raw/x"} {
		t.Run("refused in shadow: "+line, func(t *testing.T) {
			t.Parallel()
			s.send(t, portShadow, rawRequest(line)).denied(t)
		})
	}
	for _, test := range []method{
		{"override with underscores", rawRequest("GET /raw/x", "X_HTTP_Method_Override: DELETE")},
		{"override with dots", rawRequest("GET /raw/x", "X.HTTP.Method.Override: DELETE")},
	} {
		t.Run("refused where it reaches us: "+test.name, func(t *testing.T) {
			t.Parallel()
			s.send(t, portLax, test.raw).refused(t)
		})
		t.Run("dropped by Caddy: "+test.name, func(t *testing.T) {
			t.Parallel()
			s.sendAndSee(t, test.raw, "GET", "/raw/x", "Override")
		})
	}
	t.Run("granted", func(t *testing.T) { methodsThatPass(t, s) })
}

// methodsThatPass arrive as they were sent.
func methodsThatPass(t *testing.T, s *stage) {
	t.Helper()
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "PROPFIND", "BREW", "M-SEARCH", "get"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			s.send(t, portPlain, rawRequest(method+" /raw/x")).forwardedAs(t, method, "/raw/x")
		})
	}
	t.Run("HEAD with GET", func(t *testing.T) {
		t.Parallel()
		s.send(t, portPlain, by("reader", rawRequest("HEAD /orders/v1/7"))).forwardedAs(t, "HEAD", "/orders/v1/7")
	})
	t.Run("an equal override is removed", func(t *testing.T) {
		t.Parallel()
		s.sendAndSee(t, rawRequest("PUT /raw/x", "X-HTTP-Method-Override: PUT", "X-Method: PUT", "Content-Length: 0"), "PUT", "/raw/x", "X-HTTP-Method", "X-Method")
	})
	t.Run("_method never counts", func(t *testing.T) {
		t.Parallel()
		s.send(t, portPlain, by("reader", rawRequest("GET /orders/v1/7?_method=DELETE"))).forwardedAs(t, "GET", "/orders/v1/7?_method=DELETE")
		s.send(t, portPlain, by("reader", rawRequest("DELETE /orders/v1/7?_method=GET"))).denied(t)
		form := rawRequest("POST /orders/v1", "Content-Type: application/x-www-form-urlencoded", "Content-Length: 14") + "_method=DELETE"
		s.send(t, portPlain, form).forwardedAs(t, "POST", "/orders/v1")
		s.send(t, portPlain, by("reader", form)).denied(t)
	})
}

// sendAndSee sends a request that is to be forwarded, and fails the test if any
// field that arrived contains one of the texts in its name.
func (s *stage) sendAndSee(t *testing.T, raw, method, target string, absent ...string) received {
	t.Helper()
	got := s.send(t, portPlain, raw).forwardedAs(t, method, target)
	for name := range got.request.Header {
		for _, text := range absent {
			if strings.Contains(strings.ToLower(name), strings.ToLower(text)) {
				t.Errorf("%s arrived with the field %s", excerpt(raw), name)
			}
		}
	}
	return got
}

// The version that is decided on is the one that the upstream reads.
func attackVersions(t *testing.T, s *stage) {
	t.Helper()
	type version struct{ name, raw string }
	conflicts := []version{
		{"header and query", rawRequest("GET /actions?IrVersion=13", "IR-Version: 14")},
		{"header twice", rawRequest("GET /actions", "IR-Version: 14", "IR-Version: 14")},
		{"header twice, different", rawRequest("GET /actions", "IR-Version: 14", "IR-Version: 13")},
		{"header twice, in two cases", rawRequest("GET /actions", "IR-Version: 14", "ir-version: 13")},
		{"query twice", rawRequest("GET /actions?IrVersion=14&IrVersion=13")},
		{"query twice, once encoded", rawRequest("GET /actions?IrVersion=14&%49rVersion=13")},
		{"query twice, the same", rawRequest("GET /actions?IrVersion=14&IrVersion=14")},
		{"query in two cases", rawRequest("GET /actions?IrVersion=14&irversion=13")},
		{"query in another case only", rawRequest("GET /actions?IRVERSION=14")},
		{"query as an array", rawRequest("GET /actions?IrVersion=14&IrVersion[]=13")},
		{"query with a space", rawRequest("GET /actions?IrVersion=14&+IrVersion=13")},
		{"query behind a semicolon", rawRequest("GET /actions?IrVersion=14;IrVersion=13")},
		{"query behind a NUL", rawRequest("GET /actions?IrVersion=14&IrVersion%00=13")},
	}
	unknown := []version{
		{"none of them", rawRequest("GET /actions", "IR-Version: 15")},
		{"two in one header", rawRequest("GET /actions", "IR-Version: 14, 13")},
		{"empty", rawRequest("GET /actions", "IR-Version:")},
		{"empty query", rawRequest("GET /actions?IrVersion=")},
		{"query without a value", rawRequest("GET /actions?IrVersion")},
		{"quoted", rawRequest("GET /actions", `IR-Version: "14"`)},
		{"padded", rawRequest("GET /actions", "IR-Version: 014")},
		{"with a parameter", rawRequest("GET /actions", "IR-Version: 14;q=1")},
		{"unstated", rawRequest("GET /actions")},
		{"path: another case", rawRequest("GET /orders/V1/7")},
		{"path: with a space", rawRequest("GET /orders/v1%20/7")},
		{"path: another", rawRequest("GET /orders/v3/7")},
		{"not granted: header", by("reader", rawRequest("GET /actions", "IR-Version: 13"))},
		{"not granted: query", by("reader", rawRequest("GET /actions?IrVersion=13"))},
		{"not granted: path", rawRequest("GET /orders/v2/7")},
	}
	for _, test := range append(conflicts, unknown...) {
		t.Run("denied: "+test.name, func(t *testing.T) {
			t.Parallel()
			s.send(t, portPlain, test.raw).denied(t)
		})
	}
	for _, test := range []version{
		{"underscore", by("reader", rawRequest("GET /actions", "IR_Version: 13"))},
		{"dot", by("reader", rawRequest("GET /actions", "IR.Version: 13"))},
	} {
		t.Run("denied where it reaches us: "+test.name, func(t *testing.T) {
			t.Parallel()
			s.send(t, portLax, test.raw).denied(t)
		})
		t.Run("dropped by Caddy: "+test.name, func(t *testing.T) {
			t.Parallel()
			got := s.sendAndSee(t, test.raw, "GET", "/actions", "Ir_", "Ir.")
			wantField(t, got, "Ir-Version", "14")
		})
	}
	for _, test := range []struct{ name, raw, target, header, version string }{
		{"header", rawRequest("GET /actions", "IR-Version: 13"), "/actions", "13", "13"},
		{"header, lower case", rawRequest("GET /actions", "ir-version: 14"), "/actions", "14", "14"},
		{"query", rawRequest("GET /actions?IrVersion=13"), "/actions?IrVersion=13", "", "13"},
		{"query, encoded", rawRequest("GET /actions?Ir%56ersion=1%33"), "/actions?Ir%56ersion=1%33", "", "13"},
		{"both", rawRequest("GET /actions?IrVersion=13", "IR-Version: 13"), "/actions?IrVersion=13", "13", "13"},
		{"the token's, told to the upstream", by("reader", rawRequest("GET /actions")), "/actions", "14", "14"},
		{"named in Connection", rawRequest("GET /actions", "IR-Version: 13", "Connection: IR-Version"), "/actions", "13", "13"},
		{"named in Connection, filled in", by("reader", rawRequest("GET /actions", "Connection: ir-version")), "/actions", "14", "14"},
		{"other parameters", rawRequest("GET /actions?v=14&IrVersion=13&Version=14"), "/actions?v=14&IrVersion=13&Version=14", "", "13"},
	} {
		t.Run("passes: "+test.name, func(t *testing.T) {
			t.Parallel()
			got := s.send(t, portPlain, test.raw).forwardedAs(t, "GET", test.target)
			if test.header == "" {
				wantField(t, got, "Ir-Version")
			} else {
				wantField(t, got, "Ir-Version", test.header)
			}
			wantField(t, got, "X-Scopegate-Version", test.version)
		})
	}
}

// Neither Host nor what a proxy before us may have added plays a part, but for an
// API that has hosts, and there the real one.
func attackForwardedHeaders(t *testing.T, s *stage) {
	t.Helper()
	forwarded := []string{
		"X-Forwarded-For: 203.0.113.7", "X-Real-IP: 203.0.113.7", "Forwarded: for=203.0.113.7;host=api.example.com;proto=https", "Client-IP: 203.0.113.7",
		"X-Forwarded-Host: api.example.com", "X-Forwarded-Proto: https", "X-Forwarded-Prefix: /raw", "X-Forwarded-Uri: /orders/v1/7", "X-Forwarded-Method: GET",
		"X-Original-URL: /orders/v1/7", "X-Rewrite-URL: /orders/v1/7", "X-Original-Method: GET", "X-Original-Host: api.example.com", "X-Host: api.example.com",
		"True-Client-IP: 203.0.113.7", "CF-Connecting-IP: 203.0.113.7", "X-Cluster-Client-IP: 203.0.113.7",
	}
	for name, raw := range map[string]string{
		"source":                         by("office", rawRequest("GET /orders/v1/7", forwarded...)),
		"path":                           rawRequest("GET /secret/x", forwarded...),
		"unknown path":                   rawRequest("GET /nothing", forwarded...),
		"method":                         by("reader", rawRequest("DELETE /orders/v1/7", forwarded...)),
		"host":                           rawRequest("GET /hosted/x", forwarded...),
		"host of a suffix":               strings.Replace(rawRequest("GET /hosted/x"), "gateway.example", "api.example.com.evil.example", 1),
		"host of a prefix":               strings.Replace(rawRequest("GET /hosted/x"), "gateway.example", "api.example.co", 1),
		"host with two ports":            strings.Replace(rawRequest("GET /hosted/x"), "gateway.example", "api.example.com:evil.example", 1),
		"host with a port behind a port": strings.Replace(rawRequest("GET /hosted/x"), "gateway.example", "api.example.com:evil:80", 1),
		"host with a user":               strings.Replace(rawRequest("GET /hosted/x"), "gateway.example", "api.example.com@evil.example", 1),
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			t.Parallel()
			s.send(t, portPlain, raw).refused(t)
		})
	}
	t.Run("no other target for the upstream", func(t *testing.T) {
		t.Parallel()
		got := s.sendAndSee(t, rawRequest("GET /raw/x", forwarded...), "GET", "/raw/x", "X-Original-Url", "X-Rewrite-Url", "X-Forwarded-Method")
		wantField(t, got, "X-Forwarded-For", "127.0.0.1")
		wantField(t, got, "X-Forwarded-Host", "gateway.example")
		wantField(t, got, "X-Forwarded-Proto", "http")
	})
	for _, host := range []string{"api.example.com", "API.Example.COM", "api.example.com:8443", "api.example.com:", "api.example.com."} {
		t.Run("host "+host, func(t *testing.T) {
			t.Parallel()
			got := s.send(t, portPlain, strings.Replace(rawRequest("GET /hosted/x"), "gateway.example", host, 1)).forwardedAs(t, "GET", "/hosted/x")
			if got.request.Host != host {
				t.Errorf("Host arrived as %q, want %q", got.request.Host, host)
			}
		})
	}
	t.Run("account", func(t *testing.T) {
		t.Parallel()
		s.send(t, portPlain, rawRequest("GET /partners/acme/actions")).forwardedAs(t, "GET", "/partners/acme/actions")
		s.send(t, portPlain, rawRequest("GET /partners/%61cme/actions")).forwardedAs(t, "GET", "/partners/%61cme/actions")
		for _, account := range []string{"globex", "ACME", "acm", "acmee", "acme%20", "acme%E2%80%8B", "*", "%25"} {
			s.send(t, portPlain, rawRequest("GET /partners/"+account+"/actions", "X-Account: acme")).denied(t)
		}
	})
}

// A token's sources hold behind a trusted proxy, too: what the client can have
// written is no address, the proxy's own included.
func attackSources(t *testing.T, s *stage) {
	t.Helper()
	from := func(token string, lines ...string) string { return by(token, rawRequest("GET /orders/v1/7", lines...)) }
	for name, raw := range map[string]string{
		"the proxy's address before the client's":   from("local", "X-Forwarded-For: 127.0.0.1, 203.0.113.9"),
		"the proxy's address, no space":             from("local", "X-Forwarded-For: 127.0.0.1,203.0.113.9"),
		"the proxy's address in a field of its own": from("local", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: 203.0.113.9"),
		"the proxy's address, mapped":               from("local", "X-Forwarded-For: ::ffff:127.0.0.1, 203.0.113.9"),
		"a list without an address":                 from("local", "X-Forwarded-For: unknown, unknown"),
		"another client":                            from("local", "X-Forwarded-For: 203.0.113.9"),
		"a source before the client's address":      from("office", "X-Forwarded-For: 203.0.113.9, 198.51.100.1"),
	} {
		t.Run("denied: "+name, func(t *testing.T) {
			t.Parallel()
			s.send(t, portTrusting, raw).denied(t)
		})
	}
	for name, raw := range map[string]string{
		"the proxy itself":             from("local"),
		"an address that stands alone": from("office", "X-Forwarded-For: 203.0.113.9"),
	} {
		t.Run("passes: "+name, func(t *testing.T) {
			t.Parallel()
			s.send(t, portTrusting, raw).forwarded(t)
		})
	}
	t.Run("passes: a peer that is no proxy, whatever it forwards", func(t *testing.T) {
		t.Parallel()
		s.send(t, portPlain, from("local", "X-Forwarded-For: 203.0.113.9, 198.51.100.1")).forwarded(t)
	})
}
