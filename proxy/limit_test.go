package proxy

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/scopegate/scopegate/limits"
	"github.com/scopegate/scopegate/scopes"
)

// limiter is a Limiter as the app has it.
type limiter struct{ *limits.Limiter }

func (l limiter) Take(g *scopes.Grant, api string, now time.Time) Limited {
	return Limited(l.Limiter.Take(g, api, now))
}

// limitedGateway is a gateway whose token reader has limits.
func limitedGateway(tb testing.TB, rate, quota string) *Gateway {
	tb.Helper()
	m := newMemory(tb)
	grant := m.grants[scopes.DigestOf(secretOf("reader"))]
	limit := scopes.Limit{API: "orders"}
	var err error
	if limit.Rate, err = scopes.ParseRate(rate); err != nil {
		tb.Fatal(err)
	}
	if limit.Quota, err = scopes.ParseQuota(quota); err != nil {
		tb.Fatal(err)
	}
	grant.Limits = []scopes.Limit{limit}
	m.grants[scopes.DigestOf(secretOf("reader"))] = grant
	g, l := m.gateway(), limits.New(limits.Options{Now: func() time.Time { return testTime }})
	tb.Cleanup(l.Close)
	g.Limiter = limiter{l}
	return g
}

const toOrders = "GET /orders/v1/7 HTTP/1.1\nHost: h\nAuthorization: Bearer the-secret-of-reader"

func TestLimit(t *testing.T) {
	t.Parallel()
	g := limitedGateway(t, "100/s burst 2", "5/day")
	tell := func(left string) http.Header {
		return http.Header{"Ratelimit-Policy": {`"orders";q=100;w=1`}, "Ratelimit": {`"orders";r=` + left + `;t=1`}}
	}
	refused := http.Header{
		"Content-Type": {"application/problem+json"}, "Cache-Control": {"no-store"}, "Content-Length": {"63"}, "Retry-After": {"1"},
	}
	maps.Copy(refused, tell("0"))
	for i, want := range []http.Header{tell("1"), tell("0"), refused} {
		recorder, r := httptest.NewRecorder(), parse(t, toOrders)
		v := g.Judge(r)
		g.Limit(recorder, v)
		if wantThrough := i < 2; v.Through != wantThrough || v.Decision.Allowed() != wantThrough {
			t.Errorf("request %d goes through: %t, %s; want %t", i, v.Through, v.Decision.Reason, wantThrough)
		}
		if !v.Through {
			g.Refuse(recorder, r, v)
		}
		if got := recorder.Header(); !maps.EqualFunc(got, want, slices.Equal) {
			t.Errorf("request %d: got header %q, want %q", i, got, want)
		}
		if !v.Through && (recorder.Code != http.StatusTooManyRequests || v.Decision.Shadow != scopes.RateLimited) {
			t.Errorf("request %d is answered %d, want 429", i, recorder.Code)
		}
	}
}

// Retry-After says when, in whole seconds.
func TestLimitRetryAfter(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ rate, quota, want string }{
		{"1000/s burst 1", "5/day", "1"},
		{"2/min burst 1", "5/day", "30"},
		{"7/h burst 1", "5/day", "515"}, // 514.3
		{"100/s", "1/day", "43200"},
	} {
		g := limitedGateway(t, test.rate, test.quota)
		var recorder *httptest.ResponseRecorder
		for range 2 {
			recorder = httptest.NewRecorder()
			g.Limit(recorder, g.Judge(parse(t, toOrders)))
		}
		if got := recorder.Header().Get("Retry-After"); got != test.want {
			t.Errorf("%s and %s: Retry-After is %q, want %q", test.rate, test.quota, got, test.want)
		}
	}
}

// What is denied is taken from no limit, nor is what no limit is for; and nobody is told of
// one there.
func TestLimitTakesOnlyWhatIsAllowed(t *testing.T) {
	t.Parallel()
	g := limitedGateway(t, "1/h burst 1", "5/day")
	for _, raw := range []string{
		"DELETE /orders/v1/7 HTTP/1.1\nHost: h\nAuthorization: Bearer the-secret-of-reader",
		"GET /orders/v1/7 HTTP/1.1\nHost: h",
		"GET /nothing HTTP/1.1\nHost: h\nAuthorization: Bearer the-secret-of-reader",
		"GET /actions HTTP/1.1\nHost: h\nAuthorization: Bearer the-secret-of-reader",
	} {
		recorder, v := httptest.NewRecorder(), g.Judge(parse(t, raw))
		before := v.Decision.Reason
		g.Limit(recorder, v)
		if v.Decision.Reason != before || len(recorder.Header()) > 0 {
			t.Errorf("%q: %s became %s, with header %q", raw, before, v.Decision.Reason, recorder.Header())
		}
	}
	v := g.Judge(parse(t, toOrders))
	if g.Limit(httptest.NewRecorder(), v); !v.Decision.Allowed() {
		t.Errorf("the first request that counts: %s", v.Decision.Reason)
	}
}

// In shadow limits count, refuse nothing, and nobody is told.
func TestLimitInShadow(t *testing.T) {
	t.Parallel()
	g := limitedGateway(t, "1/h burst 1", "5/day")
	g.Shadow = true
	for i, want := range []scopes.Reason{scopes.Allowed, scopes.RateLimited} {
		recorder, v := httptest.NewRecorder(), g.Judge(parse(t, toOrders))
		g.Limit(recorder, v)
		if v.Decision.Reason != want || !v.Through || v.API == nil || len(recorder.Header()) > 0 {
			t.Errorf("request %d: %s, goes through %t, header %q; want %s", i, v.Decision.Reason, v.Through, recorder.Header(), want)
		}
	}
}
