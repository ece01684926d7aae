package store

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"math/bits"
)

// integrity is what the nodes of a cluster can tell and their sequencer cannot: each
// record carries a tag, and the head a signature over a sum of all records that never
// leaves the nodes. So a record that was forged is known by its tag, and one that was
// exchanged for an older one, for another's or for none, because the sum is wrong.
//
// It is not safe for concurrent use.
type integrity struct{ records, chains, heads hash.Hash }

// tagBytes is how much of a record's tag goes with it. The other half is what is
// added up.
const tagBytes = sha256.Size / 2

// MinSecretBytes is the shortest secret, in bytes.
const MinSecretBytes = 16

func newIntegrity(secret string) (*integrity, error) {
	if len(secret) < MinSecretBytes {
		return nil, fmt.Errorf("store: the secret of the cluster has %d bytes, and needs %d at least", len(secret), MinSecretBytes)
	}
	var macs [3]hash.Hash
	for i, purpose := range []string{"record", "chain", "head"} {
		key, err := hkdf.Key(sha256.New, []byte(secret), nil, "scopegate "+purpose, sha256.Size)
		if err != nil {
			return nil, fmt.Errorf("store: deriving keys from the secret: %w", err)
		}
		macs[i] = hmac.New(sha256.New, key)
	}
	return &integrity{records: macs[0], chains: macs[1], heads: macs[2]}, nil
}

// sum is the sum of the hidden halves of tags, modulo 2^128. The zero sum is that of
// no records.
type sum struct{ high, low uint64 }

func (s sum) plus(other sum) sum {
	low, carry := bits.Add64(s.low, other.low, 0)
	high, _ := bits.Add64(s.high, other.high, carry)
	return sum{high, low}
}

func (s sum) minus(other sum) sum {
	low, borrow := bits.Sub64(s.low, other.low, 0)
	high, _ := bits.Sub64(s.high, other.high, borrow)
	return sum{high, low}
}

// tag returns both halves of a record's tag: what goes with it, and what it adds to the
// sum.
func (n *integrity) tag(key string, value []byte) (shown [tagBytes]byte, hidden sum) {
	n.records.Reset()
	writeBlock(n.records, key)
	n.records.Write(value)
	var whole [sha256.Size]byte
	n.records.Sum(whole[:0])
	copy(shown[:], whole[:])
	return shown, sum{binary.BigEndian.Uint64(whole[tagBytes:]), binary.BigEndian.Uint64(whole[tagBytes+8:])}
}

// seal returns a value as it goes to the sequencer, and what it adds to the sum.
func (n *integrity) seal(key string, value []byte) ([]byte, sum) {
	shown, hidden := n.tag(key, value)
	sealed := make([]byte, 0, len(value)+tagBytes)
	return append(append(sealed, value...), shown[:]...), hidden
}

// open is the inverse of seal. It reports false for what no node has sealed under the
// key.
func (n *integrity) open(key string, sealed []byte) (value []byte, hidden sum, ok bool) {
	if len(sealed) < tagBytes {
		return nil, sum{}, false
	}
	value = sealed[:len(sealed)-tagBytes]
	shown, hidden := n.tag(key, value)
	return value, hidden, hmac.Equal(shown[:], sealed[len(value):])
}

// extend makes next the head after base, with a chain that goes on from base's and a
// signature. No two are alike, even with the same records.
func (n *integrity) extend(base, next *Head, total sum) {
	var once [16]byte
	_, _ = rand.Read(once[:]) // it never fails
	n.chains.Reset()
	n.chains.Write(base.Chain[:])
	n.chains.Write(once[:])
	writeHead(n.chains, next, total)
	n.chains.Sum(next.Chain[:0])
	next.Sig = n.sign(next, total)
}

// sign returns a head's signature, with the sum of its records.
func (n *integrity) sign(h *Head, total sum) (sig [sha256.Size]byte) {
	n.heads.Reset()
	n.heads.Write(h.Chain[:])
	writeHead(n.heads, h, total)
	n.heads.Sum(sig[:0])
	return sig
}

// holds reports whether a node has signed the head, with the sum of its records.
func (n *integrity) holds(h *Head, total sum) bool {
	sig := n.sign(h, total)
	return hmac.Equal(sig[:], h.Sig[:])
}

// writeHead writes all of a head but its chain and signature.
func writeHead(to hash.Hash, h *Head, total sum) {
	writeBlock(to, h.Epoch)
	for _, number := range []uint64{uint64(h.Format), h.Revision, h.Count, h.Resets, total.high, total.low} { //nolint:gosec // a format is small
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], number)
		to.Write(b[:])
	}
}

// writeBlock writes a text behind its length.
func writeBlock(to hash.Hash, text string) {
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(text)))
	to.Write(length[:])
	to.Write([]byte(text))
}
