package store

import (
	"slices"

	"github.com/scopegate/scopegate/scopes"
)

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
