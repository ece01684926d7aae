package store

import (
	"bytes"
	"encoding/binary"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// What all nodes share, letter by letter, and the bucket that it is in. The keys of
// shared records are those of their buckets behind the letter.
var sharedBuckets = []struct {
	letter byte
	name   []byte
}{{keyToken, bucketTokens}, {keyAccount, bucketAccounts}, {keyAPI, bucketAPIs}, {keySource, bucketSources}}

// keyMark is where the catalog's mark stands in bucketMeta.
var keyMark = []byte("catalog")

// place returns the bucket that a shared record is in, and its key there; nil for a
// key that this version does not know.
func (r reader) place(key string) (*bolt.Bucket, []byte) {
	if key == string(keyCatalog) {
		return r.bucket(bucketMeta), keyMark
	}
	for _, shared := range sharedBuckets {
		if len(key) > 1 && key[0] == shared.letter {
			return r.bucket(shared.name), []byte(key[1:])
		}
	}
	return nil, nil
}

// shared returns a copy of a shared record; nil if there is none.
func (r reader) shared(key string) []byte {
	bucket, at := r.place(key)
	if bucket == nil {
		return nil
	}
	return bytes.Clone(bucket.Get(at))
}

// allShared returns all shared records. They are the file's: they must not be used
// after the transaction.
func (r reader) allShared() (records, error) {
	all := make(records)
	for _, shared := range sharedBuckets {
		err := r.bucket(shared.name).ForEach(func(key, value []byte) error {
			all[string(shared.letter)+string(key)] = value
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if mark := r.bucket(bucketMeta).Get(keyMark); mark != nil {
		all[string(keyCatalog)] = mark
	}
	return all, nil
}

// share takes note that the change is about to write a shared record.
func (c *change) share(letter byte, name string) {
	key := string(letter) + name
	if _, known := c.touched[key]; !known {
		c.touched[key] = c.shared(key)
	}
}

// markCatalog writes down that the change is the last one of an API or a source.
func (c *change) markCatalog() error {
	for key := range c.touched {
		if isCatalog(key) {
			c.share(keyCatalog, "")
			mark := binary.AppendUvarint([]byte{1}, c.revision)
			return c.bucket(bucketMeta).Put(keyMark, seal(string(keyCatalog), mark))
		}
	}
	return nil
}

// putShared writes a record that another node has made, with all that follows from it.
func (c *change) putShared(key string, value []byte) error {
	bucket, at := c.place(key)
	if bucket == nil {
		return fmt.Errorf("%w: a record under %q", ErrNewer, key)
	}
	if value == nil {
		c.recompile = true // the index does not forget a single thing
		return c.dropShared(key, bucket, at)
	}
	switch key[0] {
	case keyToken:
		return c.putForeignToken(key[1:], value)
	case keyAccount:
		a, err := decodeAccount(at, value)
		if err != nil {
			return unreadable("account", key[1:], err)
		}
		c.accounts[a.name] = a
	case keyAPI:
		if _, _, err := decodeAPI(at, value); err != nil {
			return unreadable("API", key[1:], err)
		}
		c.recompile = true
	}
	return bucket.Put(at, value)
}

// dropShared removes a record, and the name of a token that goes with it.
func (c *change) dropShared(key string, bucket *bolt.Bucket, at []byte) error {
	if key[0] == keyAccount {
		delete(c.accounts, key[1:])
	}
	if key[0] == keyToken {
		rec, err := decodeRecord(at, bucket.Get(at))
		if err == nil && string(c.bucket(bucketNames).Get([]byte(rec.ref()))) == rec.id {
			if err := c.bucket(bucketNames).Delete([]byte(rec.ref())); err != nil {
				return err
			}
		}
	}
	return bucket.Delete(at)
}

// putForeignToken writes a token as another node has made it.
func (c *change) putForeignToken(id string, value []byte) error {
	now, err := decodeRecord([]byte(id), value)
	if err != nil {
		return unreadable("token", id, err)
	}
	tokens := c.bucket(bucketTokens)
	var old *record
	if before := tokens.Get([]byte(id)); before == nil {
		if _, err := tokens.NextSequence(); err != nil { // it counts them
			return err
		}
	} else if old, err = decodeRecord([]byte(id), before); err != nil {
		old, c.recompile = nil, true // what is damaged here is made good
	}
	if old != nil && supersedes(old, now) {
		return fmt.Errorf("%w: token %s is older there than here", ErrIntegrity, now.ref())
	}
	if err := tokens.Put([]byte(id), value); err != nil {
		return err
	}
	for i := range now.dead {
		if err := c.bucket(bucketDead).Put(now.dead[i][:], []byte(id)); err != nil {
			return err
		}
	}
	if !c.recompile { // else the index is not made from them
		c.tokens[id] = &tokenChange{old: old, now: now}
	}
	c.revocations = append(c.revocations, revocationsBetween(old, now, c.revision)...)
	c.activations = append(c.activations, activationsBetween(old, now, c.revision)...)
	c.nameForeign(now)
	return nil
}

// nameForeign gives a token its name, unless another has a better right to it.
func (c *change) nameForeign(now *record) {
	ref := now.ref()
	holder, known := c.foreignNames[ref]
	if !known {
		holder = string(c.bucket(bucketNames).Get([]byte(ref)))
	}
	if holder != "" && holder != now.id {
		if other, err := c.token(holder); err == nil && mayHaveName(other, now) {
			return
		}
	}
	c.foreignNames[ref] = now.id
}

// mayHaveName reports whether token a rather than b has the name that both have: one that
// lives before one that was deleted; of two that live the one that was made first; of two
// deleted ones the one that was changed last.
func mayHaveName(a, b *record) bool {
	switch {
	case a.terminal != b.terminal:
		return !a.terminal
	case a.terminal:
		return a.revision >= b.revision
	}
	return keeps(a, b)
}

// putForeignNames writes the names, in their order: see bulk.
func (c *change) putForeignNames() error {
	names := c.bucket(bucketNames)
	for _, ref := range sortedKeys(c.foreignNames) {
		if err := names.Put([]byte(ref), []byte(c.foreignNames[ref])); err != nil {
			return err
		}
	}
	return nil
}

// unreadable says that another node's record cannot be taken over.
func unreadable(kind, name string, err error) error {
	return fmt.Errorf("%w: %s %q of another node: %w", errForeign, kind, name, err)
}
