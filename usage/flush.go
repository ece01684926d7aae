package usage

import (
	"fmt"
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"
)

// Flush writes down what was counted since it was called before. If that fails, it is kept
// for the next time.
func (l *Ledger) Flush() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gather()
	if err := l.reopen(); err != nil {
		return err
	}
	if len(l.pending) > 0 {
		err := l.update(l.write)
		if err != nil && l.db == nil {
			l.unsure, l.pending = l.pending, make(map[slot]*row)
		}
		if err != nil {
			return err
		}
		clear(l.pending)
	}
	return l.retire()
}

// reopen opens a file that has failed again. Only then is it known whether the write at
// which it failed was the last thing that it did.
func (l *Ledger) reopen() error {
	if l.db != nil {
		return nil
	}
	if l.path == "" {
		return ErrClosed
	}
	origin := l.origin
	if err := l.open(); err != nil {
		return err
	}
	var seq uint64
	if err := l.view(func(tx *bolt.Tx) error {
		seq = numberOf(tx.Bucket(bucketMeta).Get(keySeq))
		return nil
	}); err != nil {
		return err
	}
	if seq < l.writing || l.origin != origin { // or it is another file
		for at, r := range l.unsure {
			for i := range r.parts {
				l.note(at, r.parts[i].hour, &r.parts[i].counts, r.first, r.last)
			}
		}
	}
	l.unsure, l.writing = nil, seq
	return nil
}

// view reads the file.
func (l *Ledger) view(fn func(*bolt.Tx) error) error {
	if err := guard(func() error { return l.db.View(fn) }); err != nil {
		return readFailed(l.path, err)
	}
	return nil
}

func readFailed(path string, err error) error { return fmt.Errorf("usage: reading %s: %w", path, err) }

// update changes the file. A file that is damaged, or of which nobody knows whether it was
// changed, is closed; the next flush opens it again.
func (l *Ledger) update(fn func(*bolt.Tx) error) error {
	var refused error // by fn: then nothing was changed
	err := guard(func() error {
		return l.db.Update(func(tx *bolt.Tx) error {
			refused = fn(tx)
			return refused
		})
	})
	if err != nil && refused == nil {
		_ = guard(l.db.Close) // it is opened again, or cannot be
		l.db = nil
	}
	if err != nil {
		return fmt.Errorf("usage: writing %s: %w", l.path, err)
	}
	return nil
}

// gather takes what the meter has counted.
func (l *Ledger) gather() {
	now := l.now()
	day, hour := DayOf(now), hourOf(now)
	tallies, lost := l.Meter.read(now)
	for i := range tallies {
		t := &tallies[i]
		key := t.use.key()
		lost += l.note(slot{day, key.encode()}, hour, &t.counts, t.first, t.last)
	}
	l.lost.Add(lost)
	if lost > 0 {
		key := Key{Reason: ReasonLost}
		l.note(slot{day, key.encode()}, hour, &Counts{Requests: lost}, now.Unix(), now.Unix())
	}
}

// ReasonLost is the reason in the key of the row that counts what could not be counted.
const ReasonLost = "lost"

// note adds to what is pending, and returns how many requests there was no room for.
func (l *Ledger) note(at slot, hour uint8, counts *Counts, first, last int64) (lost uint64) {
	r := l.pending[at]
	if r == nil {
		if len(l.pending) >= maxPending {
			return counts.Requests
		}
		r = new(row)
		l.pending[at] = r
	}
	if last == 0 {
		first = 0
	}
	r.add(hour, counts, first, last)
	return 0
}

// write adds what is pending to the rows of this run, in their order.
func (l *Ledger) write(tx *bolt.Tx) error {
	seq, err := nextSeq(tx)
	if err != nil {
		return err
	}
	l.writing = seq
	if now := l.now(); outdated(tx, now) {
		if err := putSince(tx, now); err != nil {
			return err
		}
	}
	slots := make([]slot, 0, len(l.pending))
	for at := range l.pending {
		slots = append(slots, at)
	}
	slices.SortFunc(slots, func(a, b slot) int {
		if a.day != b.day {
			return int(a.day) - int(b.day)
		}
		return strings.Compare(a.key, b.key)
	})
	var rows *bolt.Bucket
	for i, at := range slots {
		if i == 0 || at.day != slots[i-1].day {
			if rows, err = openShelf(tx, Shelf{at.day, l.origin}, seq); err != nil {
				return err
			}
		}
		if err := addTo(rows, []byte(at.key), l.pending[at], seq); err != nil {
			return err
		}
	}
	return nil
}

// nextSeq returns the number of a write.
func nextSeq(tx *bolt.Tx) (uint64, error) {
	meta := tx.Bucket(bucketMeta)
	seq := numberOf(meta.Get(keySeq)) + 1
	return seq, meta.Put(keySeq, appendNumber(seq))
}

// openShelf returns the rows of a shelf, and takes note that one of them has a number.
func openShelf(tx *bolt.Tx, s Shelf, seq uint64) (*bolt.Bucket, error) {
	shelves := tx.Bucket(bucketShelves)
	if numberOf(shelves.Get(s.key())) < seq {
		if err := shelves.Put(s.key(), appendNumber(seq)); err != nil {
			return nil, err
		}
	}
	return tx.Bucket(bucketRows).CreateBucketIfNotExists(s.key())
}

// addTo adds to a row. One that cannot be read is begun anew.
func addTo(rows *bolt.Bucket, key []byte, more *row, seq uint64) error {
	r, err := decodeRow(rows.Get(key))
	if err != nil {
		r = row{}
	}
	r.seq = seq
	for i := range more.parts {
		r.add(more.parts[i].hour, &more.parts[i].counts, more.first, more.last)
	}
	return rows.Put(key, r.encode())
}
