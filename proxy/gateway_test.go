package proxy

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	reader := "\nAuthorization: Bearer " + secretOf("reader")
	office := "\nAuthorization: Bearer " + secretOf("office")
	from := func(addr string) func(*Gateway) {
		return func(g *Gateway) {
			g.ClientAddr = func(*http.Request) netip.Addr { return netip.MustParseAddr(addr) }
		}
	}
	tests := []struct {
		name      string
		configure func(*Gateway)
		raw       string
		want      string
	}{
		{"allowed", nil, "GET /orders/v1/7" + reader, "allow"},
		{"absolute-form", nil, "GET http://other.example/orders/v1/7" + reader, "allow"},
		{"not open yet", func(g *Gateway) { g.Source = closed{} }, "GET /orders/v1/7" + reader, "stale"},
		{"not open yet comes first", func(g *Gateway) { g.Source = closed{} }, "TRACE /a|b", "stale"},
		{"target", nil, "GET /orders/v1/a|b" + reader, "malformed_request"},
		{"target that scopes refuses", nil, "GET /orders/v1/../v1" + reader, "malformed_request"},
		{"framing", nil, "GET /orders/v1\nUpgrade: h2c" + reader, "malformed_request"},
		{"credential", nil, "GET /orders/v1" + reader + reader, "malformed_request"},
		{"malformed credential for no API", nil, "GET /nothing" + reader + reader, "malformed_request"},
		{"no credential", nil, "GET /orders/v1", "no_credential"},
		{"unknown credential", nil, "GET /orders/v1\nAuthorization: Bearer some-other-credential", "unknown_token"},
		{"digest as credential", nil, "GET /orders/v1\nAuthorization: Bearer " + scopes.DigestOf(secretOf("reader")).String(), "unknown_token"},
		{"id as credential", nil, "GET /orders/v1\nAuthorization: Bearer tok_reader", "unknown_token"},
		{"inactive", nil, "GET /orders/v1\nAuthorization: Bearer " + secretOf("off"), "inactive"},
		{"source: the peer", nil, "GET /orders/v1" + office, "source_not_allowed"},
		{"source: inside", from("192.0.2.9"), "GET /orders/v1" + office, "allow"},
		{"source: outside", from("192.0.3.9"), "GET /orders/v1" + office, "source_not_allowed"},
		{"source: forwarded headers do not count", nil, "GET /orders/v1" + office + "\nX-Forwarded-For: 192.0.2.9\nForwarded: for=192.0.2.9", "source_not_allowed"},
		{"no API", nil, "GET /orders-admin/v1" + reader, "no_api"},
		{"API not served here", func(g *Gateway) { g.APIs = []string{"actions"} }, "GET /orders/v1" + reader, "no_api"},
		{"API served here", func(g *Gateway) { g.APIs = []string{"actions", "orders"} }, "GET /orders/v1" + reader, "allow"},
		{"version", nil, "GET /orders/v2" + reader, "version_not_granted"},
		{"method", nil, "DELETE /orders/v1/7" + reader, "method_not_granted"},
		{"shadow of a denial", func(g *Gateway) { g.Shadow = true }, "DELETE /orders/v1/7" + reader, "method_not_granted"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newMemory(t).gateway()
			if test.configure != nil {
				test.configure(g)
			}
			line, headers, _ := strings.Cut(test.raw, "\n")
			v := g.Judge(parse(t, line+" HTTP/1.1\nHost: h\n"+headers))
			if got := v.Decision.Reason.String(); got != test.want {
				t.Errorf("%q: got %s, want %s", test.raw, got, test.want)
			}
			if want := test.want == "allow" || g.Shadow; v.Through != want {
				t.Errorf("%q: goes through %v, want %v", test.raw, v.Through, want)
			}
		})
	}
}

