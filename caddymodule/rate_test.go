package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store/redislog/redistest"
)

// ratedScopes is a scope file with two APIs behind an upstream, and a token with limits, as
// lines of its own.
func ratedScopes(upstream, limits string) string {
	return fmt.Sprintf(`format: 1
apis:
  raw: {upstream: [%[1]q], operations: {all: "* /raw/**"}}
  other: {upstream: [%[1]q], operations: {all: "* /other/**"}}
accounts:
  acme:
    tokens:
      writer:
        description: d
        contact: {email: a@b.example}
        scopes: [{api: raw, methods: ["*"]}, {api: other, methods: ["*"]}]
        credential: %[2]q
        %[3]s
      free: {description: d, contact: {email: a@b.example}, scopes: [{api: raw, methods: [GET]}], credential: %[4]q}
`, upstream, scopes.DigestOf(secretOf("writer")), limits, scopes.DigestOf(secretOf("free")))
}

// A token is held to its limits, and told of them.
func TestRateLimits(t *testing.T) {
	t.Parallel()
	g := startGateway(t, proxyCaddyfile, ratedScopes(startEcho(t).url(), "quota: {raw: 3/month, other: 1000/month}"))
	for left := 2; left >= 0; left-- {
		r := ask(t, http.MethodGet, g.url("/raw/x"), secretOf("writer"))
		policy, state := r.header.Get("RateLimit-Policy"), r.header.Get("RateLimit")
		if r.status != http.StatusOK || !strings.HasPrefix(policy, `"raw";q=3;w=2`) || !strings.HasPrefix(state, fmt.Sprintf(`"raw";r=%d;t=`, left)) {
			t.Errorf("with %d left: %d, %q, %q", left, r.status, policy, state)
		}
	}
	r := ask(t, http.MethodGet, g.url("/raw/x"), secretOf("writer"))
	if want := `{"type":"about:blank","title":"Too Many Requests","status":429}`; r.status != http.StatusTooManyRequests || r.body != want {
		t.Errorf("beyond the quota: %d, %s", r.status, r.body)
	}
	if retry, state := r.header.Get("Retry-After"), r.header.Get("RateLimit"); retry == "" || state != `"raw";r=0;t=`+retry {
		t.Errorf("beyond the quota: Retry-After is %q, RateLimit %q", retry, state)
	}
	if got := ask(t, http.MethodGet, g.url("/raw/x"), secretOf("free")); got.status != http.StatusOK || got.header.Get("RateLimit") != "" {
		t.Errorf("a token without limits: %d, %q", got.status, got.header)
	}
	wantStatus(t, g, "/other/x", secretOf("writer"), http.StatusOK)
	if got := g.metrics(t)[`caddy_scopegate_decisions_total{api="raw",decision="deny",reason="rate_limited",version=""}`]; got != 1 {
		t.Errorf("decisions_total has %g that were refused, want 1", got)
	}
	out := mustRun(t, g, "explain", "--token", "acme/writer", "GET", "/raw/x").stdout
	if !strings.Contains(out, "3/month for API raw") || strings.Contains(out, "1000/month") {
		t.Errorf("explain says:\n%s", out)
	}
}

// Counts go through a reload, a change of the limit, and a restart.
func TestQuotasAreKept(t *testing.T) {
	t.Parallel()
	upstream := startEcho(t).url()
	g := startGateway(t, proxyCaddyfile, ratedScopes(upstream, "quota: 3/month"))
	wantStatus(t, g, "/raw/x", secretOf("writer"), http.StatusOK)
	writeFile(t, g.caddyfile, strings.Replace(proxyCaddyfile, "scopegate_proxy\n", "scopegate_health /healthz\n\tscopegate_proxy\n", 1))
	g.reload(t)
	wantStatus(t, g, "/other/x", secretOf("writer"), http.StatusOK)
	g.stop(t)
	g.start(t)
	wantStatus(t, g, "/raw/x", secretOf("writer"), http.StatusOK)
	wantStatus(t, g, "/raw/x", secretOf("writer"), http.StatusTooManyRequests)
	writeFile(t, g.scopes, ratedScopes(upstream, "quota: 5/month"))
	pollStatus(t, g, "/raw/x", secretOf("writer"), http.StatusOK)
	wantStatus(t, g, "/raw/x", secretOf("writer"), http.StatusOK)
	wantStatus(t, g, "/raw/x", secretOf("writer"), http.StatusTooManyRequests)
	writeFile(t, g.scopes, ratedScopes(upstream, "description2: x"))
	g.logs.wait(t, "scope file not applied")
	writeFile(t, g.scopes, ratedScopes(upstream, "keep: true"))
	pollStatus(t, g, "/raw/x", secretOf("writer"), http.StatusOK)
}

