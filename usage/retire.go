package usage

import (
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// How long rows are kept.
const (
	HourDays = 35  // days by hour
	Days     = 400 // days at all
)

// retireInterval is how often old days are looked for. At most one is folded and one
// removed each time, so that a clock that is wrong for an hour costs one day of many.
const retireInterval = time.Hour

// retire folds the hours of a day that is old into one, and removes a day that is too old.
func (l *Ledger) retire() error {
	now := l.now()
	if since := now.Sub(l.retired); 0 <= since && since < retireInterval {
		return nil
	}
	l.retired = now
	today, origin := DayOf(now), l.origin
	err := l.update(func(tx *bolt.Tx) error {
		ours, err := l.removeDay(tx, today)
		if err != nil {
			return err
		}
		if ours {
			if origin, err = newOrigin(tx); err != nil {
				return err
			}
		}
		return foldDay(tx, today)
	})
	if err == nil {
		l.origin = origin
	}
	return err
}

// removeDay removes the oldest day if it is too old. It reports whether this run has counted
// some of it, for its clock was wrong: then it has to go on under another origin, or what it
// counts on that day would take the place of what other nodes still have of it.
func (l *Ledger) removeDay(tx *bolt.Tx, today Day) (ours bool, err error) {
	shelves := shelvesBetween(tx, 0, today-min(today, Days))
	for _, s := range shelves {
		if s.Day != shelves[0].Day {
			break
		}
		ours = ours || s.Origin == l.origin
		if err := tx.Bucket(bucketRows).DeleteBucket(s.key()); err != nil {
			return false, err
		}
		if err := tx.Bucket(bucketShelves).Delete(s.key()); err != nil {
			return false, err
		}
	}
	return ours, nil
}

// foldDay folds the oldest day whose hours are no longer needed. Folded days are known by
// a mark in the sequence of their bucket.
func foldDay(tx *bolt.Tx, today Day) error {
	var day Day // whose shelves are folded; 0 until one is found
	for _, s := range shelvesBetween(tx, 0, today-min(today, HourDays)) {
		rows := tx.Bucket(bucketRows).Bucket(s.key())
		if rows.Sequence() == folded {
			continue
		}
		if day != 0 && s.Day != day {
			return nil
		}
		day = s.Day
		if err := foldRows(rows); err != nil {
			return err
		}
	}
	return nil
}

// The sequence of a bucket says whether its rows have hours.
const (
	unfolded = 0
	folded   = 1
)

func foldRows(rows *bolt.Bucket) error {
	var keys, values [][]byte
	err := rows.ForEach(func(key, value []byte) error {
		r, err := decodeRow(value)
		if err != nil {
			return nil //nolint:nilerr // it stays as it is, and counts nothing
		}
		r.fold()
		keys, values = append(keys, slices.Clone(key)), append(values, r.encode())
		return nil
	})
	if err != nil {
		return err
	}
	for i := range keys {
		if err := rows.Put(keys[i], values[i]); err != nil {
			return err
		}
	}
	return rows.SetSequence(folded)
}

// shelvesBetween returns the shelves of some days, the last one included, in order.
func shelvesBetween(tx *bolt.Tx, from, to Day) []Shelf {
	var shelves []Shelf
	cursor := tx.Bucket(bucketShelves).Cursor()
	for key, _ := cursor.Seek(Shelf{Day: from}.key()); key != nil; key, _ = cursor.Next() {
		s, ok := shelfOf(key)
		if ok && s.Day > to {
			break
		}
		if ok {
			shelves = append(shelves, s)
		}
	}
	return shelves
}
