package proxy

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestPreflight(t *testing.T) {
	t.Parallel()
	const (
		origin = "https://app.example.com"
		asks   = "\nOrigin: " + origin + "\nAccess-Control-Request-Method: GET"
	)
	tests := []struct {
		name    string
		origins []string
		raw     string
		want    string // the methods; "" for no answer
	}{
		{"answered", []string{origin}, "OPTIONS /orders/v1" + asks, "GET, HEAD"},
		{"all methods at the path", []string{origin}, "OPTIONS /orders/v1/7" + asks, "GET, HEAD, PUT, DELETE"},
		{"any origin", []string{"*"}, "OPTIONS /orders/v1" + asks, "GET, HEAD"},
		{"none is answered by default", nil, "OPTIONS /orders/v1" + asks, ""},
		{"another origin", []string{"https://other.example.com"}, "OPTIONS /orders/v1" + asks, ""},
		{"origin in another case", []string{"https://APP.example.com"}, "OPTIONS /orders/v1" + asks, ""},
		{"origin that begins alike", []string{origin}, "OPTIONS /orders/v1\nOrigin: " + origin + ".evil.example\nAccess-Control-Request-Method: GET", ""},
		{"no origin", []string{"*"}, "OPTIONS /orders/v1\nAccess-Control-Request-Method: GET", ""},
		{"two origins", []string{"*"}, "OPTIONS /orders/v1\nOrigin: a\nOrigin: b\nAccess-Control-Request-Method: GET", ""},
		{"no method", []string{origin}, "OPTIONS /orders/v1\nOrigin: " + origin, ""},
		{"method that the API lacks", []string{origin}, "OPTIONS /orders/v1\nOrigin: " + origin + "\nAccess-Control-Request-Method: PUT", ""},
		{"no API there", []string{origin}, "OPTIONS /admin" + asks, ""},
		{"malformed target", []string{origin}, "OPTIONS /orders/../orders/v1" + asks, ""},
		{"override", []string{origin}, "OPTIONS /orders/v1\nX-HTTP-Method-Override: GET" + asks, ""},
		{"no preflight", []string{origin}, "GET /orders/v1" + asks, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newMemory(t).gateway()
			g.PreflightOrigins = test.origins
			line, headers, _ := strings.Cut(test.raw, "\n")
			r := parse(t, line+" HTTP/1.1\nHost: h\n"+headers)
			v := g.Judge(r)
			if v.Through {
				t.Fatal("it goes through to the upstream")
			}
			recorder := httptest.NewRecorder()
			g.Refuse(recorder, r, v)
			if got := recorder.Header().Get("Access-Control-Allow-Methods"); got != test.want || v.Preflight() != (test.want != "") {
				t.Errorf("got methods %q, preflight %v, want %q", got, v.Preflight(), test.want)
			}
			if wantStatus := map[bool]int{true: 204, false: 403}[test.want != ""]; recorder.Code != wantStatus {
				t.Errorf("got status %d, want %d", recorder.Code, wantStatus)
			}
		})
	}
}

func TestPreflightAnswer(t *testing.T) {
	t.Parallel()
	g := newMemory(t).gateway()
	g.PreflightOrigins = []string{"*"}
	r := parse(t, "OPTIONS /actions HTTP/1.1\nHost: h\nOrigin: null\nAccess-Control-Request-Method: POST\n"+
		"Access-Control-Request-Headers: authorization\nAccess-Control-Request-Headers: ir-version")
	recorder := httptest.NewRecorder()
	g.Refuse(recorder, r, g.Judge(r))
	want := http.Header{
		"Access-Control-Allow-Origin":  {"null"},
		"Access-Control-Allow-Methods": {"GET, HEAD, POST"},
		"Access-Control-Allow-Headers": {"authorization, ir-version"},
		"Access-Control-Max-Age":       {"600"},
		"Vary":                         {"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"},
	}
	if got := recorder.Header(); !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("got %q, want %q", got, want)
	}
}
