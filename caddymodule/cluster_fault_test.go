package caddymodule_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store/redislog/redistest"
)

// judgeClusterCaddyfile is a node of a cluster that decides and answers by itself.
func judgeClusterCaddyfile(redisURL, name string) string {
	return strings.Replace(clusterCaddyfile(redisURL, name), "scopegate_proxy\n", "scopegate\n\trespond 204\n", 1)
}

// crowdScopes is a scope file with so many tokens, whose credentials are secretOf t0, t1 …
func crowdScopes(tokens int) string {
	var b strings.Builder
	b.WriteString("format: 1\napis: {raw: {operations: {all: '* /raw/**'}}}\naccounts:\n")
	for i := range tokens {
		if i%20 == 0 {
			fmt.Fprintf(&b, "  account-%d:\n    tokens:\n", i/20)
		}
		fmt.Fprintf(&b, "      t%d: {description: d, contact: {email: a@b.example}, scopes: [{api: raw, methods: [GET]}], credential: %q}\n",
			i, scopes.DigestOf(secretOf(fmt.Sprint("t", i))))
	}
	return b.String()
}

// fleet are gateways on one Redis, each of which reaches it on a way of its own.
type fleet struct {
	redis *redistest.Server
	nodes []*fleetNode

	mu      sync.Mutex // guards what follows
	revoked []revokedToken
	lossy   time.Time // when Redis last was back after it had lost something
	late    []string
	probes  int
	events  []string // what happened when, for a test that fails
}

// notef takes note of what happens.
func (f *fleet) notef(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

type fleetNode struct {
	*gateway
	proxy   *redistest.Proxy
	running sync.RWMutex // is held for writing while the process is another one, or none
}

// revokedToken is a token whose revocation was acknowledged.
type revokedToken struct {
	name string
	by   *fleetNode
	at   time.Time // when for all nodes; zero if only by its node, and for the others later
}

const (
	// fleetBound is max_staleness, and what a loaded machine takes to ask.
	fleetBound = 2*time.Second + 500*time.Millisecond
	// fleetReturn is how long nodes take at the most to tell a Redis what it has lost.
	fleetReturn = 5 * time.Second
	// fleetJoins is how long it takes at the most until all have joined in the end: one after
	// another, and each that was overtaken downloads everything again.
	fleetJoins = 2 * time.Minute
)

func startFleet(t *testing.T, nodes, tokens int) *fleet {
	t.Helper()
	f := &fleet{redis: redistest.Start(t)}
	for i := range nodes {
		proxy := redistest.NewProxy(t, f.redis.Addr())
		f.nodes = append(f.nodes, &fleetNode{gateway: startGateway(t, judgeClusterCaddyfile(proxy.URL(), fmt.Sprint("node-", i)), ""), proxy: proxy})
	}
	first := f.nodes[0]
	writeFile(t, first.scopes, crowdScopes(tokens))
	poll(t, "the first node to join", func() bool { return first.scopegate(t, "apply", first.scopes, "--wait", "30s").code == 0 })
	return f
}

// request sends a request to a node; 0 stands for no answer.
func (*fleetNode) request(ctx context.Context, method, url, secret string) (status int, header http.Header) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return 0, nil
	}
	if secret != "" {
		request.Header.Set("Authorization", "Bearer "+secret)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil
	}
	_ = response.Body.Close()
	return response.StatusCode, response.Header
}

// revoke revokes a token on some node, by one of the two ways.
func (f *fleet) revoke(ctx context.Context, random *rand.Rand, account int, name string) {
	n := f.nodes[random.IntN(len(f.nodes))]
	n.running.RLock()
	defer n.running.RUnlock()
	path := fmt.Sprintf("/scopegate/tokens/account-%d/%s", account, name)
	method := http.MethodDelete
	if random.IntN(2) == 0 {
		method, path = http.MethodPost, path+"/deactivate"
	}
	status, header := n.request(ctx, method, n.adminURL(path), "")
	if status/100 != 2 {
		return // not acknowledged
	}
	r := revokedToken{name: name, by: n}
	if header.Get("Scopegate-Pending") == "0" {
		r.at = time.Now()
	}
	f.notef("%s was revoked by %s, pending elsewhere: %t", name, n.addr, r.at.IsZero())
	f.mu.Lock()
	defer f.mu.Unlock()
	f.revoked = append(f.revoked, r)
}

// probe asks a node for one of the revoked tokens.
func (f *fleet) probe(ctx context.Context, n *fleetNode, random *rand.Rand) {
	f.mu.Lock()
	if len(f.revoked) == 0 {
		f.mu.Unlock()
		return
	}
	r, lossy := f.revoked[len(f.revoked)-1-random.IntN(min(len(f.revoked), 50))], f.lossy
	f.probes++
	f.mu.Unlock()
	asked := time.Now()
	n.running.RLock()
	defer n.running.RUnlock()
	status, _ := n.request(ctx, http.MethodGet, n.url("/raw/x"), secretOf(r.name))
	over := !r.at.IsZero() && asked.Sub(r.at) > fleetBound && asked.Sub(lossy) > fleetReturn
	if status == http.StatusNoContent && (over || n == r.by) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.late = append(f.late, fmt.Sprintf("%s lets %s through at %s, %s after it was revoked", n.addr, r.name, asked.Format("15:04:05.000"), asked.Sub(r.at)))
	}
}

