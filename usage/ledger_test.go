package usage

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/scopegate/scopegate/scopes"
)

func TestLedgerKeepsCounts(t *testing.T) {
	t.Parallel()
	folder, clock := t.TempDir(), newClock()
	l := openTest(t, folder, Options{Now: clock.Now})
	use := listing("tok_a")
	first := clock.Now()
	for range 3 {
		l.Meter.Decided(use, clock.Now())
		l.Meter.Answered(use, 204, 3*time.Millisecond, clock.Now())
	}
	clock.Add(time.Hour)
	l.Meter.Decided(use, clock.Now())
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	denied := *use
	denied.Reason, denied.Shadow = scopes.MethodNotGranted, scopes.MethodNotGranted
	l.Meter.Decided(&denied, clock.Now())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}

	l = openTest(t, folder, Options{Now: clock.Now})
	got := totals(t, l, always())
	allowed := use.key()
	if c := got[allowed]; c.Requests != 4 || c.Status[2] != 3 || c.Latency[bucketOf(3*time.Millisecond)] != 3 {
		t.Errorf("allowed: got %+v, want 4 requests with 3 answers", c)
	}
	if c := got[denied.key()]; c.Requests != 1 {
		t.Errorf("denied: got %+v, want 1 request", c)
	}
	if err := l.Each(always(), func(s *Sample) {
		if *s.Key == allowed && (!s.First.Equal(first) || !s.Last.Equal(clock.Now())) {
			t.Errorf("first %v and last %v, want %v and %v", s.First, s.Last, first, clock.Now())
		}
	}); err != nil {
		t.Fatal(err)
	}
	if got := requests(t, l, "tok_b"); got != 0 {
		t.Errorf("another token: got %d requests, want 0", got)
	}
}

// TestLedgerByHour asks for hours of a day.
func TestLedgerByHour(t *testing.T) {
	t.Parallel()
	clock := newClock()
	start := clock.Now().Truncate(time.Hour)
	l := openTest(t, t.TempDir(), Options{Now: clock.Now})
	for i := range 30 {
		for range i + 1 {
			l.Meter.Decided(listing("tok_a"), clock.Now())
		}
		if err := l.Flush(); err != nil {
			t.Fatal(err)
		}
		clock.Add(time.Hour)
	}
	for _, test := range []struct {
		from, to time.Duration
		want     uint64
	}{{0, 30 * time.Hour, 465}, {0, 0, 1}, {3 * time.Hour, 5 * time.Hour, 4 + 5 + 6}, {20 * time.Hour, 20*time.Hour + time.Minute, 21}, {40 * time.Hour, 50 * time.Hour, 0}} {
		var got uint64
		for _, c := range totals(t, l, Query{From: start.Add(test.from), To: start.Add(test.to)}) {
			got += c.Requests
		}
		if got != test.want {
			t.Errorf("hours %v to %v: got %d requests, want %d", test.from, test.to, got, test.want)
		}
	}
}

