package redislog

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/scopegate/scopegate/limits"
	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store/redislog/redistest"
)

// limitNode is one of several nodes that hold the same limits, behind a proxy of its own.
type limitNode struct {
	*Log
	proxy   *redistest.Proxy
	limiter *limits.Limiter
	failed  atomic.Int64 // answers that did not come
	granted atomic.Int64
	refused atomic.Int64
}

func newLimitNodes(t *testing.T, server *redistest.Server, n int) []*limitNode {
	t.Helper()
	nodes := make([]*limitNode, n)
	for i := range nodes {
		proxy := redistest.NewProxy(t, server.Addr())
		one := &limitNode{proxy: proxy, Log: openLog(t, proxy.URL())}
		one.limiter = limits.New(limits.Options{
			Exchange: one, Nodes: func() int { return n },
			Patience: 10 * time.Second, // on a loaded machine an answer may be late, and still is one
		})
		t.Cleanup(one.limiter.Close)
		nodes[i] = one
	}
	return nodes
}

// Settle implements [limits.Exchange].
func (n *limitNode) Settle(ctx context.Context, b *limits.Batch) (*limits.Settled, error) {
	s, err := n.Log.Settle(ctx, b)
	if err != nil {
		n.failed.Add(1)
	}
	return s, err
}

// failures returns how many answers did not come.
func failures(nodes []*limitNode) (sum int64) {
	for _, n := range nodes {
		sum += n.failed.Load()
	}
	return sum
}

// undisturbed does something until no answer was missing where none should be: on a loaded
// machine a Redis may not answer in time, and then each node holds the limit by itself.
func undisturbed(t *testing.T, try func() (missing int64)) {
	t.Helper()
	const tries = 20
	for range tries {
		if try() == 0 || t.Failed() {
			return
		}
	}
	t.Errorf("in each of %d tries Redis did not answer in time", tries)
}

// load has all nodes take at the same time, and each of them often.
func load(nodes []*limitNode, g *scopes.Grant, each int) {
	var working sync.WaitGroup
	for _, n := range nodes {
		for range 4 {
			working.Go(func() {
				for range each {
					if n.limiter.Take(g, "orders", time.Now()).OK {
						n.granted.Add(1)
					} else {
						n.refused.Add(1)
					}
				}
			})
		}
	}
	working.Wait()
}

func totals(nodes []*limitNode) (granted, refused int64) {
	for _, n := range nodes {
		granted += n.granted.Load()
		refused += n.refused.Load()
	}
	return granted, refused
}

func limitedGrant(rate scopes.Rate, quota scopes.Quota) *scopes.Grant {
	return &scopes.Grant{ID: "tok_0123456789abcdefghijkl", Limits: []scopes.Limit{{Rate: rate, Quota: quota}}}
}

// countedInRedis returns what all windows of all quotas have.
func countedInRedis(t *testing.T, client *redis.Client) (sum int64) {
	t.Helper()
	for _, key := range client.Keys(context.Background(), "{scopegate}:limits:quota:*").Val() {
		count, err := client.Get(context.Background(), key).Int64()
		if err != nil {
			t.Fatal(err)
		}
		sum += count
	}
	return sum
}

// awaitCounted waits until Redis has counted all requests, and no more.
func awaitCounted(t *testing.T, server *redistest.Server, want int64) {
	t.Helper()
	client, deadline := server.Client(t), time.Now().Add(30*time.Second)
	got := countedInRedis(t, client)
	for ; got != want && time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
		got = countedInRedis(t, client)
	}
	if got != want {
		t.Errorf("Redis has counted %d requests, %d were let through", got, want)
	}
}

