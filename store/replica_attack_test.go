package store

import (
	"context"
	"errors"
	"maps"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// tamper changes what the sequencer has, as somebody does who can write to it and does not
// know the secret, and makes it a part of the last change.
func (m *memorySequencer) tamper(fn func(all map[string][]byte), keys ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fn(m.records)
	last := &m.log[len(m.log)-1]
	last.keys = append(last.keys, keys...)
}

// keyOfToken returns the key of a token's record.
func keyOfToken(tb testing.TB, s *Store, ref string) string {
	tb.Helper()
	token, err := s.Token(ref)
	if err != nil {
		tb.Fatal(err)
	}
	return string(keyToken) + token.ID
}

// Whoever can write to the sequencer gains nothing: what does not add up is not used, and is
// put right by the nodes.
func TestTamperedRecords(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		tamper func(all map[string][]byte, revoked, live string, before map[string][]byte)
	}{
		{"forged", func(all map[string][]byte, revoked, _ string, _ map[string][]byte) {
			all[revoked] = append([]byte{}, all[revoked]...)
			all[revoked][1] = 0 // active
		}},
		{"replayed", func(all map[string][]byte, revoked, _ string, before map[string][]byte) {
			all[revoked] = before[revoked]
		}},
		{"swapped", func(all map[string][]byte, revoked, live string, _ map[string][]byte) {
			all[revoked], all[live] = all[live], all[revoked]
		}},
		{"dropped", func(all map[string][]byte, revoked, _ string, _ map[string][]byte) { delete(all, revoked) }},
		{"truncated", func(all map[string][]byte, revoked, _ string, _ map[string][]byte) { all[revoked] = all[revoked][:3] }},
		{"added", func(all map[string][]byte, _, live string, _ map[string][]byte) {
			all["ttok_000000000000000000000"] = all[live]
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := newMemorySequencer()
			a, _ := joinNode(t, newPath(t), m)
			b, behind := joinNode(t, newPath(t), m)
			ref, digest := makeToken(t, a, "revoked")
			live, kept := makeToken(t, a, "live")
			before := maps.Clone(m.save().records)
			if _, err := a.Deactivate(context.Background(), tester, ref); err != nil {
				t.Fatal(err)
			}
			eventually(t, b, "the revocation", func() bool { return !grants(b, digest) && grants(b, kept) })
			revokedKey, liveKey := keyOfToken(t, a, ref), keyOfToken(t, a, live)
			awaitSame(t, a, b)
			behind.set(func() { behind.down = true })
			if _, err := a.CreateAccount(context.Background(), tester, &scopes.Account{Name: "later"}); err != nil {
				t.Fatal(err)
			}
			m.tamper(func(all map[string][]byte) { test.tamper(all, revokedKey, liveKey, before) },
				revokedKey, liveKey, "ttok_000000000000000000000")
			behind.set(func() { behind.down = false })
			for _, s := range []*Store{a, b} {
				eventually(t, s, "it was noticed and put right", func() bool {
					if grants(s, digest) || !grants(s, kept) {
						t.Fatalf("a node grants the revoked one: %t, the live one: %t", grants(s, digest), grants(s, kept))
					}
					return s.replica.Load().replication().Position == m.save().head.Position
				})
			}
			if b.replica.Load().replication().Rejoins["integrity"] == 0 {
				t.Error("the node has not alarmed")
			}
			awaitSame(t, a, b)
			c, _ := joinNode(t, newPath(t), m) // what the sequencer has now is good
			eventually(t, c, "everything", func() bool { return grants(c, kept) && !grants(c, digest) })
		})
	}
}

