package redislog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store"
	"github.com/scopegate/scopegate/store/redislog/redistest"
)

// faultNode is a store that reaches Redis through a proxy of its own.
type faultNode struct {
	store *store.Store
	proxy *redistest.Proxy
}

// grants is what a gateway would decide for a token.
func (n *faultNode) grants(d scopes.Digest) bool {
	if n.store.Stale(time.Now()) {
		return false
	}
	snapshot := n.store.Snapshot()
	return snapshot != nil && snapshot.Grant(d).State == scopes.Active
}

// await waits until the node grants a credential, or does not.
func (n *faultNode) await(tb testing.TB, d scopes.Digest, granted bool) {
	tb.Helper()
	deadline := time.After(10 * time.Second)
	for {
		changed := n.store.Changed()
		if n.grants(d) == granted {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			tb.Fatalf("it did not come to that the credential is granted: %t", granted)
		}
	}
}

// newFaultNodes opens nodes whose sequencer is what wrap makes of their connection to
// Redis; nil leaves it as it is.
func newFaultNodes(tb testing.TB, server *redistest.Server, count int, staleness time.Duration, wrap func(store.Sequencer) store.Sequencer) []*faultNode {
	tb.Helper()
	nodes := make([]*faultNode, count)
	for i := range nodes {
		n := &faultNode{proxy: redistest.NewProxy(tb, server.Addr())}
		var log store.Sequencer = openLog(tb, n.proxy.URL())
		if wrap != nil {
			log = wrap(log)
		}
		n.store = openFaultStore(tb, log, fmt.Sprint("node ", i), staleness)
		nodes[i] = n
	}
	return nodes
}

// openFaultStore opens the store of a node, and closes it with the test.
func openFaultStore(tb testing.TB, log store.Sequencer, name string, staleness time.Duration) *store.Store {
	tb.Helper()
	s, err := store.Open(filepath.Join(tb.TempDir(), "store.db"), store.Options{Cluster: &store.ClusterOptions{
		Sequencer: log, Secret: "the secret of the fault suite", NodeName: name, MaxStaleness: staleness,
	}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// revocation is one that was acknowledged.
type revocation struct {
	digest scopes.Digest
	ref    string
	by     int       // the node
	at     time.Time // when it was acknowledged for all nodes; zero while it is pending
}

// checker knows what was acknowledged, and looks whether it holds.
type checker struct {
	nodes []*faultNode

	mu         sync.Mutex // guards what follows
	live       []revocation
	revoked    []revocation
	lossy      time.Time // when Redis last was back after it had lost something
	violations []string
	probes     int
	blinks     int
}

// work makes tokens and revokes them, on all nodes, and looks whether what was revoked is
// granted longer than it may, until ctx ends.
func (c *checker) work(ctx context.Context, workers *sync.WaitGroup, bound time.Duration) {
	for w := range 2 {
		workers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 1)) // the same each time
			for i := w; ctx.Err() == nil; i += 2 {
				c.create(ctx, random, i)
				c.revoke(ctx, random)
			}
		})
	}
	workers.Go(func() {
		for ctx.Err() == nil {
			c.probe(bound)
			rest(ctx, 20*time.Millisecond)
		}
	})
}

// create makes a token on some node.
func (c *checker) create(ctx context.Context, random *rand.Rand, i int) {
	node := random.IntN(len(c.nodes))
	ref := fmt.Sprintf("account-%d/token-%d", random.IntN(8), i)
	account, name := filepath.Split(ref)
	token := &scopes.Token{Name: name, Contact: scopes.Contact{Email: "it@acme.example"}, Access: scopes.ReadOnly}
	s := c.nodes[node].store
	if _, err := s.Create(ctx, store.Actor{Name: "test"}, account[:len(account)-1], token); err != nil {
		return
	}
	issued, err := s.Issue(ctx, store.Actor{Name: "test"}, ref)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live = append(c.live, revocation{digest: issued.Credential.Digest(), ref: ref})
}

