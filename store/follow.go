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

// refuseTold takes out of the index what others have revoked, as a wake-up told, before the
// node has asked. Whoever can send one cannot make it up: the records are sealed, and count
// where they come after what the node has.
func (r *replica) refuseTold(told []Keyed) {
	if r.standing.Epoch == "" || r.store.snapshot.Load() == nil {
		return
	}
	puts := make(records)
	for _, one := range told {
		if len(one.Key) <= 1 || one.Key[0] != keyToken {
			continue
		}
		if value, _, ok := r.integrity.open(one.Key, one.Value); ok {
			puts[one.Key] = value
		}
	}
	if len(puts) == 0 {
		return
	}
	refused, err := r.refuseFirst(puts)
	if err != nil {
		r.store.log.Warn("what was told of a revocation cannot be used; the node asks for it", "error", err)
	}
	for _, key := range refused {
		r.early[key] = true
	}
}

// restoreTold puts back into the index what was refused because of a wake-up, and is not
// revoked in what all nodes have: a Redis can lose what it has told.
func (r *replica) restoreTold() error {
	if len(r.early) == 0 {
		return nil
	}
	snapshot, puts := r.store.snapshot.Load(), make(records)
	err := r.store.view(func(read reader) error {
		for key := range r.early {
			rec, err := read.stored(key[1:])
			if err == nil && !rec.token.Inactive && slices.ContainsFunc(rec.digests(), func(d scopes.Digest) bool { return snapshot.tokenOf(d) == "" }) {
				puts[key] = read.shared(key)
			}
		}
		return nil
	})
	if err == nil && len(puts) > 0 {
		err = r.install(&installation{puts: puts, standing: r.standing})
	}
	if err == nil {
		clear(r.early)
	}
	return err
}
