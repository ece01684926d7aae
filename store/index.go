package store

import (
	"encoding/binary"
	"errors"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/scopegate/scopegate/scopes"
)

// The index is cut into shards by the first bits of the digest. A change copies
// the shards that it touches, a 256th of the index each, and nothing else. With
// more of them a change would cost less, but a lookup would more often have to
// wait for the shard itself to come from memory.
const (
	shardBits  = 8
	shardCount = 1 << shardBits
)

// errIndexFull: a shard has more than fits, which is more credentials than memory
// holds, or there are more rules than an entry can tell apart.
var errIndexFull = errors.New("store: the index is full")

// shard is an immutable part of the index: a hash table of entries without
// pointers, so that the garbage collector has nothing to follow.
//
// The entries stand in the order of their keys, each in its slot or as near behind
// it as there was room. So whoever looks for a digest begins at its slot and is
// done as soon as he finds it, an empty slot, or a key that would stand behind it:
// after two or three entries that lie one after the other, whether it is there or
// not. The last slot is always empty.
type shard struct {
	table  []entry
	slots  int     // of the table, but for what the last ones push behind it
	text   string  // of all entries: id, name and version of each, one after the other
	extras []extra // of the few entries that need one
}

// entry is one credential: 64 bytes, one cache line, and all that most decisions need
// of a token. An empty slot has no kind.
type entry struct {
	digest  scopes.Digest
	rules   scopes.RuleRef // into the snapshot's rules
	expiry  expiry         // of the token
	text    uint32         // where its id stands in the shard's text
	account uint32         // where the account's name stands in the snapshot's
	extra   uint32         // position in the shard's extras, plus 1; 0 for none

	accountLength uint8
	nameLength    uint8
	versionLength uint8
	kind          kind
}

// kind is a token's state, in the lower half, and its access.
type kind uint8

func kindOf(s scopes.State, a scopes.Access) kind { return kind(s) | kind(a)<<4 }

func (k kind) state() scopes.State { return scopes.State(k & 0xf) }

func (k kind) access() scopes.Access { return scopes.Access(k >> 4) }

// expiry is when a token ends, in seconds from a moment shortly before the year
// 2000, so that it fits until 2136. The zero expiry is never.
type expiry uint32

const (
	expiryStart = 946684799                        // Unix seconds of the zero expiry, if it were one
	expiryLater = expiry(1<<32 - 1)                // it stands in the entry's extra
	expiryEnd   = int64(expiryLater) + expiryStart // the first one that does
)

// expiryOf returns the expiry at some Unix seconds. One before the year 2000 is at
// its beginning: it has come.
func expiryOf(unix int64) expiry {
	switch {
	case unix == 0:
		return 0
	case unix >= expiryEnd:
		return expiryLater
	}
	return expiry(max(unix-expiryStart, 1))
}

// unix returns the Unix seconds of an expiry that is not expiryLater; 0 for never.
func (e expiry) unix() int64 {
	if e == 0 {
		return 0
	}
	return int64(e) + expiryStart
}

// extra is what few credentials have.
type extra struct {
	sources []netip.Prefix
	ends    int64 // of the credential, Unix seconds; 0 for never
	expires int64 // of the token, if its expiry is expiryLater
	limits  []scopes.Limit
	shadow  scopes.RuleRef // into the snapshot's rules, if hasShadow

	hasShadow bool
}

func (x *extra) isZero() bool {
	return x.sources == nil && x.ends == 0 && x.expires == 0 && x.limits == nil && !x.hasShadow
}

// slotsPerEntry is ten times how many slots there are for each entry. With fewer,
// entries stand farther from their slots; more cost memory.
const slotsPerEntry = 14

func shardOf(d *scopes.Digest) int { return int(binary.BigEndian.Uint16(d[:]) >> (16 - shardBits)) }

// keyOf returns what orders the entries of a shard. It has no bits in common with
// what chooses the shard.
func keyOf(d *scopes.Digest) uint32 { return binary.LittleEndian.Uint32(d[4:]) }

// slotOf returns the slot of a key in a table of n. Slots are in the keys' order.
func slotOf(key uint32, n int) int { return int(uint64(key) * uint64(n) >> 32) } //nolint:gosec // less than n

// find returns the entry of a digest, or nil.
func (s *shard) find(d *scopes.Digest) *entry {
	key := keyOf(d)
	for i := slotOf(key, s.slots); i < len(s.table); i++ {
		e := &s.table[i]
		switch {
		case e.kind == 0:
			return nil
		case e.digest == *d:
			return e
		case keyOf(&e.digest) > key:
			return nil
		}
	}
	return nil
}

// expect has the processor fetch the entries that find is likely to look at.
func (s *shard) expect(d *scopes.Digest) {
	if slot := slotOf(keyOf(d), s.slots); slot+1 < len(s.table) {
		prefetch(&s.table[slot])
		prefetch(&s.table[slot+1])
	}
}

// idOf returns the id of an entry's token.
func (s *shard) idOf(e *entry) string { return s.text[e.text:][:idBytes] }

