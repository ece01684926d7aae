package usage

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// Exchange is where nodes leave what they have counted for the others. It keeps, for each
// row, the value with the highest number, which is its first eight bytes, and forgets shelves of days
// that have passed for [ExchangeDays].
type Exchange interface {
	// Shelves returns the highest number of each shelf that is complete there.
	Shelves(ctx context.Context) (map[Shelf]uint64, error)
	// Put leaves rows. Then, if the shelf has count rows, it has all up to the number seq;
	// else it returns ErrIncomplete, for some were lost.
	Put(ctx context.Context, s Shelf, rows []SharedRow, count int, seq uint64) error
	// Get calls fn with the rows of a shelf, in parts; one may come twice.
	Get(ctx context.Context, s Shelf, fn func([]SharedRow) error) error
}

// SharedRow is a row as it is exchanged.
type SharedRow struct{ Key, Value []byte }

// ErrIncomplete is told by an exchange that has lost rows of a shelf.
var ErrIncomplete = errors.New("usage: the exchange lacks rows")

// ExchangeDays is how many days are exchanged: those that are known by hour. A node that
// was away for longer lacks what others counted before.
const ExchangeDays = HourDays

// macBytes is the length of what a shared row ends with: the first half of a HMAC-SHA256.
const macBytes = 16

// Sync leaves what the exchange lacks there, and takes what this node lacks. It does
// nothing on a single node.
func (l *Ledger) Sync(ctx context.Context) error {
	if l.exchange == nil {
		return nil
	}
	theirs, err := l.exchange.Shelves(ctx)
	if err != nil {
		return fmt.Errorf("usage: asking what other nodes have counted: %w", err)
	}
	ours, err := l.exchanged()
	if err != nil {
		return err
	}
	for s, seq := range ours {
		if known := theirs[s]; known < seq {
			if err := l.leave(ctx, s, known, seq); err != nil {
				return fmt.Errorf("usage: telling other nodes what was counted: %w", err)
			}
		}
	}
	for s, seq := range theirs {
		if s.Origin != l.origin && ours[s] < seq {
			if err := l.fetch(ctx, s, seq); err != nil {
				return fmt.Errorf("usage: taking what other nodes have counted: %w", err)
			}
		}
	}
	return nil
}

// exchanged returns the highest number of each shelf that other nodes are to have.
func (l *Ledger) exchanged() (map[Shelf]uint64, error) {
	ours := make(map[Shelf]uint64)
	today := DayOf(l.now())
	err := l.read(func(tx *bolt.Tx) error {
		for _, s := range shelvesBetween(tx, today-min(today, ExchangeDays-1), lastDay) {
			ours[s] = numberOf(tx.Bucket(bucketShelves).Get(s.key()))
		}
		return nil
	})
	return ours, err
}

// partRows is how many rows are exchanged at once.
const partRows = 1000

// leave puts the rows of a shelf there whose number is higher than known, and if some of
// the others were lost there, all.
func (l *Ledger) leave(ctx context.Context, s Shelf, known, seq uint64) error {
	err := l.leaveAfter(ctx, s, known, seq)
	if errors.Is(err, ErrIncomplete) && known > 0 {
		return l.leaveAfter(ctx, s, 0, seq)
	}
	return err
}

func (l *Ledger) leaveAfter(ctx context.Context, s Shelf, known, seq uint64) error {
	var rows []SharedRow
	count := 0
	err := l.read(func(tx *bolt.Tx) error {
		bucket := tx.Bucket(bucketRows).Bucket(s.key())
		if bucket == nil {
			return nil
		}
		return bucket.ForEach(func(key, value []byte) error {
			count++
			if seqOf(value) > known {
				rows = append(rows, SharedRow{slices.Clone(key), l.sign(s, key, value)})
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	for len(rows) > partRows {
		// Not complete before the last part: no shelf has this many rows and that number.
		if err := l.exchange.Put(ctx, s, rows[:partRows], -1, 0); err != nil {
			return err
		}
		rows = rows[partRows:]
	}
	return l.exchange.Put(ctx, s, rows, count, seq)
}

// fetch takes a shelf, whose number is seq there.
func (l *Ledger) fetch(ctx context.Context, s Shelf, seq uint64) error {
	forged := 0
	err := l.exchange.Get(ctx, s, func(rows []SharedRow) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if err := l.reopen(); err != nil {
			return err
		}
		return l.update(func(tx *bolt.Tx) error {
			bucket, err := tx.Bucket(bucketRows).CreateBucketIfNotExists(s.key())
			if err != nil {
				return err
			}
			for _, r := range rows {
				value, ok := l.verify(s, r)
				if !ok {
					forged++
					continue
				}
				if seqOf(value) <= seqOf(bucket.Get(r.Key)) {
					continue
				}
				if err := bucket.Put(r.Key, value); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	if forged > 0 {
		l.log.Error("rows that other nodes have counted were changed on their way, and are left out; who controls Redis?",
			"rows", forged, "day", s.Day.Time().Format("2006-01-02"))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.reopen(); err != nil {
		return err
	}
	return l.update(func(tx *bolt.Tx) error { return tx.Bucket(bucketShelves).Put(s.key(), appendNumber(seq)) })
}

// sign returns a value with its tag behind it.
func (l *Ledger) sign(s Shelf, key, value []byte) []byte {
	return append(slices.Clone(value), l.tag(s, key, value)...)
}

// verify returns the value of a shared row if a node with the same secret has signed it.
func (l *Ledger) verify(s Shelf, r SharedRow) (value []byte, ok bool) {
	if len(r.Value) < macBytes || len(r.Key) == 0 || len(r.Key) > bolt.MaxKeySize {
		return nil, false
	}
	value, tag := r.Value[:len(r.Value)-macBytes], r.Value[len(r.Value)-macBytes:]
	if !hmac.Equal(tag, l.tag(s, r.Key, value)) {
		return nil, false
	}
	_, err := decodeRow(value)
	return value, err == nil
}

func (l *Ledger) tag(s Shelf, key, value []byte) []byte {
	h := hmac.New(sha256.New, l.secret)
	for _, part := range [][]byte{[]byte("usage"), s.key(), key} {
		_, _ = h.Write(appendNumber(uint64(len(part)))) // it never fails
		_, _ = h.Write(part)
	}
	_, _ = h.Write(value)
	return h.Sum(nil)[:macBytes]
}
