package store

import (
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// Generation is how a scope file stands to the one that was applied last from its source.
type Generation int

// The generations. Nodes whose copies of a file differ while it is rolled out do not
// fight: one that has been superseded is not applied again, unless it took the place of
// the current one before this node's eyes.
const (
	Newer   Generation = iota + 1 // to be applied
	Current                       // was applied last
	Older                         // was applied, and then another one
)

// source is what is remembered of the scope files from one source.
type source struct {
	digest     [32]byte   // of the one that was applied last
	superseded [][32]byte // of those before, the latest last; at most maxSuperseded
}

// sourceVersion is the newest version of a source's record, and the one written. The
// second has what was superseded.
const sourceVersion = 2

// maxSuperseded bounds how many earlier files a source remembers.
const maxSuperseded = 64

func (s *source) encode(name string) []byte {
	b := append([]byte{sourceVersion}, s.digest[:]...)
	for i := range s.superseded {
		b = append(b, s.superseded[i][:]...)
	}
	return seal(name, b)
}

func decodeSource(name string, value []byte) (*source, error) {
	d, err := unseal([]byte(name), value, sourceVersion)
	if err != nil {
		return nil, err
	}
	s := &source{digest: d.digest()}
	for value[0] > 1 && len(d.rest) > 0 && !d.bad {
		s.superseded = append(s.superseded, d.digest())
	}
	return s, d.end()
}

// AppliedDigest returns the digest that was last applied from a source, and
// whether there is one.
func (s *Store) AppliedDigest(name string) (digest [32]byte, ok bool, err error) {
	err = s.view(func(r reader) error {
		known, err := r.source(name)
		if err != nil { // it is applied once more, and then written anew
			s.log.Warn("it is not known what was applied last", "source", name, "error", damaged("source", name, err))
			return nil
		}
		if known != nil {
			digest, ok = known.digest, true
		}
		return nil
	})
	return digest, ok, err
}

// source returns what is remembered of a source; nil for nothing.
func (r reader) source(name string) (*source, error) {
	value := r.bucket(bucketSources).Get([]byte(name))
	if value == nil {
		return nil, nil //nolint:nilnil // that there is none is no error here
	}
	return decodeSource(name, value)
}

// Generation tells how a scope file with a digest stands to the one that was applied last
// from its source, and remembers that this node has it.
func (s *Store) Generation(name string, digest [32]byte) (Generation, error) {
	var generation Generation
	var seen bool
	err := s.view(func(r reader) error {
		known, err := r.source(name)
		if err != nil || known == nil {
			generation = Newer
			return nil //nolint:nilerr // it is applied once more, and then written anew
		}
		last := r.bucket(bucketMeta).Get(seenKey(name))
		seen = slices.Equal(last, digest[:])
		switch {
		case known.digest == digest:
			generation = Current
		case !slices.Contains(known.superseded, digest),
			slices.Equal(last, known.digest[:]), last == nil && s.replica.Load() == nil:
			generation = Newer
		default:
			generation = Older
		}
		return nil
	})
	if err != nil || seen || generation == Newer || s.readOnly {
		return generation, err
	}
	return generation, s.guard(func() error {
		return s.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Put(seenKey(name), digest[:]) })
	})
}

// seenKey is where in bucketMeta the digest stands of the file that this node has.
func seenKey(name string) []byte { return []byte("seen " + name) }

func (c *change) putSource(name string, digest [32]byte) error {
	if c.authority != nil {
		return fmt.Errorf("%w: what the server applies from %q is not for a token to say", ErrAuthority, name)
	}
	known, err := c.source(name)
	switch {
	case err != nil || known == nil: // what cannot be read is written anew
		known = new(source)
	case known.digest == digest:
		return nil
	default:
		known.superseded = append(known.superseded, known.digest)
	}
	known.superseded = slices.DeleteFunc(known.superseded, func(d [32]byte) bool { return d == digest })
	known.superseded = known.superseded[max(0, len(known.superseded)-maxSuperseded):]
	known.digest = digest
	c.wrote = true
	c.share(keySource, name)
	if err := c.bucket(bucketMeta).Put(seenKey(name), digest[:]); err != nil {
		return err
	}
	return c.bucket(bucketSources).Put([]byte(name), known.encode(name))
}
