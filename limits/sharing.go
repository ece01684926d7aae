package limits

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// sharing is the settling of one node with the others, from Follow to the next Follow.
type sharing struct {
	limiter  *Limiter
	exchange Exchange
	node     string
	nodes    atomic.Int64
	// ahead is how much the clock of all nodes is ahead of this one, in nanoseconds.
	ahead atomic.Int64
	// away is set while no answers come: then nobody waits for them, and slices do not count.
	away   atomic.Bool
	ended  atomic.Bool
	work   chan struct{} // something is in the queue
	urgent chan struct{} // somebody waits, or soon will

	mu    sync.Mutex    // guards what follows; it may be locked while a shard is, not the other way round
	queue []*told       // what the others do not know yet
	round chan struct{} // closed when a batch has been answered, or has failed, and replaced

	// Of the goroutine that settles.
	met     bool          // the clock of all nodes is known
	least   time.Duration // that it is ahead of this one, at least
	number  uint64
	pending *batch // sent, and not answered
	failed  bool

	cancel context.CancelFunc
	done   chan struct{}
}

func newSharing(l *Limiter, e Exchange) *sharing {
	s := &sharing{
		limiter: l, exchange: e, node: rand.Text(),
		work: make(chan struct{}, 1), urgent: make(chan struct{}, 1), round: make(chan struct{}), done: make(chan struct{}),
	}
	s.count()
	return s
}

func (s *sharing) start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go s.run(ctx)
}

// stop ends the settling. Whoever waits goes on.
func (s *sharing) stop() {
	s.cancel()
	<-s.done
	s.ended.Store(true)
	s.away.Store(true)
	s.endRound()
}

// maxNodes bounds what levels can become: more nodes overshoot by more.
const maxNodes = 100

// count looks how many nodes there are.
func (s *sharing) count() { s.nodes.Store(int64(min(max(1, s.limiter.nodes()), maxNodes))) }

// told is what the other nodes do not know yet of a state.
type told struct {
	sharing *sharing
	state   *state // whose told this is, unless another sharing has taken over
	token   string
	queued  bool    // it is in the queue
	shares  []share // two for each limit: of its rate, and of its quota
}

// share is what was taken of one rate or quota, and the others do not know.
type share struct {
	taken int64 // and not sent
	sent  int64 // and not answered
	first int64 // when the first of taken was, in nanoseconds
}

func (t *told) of(limit int, isQuota bool) *share {
	if isQuota {
		return &t.shares[2*limit+1]
	}
	return &t.shares[2*limit]
}

// carry takes what the others do not know of a limit over to a changed one.
func (t *told) carry(shares []share, at int, from, to *scopes.Limit) {
	if !from.Rate.IsZero() && !to.Rate.IsZero() {
		shares[0] = *t.of(at, false)
	}
	if !from.Quota.IsZero() && from.Quota.Per == to.Quota.Per {
		shares[1] = *t.of(at, true)
	}
}

// isOpen reports whether there is anything that the others do not know.
func (t *told) isOpen() bool {
	if t.sharing.ended.Load() {
		return false
	}
	if t.queued {
		return true
	}
	for i := range t.shares {
		if t.shares[i].sent > 0 {
			return true
		}
	}
	return false
}

// isUsedUp reports whether of something that applies the slice is used up, so that the
// request has to wait until the others know more.
func (a *attempt) isUsedUp() bool {
	t := a.state.told
	if t == nil || t.sharing != a.sharing || a.sharing.away.Load() {
		return false
	}
	for i := range a.state.limits {
		limit := &a.state.limits[i]
		if !a.applies(limit) {
			continue
		}
		if open := t.of(i, false); !limit.Rate.IsZero() && open.taken+open.sent >= rateSlice(&limit.Rate, a.nodes) {
			return true
		}
		count := a.state.meters[i].quota.count
		if open := t.of(i, true); !limit.Quota.IsZero() && open.taken+open.sent >= quotaSlice(limit.Quota, count-open.taken-open.sent, a.nodes) {
			return true
		}
	}
	return false
}

// tell takes note of a request taken from a limit, and sees to it that the others learn.
func (a *attempt) tell(i int) {
	t := a.state.told
	if t == nil || t.sharing != a.sharing {
		t = &told{sharing: a.sharing, state: a.state, token: strings.Clone(a.token), shares: make([]share, 2*len(a.state.limits))}
		a.state.told = t
	}
	limit, hurry := &a.state.limits[i], false
	if !limit.Rate.IsZero() {
		hurry = t.of(i, false).add(a.now, rateSlice(&limit.Rate, a.nodes))
	}
	if !limit.Quota.IsZero() {
		open, count := t.of(i, true), a.state.meters[i].quota.count
		hurry = open.add(a.now, quotaSlice(limit.Quota, count-open.taken-open.sent, a.nodes)) || hurry
	}
	if !t.queued {
		t.queued = true
		a.sharing.enqueue(t)
	}
	if hurry {
		a.sharing.hurry()
	}
}

// add adds one, and reports whether half of the slice has just been used up: it is time to
// tell, before anybody has to wait.
func (s *share) add(now, slice int64) bool {
	if s.taken == 0 {
		s.first = now
	}
	s.taken++
	return s.taken+s.sent == max(1, slice/2) //nolint:mnd // half
}

func (s *sharing) enqueue(one *told) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, one)
	if len(s.queue) == 1 {
		signal(s.work)
	}
}

func (s *sharing) hurry() { signal(s.urgent) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it was told already
	}
}

// takeSettled is Take where a slice was used up. As long as answers come it goes on waiting,
// for each lets at least one request more through, or tells that there is no room.
func (l *Limiter) takeSettled(g *scopes.Grant, api string) Verdict {
	timer := time.NewTimer(l.patience)
	defer timer.Stop()
	for {
		s := l.sharing.Load()
		var round <-chan struct{}
		if s != nil {
			round = s.nextRound()
		}
		if v, done := l.take(g, api, l.clock()); done {
			return v
		}
		if s == nil {
			continue
		}
		timer.Reset(l.patience)
		select {
		case <-round:
		case <-timer.C:
			s.away.Store(true)
		}
	}
}

// nextRound returns what is closed when the next answer has come, or comes no more.
func (s *sharing) nextRound() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.round
}

func (s *sharing) endRound() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.round)
	s.round = make(chan struct{})
}
