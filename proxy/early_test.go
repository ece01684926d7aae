package proxy

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

// Before the TLS handshake is over nobody knows where a request really comes from,
// so a token that is bound to sources has to wait for it.
func TestEarlyData(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	bound := scopes.DigestOf(secretOf("office"))
	if len(m.grants[bound].Sources) == 0 {
		t.Fatal("the token must be bound to sources")
	}
	for _, complete := range []bool{false, true} {
		r := parse(t, "GET /orders/v1/7 HTTP/1.1\nHost: h\nAuthorization: Bearer "+secretOf("office"))
		r.RemoteAddr = "192.0.2.7:1"
		r.TLS = &tls.ConnectionState{HandshakeComplete: complete}
		g := m.gateway()
		v := g.Judge(r)
		if v.Through != complete {
			t.Errorf("handshake complete %v: through %v, %s", complete, v.Through, v.Decision.Reason)
		}
		if !complete && g.Status(v) != http.StatusTooEarly {
			t.Errorf("got status %d, want 425", g.Status(v))
		}
	}
}

// A verdict has the request's header, so printing it must not show that.
func TestVerdictHidesTheCredential(t *testing.T) {
	t.Parallel()
	secret := secretOf("reader")
	v := newMemory(t).gateway().Judge(parse(t, "GET /orders/v1/7 HTTP/1.1\nHost: h\nAuthorization: Bearer "+secret))
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if got := fmt.Sprintf(format, v); strings.Contains(got, secret) {
			t.Errorf("%s shows the credential: %s", format, got)
		}
	}
}

// What would have an upstream act on another target than the one decided on does
// not reach it.
func TestForwardRemovesTargets(t *testing.T) {
	t.Parallel()
	g := newMemory(t).gateway()
	for _, field := range []string{"X-Original-Url", "X-Rewrite-Url", "X_Original_URL", "X.Rewrite.Url"} {
		r := parse(t, "GET /orders/v1/7 HTTP/1.1\nHost: h\nAuthorization: Bearer "+secretOf("reader"))
		r.Header[field] = []string{"/ads/v1"}
		v := g.Judge(r)
		if !v.Through {
			t.Fatalf("%s: %s", field, v.Decision.Reason)
		}
		g.Forward(nil, r, v)
		if got := r.Header[field]; got != nil {
			t.Errorf("%s: %q is forwarded", field, got)
		}
	}
}
