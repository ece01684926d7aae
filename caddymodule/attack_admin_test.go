package caddymodule_test

import (
	"strings"
	"testing"
)

// A page in an administrator's browser can make it send requests to the admin
// endpoint. Caddy's checks of Host and Origin hold for the management routes, and
// what changes something is never a GET.
func attackAdmin(t *testing.T, s *stage) {
	t.Helper()
	const victim = "/scopegate/tokens/acme/victim"
	raw := func(line, host string, lines ...string) string {
		lines = append([]string{line + " HTTP/1.1", "Host: " + host, "Connection: close", "Content-Length: 0"}, lines...)
		return strings.Join(lines, "\r\n") + "\r\n\r\n"
	}
	for name, from := range map[string]struct {
		host  string
		lines []string
	}{
		"another host":                {"evil.example", nil},
		"another host with the port":  {"evil.example" + s.admin[strings.LastIndexByte(s.admin, ':'):], nil},
		"another origin":              {s.admin, []string{"Origin: https://evil.example"}},
		"no origin that counts":       {s.admin, []string{"Origin: null"}},
		"another port's origin":       {s.admin, []string{"Origin: http://" + s.on(portPlain)}},
		"a browser that hides it":     {s.admin, []string{"Sec-Fetch-Mode: no-cors", "Sec-Fetch-Site: cross-site"}},
		"forwarded host":              {"evil.example", []string{"X-Forwarded-Host: " + s.admin, "Forwarded: host=" + s.admin}},
		"the host in the path's form": {"evil.example@" + s.admin, nil},
	} {
		for _, line := range []string{
			"GET /scopegate/tokens", "GET " + victim, "GET /scopegate/status", "GET /scopegate/accounts", "POST " + victim + "/deactivate",
			"POST " + victim + "/rotate", "DELETE " + victim, "POST /scopegate/apply", "POST /scopegate/plan", "POST /scopegate/explain",
		} {
			t.Run(name+": "+line, func(t *testing.T) {
				t.Parallel()
				refusedByAdmin(t, s, raw(line, from.host, from.lines...))
			})
		}
	}
	for _, line := range []string{
		"GET " + victim + "/deactivate", "GET " + victim + "/rotate", "GET " + victim + "/issue", "HEAD " + victim + "/deactivate", "PUT " + victim + "/deactivate",
		"OPTIONS " + victim + "/deactivate", "GET /scopegate/apply", "GET " + victim + "/deactivate?method=POST&_method=POST", "post " + victim + "/deactivate",
		"POST /scopegate/../scopegate/tokens/acme/victim/deactivate", "POST //scopegate/tokens/acme/victim/deactivate",
		"POST /scopegate/tokens/acme/./victim/deactivate", "POST /SCOPEGATE/tokens/acme/victim/deactivate", "POST /scopegate/tokens/globex/victim/deactivate",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			refusedByAdmin(t, s, raw(line, s.admin, "X-HTTP-Method-Override: POST"))
		})
	}
	for _, line := range []string{"GET /scopegate/tokens", "GET /scopegate/status", "POST " + victim + "/deactivate", "GET /config/"} {
		t.Run("through the gateway: "+line, func(t *testing.T) {
			t.Parallel()
			s.send(t, portPlain, rawRequest(line)).denied(t)
			s.send(t, portPlain, strings.Replace(rawRequest(line), "gateway.example", s.admin, 1)).denied(t)
		})
	}
	t.Run("and for whom it is meant", func(t *testing.T) {
		t.Parallel()
		if answer := sendRaw(t, s.admin, raw("GET /scopegate/tokens", s.admin)); !strings.HasPrefix(answer, "HTTP/1.1 200 ") {
			t.Errorf("got\n%s\nwant the tokens", answer)
		}
	})
}

// refusedByAdmin fails the test if the admin endpoint does what it is told, or
// tells anything.
func refusedByAdmin(t *testing.T, s *stage, raw string) {
	t.Helper()
	answer := sendRaw(t, s.admin, raw)
	if !strings.HasPrefix(answer, "HTTP/1.1 4") && !strings.HasPrefix(answer, "HTTP/1.1 3") || strings.Contains(answer, "tok_") || strings.Contains(answer, "sgt_") {
		t.Errorf("%s\ngot\n%s\nwant a refusal", raw, answer)
	}
	s.send(t, portPlain, by("victim", rawRequest("GET /orders/v1/7"))).forwarded(t)
}
