package store

import (
	"context"
	"sync"
	"testing"
)

// interposed is a sequencer on which something happens right after a pull, that answers no
// pull, or that cannot be reached any more once it has got a change.
type interposed struct {
	*memoryNode
	mu     sync.Mutex // guards what follows
	then   func()     // once
	cuts   bool
	silent bool
	asked  int // while it was silent
}

// interpose opens a store that follows m through an interposed sequencer.
func interpose(tb testing.TB, m *memorySequencer) (*Store, *interposed) {
	tb.Helper()
	n := &interposed{memoryNode: m.node()}
	return openBehind(tb, newPath(tb), n, n.memoryNode), n
}

// openBehind opens a store that follows the others through a sequencer around a node's own.
func openBehind(tb testing.TB, path string, around Sequencer, n *memoryNode) *Store {
	tb.Helper()
	o := clusterOptions(n)
	o.Cluster.Sequencer = around
	return openStore(tb, path, o)
}

func (n *interposed) Commit(ctx context.Context, c *Commit) error {
	n.mu.Lock()
	cuts := n.cuts
	n.mu.Unlock()
	err := n.memoryNode.Commit(ctx, c)
	if err != nil || !cuts {
		return err
	}
	n.set(func() { n.down = true })
	return ErrUncertain
}

func (n *interposed) Pull(ctx context.Context, at Position, r *Report) (*Pulled, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.silent {
		n.asked++
		return nil, ErrUnreachable
	}
	pulled, err := n.memoryNode.Pull(ctx, at, r)
	if then := n.then; then != nil && err == nil && pulled.Verdict == PullOK {
		n.then = nil
		then()
	}
	return pulled, err
}

// change changes how it behaves.
func (n *interposed) change(fn func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fn()
}

// silence makes it answer no pull, or answer again.
func (n *interposed) silence(silent bool) {
	n.change(func() { n.silent = silent })
	n.wake(nil)
}

// tell wakes the node with what was changed, as somebody says, and waits until it has
// looked at that. It must be silent.
func (n *interposed) tell(tb testing.TB, s *Store, changed ...Keyed) {
	tb.Helper()
	n.wake(changed)
	eventually(tb, s, "that it has heard", func() bool { return len(n.wakeups) == 0 })
	n.mu.Lock()
	before := n.asked
	n.mu.Unlock()
	n.wake(nil)
	eventually(tb, s, "that it asks", func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.asked > before
	})
}
