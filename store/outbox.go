package store

import (
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/scopegate/scopegate/scopes"
)

// bucketOutbox holds revocations that are in force here and that the other nodes do not
// have yet: token's id → revocation. Only the store of a cluster has it.
var bucketOutbox = []byte("outbox")

// revocationVersion is the newest version of a revocation's record, and the one written.
// The second has the deactivation's id.
const revocationVersion = 2

// Flags of a revocation's record.
const (
	flagRevokedDeleted byte = 1 << iota
	flagRevokedInactive
	flagRevokedHeld
)

func (r *revocation) encode() []byte {
	var flags byte
	for bit, set := range map[byte]bool{flagRevokedDeleted: r.deleted, flagRevokedInactive: r.inactive, flagRevokedHeld: r.held} {
		if set {
			flags |= bit
		}
	}
	b := append([]byte{revocationVersion, flags}, r.deactivation[:]...)
	b = appendString(b, r.ref)
	b = appendDigests(appendDigests(b, r.digests), r.dead)
	ends := make(map[string]int64, len(r.ends))
	for d, at := range r.ends {
		ends[string(d[:])] = at
	}
	for _, d := range sortedKeys(ends) {
		b = appendTime(append(b, d...), timeOf(ends[d]))
	}
	return seal(r.id, b)
}

func appendDigests(b []byte, digests []scopes.Digest) []byte {
	var block []byte
	for i := range digests {
		block = append(block, digests[i][:]...)
	}
	return appendString(b, block)
}

func (d *decoder) digests() []scopes.Digest {
	inner := decoder{rest: d.block()}
	var digests []scopes.Digest
	for len(inner.rest) > 0 && !inner.bad {
		digests = append(digests, inner.digest())
	}
	d.bad = d.bad || inner.bad
	return digests
}

func decodeRevocation(id, value []byte) (*revocation, error) {
	d, err := unseal(id, value, revocationVersion)
	if err != nil {
		return nil, err
	}
	r := &revocation{id: string(id)}
	flags := d.byte()
	if value[0] > 1 {
		copy(r.deactivation[:], d.fixed(len(r.deactivation)))
	}
	r.deleted, r.inactive, r.held = flags&flagRevokedDeleted != 0, flags&flagRevokedInactive != 0, flags&flagRevokedHeld != 0
	r.ref, r.digests, r.dead = d.string(), d.digests(), d.digests()
	for len(d.rest) > 0 && !d.bad {
		if r.ends == nil {
			r.ends = make(map[scopes.Digest]int64)
		}
		digest := d.digest()
		r.ends[digest] = unixOf(d.time())
	}
	return r, d.end()
}

// outbox returns the revocations that the other nodes do not have yet.
func (r reader) outbox() (map[string]*revocation, error) {
	waiting := make(map[string]*revocation)
	bucket := r.bucket(bucketOutbox)
	if bucket == nil {
		return waiting, nil
	}
	err := bucket.ForEach(func(id, value []byte) error {
		revoked, err := decodeRevocation(id, value)
		if err != nil {
			return fmt.Errorf("%w; delete or deactivate the token again", damaged("revocation", string(id), err))
		}
		waiting[revoked.id] = revoked
		return nil
	})
	return waiting, err
}

// putOutbox makes the outbox what is pending.
func (c *change) putOutbox(pending map[string]*revocation) error {
	if c.bucket(bucketOutbox) != nil {
		if err := c.tx.DeleteBucket(bucketOutbox); err != nil {
			return err
		}
	}
	delete(c.opened, string(bucketOutbox)) // it is another one now
	bucket, err := c.tx.CreateBucket(bucketOutbox)
	if err != nil {
		return err
	}
	for _, id := range sortedKeys(pending) {
		if err := bucket.Put([]byte(id), pending[id].encode()); err != nil {
			return err
		}
	}
	return nil
}

// stillPending returns those of the pending revocations that the records have not seen.
// They concern the credentials that their tokens have now, too: one that was cut off from
// the others may have revoked a token before it heard of its credential.
func (r reader) stillPending(pending map[string]*revocation) map[string]*revocation {
	still := make(map[string]*revocation)
	for id, revoked := range pending {
		rec, err := r.stored(id)
		if err != nil {
			still[id] = revoked
			continue
		}
		now := *revoked
		if now.deleted || now.inactive {
			now.digests = union(now.digests, rec.digests())
		}
		if now.apply(rec) {
			still[id] = &now
		}
	}
	return still
}

// union returns the digests of both, each once.
func union(a, b []scopes.Digest) []scopes.Digest {
	both := slices.Clone(a)
	for _, d := range b {
		if !slices.Contains(both, d) {
			both = append(both, d)
		}
	}
	return both
}

// keepOutbox writes down what the other nodes do not know yet. On a full disk the
// revocations log has it all the same.
func (s *Store) keepOutbox(pending map[string]*revocation, cause error) {
	s.log.Warn("a revocation is in force here, and the other nodes get it as soon as they can be reached", "error", cause)
	err := s.guard(func() error {
		return s.db.Update(func(tx *bolt.Tx) error {
			c, err := s.newChange(tx, Actor{})
			if err != nil {
				return err
			}
			return c.putOutbox(pending)
		})
	})
	if err != nil {
		s.log.Error("what the other nodes have yet to get is in the revocations log alone", "error", err)
	}
}
