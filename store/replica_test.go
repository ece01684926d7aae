package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// sameRecords reports whether all stores have the same shared records, byte for byte.
func sameRecords(tb testing.TB, stores ...*Store) bool {
	tb.Helper()
	var first records
	for i, s := range stores {
		all := make(records)
		err := s.view(func(r reader) error {
			shared, err := r.allShared()
			for key, value := range shared {
				all[key] = bytes.Clone(value)
			}
			return err
		})
		if err != nil {
			tb.Fatal(err)
		}
		if i == 0 {
			first = all
			continue
		}
		if len(all) != len(first) {
			return false
		}
		for key, value := range all {
			if !bytes.Equal(value, first[key]) {
				return false
			}
		}
	}
	return true
}

func awaitSame(tb testing.TB, stores ...*Store) {
	tb.Helper()
	for _, s := range stores {
		eventually(tb, s, "the same records", func() bool {
			return s.pending.Load() == nil && sameRecords(tb, stores...)
		})
	}
	for _, s := range stores { // what is in the file is in memory once the writer is done
		if err := s.lock(context.Background()); err != nil {
			tb.Fatal(err)
		}
		s.unlock()
	}
}

// makeToken makes an active token with a credential.
func makeToken(tb testing.TB, s *Store, name string) (ref string, digest scopes.Digest) {
	tb.Helper()
	ctx := context.Background()
	eventually(tb, s, "joined", func() bool { return s.replica.Load() == nil || s.replica.Load().position.Load().Epoch != "" })
	token := &scopes.Token{
		Name: name, Description: "a test's", Contact: scopes.Contact{Email: "it@acme.example"}, Access: scopes.ReadOnly,
	}
	if _, err := s.Create(ctx, tester, "acme", token); err != nil {
		tb.Fatal(err)
	}
	issued, err := s.Issue(ctx, tester, "acme/"+name)
	if err != nil {
		tb.Fatal(err)
	}
	return "acme/" + name, issued.Credential.Digest()
}

func grants(s *Store, d scopes.Digest) bool { return s.Snapshot().Grant(d).State == scopes.Active }

func TestNodesFollowEachOther(t *testing.T) {
	t.Parallel()
	m := newMemorySequencer()
	a, _ := joinNode(t, newPath(t), m)
	b, _ := joinNode(t, newPath(t), m)
	eventually(t, b, "joined", func() bool { return b.replica.Load().position.Load().Epoch != "" })
	ref, digest := makeToken(t, a, "sync")
	eventually(t, b, "the token", func() bool { return grants(b, digest) })
	if _, err := b.Deactivate(context.Background(), tester, ref); err != nil {
		t.Fatal(err)
	}
	eventually(t, a, "the revocation", func() bool { return !grants(a, digest) })
	awaitSame(t, a, b)
	entries, err := b.Log(LogQuery{Name: ref})
	if err != nil || len(entries) != 3 {
		t.Errorf("the audit log of the other node has %v, %v; want create, issue and deactivate", entries, err)
	}
}

func TestAThirdNodeHasEverything(t *testing.T) {
	t.Parallel()
	m := newMemorySequencer()
	a, _ := joinNode(t, newPath(t), m)
	_, digest := makeToken(t, a, "sync")
	b, _ := joinNode(t, newPath(t), m)
	eventually(t, b, "the token", func() bool { return grants(b, digest) })
	awaitSame(t, a, b)
}

func TestASingleNodeBringsWhatItHas(t *testing.T) {
	t.Parallel()
	m := newMemorySequencer()
	a, _ := joinNode(t, newPath(t), m)
	_, first := makeToken(t, a, "first")
	path := newPath(t)
	alone := openStore(t, path, testOptions())
	_, second := makeToken(t, alone, "second")
	if err := alone.Close(); err != nil {
		t.Fatal(err)
	}
	b, _ := joinNode(t, path, m)
	eventually(t, b, "both tokens", func() bool { return grants(b, first) && grants(b, second) })
	eventually(t, a, "both tokens", func() bool { return grants(a, first) && grants(a, second) })
	awaitSame(t, a, b)
}

// A node does not send what it has while another one does so, and takes revocations
// meanwhile.
func TestWaitingForAnotherToFill(t *testing.T) {
	t.Parallel()
	m := newMemorySequencer()
	m.filling = true
	path := newPath(t)
	alone := openStore(t, path, testOptions())
	ref, digest := makeToken(t, alone, "sync")
	if err := alone.Close(); err != nil {
		t.Fatal(err)
	}
	a, _ := joinNode(t, path, m)
	eventually(t, a, "it waits", func() bool { return errors.Is(a.replica.Load().replication().Err, errFilling) })
	if _, err := a.Deactivate(context.Background(), tester, ref); err != nil || grants(a, digest) {
		t.Errorf("a revocation meanwhile: %v, the credential is granted: %t", err, grants(a, digest))
	}
	if m.save().has {
		t.Error("it has sent what it has")
	}
	m.mu.Lock()
	m.filling = false
	m.mu.Unlock()
	b, _ := joinNode(t, newPath(t), m)
	eventually(t, b, "the token, deactivated", func() bool { return b.Snapshot().Grant(digest).State == scopes.Deactivated })
	awaitSame(t, a, b)
}

