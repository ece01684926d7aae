package limits

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// ledger is an Exchange in memory, as the interface says it, on a clock of its own. Answers
// take some time, and some are lost.
type ledger struct {
	ahead  time.Duration // of its clock
	trip   func() time.Duration
	lost   func() bool
	mu     sync.Mutex // guards what follows
	last   map[string]uint64
	levels map[string]levelAt
	counts map[string]int64
	asked  int
}

type levelAt struct {
	level float64
	at    time.Time
}

func newLedger() *ledger {
	return &ledger{
		trip: func() time.Duration { return 0 }, lost: func() bool { return false },
		last: make(map[string]uint64), levels: make(map[string]levelAt), counts: make(map[string]int64),
	}
}

var errLost = errors.New("no answer came")

// Settle implements [Exchange].
func (l *ledger) Settle(ctx context.Context, b *Batch) (*Settled, error) {
	trip := l.trip()
	if !pause(ctx, trip/2) {
		return nil, ctx.Err()
	}
	answer := l.add(b)
	if l.lost() {
		trip = time.Second
		pause(ctx, trip/2)
		return nil, errLost
	}
	if !pause(ctx, trip/2) {
		return nil, ctx.Err()
	}
	return answer, nil
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func (l *ledger) add(b *Batch) *Settled {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now().Add(l.ahead)
	isNew := b.Number > l.last[b.Node]
	l.last[b.Node] = max(b.Number, l.last[b.Node])
	l.asked++
	answer := &Settled{Now: now}
	lag := max(0, now.Sub(b.Sent).Seconds())
	for _, r := range b.Rates {
		key, level := r.Token+":"+r.API, math.Inf(-1)
		if had, ok := l.levels[key]; ok {
			level = had.level - r.PerSecond*now.Sub(had.at).Seconds()
		}
		if isNew && r.Taken > 0 {
			level = max(level, -r.PerSecond*(r.Age.Seconds()+lag)) + float64(r.Taken)
		}
		level = min(max(level, r.Level-r.PerSecond*lag), r.Most)
		l.levels[key] = levelAt{level, now}
		answer.Levels = append(answer.Levels, max(0, level))
	}
	for _, q := range b.Quotas {
		key := fmt.Sprint(q.Token, ":", q.API, ":", q.Start.Unix())
		if isNew {
			l.counts[key] += q.Taken
		}
		l.counts[key] = max(l.counts[key], q.Count)
		answer.Counts = append(answer.Counts, l.counts[key])
	}
	return answer
}

// fleet is some nodes that share a ledger, and what became of the requests to them.
type fleet struct {
	nodes   []*Limiter
	ledger  *ledger
	mu      sync.Mutex // guards what follows
	granted []time.Time
	refused []span
	slowest time.Duration
}

// span is the time that a request took.
type span struct{ begun, ended time.Time }

func newFleet(n int, exchange *ledger) *fleet {
	f := &fleet{ledger: exchange}
	for range n {
		f.nodes = append(f.nodes, New(Options{Exchange: exchange, Nodes: func() int { return n }}))
	}
	return f
}

func (f *fleet) close() {
	for _, l := range f.nodes {
		l.Close()
	}
}

// request has a node take, and takes note of what came of it.
func (f *fleet) request(node int, g *scopes.Grant) bool {
	begun := time.Now()
	ok := f.nodes[node].Take(g, "orders", begun).OK
	ended := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.slowest = max(f.slowest, ended.Sub(begun))
	if ok {
		f.granted = append(f.granted, ended)
	} else {
		f.refused = append(f.refused, span{begun, ended})
	}
	return ok
}

// load sends requests to all nodes for some time: each has clients, which send one after
// the other, some at once, some after a while.
func (f *fleet) load(seed uint64, g *scopes.Grant, d, gap time.Duration, clients int) {
	var working sync.WaitGroup
	end := time.Now().Add(d)
	for node := range f.nodes {
		for client := range clients {
			random := rand.New(rand.NewPCG(seed, uint64(node*clients+client)))
			working.Go(func() {
				for time.Now().Before(end) {
					for range 1 + random.IntN(4) {
						f.request(node, g)
					}
					wait := time.Duration(random.ExpFloat64() * float64(gap))
					if random.IntN(50) == 0 {
						wait += 20 * gap
					}
					pause(context.Background(), wait)
				}
			})
		}
	}
	working.Wait()
}

// highest returns how high the level of the bucket was that all nodes share, had it no
// bound: what a request found there.
func (f *fleet) highest(r scopes.Rate) float64 {
	slices.SortFunc(f.granted, time.Time.Compare)
	level, at, most := 0.0, time.Time{}, 0.0
	for _, t := range f.granted {
		level = max(0, level-t.Sub(at).Seconds()*perSecond(r)) + 1
		at, most = t, max(most, level)
	}
	return most
}

// unfair returns how many requests were refused although there was room for them in the
// bucket that all nodes share.
func (f *fleet) unfair(r scopes.Rate) int {
	const rounding = 1e-6
	slices.SortFunc(f.granted, time.Time.Compare)
	slices.SortFunc(f.refused, func(a, b span) int { return a.ended.Compare(b.ended) })
	level, at, next, unfair := 0.0, time.Time{}, 0, 0
	for _, refused := range f.refused {
		for next < len(f.granted) && !f.granted[next].After(refused.ended) {
			t := f.granted[next]
			level, at = max(0, level-t.Sub(at).Seconds()*perSecond(r))+1, t
			next++
		}
		if now := max(0, level-refused.ended.Sub(at).Seconds()*perSecond(r)); now+1 <= float64(r.Burst)-rounding {
			unfair++
		}
	}
	return unfair
}

func perSecond(r scopes.Rate) float64 { return float64(r.Requests) / r.Per.Seconds() }

// overshoot is by how much n nodes may exceed a rate, as the package says it.
func overshoot(r scopes.Rate, n int64, trip time.Duration) float64 {
	return float64(2*(n-1)*rateSlice(&r, n)) + perSecond(r)*trip.Seconds()
}

// Several nodes together never refuse what one would have let through, and never let
// through more than is stated.
func TestNodesShareRate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		rate  string
		nodes int
		trip  time.Duration // at most
		gap   time.Duration // between requests of a client
	}{
		{"100/s", 3, 2 * time.Millisecond, 20 * time.Millisecond},
		{"100/s", 3, 15 * time.Millisecond, 20 * time.Millisecond},
		{"1000/s burst 100", 3, 2 * time.Millisecond, 5 * time.Millisecond},
		{"1000/s burst 10", 3, 2 * time.Millisecond, 2 * time.Millisecond},
		{"10/s burst 200", 5, 2 * time.Millisecond, 50 * time.Millisecond},
		{"1/s", 3, 2 * time.Millisecond, 100 * time.Millisecond},
		{"2/s burst 1", 8, 5 * time.Millisecond, 100 * time.Millisecond},
		{"10/min burst 5", 2, 2 * time.Millisecond, 100 * time.Millisecond},
		{"100/s", 1, 2 * time.Millisecond, 5 * time.Millisecond},
	} {
		t.Run(fmt.Sprintf("%s on %d with %s", test.rate, test.nodes, test.trip), func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(2) {
				synctest.Test(t, func(t *testing.T) {
					exchange, random := newLedger(), rand.New(rand.NewPCG(seed, 99))
					var mu sync.Mutex
					exchange.trip = func() time.Duration {
						mu.Lock()
						defer mu.Unlock()
						return time.Duration(random.Int64N(int64(test.trip)) + 1)
					}
					f := newFleet(test.nodes, exchange)
					defer f.close()
					one := limit(t, "", test.rate, "")
					f.load(seed, grantWith(one), 6*time.Second, test.gap, 3)
					most := float64(one.Rate.Burst) + overshoot(one.Rate, int64(test.nodes), test.trip)
					highest, unfair := f.highest(one.Rate), f.unfair(one.Rate)
					t.Logf("%d let through, %d refused, in %d batches; the level was %.2f, of %.2f at most; the longest wait %s",
						len(f.granted), len(f.refused), exchange.asked, highest, most, f.slowest)
					if highest > most {
						t.Errorf("the level was %.2f, want at most %.2f", highest, most)
					}
					if unfair > 0 {
						t.Errorf("%d of %d refused requests had room", unfair, len(f.refused))
					}
					if len(f.refused) == 0 {
						t.Error("no request was refused: it shows nothing")
					}
				})
			}
		})
	}
}
