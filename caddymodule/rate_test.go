package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
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

// decided is a request of a flood: when it was sent, and when its answer was there.
type decided struct{ sent, done time.Time }

// flooded is what came of many requests: those that were let through, and those that were not.
type flooded struct {
	granted, refused []decided
	begun, ended     time.Time
}

// floodGateways sends a token's requests as fast as it can, by some clients of each gateway, for
// some time and until each of them was refused.
func floodGateways(t *testing.T, gateways []*gateway, d time.Duration) flooded {
	t.Helper()
	const clients = 4
	var mu sync.Mutex // guards f
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
					one := decided{sent, time.Now()}
					mu.Lock()
					if response.StatusCode == http.StatusOK {
						f.granted = append(f.granted, one)
					} else {
						refused = true
						f.refused = append(f.refused, one)
					}
					mu.Unlock()
				}
			})
		}
	}
	working.Wait()
	f.ended = time.Now()
	slices.SortFunc(f.granted, func(a, b decided) int { return a.done.Compare(b.done) })
	return f
}

// room returns how much room the bucket had, of all refusals at the one where it had most: with
// room for a request, that was wrong. When exactly each request was decided on is not known, so
// the bucket is taken to be as full as it can have been.
func (f *flooded) room(perSecond, burst float64) float64 {
	room := 0.0
	for _, refused := range f.refused {
		taken, level := 0.0, 0.0
		for _, granted := range slices.Backward(f.granted) {
			if granted.sent.Before(refused.done) {
				taken++
				level = max(level, taken-perSecond*max(0, refused.sent.Sub(granted.done).Seconds()))
			}
		}
		room = max(room, burst-level)
	}
	return room
}

// Under a flood, one gateway lets through exactly what the rate gives, and three together
// never less than that, nor more than is stated.
func TestRateUnderFlood(t *testing.T) {
	t.Parallel()
	const perSecond, burst, during = 200, 240, 3 * time.Second
	limits := fmt.Sprintf("rate: %d/s burst %d", perSecond, burst)
	check := func(name string, f flooded, rounding, more float64) (within bool) {
		most := burst + perSecond*f.ended.Sub(f.begun).Seconds() + more
		room := f.room(perSecond, burst)
		t.Logf("%s: %d let through in %s, at most %.0f; %d refused, with room for %.1f", name, len(f.granted), f.ended.Sub(f.begun), most, len(f.refused), room)
		if len(f.refused) == 0 || room > 1+rounding {
			t.Errorf("%s: of %d requests that were refused, one was while there was room for %.1f", name, len(f.refused), room)
		}
		return float64(len(f.granted)) <= most
	}
	upstream := startEcho(t).url()
	single := startGateway(t, proxyCaddyfile, ratedScopes(upstream, limits))
	if !check("one", floodGateways(t, []*gateway{single}, during), 1, perSecond*0.1) {
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
	const tries, slice = 5, burst / 8 / 3
	for range tries { // on a loaded machine Redis may answer too late, and then each node goes on by itself
		poll(t, "an empty bucket", func() bool {
			return strings.HasPrefix(ask(t, http.MethodGet, gateways[0].url("/raw/x"), secretOf("writer")).header.Get("RateLimit"), fmt.Sprintf(`"token";r=%d;`, burst-1))
		})
		if check("three", floodGateways(t, gateways, during), 12, 2*2*slice+perSecond*0.1) {
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
	if len(f.granted) < quota {
		t.Errorf("%d let through, want %d at least", len(f.granted), quota)
	}
	t.Logf("%d let through, of %d", len(f.granted), quota)
	if err := redis.Client(t).FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	for _, g := range gateways {
		poll(t, "429 to a used up quota", func() bool { return statusOf(t, g, secretOf("writer")) == http.StatusTooManyRequests })
	}
}