// revoke takes some token away, on some node.
func (c *checker) revoke(ctx context.Context, random *rand.Rand) {
	c.mu.Lock()
	const kept = 50 // are to be there in the end
	if len(c.live) < kept {
		c.mu.Unlock()
		return
	}
	i := random.IntN(len(c.live))
	r := c.live[i]
	c.live = slices.Delete(c.live, i, i+1)
	c.mu.Unlock()

	r.by = random.IntN(len(c.nodes))
	s := c.nodes[r.by].store
	if random.IntN(4) == 0 {
		c.blink(ctx, s, r)
		return
	}
	change := s.Delete
	if random.IntN(2) == 0 {
		change = s.Deactivate
	}
	_, err := change(ctx, store.Actor{Name: "test"}, r.ref)
	if errors.Is(err, store.ErrNotFound) { // this node does not have it yet
		c.mu.Lock()
		defer c.mu.Unlock()
		c.live = append(c.live, r)
		return
	}
	if err != nil {
		return // not acknowledged
	}
	if state, _ := s.Replication(); state.Pending == 0 {
		r.at = time.Now()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.revoked = append(c.revoked, r)
}

// blink takes a token away and gives it back: only a later revocation counts then, also
// if Redis forgets one of the two. What becomes of one whose second half was not
// acknowledged is not known.
func (c *checker) blink(ctx context.Context, s *store.Store, r revocation) {
	if _, err := s.Deactivate(ctx, store.Actor{Name: "test"}, r.ref); err != nil {
		return
	}
	if _, err := s.Activate(ctx, store.Actor{Name: "test"}, r.ref); err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live = append(c.live, r)
	c.blinks++
}

// probe asks every node for every revoked token.
func (c *checker) probe(bound time.Duration) {
	c.mu.Lock()
	revoked, lossy := slices.Clone(c.revoked), c.lossy
	c.mu.Unlock()
	var violations []string
	for i := range revoked {
		r := &revoked[i]
		if r.at.IsZero() {
			if state, _ := c.nodes[r.by].store.Replication(); state.Pending == 0 {
				r.at = time.Now()
			}
		}
		for at, n := range c.nodes {
			asked := time.Now()
			if !n.grants(r.digest) {
				continue
			}
			late := !r.at.IsZero() && asked.Sub(r.at) > bound && asked.Sub(lossy) > afterReturn
			if late || at == r.by {
				violations = append(violations, fmt.Sprintf("node %d grants %s, which node %d revoked %s before", at, r.ref, r.by, asked.Sub(r.at)))
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.probes += len(revoked) * len(c.nodes)
	c.violations = append(c.violations, violations...)
	for i := range revoked { // appended to meanwhile, never reordered
		c.revoked[i].at = revoked[i].at
	}
}

// verify holds that in the end every node grants what was not revoked, and nothing else,
// and that no revocation was late before.
func (c *checker) verify(tb testing.TB) {
	tb.Helper()
	for _, violation := range c.violations[:min(len(c.violations), 10)] {
		tb.Error(violation)
	}
	if len(c.violations) > 0 {
		tb.Errorf("%d violations", len(c.violations))
	}
	for i, n := range c.nodes {
		for _, r := range c.revoked {
			if n.store.Snapshot().Grant(r.digest).State == scopes.Active {
				tb.Errorf("node %d grants %s in the end", i, r.ref)
			}
		}
		for _, r := range c.live {
			if n.store.Snapshot().Grant(r.digest).State != scopes.Active {
				tb.Errorf("node %d has lost %s", i, r.ref)
			}
		}
	}
}

// faults does to Redis and to the network what happens to them, until ctx ends, and then
// mends everything.
func (c *checker) faults(ctx context.Context, tb testing.TB, random *rand.Rand, server *redistest.Server) (done map[string]int) {
	tb.Helper()
	done = make(map[string]int)
	client := server.Client(tb)
	saved := server.Save(tb)
	for ctx.Err() == nil {
		node := c.nodes[random.IntN(len(c.nodes))]
		lasts := time.Duration(random.IntN(3000)) * time.Millisecond
		loses := false
		name := []string{"pause", "crash", "flush", "rollback", "partition", "mute", "trim", "save"}[random.IntN(8)]
		switch name {
		case "pause":
			server.Pause()
			rest(ctx, lasts)
			server.Resume()
		case "crash":
			server.Kill()
			rest(ctx, lasts)
			server.Run(tb)
		case "flush":
			client.FlushAll(context.WithoutCancel(ctx))
			loses = true
		case "rollback":
			server.Restore(tb, saved)
			loses = true
		case "partition":
			node.proxy.Cut()
			rest(ctx, lasts)
			node.proxy.Mend()
		case "mute":
			node.proxy.Mute()
			rest(ctx, lasts)
			node.proxy.Cut()
			node.proxy.Mend()
		case "trim":
			client.XTrimMaxLen(context.WithoutCancel(ctx), "{scopegate}:log", 1)
		case "save":
			saved = server.Save(tb)
		}
		if loses {
			c.mu.Lock()
			c.lossy = time.Now()
			c.mu.Unlock()
		}
		done[name]++
		rest(ctx, time.Duration(500+random.IntN(1500))*time.Millisecond)
	}
	return done
}

// rest waits: a fault takes its time.
func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// awaitAgreement waits until all nodes are at the same place: then they have the same
// records, for the chain is over what they add up to.
func awaitAgreement(tb testing.TB, nodes []*faultNode) {
	tb.Helper()
	deadline := time.After(time.Minute)
	for {
		same := true
		first, _ := nodes[0].store.Replication()
		for _, n := range nodes {
			state, _ := n.store.Replication()
			same = same && state.Joined && !state.Stale && state.Pending == 0 && state.Position == first.Position
		}
		if same {
			return
		}
		select {
		case <-deadline:
			for i, n := range nodes {
				state, _ := n.store.Replication()
				tb.Errorf("node %d: %+v", i, state)
			}
			tb.Fatal("the nodes do not agree")
		case <-time.After(20 * time.Millisecond):
		}
	}
}
