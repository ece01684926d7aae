package limits

import (
	"math/big"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/scopegate/scopegate/scopes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testNow is when most tests begin.
var testNow = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// limit reads limits as a scope file has them.
func limit(tb testing.TB, api, rate, quota string) scopes.Limit {
	tb.Helper()
	l := scopes.Limit{API: api}
	var err error
	if rate != "" {
		if l.Rate, err = scopes.ParseRate(rate); err != nil {
			tb.Fatal(err)
		}
	}
	if quota != "" {
		if l.Quota, err = scopes.ParseQuota(quota); err != nil {
			tb.Fatal(err)
		}
	}
	return l
}

func grantWith(limits ...scopes.Limit) *scopes.Grant {
	return &scopes.Grant{State: scopes.Active, ID: "tok_0123456789abcdefghijkl", Limits: limits}
}

// newLimiter makes a Limiter that the test closes.
func newLimiter(tb testing.TB, o Options) *Limiter {
	tb.Helper()
	l := New(o)
	tb.Cleanup(l.Close)
	return l
}

// takes returns how many of n requests at a time are let through.
func takes(l *Limiter, g *scopes.Grant, api string, now time.Time, n int) int {
	passed := 0
	for range n {
		if l.Take(g, api, now).OK {
			passed++
		}
	}
	return passed
}

// reference is the bucket of a rate in numbers of any size.
type reference struct {
	rate  scopes.Rate
	level *big.Rat
	at    time.Time
}

func (r *reference) take(now time.Time) bool {
	drains := big.NewRat(now.Sub(r.at).Nanoseconds(), int64(r.rate.Per))
	drains.Mul(drains, big.NewRat(int64(r.rate.Requests), 1))
	if r.level.Sub(r.level, drains); r.level.Sign() < 0 {
		r.level.SetInt64(0)
	}
	r.at = now
	if more := new(big.Rat).Add(r.level, big.NewRat(1, 1)); more.Cmp(big.NewRat(int64(r.rate.Burst), 1)) <= 0 {
		r.level = more
		return true
	}
	return false
}

// What a rate lets through is what its definition says, to the request and the
// nanosecond, for every rate and all times; and a request that comes when it was told to is
// let through, one that comes a nanosecond earlier is not.
func TestRateIsExact(t *testing.T) {
	t.Parallel()
	for seed := range uint64(400) {
		random := rand.New(rand.NewPCG(seed, 1))
		rate := scopes.Rate{
			Requests: 1 + random.IntN([]int{3, 100, 1e9}[random.IntN(3)]),
			Per:      []time.Duration{time.Second, time.Minute, time.Hour}[random.IntN(3)],
			Burst:    1 + random.IntN([]int{3, 100, 1e6}[random.IntN(3)]),
		}
		l, g := New(Options{}), grantWith(scopes.Limit{Rate: rate})
		want := &reference{rate, new(big.Rat), testNow}
		now := testNow
		interval := max(1, int64(rate.Per)/int64(rate.Requests))
		for step := range 300 {
			got := l.Take(g, "orders", now)
			if ok := want.take(now); got.OK != ok {
				t.Fatalf("seed %d, %s: request %d at %s: got %t, want %t", seed, rate, step, now, got.OK, ok)
			}
			if !got.OK {
				now = now.Add(got.RetryAfter)
				checkRetry(t, l, g, want, now)
				continue
			}
			switch random.IntN(4) {
			case 0:
				now = now.Add(time.Duration(random.Int64N(3 * interval)))
			case 1:
				now = now.Add(time.Duration(random.Int64N(int64(rate.Burst)*interval + 1)))
			}
		}
		l.Close()
	}
}

// checkRetry holds that a request is let through at a time and not before.
func checkRetry(t *testing.T, l *Limiter, g *scopes.Grant, want *reference, at time.Time) {
	t.Helper()
	if early := at.Add(-1); early.After(want.at) && (l.Take(g, "orders", early).OK || want.take(early)) {
		t.Fatalf("%s: let through a nanosecond before Retry-After", want.rate)
	}
	if !l.Take(g, "orders", at).OK || !want.take(at) {
		t.Fatalf("%s: not let through after Retry-After", want.rate)
	}
}

// However many take at the same time, exactly the burst is let through.
func TestConcurrentTakes(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, Options{})
	g := grantWith(limit(t, "", "1/h burst 1000", "5000/day"), limit(t, "orders", "", "700/hour"))
	var orders, ads atomic.Int64
	var working sync.WaitGroup
	for range 8 {
		working.Go(func() {
			orders.Add(int64(takes(l, g, "orders", testNow, 500)))
			ads.Add(int64(takes(l, g, "ads", testNow, 500)))
		})
	}
	working.Wait()
	if orders.Load() > 700 || orders.Load()+ads.Load() != 1000 {
		t.Errorf("%d requests to orders and %d to ads were let through; want 1000, at most 700 of them to orders", orders.Load(), ads.Load())
	}
}

