package store

import (
	"context"
	"errors"
	"maps"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// revokedBehind has two nodes that know of a revocation, and a sequencer whose records
// were saved before it. The second node cannot reach it.
func revokedBehind(t *testing.T) (m *memorySequencer, a, b *Store, behind *memoryNode, revoked scopes.Digest, before map[string][]byte) {
	t.Helper()
	m = newMemorySequencer()
	a, _ = joinNode(t, newPath(t), m)
	b, behind = joinNode(t, newPath(t), m)
	ref, revoked := makeToken(t, a, "revoked")
	eventually(t, b, "the token", func() bool { return grants(b, revoked) })
	before = maps.Clone(m.save().records)
	if _, err := a.Deactivate(context.Background(), tester, ref); err != nil {
		t.Fatal(err)
	}
	eventually(t, b, "the revocation", func() bool { return !grants(b, revoked) })
	awaitSame(t, a, b)
	behind.set(func() { behind.down = true })
	return m, a, b, behind, revoked, before
}

// Whoever says in the head that all was dropped on purpose is not believed: no node has
// signed that. The numbers of such a head are not gone on from, either.
func TestForgedHead(t *testing.T) {
	t.Parallel()
	for name, forge := range map[string]func(*Head){
		"resets":   func(h *Head) { h.Resets = 99 },
		"overflow": func(h *Head) { h.Resets = math.MaxUint64 },
		"epoch":    func(h *Head) { h.Resets, h.Epoch = 99, "another" },
		"revision": func(h *Head) { h.Revision = 1 << 60 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, a, b, behind, revoked, before := revokedBehind(t)
			m.tamper(func(all map[string][]byte) {
				clear(all)
				maps.Copy(all, before)
				forge(&m.head)
				m.log = []logged{{position: m.head.Position}}
			})
			forged := m.save().head
			behind.set(func() { behind.down = false })
			for _, s := range []*Store{b, a} {
				eventually(t, s, "it was put right", func() bool {
					if grants(s, revoked) {
						t.Fatal("the revoked token is granted")
					}
					head := m.save().head
					return head != forged && s.replica.Load().replication().Position == head.Position
				})
			}
			awaitSame(t, a, b)
			if head := m.save().head; head.Resets != 0 || head.Revision > 1000 {
				t.Errorf("they have gone on from what was forged: %+v", head)
			}
			if err := a.Reset(context.Background()); err != nil {
				t.Fatal(err)
			}
			eventually(t, b, "a true reset", func() bool { _, err := b.Token("acme/revoked"); return errors.Is(err, ErrNotFound) })
		})
	}
}

// restless says at each pull that the history is another one, so that a node never
// gets to an end.
type restless struct {
	*memoryNode
	on, second bool
}

func (r *restless) Pull(ctx context.Context, at Position, report *Report) (*Pulled, error) {
	pulled, err := r.memoryNode.Pull(ctx, at, report)
	if r.second = !r.second; r.on && r.second && err == nil && pulled.Verdict == PullOK {
		pulled.Verdict = PullTrimmed
		pulled.Changed, pulled.Audit = nil, nil
	}
	return pulled, err
}

// Whatever the sequencer answers, a revocation is not held up, and is in force.
func TestRevocationBesideARestlessSequencer(t *testing.T) {
	t.Parallel()
	m := newMemorySequencer()
	n := &restless{memoryNode: m.node()}
	a := openBehind(t, newPath(t), n, n.memoryNode)
	ref, digest := makeToken(t, a, "sync")
	if err := a.lock(context.Background()); err != nil {
		t.Fatal(err)
	}
	n.on = true
	a.unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := a.Deactivate(ctx, tester, ref); err != nil || grants(a, digest) {
		t.Errorf("the revocation: %v, the credential is granted: %t", err, grants(a, digest))
	}
}

// moving is a sequencer on which somebody else is always faster, or which is gone when
// the node wants to know what was changed.
type moving struct {
	*memoryNode
	mode string
}

func (n *moving) Commit(ctx context.Context, c *Commit) error {
	if n.mode != "" {
		return ErrHeadMoved
	}
	return n.memoryNode.Commit(ctx, c)
}

func (n *moving) Pull(ctx context.Context, at Position, r *Report) (*Pulled, error) {
	if n.mode == "gone" {
		return nil, ErrUnreachable
	}
	return n.memoryNode.Pull(ctx, at, r)
}

