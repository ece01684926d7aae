package usage

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// TestEachOfSome asks for some tokens: it gets their rows, and what was lost, which may have
// been theirs.
func TestEachOfSome(t *testing.T) {
	t.Parallel()
	clock := newClock()
	l := openTest(t, t.TempDir(), Options{Now: clock.Now})
	for _, token := range []string{"tok_a", "tok_ab", "tok_b", "tok_c", ""} {
		l.Meter.Decided(listing(token), clock.Now())
	}
	l.Meter.lost.Add(7)
	q := always()
	q.Tokens = []string{"tok_a", "tok_c", "tok_none"}
	got := make(map[string]uint64)
	for key, c := range totals(t, l, q) {
		got[key.Token+" "+key.Reason] += c.Requests
	}
	if want := map[string]uint64{"tok_a allow": 1, "tok_c allow": 1, " lost": 7}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// fillLedger makes a file with what tokens did on some days, past the meter: each used two
// operations in eight hours of each day.
func fillLedger(b *testing.B, path string, tokens, days int, now time.Time) {
	b.Helper()
	l, err := Open(path, Options{Now: func() time.Time { return now }})
	if err != nil {
		b.Fatal(err)
	}
	r := row{seq: 1}
	for hour := uint8(8); hour < 16; hour++ {
		counts := Counts{Requests: 100}
		counts.Status[2], counts.Status[5], counts.Latency[5], counts.Latency[6] = 98, 2, 50, 50
		r.parts = append(r.parts, part{hour, counts})
	}
	l.db.NoSync = true // only what is read is looked at
	for i := range days {
		day := DayOf(now) - Day(i)
		r.first, r.last = day.Time().Unix()+8*secondsOfHour, day.Time().Unix()+16*secondsOfHour
		value := r.encode()
		if err := l.db.Update(func(tx *bolt.Tx) error {
			s := Shelf{day, l.origin}
			if err := tx.Bucket(bucketShelves).Put(s.key(), appendNumber(1)); err != nil {
				return err
			}
			rows, err := tx.Bucket(bucketRows).CreateBucketIfNotExists(s.key())
			if err != nil {
				return err
			}
			rows.FillPercent = 0.9 // the keys come in their order
			for n := range tokens {
				for _, operation := range []string{"list", "one"} {
					k := listing(benchToken(n)).key()
					k.Operation = operation
					if err := rows.Put([]byte(k.encode()), value); err != nil {
						return err
					}
				}
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}

func benchToken(n int) string { return fmt.Sprintf("tok_%022d", n) }

// BenchmarkEach reads 30 days of 20,000 tokens, 1.2 million rows: all, or those of 50 tokens.
func BenchmarkEach(b *testing.B) {
	const tokens, days, some = 20_000, 30, 50
	now := newClock().Now()
	path := filepath.Join(b.TempDir(), "usage.db")
	fillLedger(b, path, tokens, days, now)
	l, err := Open(path, Options{Now: func() time.Time { return now }})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := l.Close(); err != nil {
			b.Error(err)
		}
	})
	q := Query{From: now.AddDate(0, 0, -days), To: now}
	for n := range some {
		q.Tokens = append(q.Tokens, benchToken(n*tokens/some))
	}
	for name, q := range map[string]Query{"50 tokens, 30 days": q, "50 tokens, a day": {From: now.AddDate(0, 0, -1), To: now, Tokens: q.Tokens}, "all, 30 days": {From: q.From, To: q.To}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var requests uint64
				if err := l.Each(q, func(s *Sample) { requests += s.Counts.Requests }); err != nil || requests == 0 {
					b.Fatalf("got %d requests, %v", requests, err)
				}
			}
		})
	}
}
