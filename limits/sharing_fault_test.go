package limits

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// count returns what the ledger has counted in all windows of all quotas.
func (l *ledger) count() (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, count := range l.counts {
		n += count
	}
	return n
}

// forget is what a Redis does that is flushed.
func (l *ledger) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.last)
	clear(l.levels)
	clear(l.counts)
}

// A quota that several nodes share is used to the last request, and exceeded by no more than
// the slices of all nodes but one.
func TestNodesShareQuota(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		quota string
		nodes int
		ahead time.Duration // the common clock
	}{
		{"5/day", 3, 0}, {"100/day", 3, 0}, {"3000/day", 3, 0}, {"3000/day", 8, 0}, {"3000/hour", 3, 50 * time.Minute}, {"3000/hour", 3, -50 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			exchange := newLedger()
			exchange.trip = func() time.Duration { return 2 * time.Millisecond }
			exchange.ahead = test.ahead
			f := newFleet(test.nodes, exchange)
			defer f.close()
			one := limit(t, "", "", test.quota)
			f.load(1, grantWith(one), 10*time.Second, 2*time.Millisecond, 2)
			slices := int64(test.nodes-1) * quotaSlice(one.Quota, 0, int64(test.nodes))
			got := int64(len(f.granted))
			t.Logf("%s on %d: %d let through, %d refused", test.quota, test.nodes, got, len(f.refused))
			if got < one.Quota.Requests || got > one.Quota.Requests+slices {
				t.Errorf("%s on %d nodes: %d let through, want %d more at most", test.quota, test.nodes, got, slices)
			}
			if counted := exchange.count(); counted != got {
				t.Errorf("%s on %d nodes: %d counted, and %d let through", test.quota, test.nodes, counted, got)
			}
		})
	}
}

// Answers that are lost make no request count twice, and none that was let through is
// forgotten.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			exchange, random := newLedger(), rand.New(rand.NewPCG(seed, 7))
			var mu sync.Mutex
			exchange.trip = func() time.Duration { return time.Millisecond }
			all := false // arrive
			exchange.lost = func() bool {
				mu.Lock()
				defer mu.Unlock()
				return !all && random.IntN(3) == 0
			}
			f := newFleet(3, exchange)
			defer f.close()
			f.load(seed, grantWith(limit(t, "", "", "1000000/day")), 30*time.Second, 20*time.Millisecond, 2)
			mu.Lock()
			all = true
			mu.Unlock()
			pause(context.Background(), time.Minute)
			if got, want := exchange.count(), int64(len(f.granted)); got != want {
				t.Errorf("seed %d: %d requests were counted, %d let through", seed, got, want)
			}
			if len(f.refused) > 0 {
				t.Errorf("seed %d: %d requests were refused", seed, len(f.refused))
			}
			if f.slowest > 3*defaultPatience {
				t.Errorf("seed %d: a request waited %s", seed, f.slowest)
			}
		})
	}
}

// outage is an Exchange that can be out of reach.
type outage struct {
	*ledger
	away atomic.Bool
}

// Settle implements [Exchange].
func (o *outage) Settle(ctx context.Context, b *Batch) (*Settled, error) {
	if o.away.Load() {
		pause(ctx, 500*time.Millisecond)
		return nil, errLost
	}
	return o.ledger.Settle(ctx, b)
}

// While the others cannot be reached, each node holds the whole limit by itself, and hardly
// anybody waits. Afterwards they share it again, and no node makes up for anything.
func TestExchangeAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const nodes = 3
		exchange := &outage{ledger: newLedger()}
		exchange.trip = func() time.Duration { return time.Millisecond }
		f := &fleet{}
		for range nodes {
			f.nodes = append(f.nodes, New(Options{Exchange: exchange, Nodes: func() int { return nodes }}))
		}
		defer f.close()
		one := limit(t, "", "100/s", "")
		phase := func(d time.Duration) float64 {
			f.granted, f.refused, f.slowest = nil, nil, 0
			f.load(1, grantWith(one), d, 2*time.Millisecond, 2)
			return float64(len(f.granted)) / d.Seconds()
		}
		phase(3 * time.Second) // the burst is used up
		if rate := phase(10 * time.Second); rate < 99 || rate > 103 {
			t.Errorf("together %g requests a second were let through, want 100", rate)
		}
		exchange.away.Store(true)
		phase(time.Second)
		if rate := phase(10 * time.Second); rate < nodes*99 || rate > nodes*101 {
			t.Errorf("alone %g requests a second were let through, want %d from each node", rate, 100)
		}
		if f.slowest > defaultPatience {
			t.Errorf("alone a request waited %s", f.slowest)
		}
		exchange.away.Store(false)
		phase(2 * time.Second)
		if rate := phase(10 * time.Second); rate < 99 || rate > 103 {
			t.Errorf("together again %g requests a second were let through, want 100", rate)
		}
	})
}

// What all have in common may be lost: the nodes bring back what they know.
func TestExchangeForgets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		exchange := newLedger()
		exchange.trip = func() time.Duration { return time.Millisecond }
		f := newFleet(3, exchange)
		defer f.close()
		one := limit(t, "", "1000/h burst 1000", "3000/day")
		g := grantWith(one)
		for round := range 30 {
			f.load(uint64(round), g, 100*time.Millisecond, time.Millisecond, 2)
			pause(context.Background(), 100*time.Millisecond)
			exchange.forget()
		}
		slices := 2 * float64(2*rateSlice(&one.Rate, 3)) // some of them were not told when it was lost
		if highest := f.highest(one.Rate); highest < 1000 || highest > 1000+slices+2 {
			t.Errorf("the level was %.2f, want 1000 and at most %g more", highest, slices)
		}
	})
}

