package proxy

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// deprecate returns a source of which version v1 of the API orders is deprecated.
func deprecate(t *testing.T, said scopes.Deprecation) *memory {
	t.Helper()
	m := newMemory(t)
	apis := m.catalog.APIs()
	for i := range apis {
		if apis[i].Name == "orders" {
			apis[i].Deprecated = []scopes.Deprecation{said}
		}
	}
	catalog, err := scopes.NewCatalog(apis)
	if err != nil {
		t.Fatal(err)
	}
	m.catalog = catalog
	return m
}

var v1Leaves = scopes.Deprecation{
	Version: "v1", Since: time.Unix(1688169599, 0), Sunset: time.Date(2027, 1, 1, 1, 0, 0, 0, time.FixedZone("", 3600)), Link: "https://a.example/v2",
}

// told is what a response says of v1Leaves, as RFC 9745 and RFC 8594 have it.
var told = http.Header{
	"Deprecation": {"@1688169599"}, "Sunset": {"Fri, 01 Jan 2027 00:00:00 GMT"}, "Link": {`<https://a.example/v2>; rel="deprecation"`},
}

// handle does what a server does with a request, and returns the status that the client
// gets, and what it is told of a deprecation.
func handle(t *testing.T, g *Gateway, raw string, answer http.HandlerFunc) (status int, h http.Header) {
	t.Helper()
	r := parse(t, raw)
	recorder := &finalRecorder{httptest.NewRecorder()}
	v := g.Judge(r)
	g.Limit(recorder, v)
	if !v.Through {
		g.Refuse(recorder, r, v)
		return recorder.told()
	}
	writer, r := g.Enter(g.Forward(recorder, r, v), r, v)
	defer g.Leave(v)
	answer(writer, r)
	Returned(recorder, writer)
	return recorder.told()
}

// finalRecorder is a recorder that takes no informational response for the final one.
type finalRecorder struct{ *httptest.ResponseRecorder }

func (r *finalRecorder) WriteHeader(status int) {
	if status != http.StatusEarlyHints {
		r.ResponseRecorder.WriteHeader(status)
	}
}

// told returns the status, and what the response says of a deprecation.
func (r *finalRecorder) told() (status int, h http.Header) {
	response := r.Result()
	defer response.Body.Close()
	h = make(http.Header)
	for _, name := range []string{"Deprecation", "Sunset", "Link"} {
		if values := response.Header[name]; values != nil {
			h[name] = values
		}
	}
	return response.StatusCode, h
}

func sameFields(a, b http.Header) bool { return maps.EqualFunc(a, b, slices.Equal) }

const readsV1 = "GET /orders/v1/7 HTTP/1.1\nHost: h\nAuthorization: Bearer the-secret-of-reader"

// However a response begins, it tells of the deprecation, once.
func TestDeprecationIsTold(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"a status":         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
		"a body":           func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "a") },
		"a copied body":    func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, strings.NewReader("a")) },
		"flushed":          func(w http.ResponseWriter, _ *http.Request) { _ = http.NewResponseController(w).Flush() },
		"another protocol": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusSwitchingProtocols) },
		"nothing":          func(http.ResponseWriter, *http.Request) {},
		"twice": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusOK)
			_, _ = io.WriteString(w, "a")
			_ = http.NewResponseController(w).Flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, got := handle(t, deprecate(t, v1Leaves).gateway(), readsV1, answer); !sameFields(got, told) {
				t.Errorf("got %v, want %v", got, told)
			}
		})
	}
}

// An informational response comes before the header that tells.
func TestDeprecationIsNotToldEarly(t *testing.T) {
	t.Parallel()
	early := make(http.Header)
	_, got := handle(t, deprecate(t, v1Leaves).gateway(), readsV1, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		early = w.Header().Clone()
		w.WriteHeader(http.StatusOK)
	})
	if len(early) > 0 || !sameFields(got, told) {
		t.Errorf("got %v early and %v, want none and %v", early, got, told)
	}
}

