package usage

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
)

// LastUses returns when each of some tokens had its last request, of those that had one since a
// moment, to the day. It looks for each token backwards from today until it finds one: that is
// fast as long as most are in use.
func (l *Ledger) LastUses(ids []string, since time.Time) (map[string]time.Time, error) {
	if err := l.Flush(); err != nil {
		return nil, err
	}
	missing := slices.Clone(ids)
	slices.Sort(missing)
	found := make(map[string]time.Time, len(ids))
	newest, ok, err := l.newestDay(lastDay)
	for ; ok && err == nil && newest >= DayOf(since) && len(missing) > 0; newest, ok, err = l.newestDay(newest - 1) {
		if err := l.read(func(tx *bolt.Tx) error {
			for _, s := range shelvesBetween(tx, newest, newest) {
				lastUsesIn(tx, s, missing, found)
			}
			return nil
		}); err != nil {
			return nil, err
		}
		missing = slices.DeleteFunc(missing, func(id string) bool { return !found[id].IsZero() })
		if newest == 0 {
			break
		}
	}
	return found, err
}

// newestDay returns the newest day that has anything, up to one.
func (l *Ledger) newestDay(upTo Day) (newest Day, ok bool, err error) {
	err = l.read(func(tx *bolt.Tx) error {
		cursor := tx.Bucket(bucketShelves).Cursor()
		key, _ := cursor.Last()
		if upTo < lastDay {
			if key, _ = cursor.Seek(Shelf{Day: upTo + 1}.key()); key == nil {
				key, _ = cursor.Last()
			} else {
				key, _ = cursor.Prev()
			}
		}
		s, known := shelfOf(key)
		newest, ok = s.Day, known
		return nil
	})
	return newest, ok, err
}

// lastUsesIn notes the last use of each of the tokens, which are sorted, in a shelf.
func lastUsesIn(tx *bolt.Tx, s Shelf, ids []string, found map[string]time.Time) {
	rows := tx.Bucket(bucketRows).Bucket(s.key())
	if rows == nil {
		return
	}
	cursor := rows.Cursor()
	seek := func(at int) ([]byte, []byte) {
		if at == len(ids) {
			return nil, nil
		}
		return cursor.Seek([]byte(ids[at] + keySeparator))
	}
	at := 0
	for key, value := seek(at); key != nil; {
		token, _, _ := bytes.Cut(key, []byte(keySeparator))
		switch c := strings.Compare(string(token), ids[at]); {
		case c < 0:
			key, value = seek(at)
		case c > 0:
			more, _ := slices.BinarySearch(ids[at:], string(token))
			if at += more; at == len(ids) {
				return
			}
			if ids[at] != string(token) {
				key, value = seek(at)
			}
		default:
			if last := lastOf(value); last.After(found[ids[at]]) {
				found[ids[at]] = last
			}
			key, value = cursor.Next()
		}
	}
}

// lastOf returns when the last request of an encoded row was, zero if it had none.
func lastOf(value []byte) time.Time {
	if len(value) <= seqBytes || value[seqBytes] != rowFormat {
		return time.Time{}
	}
	rest := value[seqBytes+1:]
	_, n := binary.Uvarint(rest)
	if n <= 0 {
		return time.Time{}
	}
	last, n := binary.Uvarint(rest[n:])
	if n <= 0 || last == 0 || last > math.MaxInt64 {
		return time.Time{}
	}
	return time.Unix(int64(last), 0).UTC()
}