// A node that brings many records has all others download them, and what those had is
// among them.
func TestASingleNodeBringsMany(t *testing.T) {
	t.Parallel()
	m := newMemorySequencer()
	a, _ := joinNode(t, newPath(t), m)
	_, first := makeToken(t, a, "first")
	path := newPath(t)
	alone, r := newFollowerAt(t, path)
	if err := install(t, alone, r, drawRecords(t, manyPuts+10), true); err != nil {
		t.Fatal(err)
	}
	if err := alone.Close(); err != nil {
		t.Fatal(err)
	}
	epoch := m.save().head.Epoch
	b, _ := joinNode(t, path, m)
	eventually(t, a, "it has downloaded all", func() bool { return a.replica.Load().replication().Rejoins["trimmed"] > 0 })
	awaitSame(t, a, b)
	if m.save().head.Epoch != epoch {
		t.Error("another epoch has begun, in which all nodes wait for all others")
	}
	if !grants(a, first) || !grants(b, first) {
		t.Error("what there was is not granted")
	}
}

// A revocation without the others is in force here, survives a restart, and reaches the
// others when they are back.
func TestRevocationWithoutTheOthers(t *testing.T) {
	t.Parallel()
	m := newMemorySequencer()
	path := newPath(t)
	a, node := joinNode(t, path, m)
	b, _ := joinNode(t, newPath(t), m)
	ref, digest := makeToken(t, a, "sync")
	_, other := makeToken(t, a, "other")
	eventually(t, b, "the tokens", func() bool { return grants(b, digest) && grants(b, other) })
	node.set(func() { node.down = true })
	if _, err := a.Delete(context.Background(), tester, ref); err != nil {
		t.Fatal(err)
	}
	if grants(a, digest) || !grants(b, digest) {
		t.Errorf("after the revocation: here %t, elsewhere %t; want false, true", grants(a, digest), grants(b, digest))
	}
	if _, err := a.Issue(context.Background(), tester, "acme/none"); err == nil {
		t.Error("a change that gives was made without the others")
	}
	if _, err := a.CreateAccount(context.Background(), tester, &scopes.Account{Name: "new"}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("an account was created without the others: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	again := m.node()
	again.set(func() { again.down = true })
	a = openStore(t, path, clusterOptions(again))
	if grants(a, digest) || a.replica.Load().replication().Pending != 1 {
		t.Errorf("after a restart the credential is granted: %t, pending: %d", grants(a, digest), a.replica.Load().replication().Pending)
	}
	again.set(func() { again.down = false })
	eventually(t, b, "the revocation", func() bool { return !grants(b, digest) })
	awaitSame(t, a, b)
	if !grants(a, other) || !grants(b, other) {
		t.Error("another token is refused too")
	}
}

// A change that comes before the node has heard of the others asks them first.
func TestFirstChange(t *testing.T) {
	t.Parallel()
	n := newMemorySequencer().node()
	n.set(func() { n.down = true })
	s := openStore(t, newPath(t), clusterOptions(n))
	eventually(t, s, "that they cannot be reached", func() bool { return s.replica.Load().replication().Err != nil })
	create := func() error {
		_, err := s.CreateAccount(context.Background(), tester, &scopes.Account{Name: "new"})
		return err
	}
	if err := create(); !errors.Is(err, ErrUnreachable) {
		t.Errorf("without the others: got %v, want ErrUnreachable", err)
	}
	n.set(func() { n.down = false })
	if err := create(); err != nil {
		t.Errorf("as soon as they can be reached: %v", err)
	}
}

// Whatever the sequencer loses, what a node has acknowledged comes back from it.
func TestLostHistory(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		lose func(m, saved *memorySequencer)
	}{
		{"failover to a replica that lags", func(m, saved *memorySequencer) { m.restore(saved) }},
		{"flushed", func(m, _ *memorySequencer) { m.restore(new(memorySequencer)) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := newMemorySequencer()
			a, _ := joinNode(t, newPath(t), m)
			b, behind := joinNode(t, newPath(t), m)
			ref, digest := makeToken(t, a, "sync")
			eventually(t, b, "the token", func() bool { return grants(b, digest) })
			saved := m.save()
			behind.set(func() { behind.down = true })
			if _, err := a.Deactivate(context.Background(), tester, ref); err != nil {
				t.Fatal(err)
			}
			_, later := makeToken(t, a, "later")
			test.lose(m, saved)
			behind.set(func() { behind.down = false })
			_, mine := makeToken(t, b, "mine") // under a revision that was used already
			for _, s := range []*Store{a, b} {
				eventually(t, s, "all that was acknowledged", func() bool {
					return !grants(s, digest) && grants(s, later) && grants(s, mine)
				})
			}
			awaitSame(t, a, b)
		})
	}
}

// An answer that is lost leaves no doubt for long: the change was made once.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	m := newMemorySequencer()
	a, node := joinNode(t, newPath(t), m)
	b, _ := joinNode(t, newPath(t), m)
	ref, digest := makeToken(t, a, "sync")
	node.set(func() { node.swallow = true })
	if _, err := a.CreateAccount(context.Background(), tester, &scopes.Account{Name: "new"}); !errors.Is(err, ErrUncertain) {
		t.Errorf("got %v, want that it is not known", err)
	}
	eventually(t, a, "the account", func() bool { _, err := a.Account("new"); return err == nil })
	node.set(func() { node.swallow = true })
	if _, err := a.Deactivate(context.Background(), tester, ref); err != nil {
		t.Errorf("a revocation whose answer was lost: %v", err)
	}
	eventually(t, b, "the revocation", func() bool { return !grants(b, digest) })
	awaitSame(t, a, b)
	if rec, err := a.Token(ref); err != nil || !rec.Held {
		t.Errorf("the token is %+v, %v", rec, err)
	}
}

