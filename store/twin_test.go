package store

import (
	"context"
	"os"
	"testing"
)

// nodeOf returns the id that a node goes by.
func nodeOf(s *Store) string { return s.replica.Load().replication().NodeID }

// copyStore copies a closed store with its revocations log, as who clones a machine does.
func copyStore(tb testing.TB, from string) (to string) {
	tb.Helper()
	to = newPath(tb)
	for _, suffix := range []string{"", ".revocations"} {
		content, err := os.ReadFile(from + suffix)
		if err == nil {
			err = os.WriteFile(to+suffix, content, 0o600)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	return to
}

// Two nodes of which one has a copy of the other's store do not go by one id for long, and
// each keeps its id from then on, also over a crash.
func TestTwins(t *testing.T) {
	t.Parallel()
	m := newMemorySequencer()
	path := newPath(t)
	first, _ := joinNode(t, path, m)
	_, digest := makeToken(t, first, "sync")
	id := nodeOf(first)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	twin := copyStore(t, path)
	a, _ := joinNode(t, path, m)
	b, _ := joinNode(t, twin, m)
	eventually(t, b, "an id of its own", func() bool { return nodeOf(a) != nodeOf(b) })
	if nodeOf(a) != id && nodeOf(b) != id {
		t.Errorf("both have taken another id than %s: %s and %s", id, nodeOf(a), nodeOf(b))
	}
	for _, s := range []*Store{a, b} {
		if !grants(s, digest) {
			t.Errorf("%s has lost a token", nodeOf(s))
		}
	}
	ref, _ := makeToken(t, a, "more")
	if _, err := b.Delete(context.Background(), tester, ref); err != nil {
		t.Errorf("a change of the one to what the other has made: %v", err)
	}
	awaitSame(t, a, b)
	nodes, err := m.node().Nodes(context.Background())
	if err != nil || len(nodes) != 2 {
		t.Errorf("%d nodes are heard of, %v; want both", len(nodes), err)
	}
	ids := []string{nodeOf(a), nodeOf(b)}
	for i, s := range []*Store{a, b} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		again, _ := joinNode(t, []string{path, twin}[i], m)
		if got := nodeOf(again); got != ids[i] {
			t.Errorf("after a restart a node is %s, want %s", got, ids[i])
		}
	}
}

// A node that comes back after a crash finds its own last report, and keeps its id.
func TestNoTwinAfterACrash(t *testing.T) {
	t.Parallel()
	m := newMemorySequencer()
	path := newPath(t)
	s, node := joinNode(t, path, m)
	makeToken(t, s, "sync")
	id := nodeOf(s)
	node.set(func() { node.down = true }) // it does not take its leave
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if reports, err := m.node().Nodes(context.Background()); err != nil || len(reports) != 1 {
		t.Fatalf("after the crash %d reports are left, %v; want 1", len(reports), err)
	}
	again, _ := joinNode(t, path, m)
	makeToken(t, again, "more")
	pulls := again.replica.Load().sequencer.(*memoryNode)
	eventually(t, again, "some pulls", func() bool { return pulls.pulls.Load() > 3 })
	if got := nodeOf(again); got != id {
		t.Errorf("after a crash the node is %s, want %s", got, id)
	}
}
