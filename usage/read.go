package usage

import (
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Query says which rows are read.
type Query struct {
	// From and To are when the rows begin and end, to the hour, or to the day where hours
	// are no longer known.
	From, To time.Time
	// Tokens are the ids of the only tokens to read of; none for all. What was lost, which
	// may have been theirs, is read too.
	Tokens []string
	// Recorded: what is still in memory is left out, for whoever asks of many tokens.
	Recorded bool
}

// Sample is what is known of one key in one hour or on one day.
type Sample struct {
	Key *Key // it must not be kept: the next sample has it too
	// At is when the hour or the day begins.
	At    time.Time
	Whole bool // it is a day
	// First and Last are when the first and the last request was on this day. They are
	// zero if only answers were counted.
	First, Last time.Time
	Counts      *Counts // must not be kept either
}

// Since returns from when on all was counted: when the file was made, or if another node has
// counted before, the end of the first day that it has.
func (l *Ledger) Since() (since time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.reopen(); err != nil {
		return time.Time{}, err
	}
	err = l.view(func(tx *bolt.Tx) error {
		now := l.now()
		if outdated(tx, now) {
			since = now.UTC().Truncate(time.Second)
			return nil
		}
		since = sinceOf(tx)
		if days := shelvesBetween(tx, DayOf(now)-min(DayOf(now), Days), lastDay); len(days) > 0 && days[0].Day+1 <= DayOf(since) {
			since = (days[0].Day + 1).Time()
		}
		return nil
	})
	return since, err
}

func sinceOf(tx *bolt.Tx) time.Time {
	return time.Unix(int64(numberOf(tx.Bucket(bucketMeta).Get(keySince))), 0).UTC() //nolint:gosec // since 1970
}

// outdated reports whether nothing that the file has is of a day that is kept. Then counting
// begins now: the file was away for that long, or its clock was wrong, as that of a machine is which
// starts in 1970. Else reports would take for unused what nobody has looked at.
func outdated(tx *bolt.Tx, now time.Time) bool {
	newest := DayOf(sinceOf(tx))
	if key, _ := tx.Bucket(bucketShelves).Cursor().Last(); key != nil {
		if s, ok := shelfOf(key); ok {
			newest = max(newest, s.Day)
		}
	}
	return newest+Days < DayOf(now)
}

// Each calls fn with all that was counted, in the order of the days. What is still in
// memory is written down first, unless the query says otherwise.
func (l *Ledger) Each(q Query, fn func(*Sample)) error {
	if !q.Recorded {
		if err := l.Flush(); err != nil {
			return err
		}
	}
	return l.read(func(tx *bolt.Tx) error {
		for _, s := range shelvesBetween(tx, DayOf(q.From), DayOf(q.To)) {
			q.rows(tx, s, fn)
		}
		return nil
	})
}

// rows calls fn with the rows of a shelf that were asked for.
func (q *Query) rows(tx *bolt.Tx, s Shelf, fn func(*Sample)) {
	rows := tx.Bucket(bucketRows).Bucket(s.key())
	if rows == nil {
		return
	}
	tell := func(key *Key, r *row) { q.samples(s.Day, key, r, fn) }
	if len(q.Tokens) == 0 {
		eachRow(rows, "", tell)
		return
	}
	eachRow(rows, keySeparator, func(key *Key, r *row) { // of no known token
		if key.Reason == ReasonLost {
			tell(key, r)
		}
	})
	for _, token := range q.Tokens {
		eachRow(rows, token+keySeparator, tell)
	}
}

// read reads the file while others may write it.
func (l *Ledger) read(fn func(*bolt.Tx) error) error {
	l.mu.Lock()
	if err := l.reopen(); err != nil {
		l.mu.Unlock()
		return err
	}
	db, path := l.db, l.path
	l.mu.Unlock()
	if err := guard(func() error { return db.View(fn) }); err != nil {
		return readFailed(path, err)
	}
	return nil
}

// eachRow calls fn with the rows of a shelf that can be read and whose keys begin with a prefix.
// The next row has the memory of the last one.
func eachRow(rows *bolt.Bucket, prefix string, fn func(*Key, *row)) {
	cursor := rows.Cursor()
	var room []part
	for name, value := cursor.Seek([]byte(prefix)); name != nil && strings.HasPrefix(string(name), prefix); name, value = cursor.Next() {
		key, ok := decodeKey(string(name))
		r, err := decodeRowInto(room, value)
		if ok && err == nil {
			fn(&key, &r)
			room = r.parts
		}
	}
}

// samples calls fn with the parts of a row that were asked for.
func (q *Query) samples(day Day, key *Key, r *row, fn func(*Sample)) {
	from := q.From.Truncate(time.Hour)
	var s Sample // one for all parts
	for i := range r.parts {
		s = Sample{Key: key, At: day.Time(), Whole: r.parts[i].hour == wholeDay, Counts: &r.parts[i].counts}
		if !s.Whole {
			s.At = s.At.Add(time.Duration(r.parts[i].hour) * time.Hour)
			if s.At.Before(from) || s.At.After(q.To) {
				continue
			}
		}
		if r.last != 0 {
			s.First, s.Last = time.Unix(r.first, 0).UTC(), time.Unix(r.last, 0).UTC()
		}
		fn(&s)
	}
}
