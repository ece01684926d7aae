package usage

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

func randomRow(r *rand.Rand) row {
	one := row{seq: r.Uint64(), first: r.Int64N(math.MaxInt32), last: r.Int64N(math.MaxInt32)}
	for hour := range uint8(wholeDay + 1) {
		if r.IntN(3) > 0 {
			continue
		}
		p := part{hour: hour, counts: Counts{Requests: r.Uint64()}}
		for i := range p.counts.Status {
			p.counts.Status[i] = uint64(r.IntN(2)) * r.Uint64()
		}
		for i := range p.counts.Latency {
			p.counts.Latency[i] = uint64(r.IntN(2)) * r.Uint64()
		}
		one.parts = append(one.parts, p)
	}
	return one
}

func TestRowRoundTrip(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		want := randomRow(random)
		got, err := decodeRow(want.encode())
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v (%v), want %+v", got, err, want)
		}
		if seqOf(want.encode()) != want.seq {
			t.Fatalf("the number does not stand first")
		}
	}
}

// FuzzRow: no bytes are read as two different rows, and none panic.
func FuzzRow(f *testing.F) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 5 {
		one := randomRow(random)
		f.Add(one.encode())
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, value []byte) {
		r, err := decodeRow(value)
		if err != nil {
			return
		}
		again, err := decodeRow(r.encode())
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("%x: read as %+v, then %+v (%v)", value, r, again, err)
		}
	})
}

func FuzzKey(f *testing.F) {
	k := Key{"tok_a", "0a1b2c3d", "orders", "v1", "list", "GET", "allow", "api_not_granted", true}
	f.Add(k.encode())
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		k, ok := decodeKey(s)
		if !ok {
			return
		}
		if again, ok := decodeKey(k.encode()); !ok || again != k {
			t.Errorf("%q: read as %+v, then %+v", s, k, again)
		}
	})
}

// TestQuantile compares with the exact quantile of random latencies.
func TestQuantile(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		var c Counts
		all := make([]time.Duration, 1+random.IntN(1000))
		for i := range all {
			all[i] = time.Duration(math.Exp(random.NormFloat64()*2) * float64(5*time.Millisecond))
			c.Latency[bucketOf(all[i])]++
		}
		slices.Sort(all)
		for _, q := range []float64{0, 0.5, 0.95, 1} {
			exact := all[max(int(math.Ceil(q*float64(len(all))))-1, 0)]
			if got := c.Quantile(q); got > 2*exact+firstBucket || got < exact/2-firstBucket {
				t.Fatalf("quantile %v of %d: got %v, want %v within a factor of 2", q, len(all), got, exact)
			}
		}
	}
	if got := new(Counts).Quantile(0.5); got != 0 {
		t.Errorf("of nothing: got %v, want 0", got)
	}
}

func TestBuckets(t *testing.T) {
	t.Parallel()
	for i := range Buckets - 1 {
		from, to := bucketBounds(i)
		if bucketOf(from) != i || bucketOf(to-1) != i || bucketOf(to) != i+1 {
			t.Errorf("bucket %d from %v to %v: they fall into %d, %d, %d", i, from, to, bucketOf(from), bucketOf(to-1), bucketOf(to))
		}
	}
	if bucketOf(-1) != 0 || bucketOf(time.Hour) != Buckets-1 {
		t.Errorf("got %d and %d, want the first and the last", bucketOf(-1), bucketOf(time.Hour))
	}
}
