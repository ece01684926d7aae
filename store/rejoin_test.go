package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

// overtaken is a sequencer on which somebody else is faster each time, for a while.
type overtaken struct {
	*memoryNode
	faster func()
	left   atomic.Int64 // how many times it still is
	scans  atomic.Int64
}

func (n *overtaken) Commit(ctx context.Context, c *Commit) error {
	if n.left.Add(-1) >= 0 {
		n.faster()
	}
	return n.memoryNode.Commit(ctx, c)
}

func (n *overtaken) Scan(ctx context.Context, each func([]Keyed) error) error {
	n.scans.Add(1)
	return n.memoryNode.Scan(ctx, each)
}

// joinOvertaken opens a node that has a token to tell of, and that another one, which is
// there already, is faster than so many times.
func joinOvertaken(t *testing.T, times int64) (there, joining *Store, n *overtaken, brought scopes.Digest) {
	t.Helper()
	m := newMemorySequencer()
	there, _ = joinNode(t, newPath(t), m)
	makeToken(t, there, "there")
	path := newPath(t)
	alone := openStore(t, path, testOptions())
	_, brought = makeToken(t, alone, "brought")
	if err := alone.Close(); err != nil {
		t.Fatal(err)
	}
	made := 0
	n = &overtaken{memoryNode: m.node(), faster: func() {
		made++
		if _, err := there.CreateAccount(context.Background(), tester, &scopes.Account{Name: fmt.Sprint("faster-", made)}); err != nil {
			t.Error(err)
		}
	}}
	n.left.Store(times)
	return there, openBehind(t, path, n, n.memoryNode), n, brought
}

// A node that has something to tell when it joins, and is overtaken, joins with what has
// changed since: it does not download everything again.
func TestJoinOvertaken(t *testing.T) {
	t.Parallel()
	there, joining, n, brought := joinOvertaken(t, 5)
	eventually(t, there, "what the node has brought", func() bool { return grants(there, brought) })
	awaitSame(t, there, joining)
	if left := n.left.Load(); left >= 0 {
		t.Errorf("the node was to be overtaken %d times more", left)
	}
	if got := n.scans.Load(); got != 1 {
		t.Errorf("it has downloaded everything %d times, want once", got)
	}
}

// A node that is overtaken without end lets others have their turn in between, such as a
// revocation.
func TestJoinOvertakenWithoutEnd(t *testing.T) {
	t.Parallel()
	there, joining, n, brought := joinOvertaken(t, math.MaxInt64)
	eventually(t, joining, "that it says so", func() bool {
		return errors.Is(joining.replica.Load().replication().Err, errRestless)
	})
	n.left.Store(0)
	eventually(t, there, "what the node has brought", func() bool { return grants(there, brought) })
	awaitSame(t, there, joining)
}
