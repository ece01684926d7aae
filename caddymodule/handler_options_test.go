package caddymodule_test

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// The options of the directive, one by one. siteWith and accessLog are in
// placeholders_test.go.

// handle_errors gets the denials, with the reason in a placeholder.
func TestOnDenyError(t *testing.T) {
	t.Parallel()
	upstream := startEcho(t)
	g := startGateway(t, siteWith(`
	scopegate {
		on_deny error
		unauthenticated 401
		credentials bearer
	}
	reverse_proxy `+upstream.addr+`
	handle_errors {
		header Content-Type text/html
		respond "{http.error.status_code} {http.scopegate.reason} {http.scopegate.token} {http.error.message}"
	}`), ordersFile(upstream.url()))
	for _, test := range []struct {
		name, method, target, secret string
		status                       int
		body                         string
	}{
		{"allowed", "GET", "/orders/v1/7", readerSecret, 200, "echo"},
		{"denied", "PUT", "/orders/v1/7", readerSecret, 403, "403 method_not_granted acme/reader access denied"},
		{"unknown", "GET", "/orders/v1/7", "unknown-0123456789abcdef", 401, "401 unknown_token  access denied"},
		{"malformed", "GET", "/orders/v1/%2e", readerSecret, 403, "403 malformed_request acme/reader access denied"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ask(t, test.method, g.url(test.target), test.secret)
			if got.status != test.status || got.body != test.body {
				t.Errorf("got %d %q, want %d %q", got.status, got.body, test.status, test.body)
			}
		})
	}
}

// Every denial has one body; only with "unauthenticated 401" is there a second.
func TestUnauthenticated(t *testing.T) {
	t.Parallel()
	const (
		denied       = `{"type":"about:blank","title":"Access Denied","status":403}`
		unauthorized = `{"type":"about:blank","title":"Unauthorized","status":401}`
	)
	g := startGateway(t, siteWith("\tscopegate {\n\t\tunauthenticated 401\n\t}\n\trespond ok"), ordersFile("http://127.0.0.1:1"))
	for _, test := range []struct {
		name, method, target, secret string
		status                       int
		body, challenge              string
	}{
		{"allowed", "GET", "/orders/v1/7", readerSecret, 200, "ok", ""},
		{"no credential", "GET", "/orders/v1/7", "", 401, unauthorized, "Bearer"},
		{"unknown", "GET", "/orders/v1/7", "unknown-0123456789abcdef", 401, unauthorized, "Bearer"},
		{"known", "PUT", "/orders/v1/7", readerSecret, 403, denied, ""},
		{"malformed", "GET", "/orders/v1/%2e", "", 403, denied, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ask(t, test.method, g.url(test.target), test.secret)
			if got.status != test.status || got.body != test.body || got.header.Get("WWW-Authenticate") != test.challenge {
				t.Errorf("got %d %q, challenge %q; want %d %q, %q",
					got.status, got.body, got.header.Get("WWW-Authenticate"), test.status, test.body, test.challenge)
			}
			if got.status == http.StatusOK {
				return
			}
			if got.header.Get("Content-Type") != "application/problem+json" || got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("got header %v", got.header)
			}
		})
	}
}