// grant fills in what the entry's credential may do, but for what is the snapshot's.
// What it refers to is the shard's.
func (s *shard) grant(g *scopes.Grant, e *entry) {
	name := e.text + uint32(idBytes)
	version := name + uint32(e.nameLength)
	g.State, g.Access = e.kind.state(), e.kind.access()
	g.ID, g.Name = s.text[e.text:name], s.text[name:version]
	g.Version = s.text[version : version+uint32(e.versionLength)]
	g.Expires = e.expiry.unix()
	if e.extra == 0 {
		return
	}
	x := &s.extras[e.extra-1]
	g.Sources, g.Limits, g.HasShadow = x.sources, x.limits, x.hasShadow
	if e.expiry == expiryLater {
		g.Expires = x.expires
	}
}

// indexed is a credential on its way into a shard.
type indexed struct {
	entry                    // without its positions and lengths
	extra                    // the zero extra for none
	id, name, version []byte // at most maxTextBytes each
}

// newShardBuilder returns a builder with room for some entries of ordinary size.
func newShardBuilder(entries int) shardBuilder {
	const text = 48
	return shardBuilder{
		entries: make([]entry, 0, entries),
		text:    make([]byte, 0, entries*text),
	}
}

// place sets where the account's name stands in the snapshot's.
func (x *indexed) place(account uint32, length int) {
	x.account, x.accountLength = account, uint8(length) //nolint:gosec // decodeHead has checked it
}

// shardBuilder collects the entries of a shard.
type shardBuilder struct {
	entries []entry
	text    []byte
	extras  []extra
}

func (b *shardBuilder) add(x *indexed) error {
	if len(b.entries) == math.MaxInt32 || len(b.text) > math.MaxUint32-idBytes-2*maxTextBytes {
		return errIndexFull
	}
	e := x.entry
	e.text = uint32(len(b.text))                                              //nolint:gosec // checked above
	e.nameLength, e.versionLength = uint8(len(x.name)), uint8(len(x.version)) //nolint:gosec // a record has no longer ones
	b.text = append(append(append(b.text, x.id...), x.name...), x.version...)
	if !x.isZero() {
		b.extras = append(b.extras, x.extra)
		e.extra = uint32(len(b.extras)) //nolint:gosec // at most as many as entries
	}
	b.entries = append(b.entries, e)
	return nil
}

// copy takes over an entry of another shard.
func (b *shardBuilder) copy(s *shard, e *entry) {
	moved := *e
	moved.text = uint32(len(b.text)) //nolint:gosec // it comes from a shard, where it had room
	b.text = append(b.text, s.text[e.text:e.text+uint32(idBytes)+uint32(e.nameLength)+uint32(e.versionLength)]...)
	if e.extra != 0 {
		b.extras = append(b.extras, s.extras[e.extra-1])
		moved.extra = uint32(len(b.extras)) //nolint:gosec // at most as many as entries
	}
	b.entries = append(b.entries, moved)
}

// build returns the shard of what some builders have collected, in memory of exactly
// the size that it needs. The builders are of no use afterwards.
func build(parts ...*shardBuilder) shard {
	var text, extras int
	var order []uint64 // of each entry: the key, the position among all
	for _, b := range parts {
		for i := range b.entries {
			e := &b.entries[i]
			order = append(order, uint64(keyOf(&e.digest))<<32|uint64(len(order)))
			e.text += uint32(text)
			if e.extra != 0 {
				e.extra += uint32(extras)
			}
		}
		text, extras = text+len(b.text), extras+len(b.extras)
	}
	s := shard{slots: len(order) * slotsPerEntry / 10}
	var all strings.Builder
	all.Grow(text)
	for _, b := range parts {
		all.Write(b.text)
		s.extras = append(s.extras, b.extras...)
	}
	s.text = all.String()
	s.fill(order, parts)
	return s
}

// fill makes the table of entries that are given by their keys and their positions.
func (s *shard) fill(order []uint64, parts []*shardBuilder) {
	slices.Sort(order)
	end := 0 // of the table so far
	for i, o := range order {
		end = max(end, slotOf(uint32(o>>32), s.slots)) + 1
		order[i] = uint64(end-1)<<32 | o&math.MaxUint32
	}
	s.table = make([]entry, max(end, s.slots)+1)
	for _, o := range order {
		at := int(o & math.MaxUint32)
		part := 0
		for at >= len(parts[part].entries) {
			at -= len(parts[part].entries)
			part++
		}
		s.table[o>>32] = parts[part].entries[at]
	}
}

// with returns a copy of the shard without some digests and with some more entries.
func (s *shard) with(without map[scopes.Digest]bool, more []*indexed) (shard, error) {
	b := newShardBuilder(len(s.table) + len(more))
	for i := range s.table {
		if e := &s.table[i]; e.kind == 0 || without[e.digest] {
			continue
		}
		b.copy(s, &s.table[i])
	}
	for _, x := range more {
		if err := b.add(x); err != nil {
			return shard{}, err
		}
	}
	return build(&b), nil
}
