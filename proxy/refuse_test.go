package proxy

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

func TestRefuse(t *testing.T) {
	t.Parallel()
	problem := func(length, retry string, more ...[2]string) http.Header {
		h := http.Header{
			"Content-Type": {"application/problem+json"}, "Cache-Control": {"no-store"}, "Content-Length": {length},
		}
		if retry != "" {
			h["Retry-After"] = []string{retry}
		}
		for _, field := range more {
			h[field[0]] = []string{field[1]}
		}
		return h
	}
	const (
		denied       = `{"type":"about:blank","title":"Access Denied","status":403}`
		unauthorized = `{"type":"about:blank","title":"Unauthorized","status":401}`
		tooMany      = `{"type":"about:blank","title":"Too Many Requests","status":429}`
		unavailable  = `{"type":"about:blank","title":"Service Unavailable","status":503}`
	)
	challenge := &Gateway{Challenge: true}
	tests := []struct {
		name    string
		gateway *Gateway
		reason  scopes.Reason
		raw     string
		status  int
		header  http.Header
		body    string
	}{
		{"denied", nil, scopes.APINotGranted, "GET /", 403, problem("59", ""), denied},
		{"no credential", nil, scopes.NoCredential, "GET /", 403, problem("59", ""), denied},
		{"HEAD", nil, scopes.APINotGranted, "HEAD /", 403, problem("59", ""), ""},
		{"body", nil, scopes.APINotGranted, "POST /\nContent-Length: 3", 403, problem("59", "", [2]string{"Connection", "close"}), denied},
		{"chunked body", nil, scopes.APINotGranted, "POST /\nTransfer-Encoding: chunked", 403, problem("59", "", [2]string{"Connection", "close"}), denied},
		{"empty body", nil, scopes.APINotGranted, "POST /\nContent-Length: 0", 403, problem("59", ""), denied},
		{"stale", nil, scopes.Stale, "GET /", 503, problem("65", "1"), unavailable},
		{"rate limited", nil, scopes.RateLimited, "GET /", 429, problem("63", "1"), tooMany},
		{"a reason that is none", nil, 255, "GET /", 403, problem("59", ""), denied},
		{"challenge, no credential", challenge, scopes.NoCredential, "GET /", 401, problem("58", "", [2]string{"Www-Authenticate", "Bearer"}), unauthorized},
		{"challenge, unknown token", challenge, scopes.UnknownToken, "GET /", 401, problem("58", "", [2]string{"Www-Authenticate", "Bearer"}), unauthorized},
		{"challenge, inactive", challenge, scopes.Inactive, "GET /", 403, problem("59", ""), denied},
		{"challenge, malformed", challenge, scopes.MalformedRequest, "GET /", 403, problem("59", ""), denied},
		{
			"challenge, basic only", &Gateway{Challenge: true, Places: []Place{{Kind: Basic}}}, scopes.NoCredential, "GET /", 401,
			problem("58", "", [2]string{"Www-Authenticate", `Basic realm="scopegate"`}), unauthorized,
		},
		{
			"challenge, basic and bearer", &Gateway{Challenge: true, Places: []Place{{Kind: Basic}, {Kind: Bearer}}}, scopes.NoCredential, "GET /", 401,
			problem("58", "", [2]string{"Www-Authenticate", "Bearer"}), unauthorized,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := test.gateway
			if g == nil {
				g = new(Gateway)
			}
			line, headers, _ := strings.Cut(test.raw, "\n")
			recorder := httptest.NewRecorder()
			v := verdictOf(test.reason)
			g.Refuse(recorder, parse(t, line+" HTTP/1.1\nHost: h\n"+headers), v)
			if recorder.Code != test.status || g.Status(v) != test.status {
				t.Errorf("got status %d, Status %d, want %d", recorder.Code, g.Status(v), test.status)
			}
			if got := recorder.Header(); !maps.EqualFunc(got, test.header, slices.Equal) {
				t.Errorf("got header %q, want %q", got, test.header)
			}
			if got := recorder.Body.String(); got != test.body {
				t.Errorf("got body %s, want %s", got, test.body)
			}
		})
	}
}

func verdictOf(reason scopes.Reason) *Verdict {
	return &Verdict{Decision: scopes.Decision{Reason: reason}}
}