// In shadow nobody is refused; with "on_deny error" the page is the site's, and Retry-After
// is there still.
func TestRateLimitsElsewhere(t *testing.T) {
	t.Parallel()
	site := func(lines string) string {
		return strings.Replace(proxyCaddyfile, "scopegate_proxy\n", "scopegate_proxy {\n\t\t"+lines+"\n\t}\n\thandle_errors {\n\t\trespond \"page {err.status_code} {http.scopegate.reason}\"\n\t}\n", 1)
	}
	file := ratedScopes(startEcho(t).url(), "rate: 1/h burst 1")
	shadow := startGateway(t, site("shadow"), file)
	for range 3 {
		if r := ask(t, http.MethodGet, shadow.url("/raw/x"), secretOf("writer")); r.status != http.StatusOK || r.header.Get("RateLimit") != "" {
			t.Errorf("in shadow: %d, %q", r.status, r.header)
		}
	}
	if got := shadow.metrics(t)[`caddy_scopegate_decisions_total{api="raw",decision="deny",reason="rate_limited",version=""}`]; got != 2 {
		t.Errorf("in shadow %g would have been refused, want 2", got)
	}
	page := startGateway(t, site("on_deny error"), file)
	wantStatus(t, page, "/raw/x", secretOf("writer"), http.StatusOK)
	r := ask(t, http.MethodGet, page.url("/raw/x"), secretOf("writer"))
	if r.status != http.StatusTooManyRequests || r.body != "page 429 rate_limited" || r.header.Get("Retry-After") == "" {
		t.Errorf("on_deny error: %d, %q, %q", r.status, r.body, r.header)
	}
}

// The requests of the management API count too, and each of them once.
func TestRateLimitsOfManagement(t *testing.T) {
	t.Parallel()
	caddyfile := strings.Replace(proxyCaddyfile, "scopegate_proxy\n", "scopegate_admin\n", 1)
	file := ratedScopes("http://127.0.0.1:9", "quota: 2/month")
	file = strings.Replace(file, `scopes: [{api: raw, methods: ["*"]}, {api: other, methods: ["*"]}]`, `scopes: [{api: scopegate, methods: ["*"]}]`, 1)
	g := startGateway(t, caddyfile, file)
	first := ask(t, http.MethodPost, g.url("/scopegate/tokens/acme/free/deactivate"), secretOf("writer"))
	second := ask(t, http.MethodGet, g.url("/scopegate/status"), secretOf("writer"))
	third := ask(t, http.MethodGet, g.url("/scopegate/status"), secretOf("writer"))
	if first.status != http.StatusOK || second.status != http.StatusOK || third.status != http.StatusTooManyRequests {
		t.Errorf("got %d %s, %d %s, %d; want 200, 200, 429", first.status, first.body, second.status, second.body, third.status)
	}
}

// flooded is what came of many requests.
type flooded struct {
	granted, answered    int64
	begun, flowing, last time.Time // before the first request, when there were many answers, and when all was over
	refused              time.Time // when the last request was sent that was refused
}

// floodGateways sends a token's requests as fast as it can, by some clients of each gateway, for
// some time and until each of them was refused.
func floodGateways(t *testing.T, gateways []*gateway, d time.Duration) flooded {
	t.Helper()
	const clients, many = 4, 40 // by then the bucket does not run empty between two requests
	var mu sync.Mutex           // guards f
	f := flooded{begun: time.Now()}
	end, latest := time.Now().Add(d), time.Now().Add(patience)
	var working sync.WaitGroup
	for _, g := range gateways {
		for range clients {
			working.Go(func() {
				transport := &http.Transport{}
				defer transport.CloseIdleConnections()
				for refused := false; time.Now().Before(end) || !refused && time.Now().Before(latest); {
					request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url("/raw/x"), nil)
					request.Header.Set("Authorization", "Bearer "+secretOf("writer"))
					sent := time.Now()
					response, err := transport.RoundTrip(request)
					if err != nil {
						t.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, response.Body)
					_ = response.Body.Close()
					mu.Lock()
					if f.answered++; f.answered == many {
						f.flowing = time.Now()
					}
					if response.StatusCode == http.StatusOK {
						f.granted++
					} else if refused = true; sent.After(f.refused) {
						f.refused = sent
					}
					mu.Unlock()
				}
			})
		}
	}
	working.Wait()
	f.last = time.Now()
	return f
}

