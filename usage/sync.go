package usage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	bolt "go.etcd.io/bbolt"
)

// peers are the other nodes that a ledger exchanges with, and what it knows of that.
type peers struct {
	ledger   *Ledger
	exchange Exchange
	gone     chan struct{} // closed when the ledger follows others

	mu     sync.Mutex // guards what follows; held as long as something is exchanged
	sealer *sealer
	states map[Shelf]state // of what is here
	left   map[Shelf]Mark  // what this node has left last
	waited map[Shelf]bool  // what is there is not as it should be, and others may be at it
}

// state is what a ledger has of a shelf.
type state struct {
	number uint64 // as bucketShelves had it
	mark   Mark
	count  int // of rows
}

// Follow makes the ledger exchange what is counted with other nodes that know the same
// secret; with nobody if e is nil. What is being exchanged with others is broken off.
func (l *Ledger) Follow(e Exchange, secret string) error {
	var others *peers
	if e != nil {
		sealer, err := newSealer(secret)
		if err != nil {
			return err
		}
		others = &peers{
			ledger: l, exchange: e, gone: make(chan struct{}), sealer: sealer,
			states: make(map[Shelf]state), left: make(map[Shelf]Mark), waited: make(map[Shelf]bool),
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.peers != nil {
		close(l.peers.gone)
	}
	l.peers = others
	return nil
}

// Sync leaves what the exchange lacks there, and takes what this node lacks. It does
// nothing on a single node. A row only ever gives way to one with a higher number, and
// no two that differ have the same: so nodes come to have the same, in whatever order they
// do this and whatever is lost on the way.
func (l *Ledger) Sync(ctx context.Context) error {
	l.mu.Lock()
	p := l.peers
	l.mu.Unlock()
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-p.gone:
			cancel()
		case <-ctx.Done():
		}
	})
	defer watching.Wait()
	defer cancel()
	return p.sync(ctx)
}

func (p *peers) sync(ctx context.Context) error {
	theirs, err := p.exchange.Shelves(ctx)
	if err != nil {
		return fmt.Errorf("usage: asking what other nodes have counted: %w", err)
	}
	origin, shelves, err := p.ledger.exchanged(theirs)
	if err != nil {
		return err
	}
	p.forget(shelves)
	var failed []error
	for _, s := range shelves {
		switch err := p.reconcile(ctx, s, theirs[s], s.Origin == origin); {
		case errors.Is(err, ErrIncomplete) || errors.Is(err, ErrPassed):
			failed = append(failed, fmt.Errorf("usage: %s: %w", s.Day, err))
		case err != nil:
			return fmt.Errorf("usage: exchanging what was counted: %w", err)
		}
	}
	return errors.Join(failed...)
}

