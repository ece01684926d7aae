package caddymodule_test

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What the metrics tell is what happened, across reloads, and no label has more
// values than the scope file has APIs and versions.
func TestMetrics(t *testing.T) {
	t.Parallel()
	upstream := startEcho(t)
	inactive := strings.Replace(tokenLine("extra", extraSecret, "GET"), "description: d", "description: d, state: inactive", 1)
	g := startGateway(t, proxyCaddyfile, ordersFile(upstream.url(), inactive))
	requests := []struct{ method, target, secret string }{
		{http.MethodGet, "/orders/v1/7", readerSecret},
		{http.MethodGet, "/orders/v1/8", writerSecret},
		{http.MethodPut, "/orders/v1/8", readerSecret},
		{http.MethodGet, "/orders/v2/8", readerSecret},
		{http.MethodGet, "/orders/v999/8", readerSecret}, // no label has what a client made up
		{http.MethodGet, "/orders/v1/8", extraSecret},
		{http.MethodGet, "/orders/v1/8", "unknown-0123456789abcdef"},
		{http.MethodGet, "/orders/v1/8", ""},
		{http.MethodGet, "/nowhere/8", readerSecret},
		{http.MethodGet, "/orders/v1/%2e%2e/8", readerSecret},
	}
	send := func() {
		for _, r := range requests {
			ask(t, r.method, g.url(r.target), r.secret)
		}
	}
	// want is what is counted after each of the requests was sent n times.
	want := func(n float64) map[string]float64 {
		return map[string]float64{
			`decisions_total{api="orders",decision="allow",reason="",version="v1"}`:                   2 * n,
			`decisions_total{api="orders",decision="deny",reason="method_not_granted",version="v1"}`:  n,
			`decisions_total{api="orders",decision="deny",reason="version_not_granted",version="v2"}`: n,
			`decisions_total{api="orders",decision="deny",reason="version_unknown",version=""}`:       n,
			`decisions_total{api="",decision="deny",reason="inactive",version=""}`:                    n,
			`decisions_total{api="",decision="deny",reason="unknown_token",version=""}`:               n,
			`decisions_total{api="",decision="deny",reason="no_credential",version=""}`:               n,
			`decisions_total{api="",decision="deny",reason="no_api",version=""}`:                      n,
			`decisions_total{api="",decision="deny",reason="malformed_request",version=""}`:           n,
			`decision_duration_seconds_count`:                                                         10 * n,
			`tokens{state="active"}`:                                                                  2,
			`tokens{state="inactive"}`:                                                                1,
			`store_revision`:                                                                          1,
			`scopes_apply_total{result="applied"}`:                                                    1,
		}
	}
	check := func(when string, want map[string]float64) {
		t.Helper()
		got := ownMetrics(g.metrics(t))
		for _, series := range slices.Sorted(maps.Keys(merge(got, want))) {
			if got[series] != want[series] {
				t.Errorf("%s: %s: got %v, want %v", when, series, got[series], want[series])
			}
		}
	}

	send()
	check("after each request", want(1))

	g.mustLoad(t, proxyCaddyfile)
	send()
	twice := want(2)
	twice[`scopes_apply_total{result="unchanged"}`] = 1
	check("after a reload, and each request again", twice)

	if got := g.scopegate(t, "token", "deactivate", "acme/reader"); got.code != 0 {
		t.Fatalf("token deactivate: %+v", got)
	}
	twice[`tokens{state="active"}`], twice[`tokens{state="inactive"}`], twice[`store_revision`] = 1, 2, 2
	check("after deactivating a token", twice)

	if got := g.load(t, strings.Replace(proxyCaddyfile, "store {$STORE}", "store {$DIR}/missing/other.db", 1)); got.status == http.StatusOK {
		t.Fatal("a configuration whose store has no folder is accepted")
	}
	check("after a rejected reload", twice)
}

// ownMetrics returns what is Scopegate's, without its prefix and the histogram's
// buckets and sum.
func ownMetrics(all map[string]float64) map[string]float64 {
	const prefix = "caddy_scopegate_"
	uninteresting := regexp.MustCompile(`_(bucket\{.*|sum)$`)
	own := make(map[string]float64)
	for series, value := range all {
		if name, ok := strings.CutPrefix(series, prefix); ok && !uninteresting.MatchString(series) {
			own[name] = value
		}
	}
	return own
}

func merge(a, b map[string]float64) map[string]float64 {
	both := maps.Clone(a)
	maps.Copy(both, b)
	return both
}