// An answer that cannot be true is none: the node goes on by itself.
func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	good := func(b *Batch) *Settled {
		return &Settled{Now: time.Now(), Levels: make([]float64, len(b.Rates)), Counts: make([]int64, len(b.Quotas))}
	}
	for name, spoil := range map[string]func(*Settled){
		"no levels":            func(s *Settled) { s.Levels = nil },
		"too many levels":      func(s *Settled) { s.Levels = append(s.Levels, 1) },
		"no counts":            func(s *Settled) { s.Counts = nil },
		"a negative level":     func(s *Settled) { each(s.Levels, -1) },
		"no number":            func(s *Settled) { each(s.Levels, math.NaN()) },
		"infinite":             func(s *Settled) { each(s.Levels, math.Inf(1)) },
		"a level out of range": func(s *Settled) { each(s.Levels, 1000) },
		"a negative count":     func(s *Settled) { each(s.Counts, -1) },
		"a count out of range": func(s *Settled) { each(s.Counts, math.MaxInt64) },
		"another year":         func(s *Settled) { s.Now = s.Now.AddDate(1, 0, 0) },
		"no time":              func(s *Settled) { s.Now = time.Time{} },
	} {
		synctest.Test(t, func(t *testing.T) {
			l := New(Options{Nodes: func() int { return 2 }, Exchange: answering(func(b *Batch) *Settled {
				s := good(b)
				if len(b.Rates) > 0 || name == "another year" || name == "no time" {
					spoil(s)
				}
				return s
			})})
			defer l.Close()
			g, passed := grantWith(limit(t, "", "10/h", "100/day")), 0
			for range 100 {
				if l.Take(g, "orders", time.Now()).OK {
					passed++
				}
				pause(context.Background(), 10*time.Millisecond)
			}
			if passed != 10 {
				t.Errorf("%s: %d let through, want 10: what the node holds by itself", name, passed)
			}
		})
	}
}

func each[T any](values []T, value T) {
	for i := range values {
		values[i] = value
	}
}

// answering is an Exchange that answers at once.
type answering func(*Batch) *Settled

// Settle implements [Exchange].
func (a answering) Settle(_ context.Context, b *Batch) (*Settled, error) { return a(b), nil }

// A node becomes one of several and leaves them again, while requests come. It keeps what
// was counted, and nothing stays behind.
func TestFollow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		exchange := newLedger()
		exchange.trip = func() time.Duration { return time.Millisecond }
		f := newFleet(2, exchange)
		one := limit(t, "", "", "1000/day")
		var working sync.WaitGroup
		working.Go(func() { f.load(1, grantWith(one), 3*time.Second, time.Millisecond, 2) })
		for range 20 {
			pause(context.Background(), 50*time.Millisecond)
			f.nodes[0].Follow(nil)
			pause(context.Background(), 50*time.Millisecond)
			f.nodes[0].Follow(exchange)
		}
		working.Wait()
		if got := len(f.granted); got < 1000 || got > 2000 {
			t.Errorf("%d requests were let through, want 1000 and at most as many again by the node while it was alone", got)
		}
		for _, l := range f.nodes {
			l.Close()
			for i := range l.shards {
				if l.shards[i].sweep(time.Now().Add(48*time.Hour).UnixNano(), time.Now().Add(48*time.Hour).UnixNano()); len(l.shards[i].states) > 0 {
					t.Error("a state stays for ever")
				}
			}
		}
	})
}

// Limits may change while takes of theirs are on the way.
func TestChangedWhileSettling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		exchange := newLedger()
		exchange.trip = func() time.Duration { return 3 * time.Millisecond }
		f := newFleet(3, exchange)
		defer f.close()
		grants := []*scopes.Grant{
			grantWith(limit(t, "", "", "100000/day")),
			grantWith(limit(t, "", "1000/s burst 50", "100000/day"), limit(t, "orders", "100/s", "")),
			grantWith(limit(t, "orders", "", "5/hour")),
			grantWith(limit(t, "", "1/h burst 1000000", "")),
		}
		var working sync.WaitGroup
		for i, g := range grants {
			working.Go(func() { f.load(uint64(i), g, 5*time.Second, time.Millisecond, 1) })
		}
		working.Wait()
		for at, l := range f.nodes {
			for i := range l.shards {
				for token, s := range l.shards[i].states {
					for j := range s.meters {
						if m := s.meters[j]; m.rate.level < 0 || m.quota.count < 0 {
							t.Errorf("node %d, token %s: %+v", at, token, m)
						}
					}
				}
			}
		}
	})
}

// Many tokens are settled in several batches, and none is forgotten.
func TestManyTokens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		exchange := newLedger()
		f := newFleet(2, exchange)
		defer f.close()
		one := []scopes.Limit{limit(t, "", "", "1000000/day")}
		want := int64(0)
		for range 3 {
			for i := range 3 * maxBatch {
				g := &scopes.Grant{ID: fmt.Sprintf("tok_%022d", i), Limits: one}
				if f.nodes[i%2].Take(g, "orders", time.Now()).OK {
					want++
				}
			}
			pause(context.Background(), time.Second)
		}
		if got := exchange.count(); got != want || want != 9*maxBatch {
			t.Errorf("%d requests were counted, %d let through, want %d", got, want, 9*maxBatch)
		}
	})
}
