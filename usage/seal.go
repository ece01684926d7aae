package usage

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// sealer signs what goes through an exchange, with keys that all nodes have. It is not
// safe for concurrent use.
type sealer struct{ rows, shelves hash.Hash }

// tagBytes is the length of what a shared row ends with: half of a HMAC-SHA256.
const tagBytes = sha256.Size / 2

func newSealer(secret string) (*sealer, error) {
	if secret == "" {
		return nil, errors.New("usage: what nodes exchange needs a secret")
	}
	var macs [2]hash.Hash
	for i, purpose := range []string{"usage row", "usage shelf"} {
		key, err := hkdf.Key(sha256.New, []byte(secret), nil, "scopegate "+purpose, sha256.Size)
		if err != nil {
			return nil, fmt.Errorf("usage: deriving keys from the secret: %w", err)
		}
		macs[i] = hmac.New(sha256.New, key)
	}
	return &sealer{rows: macs[0], shelves: macs[1]}, nil
}

// seal returns a row as it is exchanged: with its tag, which is good for this row of this
// shelf only.
func (n *sealer) seal(s Shelf, key, value []byte) SharedRow {
	sealed := make([]byte, 0, len(value)+tagBytes)
	return SharedRow{slices.Clone(key), append(append(sealed, value...), n.tag(s, key, value)...)}
}

// open is the inverse of seal. It reports false for what no node has sealed.
func (n *sealer) open(s Shelf, r SharedRow) (value []byte, ok bool) {
	if len(r.Value) < tagBytes || len(r.Value) > MaxSharedValue || len(r.Key) == 0 || len(r.Key) > MaxSharedKey {
		return nil, false
	}
	value = r.Value[:len(r.Value)-tagBytes]
	if !hmac.Equal(r.Value[len(value):], n.tag(s, r.Key, value)) {
		return nil, false
	}
	_, err := decodeRow(value)
	return value, err == nil
}

func (n *sealer) tag(s Shelf, key, value []byte) []byte {
	n.rows.Reset()
	_, _ = n.rows.Write(s.key()) // it has one length; and it never fails
	_, _ = n.rows.Write(appendNumber(uint64(len(key))))
	_, _ = n.rows.Write(key)
	_, _ = n.rows.Write(value)
	return n.rows.Sum(nil)[:tagBytes]
}

// mark returns the mark of a shelf's rows, which are nil for none, and how many they are.
// It is over their numbers, not what they say: that follows from these, and is folded
// sooner or later.
func (n *sealer) mark(s Shelf, rows *bolt.Bucket) (m Mark, count int, err error) {
	if rows == nil {
		return Mark{}, 0, nil
	}
	n.shelves.Reset()
	_, _ = n.shelves.Write(s.key())
	err = rows.ForEach(func(key, value []byte) error {
		if len(value) < seqBytes {
			return nil // it is damaged, and left out of everything
		}
		count++
		m.Seq = max(m.Seq, seqOf(value))
		_, _ = n.shelves.Write(appendNumber(uint64(len(key))))
		_, _ = n.shelves.Write(key)
		_, _ = n.shelves.Write(value[:seqBytes])
		return nil
	})
	if count > 0 {
		copy(m.Seal[:], n.shelves.Sum(nil))
	}
	return m, count, err
}
