package store

import (
	"bytes"
	"encoding/binary"
	"iter"
	"math"
	"slices"
	"strings"
)

// Log returns the entries of the audit log that q selects.
func (s *Store) Log(q LogQuery) ([]Entry, error) {
	var entries []Entry
	err := s.view(func(r reader) error {
		name := []byte(q.Name)
		for key, value := range r.audit(q) {
			if !q.isFull(entries) && !bytes.Contains(value, name) {
				continue // names stand in a record as they are, so that most need not be read
			}
			selected, err := q.selects(key, value)
			if err != nil {
				return damaged("audit entry", string(key), err)
			}
			if q.isFull(entries) && (!q.OldestFirst || binary.BigEndian.Uint64(key) > entries[len(entries)-1].Revision) {
				break
			}
			if !selected {
				continue
			}
			entry, err := decodeEntry(key, value)
			if err != nil {
				return damaged("audit entry", string(key), err)
			}
			entries = append(entries, entry)
		}
		return nil
	})
	return entries, err
}

// selects reports whether an entry is one of those, revisions apart. It reads no more of it
// than that takes, and copies none: most of a long log is not selected.
func (q *LogQuery) selects(key, value []byte) (bool, error) {
	d, err := unseal(key, value, entryVersion)
	if err != nil {
		return false, err
	}
	at := d.time()
	actor, action, kind, name := d.block(), d.block(), d.block(), d.block()
	if d.bad || len(key) != entryKeyBytes {
		return false, errFields
	}
	return !at.Before(q.Since) && is(action, q.Action) && is(kind, q.Kind) && q.isOf(name) && q.isBy(actor), nil
}

// is reports whether a field is what was asked for; "" asks for nothing.
func is(field []byte, asked string) bool { return asked == "" || string(field) == asked }

func (q *LogQuery) isOf(name []byte) bool {
	tail, ok := bytes.CutPrefix(name, []byte(q.Name))
	return q.Name == "" || ok && (len(tail) == 0 || tail[0] == '/')
}

func (q *LogQuery) isBy(actor []byte) bool {
	return q.Actor == "" || strings.Contains(strings.ToLower(string(actor)), strings.ToLower(q.Actor))
}

// audit yields the entries between the revisions of a query, in its order.
func (r reader) audit(q LogQuery) iter.Seq2[[]byte, []byte] {
	before := uint64(math.MaxUint64)
	if q.Before > 0 {
		before = q.Before
	}
	within := func(key []byte) bool {
		if len(key) != entryKeyBytes {
			return key != nil // it is told as damaged
		}
		revision := binary.BigEndian.Uint64(key)
		return q.After < revision && revision < before
	}
	return func(yield func(key, value []byte) bool) {
		cursor := r.bucket(bucketAudit).Cursor()
		next := cursor.Next
		key, value := cursor.Seek(entryKey(q.After+1, 0))
		if !q.OldestFirst {
			next = cursor.Prev
			first := cursor.Prev
			if behind, _ := cursor.Seek(entryKey(before, 0)); behind == nil {
				first = cursor.Last
			}
			key, value = first()
		}
		for within(key) && yield(key, value) {
			key, value = next()
		}
	}
}

// Changed returns a channel that is closed when the next change is published, or the
// store can no longer be used.
func (s *Store) Changed() <-chan struct{} { return *s.changed.Load() }

// announce tells those who wait that there was a change.
func (s *Store) announce() {
	next := make(chan struct{})
	close(*s.changed.Swap(&next))
}

// entryDetails reads the details of an entry: the first version had them in one line.
func (d *decoder) entryDetails(version byte) []string {
	if version > 1 {
		return d.strings()
	}
	return slices.DeleteFunc([]string{d.string()}, func(line string) bool { return line == "" })
}