// A revocation that loses every race, or whose node cannot follow any more, is in force
// here and sent later.
func TestRevocationWhoseHeadMoves(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"always", "gone"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			m := newMemorySequencer()
			n := &moving{memoryNode: m.node()}
			a := openBehind(t, newPath(t), n, n.memoryNode)
			b, _ := joinNode(t, newPath(t), m)
			ref, digest := makeToken(t, a, "sync")
			eventually(t, b, "the token", func() bool { return grants(b, digest) })
			set := func(mode string) {
				if err := a.lock(context.Background()); err != nil {
					t.Fatal(err)
				}
				n.mode = mode
				a.unlock()
			}
			set(mode)
			if _, err := a.CreateAccount(context.Background(), tester, &scopes.Account{Name: "new"}); !errors.Is(err, ErrUnreachable) && !errors.Is(err, ErrHeadMoved) {
				t.Errorf("a change that gives: %v", err)
			}
			if _, err := a.Deactivate(context.Background(), tester, ref); err != nil || grants(a, digest) {
				t.Errorf("the revocation: %v, the credential is granted: %t", err, grants(a, digest))
			}
			if pending := a.replica.Load().replication().Pending; pending != 1 {
				t.Errorf("%d are pending, want 1", pending)
			}
			set("")
			eventually(t, b, "the revocation", func() bool { return !grants(b, digest) })
			awaitSame(t, a, b)
		})
	}
}

// A deactivation wins over an activation that has not seen it, also if both histories have
// as many deactivations.
func TestDeactivationInAnotherHistory(t *testing.T) {
	t.Parallel()
	m := newMemorySequencer()
	a, first := joinNode(t, newPath(t), m)
	b, second := joinNode(t, newPath(t), m)
	ref, digest := makeToken(t, a, "sync")
	eventually(t, b, "the token", func() bool { return grants(b, digest) })
	saved := m.save()
	second.set(func() { second.down = true })
	ctx := context.Background()
	if _, err := a.Deactivate(ctx, tester, ref); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Activate(ctx, tester, ref); err != nil {
		t.Fatal(err)
	}
	first.set(func() { first.down = true })
	m.restore(saved) // both are lost
	second.set(func() { second.down = false })
	if _, err := b.Deactivate(ctx, tester, ref); err != nil { // somebody sees the token active, and revokes it
		t.Fatal(err)
	}
	first.set(func() { first.down = false })
	for _, s := range []*Store{a, b} {
		eventually(t, s, "one history", func() bool { return sameRecords(t, a, b) && !s.Stale(m.now()) || m.grow(t) })
		if grants(s, digest) {
			t.Error("an acknowledged revocation was undone")
		}
	}
}

// grow lets some time pass, for leases; it returns false.
func (m *memorySequencer) grow(tb testing.TB) bool {
	tb.Helper()
	m.pass(100 * time.Millisecond)
	return false
}

// emptied is a sequencer that loses all it has as soon as somebody reads it.
type emptied struct {
	*memoryNode
	armed atomic.Bool
}

func (n *emptied) Scan(ctx context.Context, each func([]Keyed) error) error {
	if n.armed.Swap(false) {
		n.restore(new(memorySequencer))
	}
	return n.memoryNode.Scan(ctx, each)
}

// What was lost while a node downloaded it begins an epoch that has a name, in which the
// other nodes can join.
func TestEmptiedDuringDownload(t *testing.T) {
	t.Parallel()
	m := newMemorySequencer()
	n := &emptied{memoryNode: m.node()}
	a := openBehind(t, newPath(t), n, n.memoryNode)
	b, bNode := joinNode(t, newPath(t), m)
	_, digest := makeToken(t, a, "sync")
	eventually(t, b, "the token", func() bool { return grants(b, digest) })

	bNode.set(func() { bNode.down = true })
	m.restore(new(memorySequencer))
	eventually(t, a, "a new epoch", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return m.has })
	n.armed.Store(true)
	m.mu.Lock()
	m.head.Epoch = "another" // which a has to download
	m.mu.Unlock()
	eventually(t, a, "the download", func() bool { return !n.armed.Load() })
	eventually(t, a, "what was lost", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return m.has })
	m.mu.Lock()
	if m.head.Epoch == "" {
		t.Error("the epoch has no name")
	}
	m.mu.Unlock()
	bNode.set(func() { bNode.down = false })
	awaitSame(t, a, b)
}
