package store

import (
	bolt "go.etcd.io/bbolt"
)

// installation is what other nodes have changed, on its way into the store.
type installation struct {
	puts     records // what differs; a nil value is taken out
	standing standing
	audit    []Audited
	note     string // for the audit log of this node; "" for none
	reload   bool   // so much differs that the index is built anew
	forget   bool   // what is pending was dropped on purpose, with all that it was about
}

// install takes over what other nodes have changed: in one transaction, as a change of
// this node's own is made.
func (r *replica) install(i *installation) error {
	s := r.store
	var c *change
	var next *Snapshot
	still := make(map[string]*revocation)
	err := s.guard(func() error {
		return s.db.Update(func(tx *bolt.Tx) (err error) {
			if c, err = s.newChange(tx, Actor{Name: "scopegate"}); err != nil {
				return err
			}
			c.revision, c.recompile = i.standing.Revision, i.reload
			if pending := s.pending.Load(); pending != nil && !i.forget {
				still = *pending
			}
			if i.reload { // most of it is new, and comes in the order of the keys
				c.bucket(bucketTokens).FillPercent, c.bucket(bucketNames).FillPercent = fullPages, fullPages
			}
			if err := r.write(c, i); err != nil {
				return err
			}
			still = c.stillPending(still)
			if err := c.putOutbox(still); err != nil {
				return err
			}
			next, err = c.nextSnapshot()
			return err
		})
	})
	if err != nil {
		return err
	}
	if len(still) > 0 {
		if next, err = next.without(still); err != nil {
			return err
		}
	}
	next.revision = i.standing.Revision
	r.standing = i.standing
	r.publishPosition()
	return s.publishForeign(c, next, still)
}

// write writes all that an installation has.
func (r *replica) write(c *change, i *installation) error {
	if err := c.putAllShared(i); err != nil {
		return err
	}
	if err := c.putForeignEntries(r.integrity, i.standing.Epoch, i.audit); err != nil {
		return err
	}
	if i.note != "" {
		c.record("join", "store", "", []string{i.note})
		if err := c.putEntries(); err != nil {
			return err
		}
	}
	c.state.revision = c.revision
	if err := c.bucket(bucketMeta).Put(keyState, c.state.encode()); err != nil {
		return err
	}
	return c.putStanding(&i.standing)
}

// putAllShared writes the records of an installation.
func (c *change) putAllShared(i *installation) error {
	if i.reload && c.isBlank() {
		return c.fill(i.puts)
	}
	for _, key := range sortedKeys(i.puts) {
		if err := c.putShared(key, i.puts[key]); err != nil {
			return err
		}
	}
	return c.putForeignNames()
}

// publishForeign makes visible what other nodes have changed. The revocations log gets
// what it means; it does not matter if it cannot, for the other nodes know.
func (s *Store) publishForeign(c *change, next *Snapshot, pending map[string]*revocation) error {
	s.revision = max(s.revision, c.revision)
	s.snapshot.Store(next)
	s.pending.Store(nil)
	if len(pending) > 0 {
		s.pending.Store(&pending)
	}
	s.announce()
	if err := s.journal.append(c.logLines(), len(c.revocations) > 0); err != nil {
		s.log.Warn("the revocations log cannot be written; the other nodes know what it lacks", "error", err)
	}
	return nil
}
