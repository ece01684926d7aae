package redislog

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scopegate/scopegate/store/redislog/redistest"
)

// shardStaleness is more than a failover takes, and what the nodes do after one that has
// lost something, on a machine that runs everything.
const shardStaleness = 30 * time.Second

// staleWatch looks how long each node is without all changes of the others.
type staleWatch struct {
	nodes []*faultNode
	most  atomic.Int64 // a time.Duration
}

// run looks until ctx ends.
func (w *staleWatch) run(ctx context.Context) {
	for ctx.Err() == nil {
		for _, n := range w.nodes {
			state, _ := n.store.Replication()
			if lasts := int64(time.Since(state.Verified)); lasts > w.most.Load() {
				w.most.Store(lasts)
			}
		}
		rest(ctx, 10*time.Millisecond)
	}
}

// take returns the longest time since it was taken last.
func (w *staleWatch) take() time.Duration { return time.Duration(w.most.Swap(0)) }

// awaitChanges waits until a node has some more changes.
func awaitChanges(tb testing.TB, n *faultNode, more uint64) {
	tb.Helper()
	first, _ := n.store.Replication()
	deadline := time.After(shardStaleness)
	for {
		changed := n.store.Changed()
		if state, _ := n.store.Replication(); state.Position.Revision >= first.Position.Revision+more {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			state, _ := n.store.Replication()
			tb.Fatalf("the node got no further: %+v", state)
		}
	}
}

// In a Redis Cluster the slot with all keys moves from master to master, and then the master
// that has it dies and its replica takes over, and then that one is silent and the first
// takes over again, while tokens are made and revoked: no node becomes stale, nothing is
// lost or late, and no record differs.
func TestShardsMoveAndFailOver(t *testing.T) {
	t.Parallel()
	shards := redistest.StartShards(t)
	owner, slot := shards.Owner(t, "{scopegate}:head")
	replica := shards.AddReplica(t, owner)
	c := new(checker)
	for i := range 3 {
		n := &faultNode{store: openFaultStore(t, openLog(t, shards.URL()), fmt.Sprint("node ", i), shardStaleness)}
		c.nodes = append(c.nodes, n)
	}
	awaitAgreement(t, c.nodes)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var workers sync.WaitGroup
	c.work(ctx, &workers, shardStaleness)
	watch := &staleWatch{nodes: c.nodes}
	workers.Go(func() { watch.run(ctx) })
	awaitChanges(t, c.nodes[0], 120) // so that there are some tokens to revoke
	calm := watch.take()

	from := owner
	for _, to := range append(othersOf(shards, owner), owner) { // once around
		shards.MoveSlot(t, slot, from, to)
		awaitChanges(t, c.nodes[1], 20)
		from = to
	}
	moving := watch.take()
	if now, _ := shards.Owner(t, "{scopegate}:head"); now != owner {
		t.Fatal("the slot is not back")
	}

	owner.Kill()
	redistest.AwaitMaster(t, replica)
	awaitChanges(t, c.nodes[2], 20)
	owner.Run(t)
	redistest.AwaitReplica(t, owner)
	dying := watch.take()

	replica.Pause() // its connections stay open
	redistest.AwaitMaster(t, owner)
	awaitChanges(t, c.nodes[0], 20)
	replica.Resume()
	redistest.AwaitReplica(t, replica)
	awaitChanges(t, c.nodes[1], 20)
	stop()
	workers.Wait()
	silent := watch.take()
	t.Logf("longest without all changes: %s before, %s while the slot moved, %s when the master died, %s when it was silent; %d revocations, %d tokens live, %d probes",
		calm, moving, dying, silent, len(c.revoked), len(c.live), c.probes)
	if worst := max(calm, moving, dying, silent); worst >= shardStaleness {
		t.Errorf("a node was stale: it was without all changes for %s", worst)
	}
	if len(c.revoked) == 0 {
		t.Error("no revocation was acknowledged: the test shows nothing")
	}
	awaitAgreement(t, c.nodes)
	c.verify(t)
	joins(t, shards, c)
}

// othersOf returns the masters but for one.
func othersOf(shards *redistest.Shards, one *redistest.Server) (others []*redistest.Server) {
	for _, s := range shards.Masters {
		if s != one {
			others = append(others, s)
		}
	}
	return others
}

// joins holds that what is in Redis in the end is the same as well: a node that only has
// that decides alike.
func joins(t *testing.T, shards *redistest.Shards, c *checker) {
	t.Helper()
	fresh := &faultNode{store: openFaultStore(t, openLog(t, shards.URL()), "fresh", shardStaleness)}
	c.nodes = append(c.nodes, fresh)
	awaitAgreement(t, c.nodes)
	c.verify(t)
}