// TestLedgerRetires goes through more than a year, a day at a time.
func TestLedgerRetires(t *testing.T) {
	t.Parallel()
	clock := newClock()
	start := clock.Now()
	l := openTest(t, t.TempDir(), Options{Now: clock.Now})
	const days = Days + 30
	for range days {
		l.Meter.Decided(listing("tok_a"), clock.Now())
		if err := l.Flush(); err != nil {
			t.Fatal(err)
		}
		clock.Add(24 * time.Hour)
	}
	last := clock.Now()
	whole, hours := 0, 0
	oldest := last
	if err := l.Each(always(), func(s *Sample) {
		if s.At.Before(oldest) {
			oldest = s.At
		}
		if s.Whole {
			whole++
		} else {
			hours++
		}
		if want := s.At.Before(last.AddDate(0, 0, 1-HourDays).Truncate(24 * time.Hour)); s.Whole != want {
			t.Errorf("%v: whole %t, want %t", s.At, s.Whole, want)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if whole+hours != Days-1 || hours != HourDays-1 { // nothing was counted on the last day
		t.Errorf("got %d days and %d hours, want %d in all and %d hours", whole, hours, Days, HourDays)
	}
	if oldest.Before(last.AddDate(0, 0, -Days-1)) || oldest.Before(start) {
		t.Errorf("the oldest row is of %v", oldest)
	}
}

// TestLedgerUnderClockSteps: the clock goes years ahead and back, and what was counted stays.
func TestLedgerUnderClockSteps(t *testing.T) {
	t.Parallel()
	clock := newClock()
	start := clock.Now()
	l := openTest(t, t.TempDir(), Options{Now: clock.Now})
	var want uint64
	count := func() {
		l.Meter.Decided(listing("tok_a"), clock.Now())
		if err := l.Flush(); err != nil {
			t.Fatal(err)
		}
		want++
	}
	for range 10 {
		count()
		clock.Add(24 * time.Hour)
	}
	now := clock.Now()
	clock.Set(start.AddDate(5, 0, 0))
	count()
	clock.Set(start.AddDate(-40, 0, 0))
	count()
	clock.Set(now)
	count()
	if got := requests(t, l, "tok_a"); got < want-2 { // a day ahead, and one behind, may be too old
		t.Errorf("got %d requests, want at least %d", got, want-2)
	}
	var kept int
	if err := l.Each(Query{From: start, To: now}, func(*Sample) { kept++ }); err != nil {
		t.Fatal(err)
	}
	if kept < 10 {
		t.Errorf("%d hours are left of the days before, want at least 10 of 11", kept)
	}
}

// TestLedgerAfterCrash opens a copy that was made while the ledger was in use.
func TestLedgerAfterCrash(t *testing.T) {
	t.Parallel()
	folder, clock := t.TempDir(), newClock()
	l := openTest(t, folder, Options{Now: clock.Now})
	for i := range 100 {
		l.Meter.Decided(listing("tok_a"), clock.Now())
		if i == 70 {
			if err := l.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	after := t.TempDir()
	copyFile(t, filepath.Join(folder, "usage.db"), filepath.Join(after, "usage.db"))
	if got := requests(t, openTest(t, after, Options{Now: clock.Now}), "tok_a"); got != 71 {
		t.Errorf("after a crash: got %d requests, want the 71 that were written down", got)
	}
	if got := requests(t, l, "tok_a"); got != 100 {
		t.Errorf("got %d requests, want 100", got)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestUnsureWrite: a write of which nobody knows whether it was made counts once.
func TestUnsureWrite(t *testing.T) {
	t.Parallel()
	for _, made := range []bool{false, true} {
		t.Run(fmt.Sprintf("made %t", made), func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			l := openTest(t, t.TempDir(), Options{Now: clock.Now})
			l.Meter.Decided(listing("tok_a"), clock.Now())
			if err := l.Flush(); err != nil {
				t.Fatal(err)
			}
			l.Meter.Decided(listing("tok_a"), clock.Now())
			l.mu.Lock()
			l.gather()
			if err := l.db.Update(func(tx *bolt.Tx) error {
				if err := l.write(tx); err != nil || made {
					return err
				}
				return io.ErrShortWrite
			}); (err == nil) != made {
				t.Fatal(err)
			}
			// As update leaves it when the file fails while it is written.
			if err := l.db.Close(); err != nil {
				t.Fatal(err)
			}
			l.db, l.unsure, l.pending = nil, l.pending, make(map[slot]*row)
			l.mu.Unlock()
			l.Meter.Decided(listing("tok_a"), clock.Now())
			if got := requests(t, l, "tok_a"); got != 3 {
				t.Errorf("got %d requests, want 3", got)
			}
		})
	}
}

// TestDamagedFile: a file that cannot be read is put aside, and nothing stands still.
func TestDamagedFile(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func([]byte) []byte{
		"not a store":  func([]byte) []byte { return []byte("this is not bbolt") },
		"meta pages":   func(b []byte) []byte { clear(b[:2*os.Getpagesize()]); return b },
		"other format": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder, clock := t.TempDir(), newClock()
			path := filepath.Join(folder, "usage.db")
			l := openTest(t, folder, Options{Now: clock.Now})
			if damage == nil {
				if err := l.update(func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyFormat, []byte{99}) }); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if damage != nil {
				if err := os.WriteFile(path, damage(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			l = openTest(t, folder, Options{Now: clock.Now})
			l.Meter.Decided(listing("tok_a"), clock.Now())
			if got := requests(t, l, "tok_a"); got != 1 {
				t.Errorf("got %d requests in the new file, want 1", got)
			}
			if aside, err := filepath.Glob(path + ".damaged-*"); err != nil || len(aside) != 1 {
				t.Errorf("put aside: %v (%v), want one file", aside, err)
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("mode %v (%v), want 0600", info.Mode(), err)
			}
		})
	}
}

// TestHeldFile: a file that another process has is an error, and stays as it is.
func TestHeldFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	openTest(t, folder, Options{})
	if l, err := Open(filepath.Join(folder, "usage.db"), Options{}); err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("got %v and %v, want an error that is no damage", l, err)
	}
	if names, err := os.ReadDir(folder); err != nil || len(names) != 1 {
		t.Errorf("got %v (%v), want just the file", names, err)
	}
}

func TestClosedLedger(t *testing.T) {
	t.Parallel()
	l := openTest(t, t.TempDir(), Options{})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Each(always(), func(*Sample) {}); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

// TestNoRoom: what found no cell in memory is in the file, as lost.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	clock := newClock()
	l := openTest(t, t.TempDir(), Options{Now: clock.Now})
	l.Meter.lost.Add(7) // as TestMeterIsFull shows
	if lost := totals(t, l, always())[Key{Reason: ReasonLost}].Requests; lost != 7 || l.Lost() != 7 {
		t.Errorf("%d lost in the file and %d in this run, want 7", lost, l.Lost())
	}
}

// TestSince: a day that another node has counted before may not be whole.
func TestSince(t *testing.T) {
	t.Parallel()
	clock := newClock()
	l := openTest(t, t.TempDir(), Options{Now: clock.Now})
	l.Meter.Decided(listing("tok_a"), clock.Now())
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	since := func() time.Time {
		t.Helper()
		at, err := l.Since()
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	if got := since(); !got.Equal(clock.Now()) {
		t.Errorf("got %v, want when the file was made", got)
	}
	before := DayOf(clock.Now()) - 3
	if err := l.update(func(tx *bolt.Tx) error {
		_, err := openShelf(tx, Shelf{before, "0123456789ab"}, 1)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if got, want := since(), (before + 1).Time(); !got.Equal(want) {
		t.Errorf("got %v, want %v, when the first day of another node was over", got, want)
	}
}

// TestSinceUnderClockSteps: what was counted by a clock of 1970 does not make anybody believe
// that counting has gone on since then.
func TestSinceUnderClockSteps(t *testing.T) {
	t.Parallel()
	for name, counts := range map[string]bool{"after requests": true, "before any": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock, folder := newClock(), t.TempDir()
			right := clock.Now()
			clock.Set(time.Unix(30, 0))
			l := openTest(t, folder, Options{Now: clock.Now})
			if counts {
				l.Meter.Decided(listing("tok_a"), clock.Now())
				if err := l.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			clock.Set(right)
			for _, when := range []string{"at once", "after the next request", "when old days are gone"} {
				if since, err := l.Since(); err != nil || !since.Equal(right) {
					t.Errorf("%s: %v (%v), want %v", when, since, err, right)
				}
				l.Meter.Decided(listing("tok_a"), clock.Now())
				if err := l.Flush(); err != nil {
					t.Fatal(err)
				}
				clock.Add(2 * retireInterval)
			}
		})
	}
}
