package limits

import (
	"hash/maphash"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// Options are what a [Limiter] needs.
type Options struct {
	// Exchange is what this node settles with the others through; nil for a single node.
	Exchange Exchange
	// Nodes returns how many nodes there are, this one included. It must not wait. Nil
	// means one.
	Nodes func() int
	// Now is the clock; it must be the one by which requests are timed. Nil means time.Now.
	Now func() time.Time
	// Patience is how long a request waits for an answer of the exchange. 0 means 20 ms.
	Patience time.Duration
	Logger   *slog.Logger // nil: nothing is logged
}

const defaultPatience = 20 * time.Millisecond

// Limiter counts what tokens take, and refuses what is beyond their limits. It is safe for
// concurrent use. What it remembers of a token it forgets once that says nothing any more,
// so that its memory is bounded by the tokens that are in use.
type Limiter struct {
	nodes    func() int
	clock    func() time.Time
	patience time.Duration
	logger   *slog.Logger
	seed     maphash.Seed
	shards   [numShards]shard
	sharing  atomic.Pointer[sharing] // with the other nodes; nil for a single one
}

// New makes a Limiter. Close ends it.
func New(o Options) *Limiter {
	l := &Limiter{nodes: o.Nodes, clock: o.Now, patience: o.Patience, logger: o.Logger, seed: maphash.MakeSeed()}
	if l.nodes == nil {
		l.nodes = func() int { return 1 }
	}
	if l.clock == nil {
		l.clock = time.Now
	}
	if l.patience == 0 {
		l.patience = defaultPatience
	}
	if l.logger == nil {
		l.logger = slog.New(slog.DiscardHandler)
	}
	l.Follow(o.Exchange)
	return l
}

// Follow makes a running Limiter settle with other nodes from now on, or with nil go on as
// a single node. It keeps what was counted, and when it returns the exchange before is no
// longer used. It must not be called by two at the same time.
func (l *Limiter) Follow(e Exchange) {
	var next *sharing
	if e != nil {
		next = newSharing(l, e)
	}
	if before := l.sharing.Swap(next); before != nil {
		before.stop()
	}
	if next != nil {
		next.start()
	}
}

// Close ends what runs in the background.
func (l *Limiter) Close() { l.Follow(nil) }

// Verdict is what came of a request, and tells of the limit that is nearest to being used
// up, in the words of draft-ietf-httpapi-ratelimit-headers-10. The zero Verdict refuses.
type Verdict struct {
	OK   bool
	Name string // the API's, or "token" for a limit of all APIs; "" if no limit applies
	// Quota is how many requests the limit lets through in Window.
	Quota  int64
	Window time.Duration
	// Remaining is how many requests it would let through now.
	Remaining int64
	// Reset is how long it takes until nothing of it is used.
	Reset time.Duration
	// RetryAfter is how long it takes until a request is let through; 0 if this one was.
	RetryAfter time.Duration
}

// AllAPIs is the name of a token's limit over all APIs.
const AllAPIs = "token"

// Take counts a request of a token to an API at a time, unless that is beyond one of the
// token's limits. It does not allocate, and waits only for the other nodes, and only if
// much was taken since they last answered: then some milliseconds, and at most some 20 of
// them for an answer that does not come.
func (l *Limiter) Take(g *scopes.Grant, api string, now time.Time) Verdict {
	if len(g.Limits) == 0 {
		return Verdict{OK: true}
	}
	if v, done := l.take(g, api, now); done {
		return v
	}
	return l.takeSettled(g, api)
}

// take is Take, and reports false if it had to wait for the other nodes.
func (l *Limiter) take(g *scopes.Grant, api string, now time.Time) (Verdict, bool) {
	a := attempt{token: g.ID, api: api, now: now.UnixNano()}
	a.wall = a.now
	if a.sharing = l.sharing.Load(); a.sharing != nil {
		a.wall += a.sharing.ahead.Load()
		a.nodes = a.sharing.nodes.Load()
	}
	shard := l.shardOf(g.ID)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	a.state = shard.find(g, a.now, a.wall)
	a.advance()
	if at, wait := a.refusal(); wait > 0 {
		return a.verdict(at, wait), true
	}
	if a.sharing != nil && a.isUsedUp() {
		a.sharing.hurry()
		return Verdict{}, false
	}
	a.takeAll()
	return a.verdict(a.tightest(), 0), true
}

// attempt is one request on its way past the limits of its token, whose shard is locked.
type attempt struct {
	state     *state
	token     string // its id
	api       string
	now, wall int64    // the time here, and that of the calendar
	sharing   *sharing // nil on a single node
	nodes     int64
}

// spot is one rate or quota of a token.
type spot struct {
	limit   int // position in the token's limits; negative for none
	isQuota bool
}

// applies reports whether a limit of the token is one for this request.
func (a *attempt) applies(limit *scopes.Limit) bool { return limit.API == "" || limit.API == a.api }

// advance brings all that applies to the present.
func (a *attempt) advance() {
	for i := range a.state.limits {
		limit, m := &a.state.limits[i], &a.state.meters[i]
		if !a.applies(limit) {
			continue
		}
		if !limit.Rate.IsZero() {
			m.rate.advance(&limit.Rate, a.now)
		}
		if !limit.Quota.IsZero() && m.quota.advance(limit.Quota, a.wall) && a.state.told != nil {
			a.state.told.of(i, true).taken = 0
		}
	}
}

// refusal returns the limit that refuses the request for longest, and for how long; 0 if
// none does.
func (a *attempt) refusal() (at spot, wait time.Duration) {
	at.limit = -1
	for i := range a.state.limits {
		limit, m := &a.state.limits[i], &a.state.meters[i]
		if !a.applies(limit) {
			continue
		}
		if !limit.Rate.IsZero() {
			if w := m.rate.wait(&limit.Rate, slack(&limit.Rate, a.nodes)); w > wait {
				at, wait = spot{i, false}, w
			}
		}
		if !limit.Quota.IsZero() && m.quota.count >= limit.Quota.Requests {
			if w := time.Duration(m.quota.end - a.wall); w > wait {
				at, wait = spot{i, true}, w
			}
		}
	}
	return at, wait
}

// takeAll takes the request from all that applies.
func (a *attempt) takeAll() {
	for i := range a.state.limits {
		limit, m := &a.state.limits[i], &a.state.meters[i]
		if !a.applies(limit) {
			continue
		}
		if !limit.Rate.IsZero() {
			m.rate.level += int64(limit.Rate.Per)
		}
		if !limit.Quota.IsZero() {
			m.quota.count++
		}
		if a.sharing != nil {
			a.tell(i)
		}
	}
}

// tightest returns the limit that lets the fewest requests through now.
func (a *attempt) tightest() spot {
	at, least := spot{limit: -1}, int64(0)
	for i := range a.state.limits {
		limit, m := &a.state.limits[i], &a.state.meters[i]
		if !a.applies(limit) {
			continue
		}
		if !limit.Rate.IsZero() {
			if left := m.rate.left(&limit.Rate); at.limit < 0 || left < least {
				at, least = spot{i, false}, left
			}
		}
		if !limit.Quota.IsZero() {
			if left := m.quota.left(limit.Quota); at.limit < 0 || left < least {
				at, least = spot{i, true}, left
			}
		}
	}
	return at
}

// verdict tells of a limit. The request is refused if it has to wait.
func (a *attempt) verdict(at spot, wait time.Duration) Verdict {
	v := Verdict{OK: wait == 0, RetryAfter: wait}
	if at.limit < 0 {
		return v
	}
	limit, m := &a.state.limits[at.limit], &a.state.meters[at.limit]
	if v.Name = limit.API; v.Name == "" {
		v.Name = AllAPIs
	}
	if at.isQuota {
		v.Quota, v.Window = limit.Quota.Requests, time.Duration(m.quota.end-m.quota.start)
		v.Remaining, v.Reset = m.quota.left(limit.Quota), time.Duration(m.quota.end-a.wall)
		return v
	}
	v.Quota, v.Window = int64(limit.Rate.Requests), limit.Rate.Per
	v.Remaining, v.Reset = m.rate.left(&limit.Rate), m.rate.reset(&limit.Rate)
	if !v.OK { // with other nodes, a request may have to wait although one seems to be left
		v.Remaining = 0
	}
	return v
}
