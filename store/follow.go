package store

import (
	"fmt"
	"slices"

	"github.com/scopegate/scopegate/scopes"
)

// follow takes over what was changed since the node's position.
func (r *replica) follow(pulled *Pulled) error {
	next := standing{Head: pulled.Head, sum: r.standing.sum}
	count := r.standing.Count
	puts := make(records, len(pulled.Changed))
	err := r.store.view(func(read reader) error {
		for _, changed := range pulled.Changed {
			value, hidden, ok := r.integrity.open(changed.Key, changed.Value)
			if changed.Value != nil && !ok {
				return fmt.Errorf("%w: the record %q", ErrIntegrity, changed.Key)
			}
			if before := read.shared(changed.Key); before != nil {
				_, was := r.integrity.tag(changed.Key, before)
				next.sum = next.sum.minus(was)
				count--
			}
			if changed.Value == nil {
				puts[changed.Key] = nil
				continue
			}
			puts[changed.Key] = value
			next.sum = next.sum.plus(hidden)
			count++
		}
		return nil
	})
	if err != nil {
		return err
	}
	if count != next.Count || !r.integrity.holds(&next.Head, next.sum) {
		return fmt.Errorf("%w: the records of revision %d do not add up", ErrIntegrity, next.Revision)
	}
	r.noteBehind(next.Revision - r.standing.Revision)
	if _, err := r.refuseFirst(puts); err != nil {
		return err
	}
	return r.install(&installation{puts: puts, standing: next, audit: pulled.Audit})
}

// refuseFirst takes out of the index what others have revoked, before anything is written:
// the disk is what takes longest, and refusing too early does no harm. It returns the keys
// of the tokens that are refused since.
func (r *replica) refuseFirst(puts records) (refused []string, err error) {
	snapshot := r.store.snapshot.Load()
	gone := make(map[scopes.Digest]bool)
	err = r.store.view(func(read reader) error {
		for key, value := range puts {
			if key[0] != keyToken || value == nil {
				continue
			}
			now, err := decodeRecord([]byte(key[1:]), value)
			if err != nil {
				return unreadable("token", key[1:], err)
			}
			old, err := read.stored(now.id)
			if err != nil || !supersedes(now, old) {
				continue // it is new here, or cannot be read: nobody is granted it; or it is not news
			}
			lost := lostDigests(old, now)
			for _, d := range lost {
				gone[d] = true
			}
			if slices.ContainsFunc(lost, func(d scopes.Digest) bool { return snapshot.tokenOf(d) != "" }) {
				refused = append(refused, key)
			}
		}
		return nil
	})
	if err != nil || len(refused) == 0 {
		return nil, err
	}
	next, err := snapshot.with(gone, nil)
	if err != nil {
		return nil, err
	}
	r.store.snapshot.Store(next)
	r.store.announce()
	return refused, nil
}

// lostDigests returns the credentials that the step from one state of a token to the next
// takes from it.
func lostDigests(old, now *record) (lost []scopes.Digest) {
	for _, d := range old.digests() {
		if now.terminal || now.token.Inactive || !slices.Contains(now.digests(), d) {
			lost = append(lost, d)
		}
	}
	return lost
}
