package store

import (
	"reflect"
	"slices"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

// awaitInactive waits until a node knows that a token is inactive.
func awaitInactive(tb testing.TB, s *Store, ref string) {
	tb.Helper()
	eventually(tb, s, "the deactivation", func() bool {
		token, err := s.Token(ref)
		return err == nil && token.Inactive
	})
}

// wantRevokedOn checks that two nodes agree on a token's revocation, once they know all.
func wantRevokedOn(t *testing.T, a, b *Store, ref string, digest scopes.Digest) {
	t.Helper()
	awaitInactive(t, a, ref)
	awaitSame(t, a, b)
	if grants(a, digest) || grants(b, digest) {
		t.Error("an acknowledged revocation was undone")
	}
}

// A node that is behind knows a token as deactivated, which another has activated since:
// to deactivate it there is a deactivation all the same, with the others or without them.
func TestDeactivationOfWhatSeemsInactive(t *testing.T) {
	t.Parallel()
	for name, restarts := range map[string]bool{"goes on": false, "restarts": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMemorySequencer()
			a, _ := joinNode(t, newPath(t), m)
			path := newPath(t)
			b, behind := joinNode(t, path, m)
			ref, digest := makeToken(t, a, "sync")
			mustDo(t, a.Deactivate, ref)
			awaitInactive(t, b, ref)
			behind.set(func() { behind.down = true })
			mustDo(t, a.Activate, ref)

			mustDo(t, b.Deactivate, ref) // acknowledged, and pending
			if pending := b.replica.Load().replication().Pending; pending != 1 {
				t.Errorf("%d are pending, want 1", pending)
			}
			if restarts {
				if err := b.Close(); err != nil {
					t.Fatal(err)
				}
				behind = m.node()
				b = openStore(t, path, clusterOptions(behind))
			}
			behind.set(func() { behind.down = false })
			wantRevokedOn(t, a, b, ref, digest)
		})
	}
}

// A revocation that waits to be sent is not settled by another deactivation, which the node
// hears of right before the token is activated again by who has heard of that one alone.
func TestPendingDeactivationBesideAnother(t *testing.T) {
	t.Parallel()
	m := newMemorySequencer()
	a, _ := joinNode(t, newPath(t), m)
	b, n := interpose(t, m)
	ref, digest := makeToken(t, a, "sync")
	eventually(t, b, "the token", func() bool { return grants(b, digest) })

	n.set(func() { n.down = true })
	mustDo(t, b.Deactivate, ref)
	mustDo(t, a.Deactivate, ref)
	n.change(func() { n.then = func() { mustDo(t, a.Activate, ref) } })
	n.set(func() { n.down = false })
	wantRevokedOn(t, a, b, ref, digest)
}

// An activation that has seen a deactivation is later than it, also where the node that
// deactivated the token never learned that the others had it.
func TestActivationAfterALostAnswer(t *testing.T) {
	t.Parallel()
	m := newMemorySequencer()
	a, n := interpose(t, m)
	b, _ := joinNode(t, newPath(t), m)
	ref, digest := makeToken(t, a, "sync")
	eventually(t, b, "the token", func() bool { return grants(b, digest) })
	n.change(func() { n.cuts = true })
	mustDo(t, a.Deactivate, ref)
	awaitInactive(t, b, ref)
	mustDo(t, b.Activate, ref)
	n.set(func() { n.down = false })
	eventually(t, a, "the activation", func() bool { return grants(a, digest) })
	awaitSame(t, a, b)
	if !grants(b, digest) {
		t.Error("an activation was undone that came later")
	}
}

// What waits to be sent is read as it was written, also as an older version wrote it.
func TestPendingRecord(t *testing.T) {
	t.Parallel()
	r := &revocation{
		id: "tok_1", ref: "acme/a", inactive: true, held: true, deactivation: deactivationID{1, 2}, digests: []scopes.Digest{{3}},
		ends: map[scopes.Digest]int64{{4}: 1790000000},
	}
	value := r.encode()
	got, err := decodeRevocation([]byte(r.id), value)
	if err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("got %+v, %v; want %+v", got, err, r)
	}
	fields := value[:len(value)-checksumBytes]
	older := seal(r.id, slices.Concat([]byte{1}, fields[1:2], fields[2+len(r.deactivation):]))
	r.deactivation = deactivationID{}
	if got, err = decodeRevocation([]byte(r.id), older); err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("of the first version: got %+v, %v; want %+v", got, err, r)
	}
}