// A request that one limit refuses is taken from none.
func TestAllOrNothing(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, Options{})
	g := grantWith(limit(t, "", "1/s burst 10", ""), limit(t, "orders", "", "3/day"))
	if got := takes(l, g, "orders", testNow, 100); got != 3 {
		t.Errorf("%d requests to orders were let through, want 3", got)
	}
	if got := takes(l, g, "ads", testNow, 100); got != 7 {
		t.Errorf("%d requests to ads were let through, want 7: what was left", got)
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	both := []scopes.Limit{limit(t, "", "100/s burst 200", ""), limit(t, "orders", "6/min burst 2", "3/day")}
	for _, test := range []struct {
		name   string
		limits []scopes.Limit
		api    string
		before int // requests
		want   Verdict
	}{
		{"no limit for this API", both[1:], "ads", 5, Verdict{OK: true}},
		{"all APIs", both, "ads", 0, Verdict{OK: true, Name: "token", Quota: 100, Window: time.Second, Remaining: 199, Reset: 10 * time.Millisecond}},
		{"one API", both, "orders", 0, Verdict{OK: true, Name: "orders", Quota: 6, Window: time.Minute, Remaining: 1, Reset: 10 * time.Second}},
		{"refused by a rate", both, "orders", 2, Verdict{Name: "orders", Quota: 6, Window: time.Minute, Reset: 20 * time.Second, RetryAfter: 10 * time.Second}},
		{"refused by a quota", []scopes.Limit{limit(t, "", "1/h", "1/day")}, "orders", 1, Verdict{
			Name: "token", Quota: 1, Window: 24 * time.Hour, Reset: 12 * time.Hour, RetryAfter: 12 * time.Hour,
		}},
		{"the tightest of all", []scopes.Limit{limit(t, "", "10/s", "9/month")}, "orders", 0, Verdict{
			OK: true, Name: "token", Quota: 9, Window: 30 * 24 * time.Hour, Remaining: 8, Reset: (5*24 + 12) * time.Hour,
		}},
		{"no limits", nil, "orders", 0, Verdict{OK: true}},
	} {
		l, g := newLimiter(t, Options{}), grantWith(test.limits...)
		takes(l, g, test.api, testNow, test.before)
		if got := l.Take(g, test.api, testNow); got != test.want {
			t.Errorf("%s:\n got %+v\nwant %+v", test.name, got, test.want)
		}
	}
}

