package store

import (
	"encoding/binary"
	"errors"
	"fmt"
)

var (
	keyPosition = []byte("cluster") // in bucketMeta: where the node stands
	keyNode     = []byte("node")    // in bucketMeta: the node's id
)

// standing is how far a node has followed the changes, and what its records add up to.
type standing struct {
	Head
	sum sum
}

// standingVersion is the newest version of a standing's record, and the one written.
const standingVersion = 1

func (s *standing) encode() []byte {
	b := appendString([]byte{standingVersion}, s.Epoch)
	b = append(append(b, s.Chain[:]...), s.Sig[:]...)
	for _, n := range []uint64{uint64(s.Format), s.Revision, s.Count, s.Resets, s.sum.high, s.sum.low} { //nolint:gosec // a format is small
		b = binary.AppendUvarint(b, n)
	}
	return seal(string(keyPosition), b)
}

// standing returns where the node stands; the zero standing if it was never in a cluster.
func (r reader) standing() (standing, error) {
	value := r.bucket(bucketMeta).Get(keyPosition)
	if value == nil {
		return standing{}, nil
	}
	d, err := unseal(keyPosition, value, standingVersion)
	if err != nil {
		return standing{}, damaged("store", "cluster", err)
	}
	var s standing
	s.Epoch = d.string()
	copy(s.Chain[:], d.fixed(len(s.Chain)))
	copy(s.Sig[:], d.fixed(len(s.Sig)))
	s.Format = int(d.uvarint()) //nolint:gosec // it is small
	for _, n := range []*uint64{&s.Revision, &s.Count, &s.Resets, &s.sum.high, &s.sum.low} {
		*n = d.uvarint()
	}
	return s, d.end()
}

func (c *change) putStanding(s *standing) error {
	return c.bucket(bucketMeta).Put(keyPosition, s.encode())
}

// auditKey is under what the entries of a revision are sealed.
func auditKey(epoch string, revision uint64) string {
	return fmt.Sprintf("audit %s %d", epoch, revision)
}

// encodeEntries returns the change's entries as other nodes get them.
func (c *change) encodeEntries() []byte {
	b := []byte{1}
	for i := range c.entries {
		b = appendString(b, c.entries[i].encode(entryKey(c.revision, i)))
	}
	return b
}

// putForeignEntries writes what other nodes have for the audit log.
func (c *change) putForeignEntries(n *integrity, epoch string, audit []Audited) error {
	for _, a := range audit {
		value, _, ok := n.open(auditKey(epoch, a.Revision), a.Entries)
		if !ok || len(value) == 0 || value[0] != 1 {
			return fmt.Errorf("%w: the audit entries of revision %d", ErrIntegrity, a.Revision)
		}
		d := decoder{rest: value[1:]}
		for i := 0; len(d.rest) > 0 && !d.bad; i++ {
			key, entry := entryKey(a.Revision, i), d.block()
			if _, err := decodeEntry(key, entry); err != nil {
				return unreadable("audit entry", fmt.Sprint(a.Revision), err)
			}
			if err := c.bucket(bucketAudit).Put(key, entry); err != nil {
				return err
			}
		}
		if err := d.end(); err != nil {
			return errors.Join(errForeign, err)
		}
	}
	return nil
}
