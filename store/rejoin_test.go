package store

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
)

// overtaken is a sequencer on which somebody else is faster each time, for a while.
type overtaken struct {
	*memoryNode
	faster atomic.Pointer[func()] // nil: nobody
	left   atomic.Int64           // how many times
	scans  atomic.Int64
}

func (n *overtaken) Commit(ctx context.Context, c *Commit) error {
	if faster := n.faster.Load(); faster != nil && n.left.Add(-1) >= 0 {
		(*faster)()
	}
	return n.memoryNode.Commit(ctx, c)
}

func (n *overtaken) Scan(ctx context.Context, each func([]Keyed) error) error {
	n.scans.Add(1)
	return n.memoryNode.Scan(ctx, each)
}

// A node that has something to tell when it joins, and is overtaken, joins with what has
// changed since: it does not download everything again.
func TestJoinOvertaken(t *testing.T) {
	t.Parallel()
	m := newMemorySequencer()
	a, _ := joinNode(t, newPath(t), m)
	makeToken(t, a, "there")
	path := newPath(t)
	alone := openStore(t, path, testOptions())
	_, digest := makeToken(t, alone, "brought")
	if err := alone.Close(); err != nil {
		t.Fatal(err)
	}

	const times = 5
	n := &overtaken{memoryNode: m.node()}
	made := 0
	faster := func() {
		made++
		makeToken(t, a, fmt.Sprint("faster-", made))
	}
	n.left.Store(times)
	n.faster.Store(&faster)
	o := clusterOptions(n.memoryNode)
	o.Cluster.Sequencer = n
	b := openStore(t, path, o)
	eventually(t, a, "what the node has brought", func() bool { return grants(a, digest) })
	awaitSame(t, a, b)
	if made != times {
		t.Errorf("the node was overtaken %d times, want %d", made, times)
	}
	if got := n.scans.Load(); got != 1 {
		t.Errorf("it has downloaded everything %d times, want once", got)
	}
}