// Quotas begin anew with the calendar, in UTC, however long a month is.
func TestQuotaWindows(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ quota, last, first, middle string }{
		{"5/hour", "2026-11-25T12:59:59.999999999Z", "2026-11-25T13:00:00Z", "2026-11-25T13:59:59Z"},
		{"5/day", "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z", "2027-01-01T23:59:59.9Z"},
		{"5/day", "2026-03-29T01:59:59+02:00", "2026-03-29T02:00:00+02:00", "2026-03-30T01:59:59+02:00"},
		{"5/month", "2028-02-29T23:59:59Z", "2028-03-01T00:00:00Z", "2028-03-31T23:59:59Z"},
		{"5/month", "2027-02-28T23:59:59Z", "2027-03-01T00:00:00Z", "2027-03-31T12:00:00Z"},
		{"5/month", "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z", "2027-01-31T23:59:59Z"},
	} {
		l, g := newLimiter(t, Options{}), grantWith(limit(t, "", "", test.quota))
		for _, moment := range []struct {
			at   string
			want int
		}{{test.last, 5}, {test.last, 0}, {test.first, 5}, {test.first, 0}, {test.middle, 0}} {
			at, err := time.Parse(time.RFC3339Nano, moment.at)
			if err != nil {
				t.Fatal(err)
			}
			if got := takes(l, g, "orders", at, 9); got != moment.want {
				t.Errorf("%s: %d of 9 requests at %s were let through, want %d", test.quota, got, moment.at, moment.want)
			}
		}
	}
}

// A clock that is set back gives nothing anew, and stops nothing for longer than it would
// have taken.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, Options{})
	g := grantWith(limit(t, "rate", "1/s burst 5", ""), limit(t, "quota", "", "5/hour"))
	if got := takes(l, g, "rate", testNow, 9); got != 5 {
		t.Fatalf("%d let through, want 5", got)
	}
	for _, back := range []time.Duration{time.Nanosecond, time.Second, time.Minute, 24 * time.Hour} {
		now := testNow.Add(-back)
		if got := takes(l, g, "rate", now, 9); got != 0 {
			t.Errorf("%s back: %d let through, want 0", back, got)
		}
	}
	now := testNow.Add(-24 * time.Hour)
	if got := takes(l, g, "rate", now.Add(3*time.Second), 9); got != 3 {
		t.Errorf("3 s after the clock was set back %d let through, want 3", got)
	}

	if got := takes(l, g, "quota", testNow, 4); got != 4 {
		t.Fatalf("%d let through, want 4", got)
	}
	if got := takes(l, g, "quota", testNow.Add(-time.Millisecond), 9); got != 1 {
		t.Errorf("just before the hour: %d let through, want 1: the count goes on", got)
	}
	if got := takes(l, g, "quota", testNow.Add(-90*time.Minute), 9); got != 0 {
		t.Errorf("an hour and a half back: %d let through, want 0: the count goes along", got)
	}
	if got := takes(l, g, "quota", testNow.Add(-time.Hour), 9); got != 5 {
		t.Errorf("in the hour after that %d let through, want 5", got)
	}
}

// A changed limit takes effect at once, and keeps what was counted.
func TestChangedLimits(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, api     string
		before, after scopes.Limit
		takes, want   int // before, and of 1000 after
	}{
		{"a higher burst", "a", limit(t, "", "1/h burst 10", ""), limit(t, "", "1/h burst 15", ""), 10, 5},
		{"a lower burst", "a", limit(t, "", "1/h burst 10", ""), limit(t, "", "1/h burst 8", ""), 5, 3},
		{"a burst below what was taken", "a", limit(t, "", "1/h burst 10", ""), limit(t, "", "1/h burst 3", ""), 5, 0},
		{"another unit", "a", limit(t, "", "1/h burst 10", ""), limit(t, "", "1/min burst 10", ""), 7, 3},
		{"a rate where none was", "a", limit(t, "", "", "100/day"), limit(t, "", "1/h burst 3", "100/day"), 7, 3},
		{"a higher quota", "a", limit(t, "", "", "10/day"), limit(t, "", "", "12/day"), 10, 2},
		{"a lower quota", "a", limit(t, "", "", "10/day"), limit(t, "", "", "8/day"), 7, 1},
		{"a longer period", "a", limit(t, "", "", "10/hour"), limit(t, "", "", "10/day"), 7, 3},
		{"a shorter period", "a", limit(t, "", "", "10/day"), limit(t, "", "", "10/hour"), 7, 10},
		{"no limit any more", "a", limit(t, "a", "", "10/day"), limit(t, "b", "", "10/day"), 7, 1000},
	} {
		l := newLimiter(t, Options{})
		if got := takes(l, grantWith(test.before), test.api, testNow, test.takes); got != test.takes {
			t.Fatalf("%s: %d of %d let through before", test.name, got, test.takes)
		}
		if got := takes(l, grantWith(test.after), test.api, testNow, 1000); got != test.want {
			t.Errorf("%s: %d let through, want %d", test.name, got, test.want)
		}
	}
}