// What an upstream says itself stays, and is not said once more.
func TestDeprecationOfTheUpstream(t *testing.T) {
	t.Parallel()
	const ours = `<https://a.example/v2>; rel="deprecation"`
	everything := http.Header{"Deprecation": {"@1"}, "Sunset": {"x"}, "Link": {`</a>, </b>;REL="a Deprecation"`}}
	for _, test := range []struct {
		name      string
		own, want http.Header
	}{
		{"a date", http.Header{"Deprecation": {"@1"}}, http.Header{"Deprecation": {"@1"}, "Sunset": told["Sunset"], "Link": told["Link"]}},
		{"a sunset", http.Header{"Sunset": {"x"}}, http.Header{"Deprecation": told["Deprecation"], "Sunset": {"x"}, "Link": told["Link"]}},
		{"a link", http.Header{"Link": {`<https://b.example>; rel=deprecation`}}, http.Header{
			"Deprecation": told["Deprecation"], "Sunset": told["Sunset"], "Link": {`<https://b.example>; rel=deprecation`},
		}},
		{"another link", http.Header{"Link": {"</?page=2>; rel=next"}}, http.Header{
			"Deprecation": told["Deprecation"], "Sunset": told["Sunset"], "Link": {"</?page=2>; rel=next", ours},
		}},
		{"everything", everything, everything},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, got := handle(t, deprecate(t, v1Leaves).gateway(), readsV1, func(w http.ResponseWriter, _ *http.Request) {
				for name, values := range test.own {
					for _, value := range values {
						w.Header().Add(name, value)
					}
				}
				w.WriteHeader(http.StatusOK)
			})
			if !sameFields(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// None of this is for those who are refused, for another version, or for another API.
func TestDeprecationIsNotTold(t *testing.T) {
	t.Parallel()
	const reader = " HTTP/1.1\nHost: h\nAuthorization: Bearer the-secret-of-reader"
	full := func(g *Gateway) { g.Limiter = refusing{} }
	shadow := func(g *Gateway) { g.Shadow = true }
	for _, test := range []struct {
		name, raw string
		said      scopes.Deprecation
		change    func(*Gateway)
		status    int
	}{
		{"another API", "GET /actions" + reader, v1Leaves, nil, 200},
		{"another version", readsV1, scopes.Deprecation{Version: "v2", Sunset: testTime}, nil, 200},
		{"no credential", "GET /orders/v1/7 HTTP/1.1\nHost: h", v1Leaves, nil, 403},
		{"an unknown one", "GET /orders/v1/7 HTTP/1.1\nHost: h\nAuthorization: Bearer x", v1Leaves, nil, 403},
		{"a method that is not granted", "PUT /orders/v1/7" + reader, v1Leaves, nil, 403},
		{"beyond a limit", readsV1, v1Leaves, full, 429},
		{"denied, in shadow", "PUT /orders/v1/7" + reader, v1Leaves, shadow, 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := deprecate(t, test.said)
			if test.status == http.StatusTooManyRequests {
				digest := scopes.DigestOf(secretOf("reader"))
				grant := m.grants[digest]
				grant.Limits = []scopes.Limit{{Rate: scopes.Rate{Requests: 1, Per: time.Second}}}
				m.grants[digest] = grant
			}
			g := m.gateway()
			if test.change != nil {
				test.change(g)
			}
			status, got := handle(t, g, test.raw, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
			if status != test.status || len(got) > 0 {
				t.Errorf("got %d, %v, want %d and nothing", status, got, test.status)
			}
		})
	}
}

// refusing is a limiter that lets nothing through.
type refusing struct{}

func (refusing) Take(*scopes.Grant, string, time.Time) Limited { return Limited{Name: "default"} }

// A request that was ended is told nothing any more.
func TestDeprecationOfAnEndedRequest(t *testing.T) {
	t.Parallel()
	m := deprecate(t, v1Leaves)
	g := m.gateway()
	g.Requests = new(OpenRequests)
	_, got := handle(t, g, readsV1, func(w http.ResponseWriter, _ *http.Request) {
		delete(m.grants, scopes.DigestOf(secretOf("reader")))
		g.Requests.Review()
		if _, err := io.WriteString(w, "a"); !errors.Is(err, errEnded) {
			t.Errorf("writing: got %v, want %v", err, errEnded)
		}
	})
	if len(got) > 0 {
		t.Errorf("got %v, want nothing", got)
	}
}

func TestHasRelation(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		values []string
		want   bool
	}{
		{nil, false},
		{[]string{""}, false},
		{[]string{"<"}, false},
		{[]string{"<a>; rel=deprecation"}, true},
		{[]string{`<a> ; ReL = "x DEPRECATION y" `}, true},
		{[]string{`<a>;rel="deprecations"`}, false},
		{[]string{`<a?b=1,2;rel=deprecation>`}, false},
		{[]string{`<a>; title="rel=deprecation, <b>; rel=deprecation"; rel=next`}, false},
		{[]string{`<a>; title="\"; rel=deprecation"`}, false},
		{[]string{`<a>; rel=next; rel=deprecation`}, false},
		{[]string{`<a>; rel=next, <b>; x; rel=deprecation`}, true},
		{[]string{`<a>; rel=next`, `,, <b>; rel=deprecation; y=1`}, true},
		{[]string{`<a>; rel="deprecation`}, true},
		{[]string{`<a>; rel`}, false},
		{[]string{`<a>; rel=`}, false},
		{[]string{`deprecation`}, false},
	} {
		if got := hasRelation(test.values, "deprecation"); got != test.want {
			t.Errorf("%q: got %t, want %t", test.values, got, test.want)
		}
	}
}
