package store

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"
)

// filling is all tokens of the other nodes, on their way into a store that has none. They
// are looked through in parts at the same time, while they are written: a node that is new
// decides nothing before it has them all.
type filling struct {
	change *change
	all    records
	loader *loader
	parts  []*fillingPart
}

// isBlank reports whether the store has no token, and never had one.
func (r reader) isBlank() bool {
	id, _ := r.bucket(bucketTokens).Cursor().First()
	ref, _ := r.bucket(bucketNames).Cursor().First()
	return id == nil && ref == nil
}

// fill writes all records into a store that is blank, with all that follows from them, and
// leaves the index of the tokens to nextSnapshot.
func (c *change) fill(all records) error {
	f := filling{change: c, all: all}
	if err := f.begin(); err != nil {
		return err
	}
	var working sync.WaitGroup
	for _, p := range f.parts {
		working.Go(p.run)
	}
	err := f.write()
	working.Wait()
	for _, p := range f.parts {
		err = errors.Join(err, p.indexing)
	}
	c.filled = f.loader
	return err
}

// begin writes everything but tokens, and makes parts of these: the index needs the APIs
// and the accounts first.
func (f *filling) begin() (err error) {
	tokens := 0
	var others []string
	for key := range f.all {
		if key[0] == keyToken {
			tokens++
		} else {
			others = append(others, key)
		}
	}
	slices.Sort(others)
	for _, key := range others {
		if err := f.change.putShared(key, f.all[key]); err != nil {
			return err
		}
	}
	if err := f.change.bucket(bucketTokens).SetSequence(uint64(tokens)); err != nil {
		return err
	}
	if f.loader, err = f.change.store.newLoader(f.change.reader); err == nil {
		f.split(tokens)
	}
	return err
}

// split makes the parts.
func (f *filling) split(tokens int) {
	starts := f.loader.split()
	each := tokens / len(starts)
	for range starts {
		f.parts = append(f.parts, &fillingPart{
			loaderPart: f.loader.newPart(len(starts)), revision: f.change.revision,
			tokens: make([]Keyed, 0, each+each/8), sorted: make(chan struct{}), examined: make(chan struct{}),
		})
	}
	for key, value := range f.all {
		if key[0] != keyToken {
			continue
		}
		at := len(starts) - 1
		for at > 0 && key[1:] < starts[at] {
			at--
		}
		f.parts[at].tokens = append(f.parts[at].tokens, Keyed{key[1:], value})
	}
}

// write writes what the parts have found, each kind in the order of its keys: see bulk.
func (f *filling) write() error {
	tokens := f.change.bucket(bucketTokens)
	tokens.FillPercent = fullPages
	for _, p := range f.parts {
		<-p.sorted
		for _, token := range p.tokens {
			if err := tokens.Put([]byte(token.Key), token.Value); err != nil {
				return err
			}
		}
	}
	var dead []keyed
	for _, p := range f.parts {
		if <-p.examined; p.err != nil {
			return p.err
		}
		dead = append(dead, p.dead...)
		f.change.revocations = append(f.change.revocations, p.revocations...)
	}
	slices.SortStableFunc(dead, func(a, b keyed) int { return bytes.Compare(a.key, b.key) })
	for _, d := range dead {
		if err := f.change.bucket(bucketDead).Put(d.key, d.value); err != nil {
			return err
		}
	}
	return f.writeNames()
}

// writeNames gives each name to the token that has the best right to it.
func (f *filling) writeNames() error {
	names := f.change.bucket(bucketNames)
	names.FillPercent = fullPages
	holder, more := f.nextName()
	for more {
		var next heldName
		if next, more = f.nextName(); more && bytes.Equal(next.ref(), holder.ref()) {
			if f.yields(holder, next) {
				holder = next
			}
			continue
		}
		if err := names.Put(holder.ref(), holder.id()); err != nil {
			return err
		}
		holder = next
	}
	return nil
}

// nextName takes the first name of those that are left; of those that are alike, the one
// whose token's id is the first.
func (f *filling) nextName() (first heldName, ok bool) {
	var from *fillingPart
	for _, p := range f.parts {
		if len(p.names) > 0 && (from == nil || p.names[0].compare(from.names[0]) < 0) {
			from = p
		}
	}
	if from == nil {
		return nil, false
	}
	first, from.names = from.names[0], from.names[1:]
	return first, true
}

// yields reports whether a token has to leave its name to another. Both can be read, or
// there would be no names.
func (f *filling) yields(a, b heldName) bool {
	holder, err := decodeRecord(a.id(), f.all[string(keyToken)+string(a.id())])
	other, damaged := decodeRecord(b.id(), f.all[string(keyToken)+string(b.id())])
	return err == nil && damaged == nil && !mayHaveName(holder, other)
}

// fillingPart is a part of the tokens, and what is found out about them.
type fillingPart struct {
	*loaderPart
	revision uint64

	tokens []Keyed       // by their ids, in their order from when sorted is closed
	sorted chan struct{} // closed then

	names       []heldName // in their order, and all that follows, from when examined is closed
	dead        []keyed
	revocations []logLine
	err         error
	examined    chan struct{} // closed then

	indexing error // once run has returned
}

// run looks through the tokens, and then puts them into the index.
func (p *fillingPart) run() {
	slices.SortFunc(p.tokens, func(a, b Keyed) int { return strings.Compare(a.Key, b.Key) })
	close(p.sorted)
	p.err = p.examine()
	slices.SortFunc(p.names, heldName.compare)
	close(p.examined)
	if p.err != nil {
		return
	}
	var id []byte
	for _, token := range p.tokens {
		id = append(id[:0], token.Key...)
		if p.indexing = p.loadToken(id, token.Value); p.indexing != nil {
			return
		}
	}
}

// examine reads each token as a whole, and takes note of what its name is, and of what was
// revoked.
func (p *fillingPart) examine() error {
	p.names = make([]heldName, 0, len(p.tokens))
	var text []byte // of names, in few pieces
	for _, token := range p.tokens {
		rec, err := decodeRecord([]byte(token.Key), token.Value)
		if err != nil {
			return unreadable("token", token.Key, err)
		}
		text = appendName(text, rec)
		p.names = append(p.names, heldName(text))
		text = text[len(text):]
		for i := range rec.dead {
			p.dead = append(p.dead, keyed{rec.dead[i][:], []byte(rec.id)})
		}
		p.revocations = append(p.revocations, revocationsBetween(nil, rec, p.revision)...)
	}
	return nil
}

// heldName is a token's account/name, and behind it the token's id.
type heldName []byte

// appendName appends a token's name to an empty list, whose memory it takes from a larger
// piece while that lasts.
func appendName(empty []byte, rec *record) []byte {
	const piece = 1 << 20
	if size := len(rec.account) + 1 + len(rec.token.Name) + len(rec.id); cap(empty) < size {
		empty = make([]byte, 0, max(piece, size))
	}
	name := append(append(append(empty, rec.account...), '/'), rec.token.Name...)
	return append(name, rec.id...)
}

func (n heldName) ref() []byte { return n[:len(n)-idBytes] }

func (n heldName) id() []byte { return n[len(n)-idBytes:] }

func (n heldName) compare(other heldName) int {
	if order := bytes.Compare(n.ref(), other.ref()); order != 0 {
		return order
	}
	return bytes.Compare(n.id(), other.id())
}