// Under a flood, one gateway lets through exactly what the rate gives, and three together
// never less than that, nor more than is stated.
func TestRateUnderFlood(t *testing.T) {
	t.Parallel()
	const perSecond, burst, during = 200, 240, 3 * time.Second
	limits := fmt.Sprintf("rate: %d/s burst %d", perSecond, burst)
	check := func(name string, f flooded, clients, more float64) (within bool) {
		least := burst + perSecond*f.refused.Sub(f.flowing).Seconds() - 1
		most := burst + perSecond*f.last.Sub(f.begun).Seconds() + more
		t.Logf("%s: %d let through in %s; want %.0f to %.0f", name, f.granted, f.last.Sub(f.begun), least, most)
		if f.refused.IsZero() || float64(f.granted) < least-clients {
			t.Errorf("%s: %d let through, want at least %.0f", name, f.granted, least)
		}
		return float64(f.granted) <= most
	}
	upstream := startEcho(t).url()
	single := startGateway(t, proxyCaddyfile, ratedScopes(upstream, limits))
	if !check("one", floodGateways(t, []*gateway{single}, during), 4, perSecond*0.1) {
		t.Error("one gateway let through too much")
	}

	redis := redistest.Start(t)
	var gateways []*gateway
	for i := range 3 {
		gateways = append(gateways, startGateway(t, clusterCaddyfile(redis.URL(), fmt.Sprintf("node-%d", i)), ""))
	}
	awaitStatus(t, gateways[0], secretOf("writer"), http.StatusForbidden) // it may decide
	writeFile(t, gateways[0].scopes, ratedScopes(upstream, limits))
	mustRun(t, gateways[0], "apply", gateways[0].scopes, "--allow-widen", "--wait", "30s")
	awaitNodes(t, gateways)
	const tries, slices = 5, burst / 8 / 3
	for range tries { // on a loaded machine Redis may answer too late, and then each node goes on by itself
		poll(t, "an empty bucket", func() bool {
			return strings.HasPrefix(ask(t, http.MethodGet, gateways[0].url("/raw/x"), secretOf("writer")).header.Get("RateLimit"), fmt.Sprintf(`"token";r=%d;`, burst-1))
		})
		if check("three", floodGateways(t, gateways, during), 12, 2*2*slices+perSecond*0.1) {
			return
		}
	}
	t.Errorf("in each of %d tries three gateways let through too much", tries)
}

// awaitNodes waits until all gateways know of all.
func awaitNodes(t *testing.T, gateways []*gateway) {
	t.Helper()
	for _, g := range gateways {
		poll(t, "all nodes", func() bool {
			var status struct{ Nodes []struct{} }
			return json.Unmarshal([]byte(mustRun(t, g, "status", "--json").stdout), &status) == nil && len(status.Nodes) == len(gateways)
		})
		awaitStatus(t, g, secretOf("free"), http.StatusOK)
	}
}

// A quota that three gateways share is used up exactly, but for the slices; and it survives
// the loss of all that Redis has.
func TestQuotaOnThreeGateways(t *testing.T) {
	t.Parallel()
	const quota = 600
	redis := redistest.Start(t)
	upstream := startEcho(t).url()
	var gateways []*gateway
	for i := range 3 {
		gateways = append(gateways, startGateway(t, clusterCaddyfile(redis.URL(), fmt.Sprintf("node-%d", i)), ""))
	}
	awaitStatus(t, gateways[0], secretOf("writer"), http.StatusForbidden)
	writeFile(t, gateways[0].scopes, ratedScopes(upstream, fmt.Sprintf("quota: %d/month", quota)))
	mustRun(t, gateways[0], "apply", gateways[0].scopes, "--allow-widen", "--wait", "30s")
	awaitNodes(t, gateways)
	f := floodGateways(t, gateways, 2*time.Second)
	if f.granted < quota {
		t.Errorf("%d let through, want %d at least", f.granted, quota)
	}
	t.Logf("%d let through, of %d", f.granted, quota)
	if err := redis.Client(t).FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	for _, g := range gateways {
		poll(t, "429 to a used up quota", func() bool { return statusOf(t, g, secretOf("writer")) == http.StatusTooManyRequests })
	}
}
