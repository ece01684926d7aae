package redislog

import (
	"context"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/scopegate/scopegate/store"
	"github.com/scopegate/scopegate/store/redislog/redistest"
)

const (
	faultNodes     = 5
	faultStaleness = store.MinStaleness
	// afterReturn is how long it takes at the most, once a Redis that has lost
	// something is back, until each node has told what it knows: a pull, and the
	// scheduling of a machine that runs everything.
	afterReturn = 4 * time.Second
)

// runFaults runs everything for a while, and returns what was found.
func runFaults(t *testing.T, lasts, staleness time.Duration) *checker {
	t.Helper()
	server := redistest.Start(t)
	c := &checker{nodes: newFaultNodes(t, server, faultNodes, staleness, nil)}
	awaitAgreement(t, c.nodes)
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	var workers sync.WaitGroup
	c.work(ctx, &workers, faultStaleness+500*time.Millisecond)
	done := c.faults(ctx, t, rand.New(rand.NewPCG(7, 7)), server) // the same each time
	workers.Wait()
	t.Logf("faults: %v; %d revocations acknowledged, %d given back, %d tokens live, %d probes", done, len(c.revoked), c.blinks, len(c.live), c.probes)
	return c
}

// Whatever happens to Redis and the network: no revocation comes late, none is lost, none
// is undone, and no record differs in the end.
func TestFaults(t *testing.T) {
	t.Parallel()
	lasts := time.Minute
	if os.Getenv("SCOPEGATE_SOAK") != "" {
		lasts = 5 * time.Minute
	}
	c := runFaults(t, lasts, faultStaleness)
	awaitAgreement(t, c.nodes)
	if len(c.revoked) < 20 || len(c.live) < 20 {
		t.Errorf("%d revocations and %d live tokens are too few to show anything", len(c.revoked), len(c.live))
	}
	c.verify(t)
}

// The checker finds what it is there to find: without the lease a node that is cut off goes
// on granting what was revoked.
func TestFaultsWithoutLease(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name      string
		staleness time.Duration
		late      bool
	}{{"with the lease", faultStaleness, false}, {"without", -1, true}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := &checker{nodes: newFaultNodes(t, redistest.Start(t), faultNodes, test.staleness, nil)}
			awaitAgreement(t, c.nodes)
			ctx := t.Context()
			random := rand.New(rand.NewPCG(1, 1)) // the same each time
			for i := range 60 {
				c.create(ctx, random, i)
			}
			awaitAgreement(t, c.nodes)
			for _, n := range c.nodes[1:] {
				n.proxy.Cut()
			}
			r := c.live[0]
			if _, err := c.nodes[0].store.Delete(ctx, store.Actor{Name: "test"}, r.ref); err != nil {
				t.Fatal(err)
			}
			r.at = time.Now()
			c.revoked = append(c.revoked, r)
			bound := faultStaleness + 500*time.Millisecond
			rest(ctx, bound+100*time.Millisecond)
			if c.probe(bound); len(c.violations) > 0 != test.late {
				t.Errorf("violations: %q", c.violations)
			}
		})
	}
}

// trusting is a sequencer that knows no epochs: whoever asks it is told that nothing has
// changed since, even if its history is another one by now.
type trusting struct {
	store.Sequencer
	head store.Head // as it last was right
}

func (n *trusting) Pull(ctx context.Context, at store.Position, r *store.Report) (*store.Pulled, error) {
	pulled, err := n.Sequencer.Pull(ctx, at, r)
	switch {
	case err != nil:
		return nil, err
	case pulled.Verdict == store.PullOK:
		n.head = pulled.Head
	case n.head.Position == at && at.Epoch != "":
		return &store.Pulled{Verdict: store.PullOK, Head: n.head, EpochAge: time.Hour}, nil
	}
	return pulled, nil
}

// Nor is what comes of a Redis that has lost something right by chance: nodes that do not
// look whether it is the same history go on granting what was revoked in the new one.
func TestFaultsWithoutEpochs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		wrap func(store.Sequencer) store.Sequencer
		late bool
	}{
		{"with epochs", nil, false},
		{"without", func(s store.Sequencer) store.Sequencer { return &trusting{Sequencer: s} }, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			c := &checker{nodes: newFaultNodes(t, server, faultNodes, faultStaleness, test.wrap)}
			awaitAgreement(t, c.nodes)
			ctx, random := t.Context(), rand.New(rand.NewPCG(1, 1)) // the same each time
			for i := range 60 {
				c.create(ctx, random, i)
			}
			awaitAgreement(t, c.nodes)
			saved := server.Save(t)
			c.nodes[1].proxy.Cut()
			r := c.live[0]
			if _, err := c.nodes[0].store.Delete(ctx, store.Actor{Name: "test"}, r.ref); err != nil {
				t.Fatal(err)
			}
			r.at = time.Now()
			server.Restore(t, saved) // a failover to a replica that lags
			c.nodes[1].proxy.Mend()
			c.revoked = append(c.revoked, r)
			bound := faultStaleness + 500*time.Millisecond
			rest(ctx, bound+afterReturn)
			if c.probe(bound); len(c.violations) > 0 != test.late {
				t.Errorf("violations: %q", c.violations)
			}
		})
	}
}