// A preflight has no credential. It is answered for the origins that are named,
// and refused otherwise.
func TestPreflight(t *testing.T) {
	t.Parallel()
	upstream := startEcho(t)
	const origin, asks = "Origin: https://app.example.com", "Access-Control-Request-Method: PUT"
	answering := "\tscopegate {\n\t\tpreflight answer https://app.example.com\n\t}\n\treverse_proxy " + upstream.addr
	g := startGateway(t, siteWith(answering), ordersFile(upstream.url()))
	for _, test := range []struct {
		name, target string
		lines        []string
		status       int
		methods      string
	}{
		{"answered", "/orders/v1/7", []string{origin, asks, "Access-Control-Request-Headers: authorization"}, 204, "DELETE, GET, HEAD, PUT"},
		{"another origin", "/orders/v1/7", []string{"Origin: https://evil.example", asks}, 403, ""},
		{"no such method", "/orders/v1", []string{origin, asks}, 403, ""},
		{"no API", "/nowhere", []string{origin, asks}, 403, ""},
		{"no preflight", "/orders/v1/7", []string{origin}, 403, ""},
		{"malformed", "/orders/v1/%2e", []string{origin, asks}, 403, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ask(t, http.MethodOptions, g.url(test.target), "", test.lines...)
			if got.status != test.status || sortedList(got.header.Get("Access-Control-Allow-Methods")) != test.methods {
				t.Errorf("got %d, methods %q; want %d, %q", got.status, got.header.Get("Access-Control-Allow-Methods"), test.status, test.methods)
			}
			if test.status == http.StatusNoContent &&
				(got.header.Get("Access-Control-Allow-Origin") != "https://app.example.com" ||
					got.header.Get("Access-Control-Allow-Headers") != "authorization") {
				t.Errorf("got header %v", got.header)
			}
		})
	}
	g.mustLoad(t, siteWith("\tscopegate\n\treverse_proxy "+upstream.addr))
	if got := ask(t, http.MethodOptions, g.url("/orders/v1/7"), "", origin, asks); got.status != http.StatusForbidden {
		t.Errorf("without the option: got %d, want 403", got.status)
	}
	if got := upstream.take(); len(got) > 0 {
		t.Errorf("the upstream got %q, want nothing", got[0].raw)
	}
}

// sortedList sorts the members of a list in a header field.
func sortedList(list string) string {
	members := strings.Split(list, ", ")
	slices.Sort(members)
	return strings.Join(members, ", ")
}

// In shadow everything is decided, counted and logged, and nothing is refused but
// what is malformed.
func TestShadow(t *testing.T) {
	t.Parallel()
	upstream := startEcho(t)
	g := startGateway(t, siteWith("\tscopegate {\n\t\tshadow\n\t}\n\treverse_proxy "+upstream.addr), ordersFile(upstream.url()))
	const identity = "X-Scopegate-Account"
	for _, test := range []struct {
		name, method, target, secret string
		status                       int
		account                      string // what the upstream is told
		reason                       string // what is logged
	}{
		{"allowed", "GET", "/orders/v1/1", readerSecret, 200, "acme", ""},
		{"method", "PUT", "/orders/v1/2", readerSecret, 200, "", "method_not_granted"},
		{"unknown", "GET", "/orders/v1/3", "unknown-0123456789abcdef", 200, "", "unknown_token"},
		{"no API", "GET", "/nowhere", readerSecret, 200, "", "no_api"},
		{"none", "GET", "/orders/v1/4", "", 200, "", "no_credential"},
		{"malformed", "GET", "/orders/v1/%2e%2e/5", readerSecret, 403, "", "malformed_request"},
	} {
		t.Run(test.name, func(t *testing.T) {
			upstream.take()
			got := ask(t, test.method, g.url(test.target), test.secret, identity+": forged")
			if got.status != test.status {
				t.Errorf("got %d, want %d", got.status, test.status)
			}
			entry, _ := accessLog(t, g, test.target)["scopegate"].(map[string]any)
			if entry["reason"] != test.reason {
				t.Errorf("got reason %q in the access log, want %q", entry["reason"], test.reason)
			}
			arrived := upstream.take()
			if test.status != http.StatusOK {
				if len(arrived) > 0 {
					t.Errorf("the upstream got %q, want nothing", arrived[0].raw)
				}
				return
			}
			if len(arrived) != 1 {
				t.Fatalf("the upstream got %d requests, want 1", len(arrived))
			}
			header := arrived[0].request.Header
			if strings.Join(header.Values(identity), "|") != test.account {
				t.Errorf("the upstream got %s %q, want %q", identity, header.Values(identity), test.account)
			}
			if credential := header.Get("Authorization"); test.secret != "" && credential != "Bearer "+test.secret {
				t.Errorf("the upstream got the credential %q, want it as it came", credential)
			}
		})
	}
	if got := g.metrics(t)[`caddy_scopegate_decisions_total{api="orders",decision="deny",reason="method_not_granted",version="v1"}`]; got != 1 {
		t.Errorf("got %v denials counted, want 1", got)
	}
	g.logs.wait(t, "would be denied", "method_not_granted", "acme/reader")
}