// Counts go through a restart. What has no window any more, or is no quota now, does not.
func TestQuotasRestored(t *testing.T) {
	t.Parallel()
	clock := testNow
	now := func() time.Time { return clock }
	before := newLimiter(t, Options{Now: now})
	g := grantWith(limit(t, "", "100/s", "10/day"), limit(t, "orders", "", "5/hour"))
	takes(before, g, "orders", clock, 4)
	takes(before, g, "ads", clock, 2)
	counts := before.Quotas()
	if len(counts) != 2 {
		t.Fatalf("got %+v", counts)
	}
	clock = clock.Add(time.Minute)
	after := newLimiter(t, Options{Now: now})
	after.Restore(counts)
	if again := after.Quotas(); len(again) != 2 {
		t.Errorf("what was restored is saved as %+v", again)
	}
	if got := takes(after, g, "orders", clock, 9); got != 1 {
		t.Errorf("%d to orders let through, want 1", got)
	}
	if got := takes(after, g, "ads", clock, 9); got != 3 {
		t.Errorf("%d to ads let through, want 3", got)
	}
	after.Restore(counts) // it knows better
	if got := takes(after, g, "ads", clock, 9); got != 0 {
		t.Errorf("restored again: %d let through, want 0", got)
	}
	clock = clock.Add(time.Hour)
	late := newLimiter(t, Options{Now: now})
	late.Restore(counts)
	if got := takes(late, g, "orders", clock, 9); got != 4 {
		t.Errorf("an hour later %d to orders let through, want 4: those that the day has left", got)
	}
}

// A million tokens cost a bounded memory, and none once they say nothing any more.
func TestMemory(t *testing.T) {
	const tokens, perToken = 1_000_000, 320 // bytes
	l := newLimiter(t, Options{})
	one := []scopes.Limit{limit(t, "", "100/s", "")}
	used := func() uint64 {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	use := func(prefix string, now time.Time) {
		id := []byte("tok_" + prefix)
		for i := range tokens {
			g := scopes.Grant{ID: string(strconv.AppendInt(id, int64(1e16+i), 10)), Limits: one}
			if !l.Take(&g, "orders", now).OK {
				t.Fatalf("token %d is refused", i)
			}
		}
	}
	before := used()
	use("aaaaa", testNow)
	first := used() - before
	use("bbbbb", testNow.Add(time.Minute))
	last := used() - before
	t.Logf("%d bytes a token; after as many others %d", first/tokens, last/tokens)
	if first > tokens*perToken || last > 2*tokens*perToken {
		t.Errorf("got %d and %d bytes a token, want at most %d and twice of that", first/tokens, last/tokens, perToken)
	}
	states := 0
	for i := range l.shards {
		states += len(l.shards[i].states)
	}
	if states > 2*tokens {
		t.Errorf("%d states are kept, want at most %d", states, 2*tokens)
	}
	runtime.KeepAlive(l)
}

func TestTakeDoesNotAllocate(t *testing.T) {
	l := newLimiter(t, Options{})
	g := grantWith(limit(t, "", "1000000/s", "1000000000/day"), limit(t, "orders", "1000000/s", ""))
	l.Take(g, "orders", testNow)
	if n := testing.AllocsPerRun(100, func() { l.Take(g, "orders", testNow) }); n != 0 {
		t.Errorf("%g allocations, want none", n)
	}
}