// Three nodes let through what one would, and at most the stated number more.
func TestLimitsAcrossNodes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		grant *scopes.Grant
		least int64
		more  int64 // 2·(n-1) slices of a rate, n-1 of a quota
	}{
		{"a rate", limitedGrant(scopes.Rate{Requests: 1, Per: time.Hour, Burst: 1200}, scopes.Quota{}), 1200, 2 * 2 * 50},
		{"a small rate", limitedGrant(scopes.Rate{Requests: 1, Per: time.Hour, Burst: 5}, scopes.Quota{}), 5, 2 * 2},
		{"a quota", limitedGrant(scopes.Rate{}, scopes.Quota{Requests: 1200, Per: scopes.PerMonth}), 1200, 2 * 20},
		{"a small quota", limitedGrant(scopes.Rate{}, scopes.Quota{Requests: 5, Per: scopes.PerMonth}), 5, 2},
	} {
		undisturbed(t, func() int64 {
			nodes := newLimitNodes(t, redistest.Start(t), 3)
			for range 3 {
				load(nodes, test.grant, 200)
			}
			granted, refused := totals(nodes)
			t.Logf("%s: %d let through, %d refused", test.name, granted, refused)
			missing := failures(nodes)
			if granted < test.least || granted > test.least+test.more && missing == 0 {
				t.Errorf("%s: %d let through, want %d and at most %d more", test.name, granted, test.least, test.more)
			}
			return missing
		})
	}
}

// Answers that are lost and connections that break make no request count twice, and none is
// forgotten.
func TestLimitsLostAnswers(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	nodes := newLimitNodes(t, server, 3)
	g := limitedGrant(scopes.Rate{}, scopes.Quota{Requests: 1e9, Per: scopes.PerMonth})
	var breaking sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	for _, n := range nodes {
		breaking.Go(func() {
			for ctx.Err() == nil {
				n.proxy.Mute() // it is added, and nobody is told
				load([]*limitNode{n}, g, 100)
				n.proxy.Cut()
				n.proxy.Mend()
				load([]*limitNode{n}, g, 100)
			}
		})
	}
	load(nodes, g, 20_000)
	stop()
	breaking.Wait()
	for _, n := range nodes {
		n.proxy.Cut() // what is still sent over connections that are mute
		n.proxy.Mend()
	}
	load(nodes, g, 1)
	granted, refused := totals(nodes)
	t.Logf("%d let through", granted)
	if refused > 0 {
		t.Errorf("%d refused", refused)
	}
	awaitCounted(t, server, granted)
}

// A Redis that is flushed, stopped for a while or started anew costs the limits nothing but
// what is stated: each node holds the whole limit by itself meanwhile, and afterwards they
// share it again.
func TestLimitsThroughOutages(t *testing.T) {
	t.Parallel()
	for name, outage := range map[string]func(s *redistest.Server, during func()){
		"flushed":   func(s *redistest.Server, during func()) { _ = s.Client(t).FlushAll(t.Context()).Err(); during() },
		"paused":    func(s *redistest.Server, during func()) { s.Pause(); during(); s.Resume() },
		"restarted": func(s *redistest.Server, during func()) { s.Kill(); during(); s.Run(t) },
	} {
		undisturbed(t, func() int64 { return throughOutage(t, name, outage) })
	}
}

// throughOutage returns how many answers were missing when none should be.
func throughOutage(t *testing.T, name string, outage func(*redistest.Server, func())) int64 {
	t.Helper()
	const nodesCount, quota = 3, 20_000
	server := redistest.Start(t)
	nodes := newLimitNodes(t, server, nodesCount)
	g := limitedGrant(scopes.Rate{}, scopes.Quota{Requests: quota, Per: scopes.PerMonth})
	load(nodes, g, 300)
	missing := failures(nodes)
	outage(server, func() { load(nodes, g, 300) })
	before, refused := totals(nodes)
	if refused > 0 {
		t.Errorf("%s: %d were refused before the quota was used up", name, refused)
	}
	slices := int64(nodesCount-1) * quota / (20 * nodesCount)
	if name == "flushed" {
		slices *= 2 // once more for what not all nodes knew of
	} else {
		awaitCounted(t, server, before)
	}
	for answered := int64(-1); answered != failures(nodes); { // until a request was settled again
		answered = failures(nodes)
		load(nodes, g, 1)
	}
	before = failures(nodes)
	load(nodes, g, quota/4)
	granted, _ := totals(nodes)
	missing += failures(nodes) - before
	t.Logf("%s: %d let through", name, granted)
	if granted < quota || granted > quota+slices && missing == 0 {
		t.Errorf("%s: %d let through, want %d and at most %d more", name, granted, quota, slices)
	}
	return missing
}