// Shadow lets denials through, but nothing that parsers could read differently,
// and nothing while there is no state to decide on.
func TestShadow(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, raw string
		through   bool
		api       string // where it leads; "" for nowhere
		version   string
	}{
		{"no credential", "GET /orders/v1/7", true, "orders", "v1"},
		{"unknown version", "GET /orders/v3/7", true, "orders", ""},
		{"no API", "GET /nothing", true, "", ""},
		{"ambiguous credential", "GET /orders/v2/7\nAuthorization: a\nAuthorization: b", true, "orders", "v2"},
		{"target", "GET /orders/v1/a|b", false, "", ""},
		{"target that scopes refuses", "GET /orders/v1/%2e%2e", false, "", ""},
		{"framing", "GET /orders/v1\nUpgrade: h2c", false, "", ""},
		{"override", "GET /orders/v1\nX-HTTP-Method: PUT", false, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newMemory(t).gateway()
			g.Shadow = true
			line, headers, _ := strings.Cut(test.raw, "\n")
			v := g.Judge(parse(t, line+" HTTP/1.1\nHost: h\n"+headers))
			var api string
			if v.API != nil {
				api = v.API.Name
			}
			if v.Through != test.through || api != test.api || v.Version != test.version {
				t.Errorf("%q: got through %v to API %q, version %q, want %v to %q, %q",
					test.raw, v.Through, api, v.Version, test.through, test.api, test.version)
			}
		})
	}
	t.Run("not open yet", func(t *testing.T) {
		t.Parallel()
		g := &Gateway{Source: closed{}, Shadow: true}
		if v := g.Judge(parse(t, "GET /orders/v1 HTTP/1.1\nHost: h")); v.Through {
			t.Error("a request goes through")
		}
	})
}

func TestClientAddr(t *testing.T) {
	t.Parallel()
	tests := []struct{ peer, want string }{
		{"192.0.2.1:1234", "192.0.2.1"},
		{"[2001:db8::1]:1234", "2001:db8::1"},
		{"@", "invalid IP"},
		{"", "invalid IP"},
	}
	for _, test := range tests {
		if got := new(Gateway).clientAddr(&http.Request{RemoteAddr: test.peer}).String(); got != test.want {
			t.Errorf("peer %q: got %s, want %s", test.peer, got, test.want)
		}
	}
}

func TestDefaultClock(t *testing.T) {
	t.Parallel()
	if got := time.Since(new(Gateway).now()); got < 0 || got > time.Minute {
		t.Errorf("the clock is %v behind", got)
	}
}

// hot are requests that cost nothing but the verdict itself.
func hot() map[string]string {
	return map[string]string{
		"allow":              "GET /orders/v1/7 HTTP/1.1\nHost: h\nAuthorization: Bearer " + secretOf("reader"),
		"allow, version":     "GET /actions HTTP/1.1\nHost: h\nAuthorization: Bearer " + secretOf("reader"),
		"method_not_granted": "DELETE /orders/v1/7 HTTP/1.1\nHost: h\nAuthorization: Bearer " + secretOf("reader"),
		"unknown_token":      "GET /orders/v1/7 HTTP/1.1\nHost: h\nAuthorization: Bearer the-secret-of-nobody",
		"no_credential":      "GET /orders/v1/7 HTTP/1.1\nHost: h",
		"malformed_request":  "GET /orders/v1/../7 HTTP/1.1\nHost: h\nAuthorization: Bearer " + secretOf("reader"),
	}
}

func TestJudgeAllocates(t *testing.T) {
	g := newMemory(t).gateway()
	for name, raw := range hot() {
		r := parse(t, raw)
		if got := testing.AllocsPerRun(100, func() { g.Judge(r) }); got > 1 {
			t.Errorf("%s: got %v allocations, want the verdict only", name, got)
		}
	}
}

// A request without a body costs a header value, and nothing for what it lacks.
func TestForwardAllocates(t *testing.T) {
	g := newMemory(t).gateway()
	raw := hot()["allow"]
	r := parse(t, raw)
	v := g.Judge(r)
	w := void{make(http.Header)}
	if got := testing.AllocsPerRun(100, func() { g.Forward(w, r, v) }); got > 1 {
		t.Errorf("got %v allocations, want one for the identity", got)
	}
}

func BenchmarkJudge(b *testing.B) {
	g := newMemory(b).gateway()
	for name, raw := range hot() {
		r := parse(b, raw)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				g.Judge(r)
			}
		})
	}
}

func BenchmarkForward(b *testing.B) {
	g := newMemory(b).gateway()
	r := parse(b, hot()["allow"])
	v := g.Judge(r)
	w := void{make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		g.Forward(w, r, v)
	}
}