// Only the place that held the credential is emptied, and that only if it is not
// to be kept.
func TestCredentialPlaces(t *testing.T) {
	t.Parallel()
	upstream := startEcho(t)
	g := startGateway(t, proxyCaddyfile, ordersFile(upstream.url()))
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("acme:"+readerSecret))
	for _, test := range []struct {
		name, options string
		lines         []string
		status        int
		arrives       map[string]string
	}{
		{
			"bearer removed", "",
			[]string{"Authorization: Bearer " + readerSecret, "X-Key: a"},
			200,
			map[string]string{"Authorization": "", "X-Key": "a"},
		},
		{
			"bearer kept", "keep_credentials",
			[]string{"Authorization: Bearer " + readerSecret},
			200,
			map[string]string{"Authorization": "Bearer " + readerSecret},
		},
		{
			"basic removed", "credentials basic",
			[]string{"Authorization: " + basic},
			200,
			map[string]string{"Authorization": ""},
		},
		{
			"basic kept", "credentials basic\nkeep_credentials",
			[]string{"Authorization: " + basic},
			200,
			map[string]string{"Authorization": basic},
		},
		{
			"basic is no place", "credentials bearer",
			[]string{"Authorization: " + basic},
			403, nil,
		},
		{
			"header removed, Authorization is not ours", "credentials header X-Key",
			[]string{"X-Key: " + readerSecret, "Authorization: Bearer other"},
			200,
			map[string]string{"Authorization": "Bearer other", "X-Key": ""},
		},
		{
			"two places", "credentials bearer header X-Key",
			[]string{"X-Key: " + readerSecret, "Authorization: Bearer " + readerSecret},
			403, nil,
		},
		{
			"one of two places", "credentials bearer header X-Key",
			[]string{"X-Key: " + readerSecret},
			200,
			map[string]string{"X-Key": ""},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			g.mustLoad(t, proxyWith(test.options))
			if got := ask(t, http.MethodGet, g.url("/orders/v1/7"), "", test.lines...); got.status != test.status {
				t.Errorf("got %d, want %d", got.status, test.status)
			}
			arrived := upstream.take()
			if len(arrived) != len(test.arrives)/max(1, len(test.arrives)) {
				t.Fatalf("the upstream got %d requests", len(arrived))
			}
			for name, want := range test.arrives {
				if got := arrived[0].request.Header.Get(name); got != want {
					t.Errorf("the upstream got %s %q, want %q", name, got, want)
				}
			}
		})
	}
}

// A token's sources are compared with the client that Caddy sees, trusted proxies
// taken into account.
func TestSources(t *testing.T) {
	t.Parallel()
	upstream := startEcho(t)
	bound := func(name, secret, sources string) string {
		return strings.Replace(tokenLine(name, secret, "GET"), "description: d", "description: d, sources: ["+sources+"]", 1)
	}
	file := ordersFile(upstream.url(),
		bound("local", "local-0123456789abcdef", "127.0.0.0/8"),
		bound("remote", "remote-0123456789abcdef", `203.0.113.0/24, "2001:db8::/32"`))
	g := startGateway(t, proxyCaddyfile, file)
	trusting := strings.Replace(proxyCaddyfile, "\tservers {\n", "\tservers {\n\t\ttrusted_proxies static 127.0.0.1\n", 1)
	type request struct {
		name, forwarded string
		status          int
	}
	for _, test := range []struct {
		name, caddyfile string
		requests        []request
	}{
		{"no proxy is trusted", proxyCaddyfile, []request{
			{"local", "", 200},
			{"local", "203.0.113.9", 200},
			{"remote", "", 403},
			{"remote", "203.0.113.9", 403},
		}},
		{"a trusted proxy", trusting, []request{
			{"local", "", 200},
			{"local", "203.0.113.9", 403},
			{"remote", "203.0.113.9", 200},
			{"remote", "2001:db8::7", 200},
			{"remote", "198.51.100.9", 403},
			{"remote", "nonsense", 403},
		}},
	} {
		g.mustLoad(t, test.caddyfile)
		for _, r := range test.requests {
			var lines []string
			if r.forwarded != "" {
				lines = []string{"X-Forwarded-For: " + r.forwarded}
			}
			got := ask(t, http.MethodGet, g.url("/orders/v1/7"), r.name+"-0123456789abcdef", lines...)
			if got.status != r.status {
				t.Errorf("%s: acme/%s from %q: got %d, want %d", test.name, r.name, r.forwarded, got.status, r.status)
			}
		}
	}
}
