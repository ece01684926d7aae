package store

import (
	"encoding/binary"
	"errors"
	"math"
	"net/netip"

	"github.com/scopegate/scopegate/scopes"
)

// The index is cut into shards by the first bits of the digest. A change copies
// the shards that it touches, about 1/1024 of the index each, and nothing else.
const (
	shardBits  = 10
	shardCount = 1 << shardBits
)

// A slot holds one more than the position of an entry, and above it some further
// bits of the entry's digest, so that looking for a digest that is not there
// hardly ever reads an entry. An empty slot is 0.
const (
	positionBits = 20
	positionMask = 1<<positionBits - 1
	maxEntries   = positionMask // of a shard
)

// errShardFull: more credentials than a billion, or chosen so that all fall into
// one shard, which costs 1000 hashes for each.
var errShardFull = errors.New("store: the index is full")

// shard is an immutable part of the index: a table of slots, open-addressed, over
// entries without pointers, so that the garbage collector has nothing to follow.
type shard struct {
	slots   []uint32
	entries []entry
	text    string        // of all entries: id, name and version of each, one after the other
	rules   []scopes.Rule // of all entries
	extras  []extra       // of the few entries that need one
}

// entry is one credential: 64 bytes, one cache line.
type entry struct {
	digest  scopes.Digest
	expires int64  // of the token, Unix seconds; 0 for never
	text    uint32 // where its id stands in the shard's text
	rules   uint32 // where its rules stand in the shard's
	account uint32 // position in the snapshot's accounts
	extra   uint32 // position in the shard's extras, plus 1; 0 for none

	ruleCount     uint16
	nameLength    uint8
	versionLength uint8
	state         scopes.State
	access        scopes.Access
}

// extra is what few credentials have.
type extra struct {
	sources []netip.Prefix
	ends    int64 // of the credential, Unix seconds; 0 for never
}

func shardOf(d *scopes.Digest) int { return int(binary.BigEndian.Uint16(d[:]) >> (16 - shardBits)) }

// tagOf returns the bits of the digest that a slot keeps, in their place. They are
// others than those that choose the shard and the slot.
func tagOf(d *scopes.Digest) uint32 { return binary.LittleEndian.Uint32(d[8:]) &^ positionMask }

// slotOf returns where the search for a digest begins in a table of n slots.
func slotOf(d *scopes.Digest, n int) int {
	return int(uint64(binary.LittleEndian.Uint32(d[4:])) * uint64(n) >> 32) //nolint:gosec // less than n
}

// find returns the entry of a digest, or nil. At least half of the slots are
// empty, so a search, in vain or not, ends after two or three.
func (s *shard) find(d *scopes.Digest) *entry {
	if s == nil {
		return nil
	}
	tag := tagOf(d)
	for i := slotOf(d, len(s.slots)); ; i++ {
		if i == len(s.slots) {
			i = 0
		}
		slot := s.slots[i]
		if slot == 0 {
			return nil
		}
		if slot&^positionMask == tag {
			if e := &s.entries[slot&positionMask-1]; e.digest == *d {
				return e
			}
		}
	}
}

// grant returns what the entry's credential may do, but for the account. What it
// refers to is the shard's.
func (s *shard) grant(e *entry) scopes.Grant {
	name := e.text + uint32(idBytes)
	version := name + uint32(e.nameLength)
	return scopes.Grant{
		State:   e.state,
		Access:  e.access,
		ID:      s.text[e.text:name],
		Name:    s.text[name:version],
		Version: s.text[version : version+uint32(e.versionLength)],
		Expires: e.expires,
		Rules:   s.rules[e.rules : e.rules+uint32(e.ruleCount) : e.rules+uint32(e.ruleCount)],
	}
}

// indexed is a credential on its way into a shard.
type indexed struct {
	entry                    // without its positions and lengths
	extra                    // the zero extra for none
	id, name, version []byte // at most maxTextBytes each
	rules             []scopes.Rule
}

// shardBuilder collects the entries of a shard.
type shardBuilder struct {
	entries []entry
	text    []byte
	rules   []scopes.Rule
	extras  []extra
}

func (b *shardBuilder) add(x *indexed) error {
	if len(b.entries) == maxEntries || len(x.rules) > math.MaxUint16 ||
		len(b.text) > math.MaxUint32-idBytes-2*maxTextBytes || len(b.rules) > math.MaxUint32-math.MaxUint16 {
		return errShardFull
	}
	e := x.entry
	e.text, e.rules = uint32(len(b.text)), uint32(len(b.rules))               //nolint:gosec // checked above
	e.ruleCount = uint16(len(x.rules))                                        //nolint:gosec // checked above
	e.nameLength, e.versionLength = uint8(len(x.name)), uint8(len(x.version)) //nolint:gosec // a record has no longer ones
	b.text = append(append(append(b.text, x.id...), x.name...), x.version...)
	b.rules = append(b.rules, x.rules...)
	if x.sources != nil || x.ends != 0 {
		b.extras = append(b.extras, x.extra)
		e.extra = uint32(len(b.extras)) //nolint:gosec // at most as many as entries
	}
	b.entries = append(b.entries, e)
	return nil
}

// copy takes over an entry of another shard.
func (b *shardBuilder) copy(s *shard, e *entry) error {
	g := s.grant(e)
	x := indexed{
		entry: *e, rules: g.Rules,
		id: []byte(g.ID), name: []byte(g.Name), version: []byte(g.Version),
	}
	x.entry.extra = 0
	if e.extra != 0 {
		x.extra = s.extras[e.extra-1]
	}
	return b.add(&x)
}

// build returns the shard, in slices of exactly the size that they need; nil for
// an empty one.
func (b *shardBuilder) build() *shard {
	if len(b.entries) == 0 {
		return nil
	}
	s := &shard{
		slots:   make([]uint32, 2*len(b.entries)),
		entries: exact(b.entries),
		text:    string(b.text),
		rules:   exact(b.rules),
		extras:  exact(b.extras),
	}
	for i := range s.entries {
		d := &s.entries[i].digest
		at := slotOf(d, len(s.slots))
		for s.slots[at] != 0 {
			if at++; at == len(s.slots) {
				at = 0
			}
		}
		s.slots[at] = tagOf(d) | uint32(i+1) //nolint:gosec // at most maxEntries
	}
	return s
}

// exact returns s without unused capacity.
func exact[T any](s []T) []T {
	if len(s) == cap(s) {
		return s
	}
	return append(make([]T, 0, len(s)), s...)
}

// with returns a copy of the shard without some digests and with some more entries.
func (s *shard) with(without map[scopes.Digest]bool, more []indexed) (*shard, error) {
	var b shardBuilder
	if s != nil {
		b.entries = make([]entry, 0, len(s.entries)+len(more))
		b.text = make([]byte, 0, len(s.text))
		b.rules = make([]scopes.Rule, 0, len(s.rules))
		for i := range s.entries {
			if without[s.entries[i].digest] {
				continue
			}
			if err := b.copy(s, &s.entries[i]); err != nil {
				return nil, err
			}
		}
	}
	for i := range more {
		if err := b.add(&more[i]); err != nil {
			return nil, err
		}
	}
	return b.build(), nil
}