// A node with another secret believes nobody, and harms nobody.
func TestAnotherSecret(t *testing.T) {
	t.Parallel()
	m := newMemorySequencer()
	a, _ := joinNode(t, newPath(t), m)
	_, digest := makeToken(t, a, "sync")
	head := m.save().head
	o := clusterOptions(m.node())
	o.Cluster.Secret = "another secret, by mistake"
	b := openStore(t, newPath(t), o)
	eventually(t, b, "it says so", func() bool { return errors.Is(b.replica.Load().replication().Err, ErrIntegrity) })
	if !b.Stale(m.now()) || grants(b, digest) {
		t.Error("it decides")
	}
	if m.save().head != head {
		t.Error("it has changed what the others have")
	}
}

// A record that this version cannot read is not skipped: the node stops there.
func TestNewerRecord(t *testing.T) {
	t.Parallel()
	m := newMemorySequencer()
	a, _ := joinNode(t, newPath(t), m)
	b, _ := joinNode(t, newPath(t), m)
	_, digest := makeToken(t, a, "sync")
	eventually(t, b, "the token", func() bool { return grants(b, digest) })
	r := b.replica.Load()
	if err := b.lock(context.Background()); err != nil {
		t.Fatal(err)
	}
	before := r.standing
	next := standing{Head: before.Head, sum: before.sum}
	next.Revision++
	next.Count++
	key := string(keyToken) + "tok_9999999999999999999999"
	value, hidden := r.integrity.seal(key, seal(key[1:], []byte{tokenVersion + 1, 1, 2, 3}))
	next.sum = next.sum.plus(hidden)
	commit := &Commit{Base: before.Head, Changed: []Keyed{{key, value}}}
	commit.Audit, _ = r.integrity.seal(auditKey(next.Epoch, next.Revision), []byte{1})
	r.integrity.extend(&commit.Base, &next.Head, next.sum)
	commit.Next = next.Head
	err := r.sequencer.Commit(context.Background(), commit)
	b.unlock()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, a, "it says so", func() bool { return errors.Is(a.replica.Load().replication().Err, errForeign) })
	if got := a.replica.Load().replication().Position; got != before.Position {
		t.Errorf("it went on to %+v", got)
	}
	m.pass(time.Hour)
	if !a.Stale(m.now()) {
		t.Error("it is not stale")
	}
}

// After a new epoch nobody decides until every node could tell what it knows.
func TestGrace(t *testing.T) {
	t.Parallel()
	m := newMemorySequencer()
	a, node := joinNode(t, newPath(t), m)
	_, _ = makeToken(t, a, "sync")
	if !a.Stale(m.now()) {
		t.Error("a new epoch, and the node decides at once")
	}
	m.pass(MinStaleness/2 + time.Millisecond)
	node.wake(nil)
	eventually(t, a, "the grace is over", func() bool { return !a.Stale(m.now()) })
	m.restore(new(memorySequencer))
	m.pass(MinStaleness + time.Millisecond)
	node.wake(nil)
	eventually(t, a, "it has filled the sequencer again", func() bool { return m.save().has })
	if !a.Stale(m.now()) {
		t.Error("another epoch, and the node decides at once")
	}
	m.pass(MinStaleness/2 + time.Millisecond)
	node.wake(nil)
	eventually(t, a, "the grace is over", func() bool { return !a.Stale(m.now()) })
}

// A sequencer whose clock was set back does not keep nodes from deciding: they know
// themselves for how long they have seen the epoch.
func TestGraceWithAClockSetBack(t *testing.T) {
	t.Parallel()
	m := newMemorySequencer()
	a, _ := joinNode(t, newPath(t), m)
	_, digest := makeToken(t, a, "sync")
	m.mu.Lock()
	m.began = m.now().Add(time.Hour)
	m.mu.Unlock()
	m.pass(time.Minute)
	if !a.Stale(m.now()) {
		t.Fatal("the lease has not run out")
	}
	eventually(t, a, "it decides again", func() bool { return !a.Stale(m.now()) && grants(a, digest) || m.grow(t) })
}

