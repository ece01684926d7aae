package notify

import (
	"bytes"
	"errors"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
)

// pending is one event that one recipient is still to be told of.
type pending struct {
	to    recipient
	event string // its id
	kind  Kind
	since time.Time // when this node heard of it first
}

// key is the pending's place in its bucket: those of a recipient are together.
func (p *pending) key() []byte {
	return append(p.to.prefix(), p.event...)
}

// prefix is what the keys of a recipient's pending events begin with. Neither a channel's name
// nor an address has a zero byte: see recipientsOf.
func (r recipient) prefix() []byte { return []byte(r.channel + "\x00" + r.to + "\x00") }

func (p *pending) value() []byte { return append(appendTime(nil, p.since), p.kind...) }

// readPending is the inverse of key and value. It reports false for what is damaged.
func readPending(key, value []byte) (p pending, ok bool) {
	parts := strings.SplitN(string(key), "\x00", 3)
	if len(parts) != 3 || len(value) < numberBytes {
		return p, false
	}
	return pending{recipient{parts[0], parts[1]}, parts[2], Kind(value[numberBytes:]), timeOf(value)}, true
}

// eachPending calls fn with everything that is pending, recipient by recipient.
func eachPending(tx *bolt.Tx, fn func(*pending) error) error {
	return tx.Bucket(bucketPending).ForEach(func(key, value []byte) error {
		if p, ok := readPending(key, value); ok {
			return fn(&p)
		}
		return nil
	})
}

const (
	// doneKept is for how long it is remembered that somebody was told of something that is
	// not found any more.
	doneKept = 400 * 24 * time.Hour
	// doneRefreshed is how often it is noted of an event that is still found.
	doneRefreshed = 30 * 24 * time.Hour
)

// prune forgets what nobody will ask for again, and what is for channels that are not there
// any more. It returns the keys that were forgotten.
func (j *journal) prune(now time.Time, isThere func(channel string) bool) (forgotten []string, err error) {
	err = j.update(func(tx *bolt.Tx) error {
		forgotten = nil
		old := keysWhere(tx.Bucket(bucketDone), func(_, value []byte) bool { return now.Sub(timeOf(value)) > doneKept })
		for _, key := range old {
			forgotten = append(forgotten, string(key))
		}
		orphaned := keysWhere(tx.Bucket(bucketPending), func(key, value []byte) bool {
			p, ok := readPending(key, value)
			return !ok || !isThere(p.to.channel)
		})
		if err := errors.Join(deleteKeys(tx.Bucket(bucketDone), old), deleteKeys(tx.Bucket(bucketPending), orphaned)); err != nil {
			return err
		}
		return pruneEvents(tx)
	})
	return forgotten, err
}

// keysWhere returns the keys in a bucket for which fn reports true.
func keysWhere(bucket *bolt.Bucket, fn func(key, value []byte) bool) (keys [][]byte) {
	_ = bucket.ForEach(func(key, value []byte) error { // it returns what fn does
		if fn(key, value) {
			keys = append(keys, bytes.Clone(key))
		}
		return nil
	})
	return keys
}

func deleteKeys(bucket *bolt.Bucket, keys [][]byte) error {
	for _, key := range keys {
		if err := bucket.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

// pruneEvents drops what is kept of events that everybody was told of.
func pruneEvents(tx *bolt.Tx) error {
	needed := make(map[string]bool)
	if err := eachPending(tx, func(p *pending) error {
		needed[p.event] = true
		return nil
	}); err != nil {
		return err
	}
	events := tx.Bucket(bucketEvents)
	return deleteKeys(events, keysWhere(events, func(id, _ []byte) bool { return !needed[string(id)] }))
}