// exchanged returns the origin of what this run counts, and the shelves that are to be
// with all nodes, the newest first.
func (l *Ledger) exchanged(theirs map[Shelf]Mark) (origin string, shelves []Shelf, err error) {
	today := DayOf(l.now())
	oldest := today - min(today, ExchangeDays-1)
	err = l.read(func(tx *bolt.Tx) error {
		shelves = shelvesBetween(tx, oldest, lastDay)
		return nil
	})
	for s := range theirs {
		if s.Day >= oldest {
			shelves = append(shelves, s)
		}
	}
	slices.SortFunc(shelves, func(a, b Shelf) int {
		if a.Day != b.Day {
			return int(b.Day) - int(a.Day)
		}
		return strings.Compare(a.Origin, b.Origin)
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.origin, slices.Compact(shelves), err
}

// forget drops what is remembered of shelves that are not exchanged any more.
func (p *peers) forget(kept []Shelf) {
	is := make(map[Shelf]bool, len(kept))
	for _, s := range kept {
		is[s] = true
	}
	deleteOthers(p.states, is)
	deleteOthers(p.left, is)
	deleteOthers(p.waited, is)
}

func deleteOthers[T any](of map[Shelf]T, kept map[Shelf]bool) {
	for s := range of {
		if !kept[s] {
			delete(of, s)
		}
	}
}

// reconcile makes a shelf here and there the same, whose mark there is theirs; zero if it
// is not there. Ours is what this run counts, of which there is never more elsewhere.
func (p *peers) reconcile(ctx context.Context, s Shelf, theirs Mark, ours bool) error {
	mine, err := p.stateOf(s)
	if err != nil {
		return err
	}
	fetched := !ours && theirs.Seq >= mine.mark.Seq && theirs != mine.mark
	if fetched {
		if mine, err = p.fetch(ctx, s); err != nil {
			return err
		}
	}
	if mine.mark == theirs {
		delete(p.waited, s)
		return nil
	}
	// What is not ours, and gone or in disorder, is perhaps just being left by another.
	if waits := fetched || !ours && theirs == (Mark{}); mine.count == 0 || waits && !p.waited[s] {
		p.waited[s] = true
		return nil
	}
	delete(p.waited, s)
	return p.leave(ctx, s, mine, theirs)
}

// stateOf returns what is here of a shelf.
func (p *peers) stateOf(s Shelf) (st state, err error) {
	err = p.ledger.read(func(tx *bolt.Tx) error {
		number := numberOf(tx.Bucket(bucketShelves).Get(s.key()))
		var known bool
		if st, known = p.states[s]; known && st.number == number {
			return nil
		}
		mark, count, err := p.sealer.mark(s, tx.Bucket(bucketRows).Bucket(s.key()))
		if err == nil {
			st = state{number, mark, count}
			p.states[s] = st
		}
		return err
	})
	return st, err
}

// leave puts a shelf there. If it is there as this node has left it, or nobody knows better,
// what is newer is enough; else it is left anew.
func (p *peers) leave(ctx context.Context, s Shelf, mine state, theirs Mark) error {
	left, before := p.left[s]
	if theirs.Seq < mine.mark.Seq && (!before || left == theirs || theirs == (Mark{})) {
		err := p.put(ctx, s, mine, theirs.Seq, false)
		if !errors.Is(err, ErrIncomplete) {
			return err
		}
		if mine, err = p.stateOf(s); err != nil { // it may have grown meanwhile
			return err
		}
	}
	return p.put(ctx, s, mine, 0, true)
}

// put leaves the rows of a shelf there whose number is higher than known.
func (p *peers) put(ctx context.Context, s Shelf, mine state, known uint64, anew bool) error {
	b := Batch{Shelf: s, Anew: anew}
	for from := []byte(nil); !b.Last; b.Anew = false {
		var err error
		if b.Rows, from, err = p.page(s, from, known); err != nil {
			return err
		}
		if from == nil {
			b.Last, b.Count, b.Mark = true, mine.count, mine.mark
		}
		if err := p.exchange.Put(ctx, &b); err != nil {
			return err
		}
	}
	p.left[s] = mine.mark
	return nil
}

// page returns some rows of a shelf, and where the next page begins; nil after the last.
func (p *peers) page(s Shelf, from []byte, known uint64) (rows []SharedRow, next []byte, err error) {
	err = p.ledger.read(func(tx *bolt.Tx) error {
		bucket := tx.Bucket(bucketRows).Bucket(s.key())
		if bucket == nil {
			return nil
		}
		cursor := bucket.Cursor()
		for key, value := cursor.Seek(from); key != nil; key, value = cursor.Next() {
			if len(value) < seqBytes || seqOf(value) <= known {
				continue
			}
			if len(rows) == BatchRows {
				next = slices.Clone(key)
				return nil
			}
			rows = append(rows, p.sealer.seal(s, key, value))
		}
		return nil
	})
	return rows, next, err
}

// takenRows is about how many rows are written down at once: they come in no order, so that
// each time most pages of a shelf are written.
const takenRows = 20 * BatchRows

// fetch takes what is there of a shelf, and returns what is here then.
func (p *peers) fetch(ctx context.Context, s Shelf) (state, error) {
	forged := 0
	var good []SharedRow
	err := p.exchange.Get(ctx, s, func(rows []SharedRow) error {
		for _, r := range rows {
			value, ok := p.sealer.open(s, r)
			if !ok {
				forged++
				continue
			}
			good = append(good, SharedRow{r.Key, value})
		}
		if len(good) < takenRows {
			return nil
		}
		err := p.ledger.take(s, good)
		good = good[:0]
		return err
	})
	if err == nil {
		err = p.ledger.take(s, good)
	}
	if forged > 0 && !p.waited[s] {
		p.ledger.log.Error("rows that other nodes have counted were changed on their way, and are left out; who else writes to Redis?",
			"rows", forged, "day", s.Day.String())
	}
	delete(p.states, s)
	if err != nil {
		return state{}, err
	}
	return p.stateOf(s)
}

// take writes down those rows of a shelf that are newer than what is here.
func (l *Ledger) take(s Shelf, rows []SharedRow) error {
	var newer []SharedRow
	var seq uint64
	if err := l.read(func(tx *bolt.Tx) error {
		bucket := tx.Bucket(bucketRows).Bucket(s.key())
		for _, r := range rows {
			if bucket == nil || seqOf(r.Value) > seqOf(bucket.Get(r.Key)) {
				newer = append(newer, r)
				seq = max(seq, seqOf(r.Value))
			}
		}
		return nil
	}); err != nil || len(newer) == 0 {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.reopen(); err != nil {
		return err
	}
	return l.update(func(tx *bolt.Tx) error {
		bucket, err := openShelf(tx, s, seq)
		if err != nil {
			return err
		}
		for _, r := range newer {
			if seqOf(r.Value) <= seqOf(bucket.Get(r.Key)) {
				continue // it came twice
			}
			if err := bucket.Put(r.Key, r.Value); err != nil {
				return err
			}
		}
		return bucket.SetSequence(unfolded)
	})
}