// breakSomething does one thing that happens to gateways, to Redis and between them.
func (f *fleet) breakSomething(ctx context.Context, t *testing.T, random *rand.Rand) string {
	t.Helper()
	n := f.nodes[random.IntN(len(f.nodes))]
	lasts := time.Duration(random.IntN(2500)) * time.Millisecond
	names := []string{"kill a gateway", "kill Redis", "flush Redis", "pause Redis", "cut off", "mute"}
	name := names[random.IntN(len(names))]
	f.notef("%s: %s, %s", name, n.addr, lasts)
	defer f.notef("it is over")
	switch name {
	case "kill a gateway":
		n.running.Lock()
		defer n.running.Unlock()
		n.kill()
		if err := n.run(); err != nil {
			t.Errorf("starting it again: %v", err)
		}
	case "kill Redis":
		f.redis.Kill()
		rest(ctx, lasts)
		f.redis.Run(t)
	case "flush Redis":
		f.redis.Client(t).FlushAll(context.WithoutCancel(ctx))
		f.mu.Lock()
		f.lossy = time.Now()
		f.mu.Unlock()
	case "pause Redis":
		f.redis.Pause()
		rest(ctx, lasts)
		f.redis.Resume()
	case "cut off":
		n.proxy.Cut()
		rest(ctx, lasts)
		n.proxy.Mend()
	case "mute":
		n.proxy.Mute()
		rest(ctx, lasts)
		n.proxy.Cut()
		n.proxy.Mend()
	}
	return name
}

// rest waits: a fault takes its time.
func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// Gateways, Redis and what is between them fail in all ways, and no gateway lets a token
// through that was revoked longer ago than the bound: not after it was killed, either. In
// the end all have the same. SCOPEGATE_SOAK=1 has eight gateways for three minutes.
func TestClusterFaults(t *testing.T) {
	t.Parallel()
	nodes, tokens, lasts := 3, 2_000, 15*time.Second
	if os.Getenv("SCOPEGATE_SOAK") != "" {
		nodes, tokens, lasts = 8, 40_000, 3*time.Minute
	}
	f := startFleet(t, nodes, tokens)
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	var workers sync.WaitGroup
	tried := 0
	workers.Go(func() {
		random := rand.New(rand.NewPCG(1, 1)) // the same each time
		for ; tried < tokens-20 && ctx.Err() == nil; tried++ {
			f.revoke(ctx, random, tried/20, fmt.Sprint("t", tried))
			rest(ctx, time.Millisecond)
		}
	})
	for i, n := range f.nodes {
		workers.Go(func() {
			random := rand.New(rand.NewPCG(2, uint64(i))) // the same each time
			for ctx.Err() == nil {
				f.probe(ctx, n, random)
				rest(ctx, 2*time.Millisecond)
			}
		})
	}
	random, done := rand.New(rand.NewPCG(3, 3)), make(map[string]int) // the same each time
	for ctx.Err() == nil {
		done[f.breakSomething(ctx, t, random)]++
		rest(ctx, time.Duration(300+random.IntN(700))*time.Millisecond)
	}
	workers.Wait()
	t.Logf("%d gateways: %v; %d revocations acknowledged, %d probes", nodes, done, len(f.revoked), f.probes)
	for _, late := range f.late[:min(len(f.late), 10)] {
		t.Error(late)
	}
	if t.Failed() {
		t.Log(strings.Join(f.events, "\n"))
	}
	if len(f.revoked) < 50 || len(done) < 4 {
		t.Errorf("%d revocations and the faults %v are too few to show anything", len(f.revoked), slices.Collect(maps.Keys(done)))
	}
	f.checkEnd(t, fmt.Sprint("t", tokens-1))
}

// checkEnd waits until all nodes decide alike, and looks at every revoked token.
func (f *fleet) checkEnd(t *testing.T, kept string) {
	t.Helper()
	for _, n := range f.nodes {
		pollFor(t, fleetJoins, "a node to decide again", func() bool {
			status, _ := n.request(t.Context(), http.MethodGet, n.url("/raw/x"), secretOf(kept))
			return status == http.StatusNoContent
		})
	}
	pollFor(t, fleetJoins, "the nodes to have one revision", func() bool { return f.agree(t) })
	for _, n := range f.nodes {
		for _, r := range f.revoked {
			if status, _ := n.request(t.Context(), http.MethodGet, n.url("/raw/x"), secretOf(r.name)); status != http.StatusForbidden {
				t.Fatalf("in the end %s answers %d to %s, which was revoked", n.addr, status, r.name)
			}
		}
	}
}

// agree reports whether all nodes have one revision, and nothing to tell each other.
func (f *fleet) agree(t *testing.T) bool {
	t.Helper()
	seen := make(map[[2]float64]bool)
	for _, n := range f.nodes {
		metrics := n.metrics(t)
		seen[[2]float64{metrics["caddy_scopegate_store_revision"], metrics["caddy_scopegate_replica_pending"]}] = true
		if metrics["caddy_scopegate_replica_pending"] > 0 {
			return false
		}
	}
	return len(seen) == 1
}
