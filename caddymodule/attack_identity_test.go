package caddymodule_test

import (
	"strings"
	"testing"
)

// The upstream can rely on X-Scopegate-*: it comes from the gateway or not at all.
func attackIdentity(t *testing.T, s *stage) {
	t.Helper()
	own := func(t *testing.T, got received) {
		t.Helper()
		wantField(t, got, "X-Scopegate-Account", "acme")
		wantField(t, got, "X-Scopegate-Api", "actions")
		wantField(t, got, "X-Scopegate-Version", "14")
		if id := got.request.Header["X-Scopegate-Token"]; len(id) != 1 || !strings.HasPrefix(id[0], "tok_") || strings.Contains(id[0], "spoofed") {
			t.Errorf("X-Scopegate-Token: got %q, want one id", id)
		}
		if strings.Contains(string(got.raw), "spoofed") {
			t.Errorf("what was spoofed arrived:\n%s", got.raw)
		}
	}
	for name, lines := range map[string][]string{
		"as they are":       {"X-Scopegate-Token: tok_spoofed", "X-Scopegate-Account: spoofed", "X-Scopegate-Api: spoofed", "X-Scopegate-Version: spoofed"},
		"repeated":          {"X-Scopegate-Account: spoofed", "X-Scopegate-Account: spoofed", "X-Scopegate-Account: spoofed"},
		"in other cases":    {"x-scopegate-token: spoofed", "X-SCOPEGATE-ACCOUNT: spoofed", "x-ScOpEgAtE-aPi: spoofed"},
		"under other names": {"X-Scopegate-Role: spoofed", "X-Scopegate-: spoofed", "X-Scopegate-Scopes: spoofed"},
		"with underscores":  {"X_Scopegate_Token: spoofed", "X-Scopegate_Account: spoofed", "x_scopegate-api: spoofed"},
		"with dots":         {"X.Scopegate.Token: spoofed", "X-Scopegate.Account: spoofed"},
		"with both":         {"X_Scopegate.Token: spoofed"},
		"with other signs":  {"X~Scopegate~Token: spoofed", "X+Scopegate!Account: spoofed", "X'Scopegate`Api: spoofed"},
		"named in Connection": {
			"Connection: X-Scopegate-Token, X-Scopegate-Account", "Connection: x-scopegate-api", "Connection: X-Scopegate-Version,",
		},
		"named in Connection, odd spacing": {"Connection:,, X-Scopegate-Token\t, ,X-Scopegate-Account,X-Scopegate-Api ,\tX-Scopegate-Version"},
		"named in Connection, with others": {"Connection: keep-alive, X-Scopegate-Token, close, X-Scopegate-Account"},
		"named and sent":                   {"Connection: X-Scopegate-Token", "X-Scopegate-Token: tok_spoofed"},
		"named in Keep-Alive and the like": {"Keep-Alive: X-Scopegate-Token", "Proxy-Connection: X-Scopegate-Token", "TE: X-Scopegate-Token", "Trailer: X-Scopegate-Token"},
	} {
		raw := by("reader", rawRequest("GET /actions", lines...))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own(t, s.send(t, portPlain, raw).forwardedAs(t, "GET", "/actions"))
		})
		t.Run(name+", where they reach us", func(t *testing.T) {
			t.Parallel()
			own(t, s.send(t, portLax, raw).forwardedAs(t, "GET", "/actions"))
		})
	}
	t.Run("what looks alike passes", func(t *testing.T) {
		t.Parallel()
		got := s.send(t, portPlain, by("reader", rawRequest("GET /actions", "X-Scopegates: a", "X-Scope-Gate-Token: b"))).forwarded(t)
		wantField(t, got, "X-Scopegates", "a")
		wantField(t, got, "X-Scope-Gate-Token", "b")
	})
	t.Run("no version where the API has none", func(t *testing.T) {
		t.Parallel()
		got := s.send(t, portPlain, rawRequest("GET /raw/x", "X-Scopegate-Version: spoofed")).forwarded(t)
		wantField(t, got, "X-Scopegate-Version")
	})
	t.Run("in shadow of a denial", func(t *testing.T) {
		t.Parallel()
		lines := []string{"X-Scopegate-Token: tok_spoofed", "X-Scopegate-Account: spoofed", "Connection: X-Scopegate-Token"}
		got := s.send(t, portShadow, anonymous("DELETE /orders/v1/7", lines...)).forwardedAs(t, "DELETE", "/orders/v1/7")
		if strings.Contains(strings.ToLower(string(got.raw)), "x-scopegate") {
			t.Errorf("an identity arrived with a request that was denied:\n%s", got.raw)
		}
	})
	t.Run("in the request for an error page", func(t *testing.T) {
		t.Parallel()
		o := s.send(t, portPages, anonymous("GET /orders/v1/7", "X-Scopegate-Token: tok_spoofed", "X-Scopegate-Account: spoofed"))
		if len(o.arrived) != 1 {
			t.Fatalf("%d requests for a page arrived, want one", len(o.arrived))
		}
		if raw := string(o.arrived[0].raw); strings.Contains(strings.ToLower(raw), "x-scopegate") {
			t.Errorf("the request for a page arrived with the client's identity:\n%s", raw)
		}
	})
	t.Run("trailers", func(t *testing.T) { identityTrailers(t, s, own) })
}

// identityTrailers sends them where net/http does not look for header fields.
func identityTrailers(t *testing.T, s *stage, own func(*testing.T, received)) {
	t.Helper()
	const trailers = "X-Scopegate-Token: tok_spoofed\r\nx_scopegate_account: spoofed\r\nX.Scopegate.Api: spoofed\r\n" +
		"IR-Version: spoofed\r\nIr_Version: spoofed\r\nX-HTTP-Method-Override: spoofed\r\n"
	for _, test := range []struct {
		name, declared string
		arrives        bool
	}{
		{"declared", "X-Scopegate-Token, x_scopegate_account, X.Scopegate.Api, IR-Version, Ir_Version, X-HTTP-Method-Override, X-Checksum", true},
		{"only another one declared", "X-Checksum", true},
		{"none declared", "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			raw := rawRequest("POST /actions", "IR-Version: 14", "Transfer-Encoding: chunked", "Trailer: "+test.declared) +
				"3\r\nabc\r\n0\r\n" + trailers + "X-Checksum: 7\r\n\r\n"
			got := s.send(t, portPlain, raw).forwardedAs(t, "POST", "/actions")
			own(t, got)
			if string(got.body) != "abc" {
				t.Errorf("the body arrived as %q", got.body)
			}
			if arrived := got.request.Trailer.Get("X-Checksum") == "7"; arrived != test.arrives {
				t.Errorf("X-Checksum arrived: %v, want %v", arrived, test.arrives)
			}
			for name := range got.request.Trailer {
				if name != "X-Checksum" {
					t.Errorf("the trailer %s arrived", name)
				}
			}
		})
	}
}