// The lease: a node boots stale, is not while it hears of the others, and is again
// max_staleness later. A clock that is set back changes nothing, for it never goes back.
func TestLease(t *testing.T) {
	t.Parallel()
	l := lease{most: time.Minute}
	if !l.isStale(testNow) {
		t.Error("a new lease is not stale")
	}
	l.renew(testNow)
	for _, test := range []struct {
		age  time.Duration
		want bool
	}{{0, false}, {time.Minute, false}, {time.Minute + 1, true}, {time.Hour, true}} {
		if got := l.isStale(testNow.Add(test.age)); got != test.want {
			t.Errorf("after %s: stale %t, want %t", test.age, got, test.want)
		}
	}
	var forever lease
	if !forever.isStale(testNow) {
		t.Error("without an end: a node that never heard of the others is not stale")
	}
	forever.renew(testNow)
	if forever.isStale(testNow.Add(time.Hour)) {
		t.Error("without an end: stale")
	}
}

// What a node does not know yet is no reason to refuse a change: here a place that another
// node has just made free, and a token that it has just made.
func TestRefusedOnlyForWhatIsSo(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	m := newMemorySequencer()
	a, _ := joinNode(t, newPath(t), m)
	b, deaf := joinNode(t, newPath(t), m)
	eventually(t, a, "joined", func() bool { return a.replica.Load().position.Load().Epoch != "" })
	apply(t, a, testFile())
	account := &scopes.Account{Name: "small", MaxActiveTokens: 1}
	if _, err := a.CreateAccount(ctx, tester, account); err != nil {
		t.Fatal(err)
	}
	awaitSame(t, a, b)
	deaf.set(func() { deaf.deaf = true })
	for i := range 20 {
		token := testToken(fmt.Sprint("t", i))
		if _, err := b.Create(ctx, tester, "small", &token); err != nil {
			t.Fatalf("where a place is free: %v", err)
		}
		if _, err := a.Deactivate(ctx, tester, "small/"+token.Name); err != nil {
			t.Fatalf("where there is such a token: %v", err)
		}
	}
}

// A sequencer that was emptied is filled by nodes that are not equally far, and gets all
// that any of them knows.
func TestEmptiedUnderNodesOfDifferentAge(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	m := newMemorySequencer()
	var stores []*Store
	var nodes []*memoryNode
	for range 3 {
		s, n := joinNode(t, newPath(t), m)
		stores, nodes = append(stores, s), append(nodes, n)
	}
	var revoked, live []scopes.Digest
	for i := range stores { // after each round one node less hears of what comes
		ref, gone := makeToken(t, stores[2], fmt.Sprint("revoked", i))
		_, kept := makeToken(t, stores[2], fmt.Sprint("live", i))
		for _, s := range stores[i:] {
			eventually(t, s, "the tokens", func() bool { return grants(s, gone) && grants(s, kept) })
		}
		revoked, live = append(revoked, gone), append(live, kept)
		if i < 2 {
			nodes[i].set(func() { nodes[i].down = true })
		}
		if _, err := stores[2].Deactivate(ctx, tester, ref); err != nil {
			t.Fatal(err)
		}
	}
	m.restore(new(memorySequencer))
	for _, n := range nodes[:2] {
		n.set(func() { n.down = false })
	}
	awaitSame(t, stores...)
	for i, s := range stores {
		for at := range revoked {
			if grants(s, revoked[at]) || !grants(s, live[at]) {
				t.Errorf("node %d: round %d: grants the revoked one %t, the live one %t", i, at, grants(s, revoked[at]), grants(s, live[at]))
			}
		}
	}
}
