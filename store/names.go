package store

import (
	"iter"
	"maps"
	"math"
	"slices"
)

// accountNames are what grants have of accounts: the names in one string, and a
// hash table of where they stand. It is immutable, and has no pointer for each
// account.
type accountNames struct {
	text  string
	slots []uint64            // as nameSlot makes them; at least half of them are empty, which is 0
	ids   map[uint32][]string // the other names of accounts that have some, by where the name stands
	count int
}

// A slot has some bits of a name's hash, the name's length, and where it stands.
const (
	slotHashShift   = 40
	slotLengthShift = 32
)

func nameSlot(hash uint64, length int, at uint32) uint64 {
	return hash>>slotHashShift<<slotHashShift | uint64(length)<<slotLengthShift | uint64(at) //nolint:gosec // at most maxTextBytes
}

// hashName returns 64 bits of which the upper and the lower half are fit for use.
func hashName(name []byte) uint64 {
	const golden = 0x9E3779B97F4A7C15 // 2^64 divided by the golden ratio
	return uint64(checksum(nil, name)) * golden
}

// withIDs yields the accounts that have other names, with these.
func (a *accountNames) withIDs() iter.Seq2[string, []string] {
	return func(yield func(string, []string) bool) {
		if len(a.ids) == 0 {
			return
		}
		for _, slot := range a.slots {
			at, length := uint32(slot), int(slot>>slotLengthShift&math.MaxUint8) //nolint:gosec // its parts
			if ids := a.ids[at]; slot != 0 && len(ids) > 0 && !yield(a.text[at:int(at)+length], ids) {
				return
			}
		}
	}
}

// renames reports whether an account is new, or has other ids than it had.
func (a *accountNames) renames(now *account) bool {
	at, known := a.find([]byte(now.name))
	return !known || !slices.Equal(a.ids[at], now.ids)
}

// find returns where a name stands.
func (a *accountNames) find(name []byte) (at uint32, ok bool) {
	if len(a.slots) == 0 {
		return 0, false
	}
	hash := hashName(name)
	for slot := slotOf(uint32(hash), len(a.slots)); a.slots[slot] != 0; { //nolint:gosec // the lower half
		at = uint32(a.slots[slot]) //nolint:gosec // the lower half
		if a.slots[slot] == nameSlot(hash, len(name), at) && a.text[at:int(at)+len(name)] == string(name) {
			return at, true
		}
		if slot++; slot == len(a.slots) {
			slot = 0
		}
	}
	return 0, false
}

// with returns the names with some more accounts, or with other ids of known ones.
func (a *accountNames) with(more []*account) accountNames {
	var unknown []*account
	for _, m := range more {
		if _, ok := a.find([]byte(m.name)); !ok {
			unknown = append(unknown, m)
		}
	}
	next := *a
	if len(unknown) > 0 {
		next = a.added(unknown)
	}
	next.ids = maps.Clone(a.ids)
	for _, m := range more {
		at, _ := next.find([]byte(m.name))
		if delete(next.ids, at); len(m.ids) > 0 {
			if next.ids == nil {
				next.ids = make(map[uint32][]string)
			}
			next.ids[at] = slices.Clone(m.ids)
		}
	}
	return next
}

// added returns the names with those of accounts that it does not have. They are
// different ones.
func (a *accountNames) added(more []*account) accountNames {
	text := []byte(a.text)
	for _, m := range more {
		text = append(text, m.name...)
	}
	next := accountNames{slots: slices.Clone(a.slots), count: a.count + len(more)}
	if 2*next.count > len(next.slots) {
		next.slots = make([]uint64, 4*next.count)
		for _, slot := range a.slots {
			if at, length := uint32(slot), int(slot>>slotLengthShift&math.MaxUint8); slot != 0 { //nolint:gosec // its parts
				next.insert(text[at:int(at)+length], at)
			}
		}
	}
	at := uint32(len(a.text)) //nolint:gosec // 4 GiB of names do not fit into memory
	for _, m := range more {
		next.insert([]byte(m.name), at)
		at += uint32(len(m.name)) //nolint:gosec // the same
	}
	next.text = string(text)
	return next
}

// insert puts a name that is not there into the first empty slot that is fit for it.
func (a *accountNames) insert(name []byte, at uint32) {
	hash := hashName(name)
	slot := slotOf(uint32(hash), len(a.slots)) //nolint:gosec // the lower half
	for a.slots[slot] != 0 {
		if slot++; slot == len(a.slots) {
			slot = 0
		}
	}
	a.slots[slot] = nameSlot(hash, len(name), at)
}