// slow is a sequencer from which a node takes long to download, or to which it takes long to
// tell what it knows.
type slow struct {
	*memoryNode
	scans, commits atomic.Bool // take long
	begun, goOn    chan struct{}
}

func (n *slow) Scan(ctx context.Context, each func([]Keyed) error) error {
	n.hold(&n.scans)
	return n.memoryNode.Scan(ctx, each)
}

func (n *slow) Commit(ctx context.Context, c *Commit) error {
	n.hold(&n.commits)
	return n.memoryNode.Commit(ctx, c)
}

func (n *slow) hold(takesLong *atomic.Bool) {
	if takesLong.Swap(false) {
		n.begun <- struct{}{}
		<-n.goOn
	}
}

// After a new epoch nobody decides either until those have told what they know that are
// alive and take long.
func TestGraceForSlowNodes(t *testing.T) {
	t.Parallel()
	for name, makeSlow := range map[string]func(*slow){
		"download": func(n *slow) { n.scans.Store(true) }, "telling": func(n *slow) { n.commits.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testGraceForSlowNode(t, makeSlow)
		})
	}
}

func testGraceForSlowNode(t *testing.T, makeSlow func(*slow)) {
	t.Helper()
	m := newMemorySequencer()
	a, behind := joinNode(t, newPath(t), m)
	ref, digest := makeToken(t, a, "sync")
	n := &slow{memoryNode: m.node(), begun: make(chan struct{}), goOn: make(chan struct{})}
	b := openBehind(t, newPath(t), n, n.memoryNode)
	eventually(t, b, "the token", func() bool { return grants(b, digest) })
	behind.set(func() { behind.down = true })
	if _, err := b.Deactivate(context.Background(), tester, ref); err != nil {
		t.Fatal(err)
	}
	m.restore(new(memorySequencer))
	n.set(func() { n.down = true })
	makeSlow(n)
	behind.set(func() { behind.down = false }) // it fills the sequencer, without the revocation
	eventually(t, a, "another epoch", func() bool { return a.replica.Load().replication().Rejoins["empty"] > 1 })
	n.set(func() { n.down = false })
	<-n.begun
	m.pass(10 * time.Second)
	before := behind.pulls.Load()
	eventually(t, a, "it has asked again", func() bool { return behind.pulls.Load() > before+1 })
	if !a.Stale(m.now()) {
		t.Errorf("it decides, and grants a revoked credential: %t", grants(a, digest))
	}
	n.goOn <- struct{}{}
	eventually(t, a, "it decides", func() bool { return !a.Stale(m.now()) || m.grow(t) })
	if grants(a, digest) {
		t.Error("it grants a revoked credential")
	}
}

// What was dropped on purpose does not come back with a node that was away.
func TestReset(t *testing.T) {
	t.Parallel()
	m := newMemorySequencer()
	a, _ := joinNode(t, newPath(t), m)
	b, away := joinNode(t, newPath(t), m)
	_, digest := makeToken(t, a, "sync")
	eventually(t, b, "the token", func() bool { return grants(b, digest) })
	away.set(func() { away.down = true })
	if err := a.Reset(context.Background()); err != nil {
		t.Fatal(err)
	}
	if grants(a, digest) {
		t.Error("after the reset the token is granted")
	}
	_, fresh := makeToken(t, a, "fresh")
	away.set(func() { away.down = false })
	eventually(t, b, "what there is since", func() bool { return grants(b, fresh) })
	awaitSame(t, a, b)
	if grants(a, digest) || grants(b, digest) {
		t.Error("what was dropped came back")
	}
}

