package store

import (
	"context"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

// A node that is told of a revocation refuses before it has asked what was changed, and only
// what was revoked.
func TestToldOfARevocation(t *testing.T) {
	t.Parallel()
	m := newMemorySequencer()
	a, _ := joinNode(t, newPath(t), m)
	b, n := interpose(t, m)
	for name, revoke := range map[string]func(ref string) error{
		"deactivated": func(ref string) error { _, err := a.Deactivate(context.Background(), tester, ref); return err },
		"deleted":     func(ref string) error { _, err := a.Delete(context.Background(), tester, ref); return err },
		"rotated":     func(ref string) error { _, err := a.Rotate(context.Background(), tester, ref, 0); return err },
	} {
		n.silence(false)
		ref, digest := makeToken(t, a, name)
		_, other := makeToken(t, a, "beside-"+name)
		eventually(t, b, "the tokens", func() bool { return grants(b, digest) && grants(b, other) })
		n.silence(true)
		if err := revoke(ref); err != nil {
			t.Fatal(err)
		}
		eventually(t, b, "the revocation", func() bool { return !grants(b, digest) })
		if !grants(b, other) {
			t.Errorf("%s: another token is refused too", name)
		}
	}
	n.silence(false)
	awaitSame(t, a, b)
}

// toldOf is a token's record as all nodes have it, after fn, in a wake-up.
func toldOf(t *testing.T, s *Store, ref string, fn func(*record)) Keyed {
	t.Helper()
	key := keyOfToken(t, s, ref)
	integrity := must(t, func() (*integrity, error) { return newIntegrity(testSecret) })
	var told Keyed
	err := s.view(func(read reader) error {
		rec, err := read.stored(key[1:])
		if err != nil {
			return err
		}
		now := rec.clone()
		fn(now)
		sealed, _ := integrity.seal(key, now.encode())
		told = Keyed{Key: key, Value: sealed}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return told
}

// A revocation that a Redis told of and then lost, with the node that made it, is none: who
// refuses because of it goes on granting once it has asked.
func TestToldOfWhatWasLost(t *testing.T) {
	t.Parallel()
	m := newMemorySequencer()
	b, n := interpose(t, m)
	ref, digest := makeToken(t, b, "sync")
	_, other := makeToken(t, b, "other")
	n.silence(true)
	n.tell(t, b, toldOf(t, b, ref, func(r *record) { r.delete(); r.version++ }))
	if grants(b, digest) || !grants(b, other) {
		t.Errorf("after it was told: granted %t, and another token %t; want false, true", grants(b, digest), grants(b, other))
	}
	n.silence(false)
	eventually(t, b, "that it is granted", func() bool { return grants(b, digest) })
	if !grants(b, other) {
		t.Error("another token is refused")
	}
}

// What is in a wake-up and no node has sealed, or is no news, changes nothing.
func TestForgedWakeup(t *testing.T) {
	t.Parallel()
	m := newMemorySequencer()
	b, n := interpose(t, m)
	ref, digest := makeToken(t, b, "sync")
	otherRef, other := makeToken(t, b, "other")
	replayed := toldOf(t, b, ref, func(r *record) { r.token.Inactive = true; r.noteDeactivation(deactivationID{1}) })
	mustDo(t, b.Deactivate, ref)
	mustDo(t, b.Activate, ref)
	n.silence(true)
	good := toldOf(t, b, ref, func(r *record) { r.delete(); r.version++ })
	flipped := Keyed{good.Key, append([]byte{good.Value[0] ^ 1}, good.Value[1:]...)}
	elsewhere := Keyed{keyOfToken(t, b, otherRef), good.Value}
	unknown := toldOf(t, b, ref, func(r *record) { r.delete(); r.version++ })
	unknown.Key = string(keyToken) + must(t, func() (string, error) { return newID(b.random) })
	n.tell(t, b, replayed, flipped, elsewhere, unknown, Keyed{}, Keyed{Key: "t"}, Keyed{Key: good.Key}, Keyed{Key: "x" + good.Key, Value: good.Value})
	for _, d := range []scopes.Digest{digest, other} {
		if !grants(b, d) {
			t.Error("a wake-up that nobody can have meant made a token refused")
		}
	}
	n.tell(t, b, good)
	if grants(b, digest) {
		t.Error("the same as a node would send it has no effect")
	}
	n.silence(false)
	eventually(t, b, "that it is granted", func() bool { return grants(b, digest) })
}
