package store

import (
	"bytes"
	"slices"

	"github.com/scopegate/scopegate/priority"
	"github.com/scopegate/scopegate/scopes"
)

// bulk keeps the records of a change that writes many, until they can be put in the
// order of their keys. bbolt splits its pages at the end of a transaction only:
// until then each key that comes in no order moves all behind it.
//
// A change must not read what it has put in here: it is for changes that touch each
// token once.
type bulk struct{ tokens, names []keyed }

type keyed struct{ key, value []byte }

// manySteps is how many changes a plan has at least that is applied in bulk.
const manySteps = 1000

// put puts a record into a bucket, now or with all others.
func (c *change) put(bucket, key, value []byte) error {
	switch {
	case c.bulk == nil:
		return c.bucket(bucket).Put(key, value)
	case bytes.Equal(bucket, bucketTokens):
		c.bulk.tokens = append(c.bulk.tokens, keyed{key, value})
	default:
		c.bulk.names = append(c.bulk.names, keyed{key, value})
	}
	return nil
}

// giveWay lets all else that the process does go first, while the calling goroutine computes
// on so many tokens and waits for nobody: see [priority.GiveWay].
func giveWay(tokens int) (done func()) {
	if tokens < manySteps {
		return func() {}
	}
	return priority.GiveWay()
}

// fullPages is the part of each page that is filled where keys are written in their order:
// what bbolt does by itself is for keys that come in no order, and leaves half of each page
// empty.
const fullPages = 0.9

// inBulk runs fn, which puts about so many records of each kind: they are put
// together. There is room for them from the start, since copying a large list holds
// up all goroutines when the garbage collector has to wait for it.
func (c *change) inBulk(records int, fn func() error) error {
	c.bulk = &bulk{tokens: make([]keyed, 0, records), names: make([]keyed, 0, records)}
	c.entries = slices.Grow(c.entries, records+1)
	if len(c.tokens) == 0 {
		c.tokens, c.digests = make(map[string]*tokenChange, records), make(map[scopes.Digest]string, records)
	}
	err := fn()
	written := c.bulk
	if c.bulk = nil; err != nil {
		return err
	}
	for _, part := range []struct {
		bucket  []byte
		records []keyed
	}{{bucketTokens, written.tokens}, {bucketNames, written.names}} {
		slices.SortFunc(part.records, func(a, b keyed) int { return bytes.Compare(a.key, b.key) })
		bucket := c.bucket(part.bucket)
		bucket.FillPercent = fullPages
		for _, r := range part.records {
			if err := bucket.Put(r.key, r.value); err != nil {
				return err
			}
		}
	}
	return nil
}