// A store that is an older copy, or damaged, revokes no less once it follows the others.
func TestOlderCopyInACluster(t *testing.T) {
	t.Parallel()
	m := newMemorySequencer()
	path := newPath(t)
	a, _ := joinNode(t, path, m)
	b, _ := joinNode(t, newPath(t), m)
	ref, digest := makeToken(t, a, "sync")
	eventually(t, b, "the token", func() bool { return grants(b, digest) })
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	older, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Delete(context.Background(), tester, ref); err != nil {
		t.Fatal(err)
	}
	for _, content := range [][]byte{older, older[:len(older)/2]} {
		if err := os.WriteFile(path, content, fileMode); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path, clusterOptions(m.node()))
		if err != nil {
			t.Fatal(err)
		}
		if grants(s, digest) && !s.Stale(m.now()) {
			t.Error("it grants what it does not know to be revoked")
		}
		eventually(t, s, "the revocation", func() bool {
			return !grants(s, digest) && s.replica.Load().replication().Position == b.replica.Load().replication().Position
		})
		checkAndClose(t, s)
	}
}

func TestGeneration(t *testing.T) {
	t.Parallel()
	m := newMemorySequencer()
	a, _ := joinNode(t, newPath(t), m)
	b, _ := joinNode(t, newPath(t), m)
	for _, s := range []*Store{a, b} {
		eventually(t, s, "joined", func() bool { return s.replica.Load().position.Load().Epoch != "" })
	}
	apply := func(s *Store, digest byte) {
		t.Helper()
		if _, err := tryApply(s, testFile(), PlanOptions{}, ApplyOptions{Source: "f", Digest: [32]byte{digest}}); err != nil {
			t.Fatal(err)
		}
		awaitSame(t, a, b)
	}
	check := func(s *Store, digest byte, want Generation) {
		t.Helper()
		if got, err := s.Generation("f", [32]byte{digest}); got != want || err != nil {
			t.Errorf("file %d: got %d, %v; want %d", digest, got, err, want)
		}
	}
	check(a, 1, Newer)
	apply(a, 1)
	check(b, 1, Current)
	check(a, 2, Newer)
	apply(a, 2)
	check(b, 1, Older) // the rollout has not come here yet
	check(b, 1, Older)
	check(b, 2, Current)
	check(b, 1, Newer) // it was reverted here
	apply(b, 1)
	check(a, 2, Older)
	check(a, 3, Newer)
}

func TestJoinTokens(t *testing.T) {
	t.Parallel()
	digest := func(i byte) scopes.Digest { return scopes.Digest{i} }
	base := &record{
		id: "tok_0000000000000000000000", account: "acme", created: testNow, version: 3,
		token:       scopes.Token{Name: "a", Access: scopes.ReadOnly},
		credentials: []credential{{digest: digest(1), created: testNow}},
	}
	edit := func(fn func(*record)) *record {
		r := base.clone()
		fn(r)
		return r
	}
	deleted := edit(func(r *record) { r.delete(); r.version = 4 })
	deactivated := edit(func(r *record) { r.token.Inactive, r.deactivations, r.version = true, 1, 4 })
	rotated := edit(func(r *record) {
		r.kill(digest(1))
		r.credentials = append(r.credentials, credential{digest: digest(2), created: testNow})
		r.version = 9
	})
	for _, test := range []struct {
		name     string
		a, b     *record
		terminal bool
		inactive bool
		live     []scopes.Digest
	}{
		{"deleted beats what is newer", deleted, rotated, true, true, nil},
		{"a deactivation beats what has not seen it, and what was rotated out stays out", deactivated, rotated, false, true, nil},
		{"the newer one", base, rotated, false, false, []scopes.Digest{digest(2)}},
	} {
		for _, pair := range [][2]*record{{test.a, test.b}, {test.b, test.a}} {
			got := joinTokens(pair[0], pair[1])
			if got.terminal != test.terminal || got.token.Inactive != test.inactive || len(got.credentials) != len(test.live) {
				t.Errorf("%s: got %+v", test.name, got)
			}
			for _, one := range pair {
				if again := joinTokens(got, one); string(again.encode()) != string(got.encode()) {
					t.Errorf("%s: joining it again gives %+v, want %+v", test.name, again, got)
				}
			}
		}
	}
}