// One body for every reason, so that a client learns nothing from it.
func TestEveryReasonIsAnsweredAlike(t *testing.T) {
	t.Parallel()
	for i := range scopes.NumReasons {
		reason := scopes.Reason(i)
		want := accessDenied
		switch reason {
		case scopes.Stale:
			want = unavailable
		case scopes.RateLimited:
			want = tooManyRequests
		}
		if got := new(Gateway).answerTo(verdictOf(reason)); got != want {
			t.Errorf("%v: got %s, want %s", reason, got.body, want.body)
		}
	}
}

// What a later handler does to the header of one response stays in it.
func TestAnswersAreNotShared(t *testing.T) {
	t.Parallel()
	r := parse(t, "GET / HTTP/1.1\nHost: h")
	v := &Verdict{Decision: scopes.Decision{Reason: scopes.APINotGranted}}
	for range 2 {
		recorder := httptest.NewRecorder()
		new(Gateway).Refuse(recorder, r, v)
		for name := range recorder.Header() {
			if got := recorder.Header()[name]; len(got) != 1 {
				t.Errorf("%s: got %q, want one value", name, got)
			}
			recorder.Header().Add(name, "more")
		}
	}
}

func TestHandOver(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, raw string
		gateway   Gateway
		want      http.Header // of the request
		closes    bool
	}{
		{
			"credential", "GET /\nAuthorization: Bearer x", Gateway{}, http.Header{}, false,
		},
		{
			"credential in a header", "GET /\nAuthorization: Bearer x\nX-Key: y",
			Gateway{Places: []Place{{Kind: Header, Name: "X-Key"}}},
			http.Header{"Authorization": {"Bearer x"}},
			false,
		},
		{
			"credential to keep", "GET /\nAuthorization: Bearer x",
			Gateway{KeepCredentials: true},
			http.Header{"Authorization": {"Bearer x"}},
			false,
		},
		{
			"spoofed identity", "GET /\nAuthorization: Bearer x\nX-Scopegate-Token: x\nX_Scopegate_Account: x\nAccept: a\nConnection: X-Scopegate-Token, close",
			Gateway{},
			http.Header{"Accept": {"a"}, "Connection": {"close"}},
			false,
		},
		{"body", "POST /\nContent-Length: 3\nExpect: 100-continue", Gateway{}, http.Header{}, true},
		{"chunks and trailers", "POST /\nTransfer-Encoding: chunked\nTrailer: X-Checksum", Gateway{}, http.Header{}, true},
		{
			"WebSocket", "GET /\nConnection: keep-alive, Upgrade\nUpgrade: websocket",
			Gateway{},
			http.Header{"Connection": {"keep-alive"}},
			false,
		},
		{"h2c", "GET /\nConnection: upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABkAAQAAP__", Gateway{}, http.Header{}, false},
	}
	for i := range tests {
		test := &tests[i]
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			line, headers, _ := strings.Cut(test.raw, "\n")
			r := parse(t, line+" HTTP/1.1\nHost: h\n"+headers)
			recorder := httptest.NewRecorder()
			test.gateway.HandOver(recorder, r)
			if !maps.EqualFunc(r.Header, test.want, slices.Equal) {
				t.Errorf("got request header %q, want %q", r.Header, test.want)
			}
			if got := recorder.Header().Get("Connection") == "close"; got != test.closes {
				t.Errorf("closes: got %v, want %v", got, test.closes)
			}
			if r.Body != http.NoBody || r.ContentLength != 0 || r.TransferEncoding != nil || r.Trailer != nil {
				t.Errorf("the body goes on: length %d, coding %q, trailers %q", r.ContentLength, r.TransferEncoding, r.Trailer)
			}
		})
	}
}

// void is a response that is thrown away.
type void struct{ header http.Header }

func (v void) Header() http.Header       { return v.header }
func (void) Write(p []byte) (int, error) { return len(p), nil }
func (void) WriteHeader(int)             {}

func BenchmarkRefuse(b *testing.B) {
	g := newMemory(b).gateway()
	for _, raw := range []string{"GET /orders/v1 HTTP/1.1\nHost: h", "POST /orders/v1 HTTP/1.1\nHost: h\nContent-Length: 3"} {
		r := parse(b, raw)
		v := g.Judge(r)
		w := void{make(http.Header)}
		b.Run(r.Method, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				g.Refuse(w, r, v)
			}
		})
	}
}
