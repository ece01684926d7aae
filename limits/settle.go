package limits

import (
	"context"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

const (
	// settleInterval is how often takes are settled that nobody waits for.
	settleInterval = 50 * time.Millisecond
	// settlePause is the least time from one batch to the next.
	settlePause = 500 * time.Microsecond
	// maxBatch is about how many rates and quotas are settled at a time.
	maxBatch = 500
	// maxRetry is the longest time between two tries while no answers come.
	maxRetry = time.Second
)

// run settles until ctx ends.
func (s *sharing) run(ctx context.Context) {
	defer close(s.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	retry := settleInterval
	for ctx.Err() == nil {
		if s.pending == nil && !await(ctx, s.work) {
			return
		}
		urgent, interval := s.urgent, settleInterval
		if s.pending != nil { // the last try failed
			urgent, interval = nil, retry
			retry = min(2*retry, maxRetry)
		}
		if !within(ctx, timer, interval, urgent) {
			return
		}
		if s.settle(ctx) {
			retry = settleInterval
		}
		if !within(ctx, timer, settlePause, nil) {
			return
		}
	}
}

func await(ctx context.Context, c <-chan struct{}) bool {
	select {
	case <-ctx.Done():
		return false
	case <-c:
		return true
	}
}

// within waits for some time, or until early. It reports false if ctx ends before.
func within(ctx context.Context, timer *time.Timer, d time.Duration, early <-chan struct{}) bool {
	timer.Reset(d)
	select {
	case <-ctx.Done():
		return false
	case <-early:
	case <-timer.C:
	}
	return true
}

// settle sends what was taken, and takes in the answer. It reports whether one came.
func (s *sharing) settle(ctx context.Context) bool {
	s.count()
	if s.pending == nil {
		s.pending = s.cut()
	}
	sent := s.limiter.clock()
	message := s.pending.message(sent.UnixNano())
	message.Node, message.Sent = s.node, sent.Add(s.least)
	settled, err := s.exchange.Settle(ctx, message)
	if err == nil {
		err = settled.check(message, sent)
	}
	defer s.endRound()
	if err != nil {
		s.away.Store(true)
		if !s.failed && ctx.Err() == nil {
			s.limiter.logger.Warn("rates and quotas are not shared with the other nodes now; this node holds all of them by itself", "error", err)
			s.failed = true
		}
		return false
	}
	s.setClock(settled.Now, sent)
	s.apply(s.pending, settled, sent.UnixNano())
	s.pending = nil
	s.away.Store(false)
	if s.failed {
		s.limiter.logger.Info("rates and quotas are shared with the other nodes again")
		s.failed = false
	}
	return true
}

// setClock takes over the clock that all nodes have in common.
func (s *sharing) setClock(now, sent time.Time) {
	came := s.limiter.clock()
	s.least = now.Sub(came)
	s.ahead.Store(int64(s.least + came.Sub(sent)/2)) //nolint:mnd // it was read halfway
	s.met = true
}

// batch is what was taken up to a time. It is sent until it is answered.
type batch struct {
	number uint64
	cut    int64 // nanoseconds
	rates  []rateTakes
	quotas []quotaTakes
}

type rateTakes struct {
	told  *told
	limit scopes.Limit
	share
	level, most int64 // in units of a level, and in requests
}

type quotaTakes struct {
	told  *told
	api   string
	taken int64
	meter quotaMeter
}

// cut makes a batch of what is in the queue. The first one is empty: it is to learn the
// common clock, by which quotas are counted.
func (s *sharing) cut() *batch {
	s.number++
	b := &batch{number: s.number, cut: s.limiter.clock().UnixNano()}
	for s.met && len(b.rates)+len(b.quotas) < maxBatch {
		t := s.dequeue()
		if t == nil {
			return b
		}
		s.cutState(b, t)
	}
	signal(s.work) // there may be more
	signal(s.urgent)
	return b
}

// dequeue takes one out of the queue; nil if it is empty.
func (s *sharing) dequeue() *told {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		s.queue = nil
		return nil
	}
	t := s.queue[0]
	s.queue = s.queue[1:]
	return t
}

func (s *sharing) cutState(b *batch, t *told) {
	shard := s.limiter.shardOf(t.token)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	one := t.state
	if one.told != t {
		return // another sharing has taken over
	}
	t.queued = false
	for i := range one.limits {
		limit, m := &one.limits[i], &one.meters[i]
		if !limit.Quota.IsZero() && m.quota.advance(limit.Quota, b.cut+s.ahead.Load()) {
			t.of(i, true).taken = 0
		}
		if open := t.of(i, false); open.taken > 0 {
			m.rate.advance(&limit.Rate, b.cut)
			b.rates = append(b.rates, rateTakes{t, *limit, *open, m.rate.level, mostLevel(&limit.Rate, s.nodes.Load())})
			open.send()
		}
		if open := t.of(i, true); open.taken > 0 {
			b.quotas = append(b.quotas, quotaTakes{t, limit.API, open.taken, m.quota})
			open.send()
		}
	}
}

func (s *share) send() { s.sent, s.taken = s.taken, 0 }

// recent returns how many of some takes the others are told of, the first of which is of an
// age: those of the last moments, if they came evenly. Before that, no answers came, and each
// node let through by itself what has drained since; that is not held against them.
func recent(taken, age int64) int64 {
	if age <= int64(tellTime) {
		return taken
	}
	return taken * int64(tellTime) / age
}

// message returns the batch as it is sent at a time.
func (b *batch) message(now int64) *Batch {
	m := &Batch{Number: b.number, Rates: make([]RateTakes, len(b.rates)), Quotas: make([]QuotaTakes, len(b.quotas))}
	for i := range b.rates {
		t := &b.rates[i]
		r := &t.limit.Rate
		age := max(0, now-t.first)
		m.Rates[i] = RateTakes{
			Token: t.told.token, API: t.limit.API,
			PerSecond: float64(r.Requests) / r.Per.Seconds(),
			Taken:     recent(min(t.taken, int64(r.Burst)), age),
			Age:       time.Duration(age),
			Level:     float64(drained(r, t.level, now-b.cut)) / float64(r.Per),
			Most:      float64(t.most),
		}
	}
	for i := range b.quotas {
		t := &b.quotas[i]
		m.Quotas[i] = QuotaTakes{
			Token: t.told.token, API: t.api, Start: time.Unix(0, t.meter.start), End: time.Unix(0, t.meter.end),
			Taken: t.taken, Count: t.meter.count,
		}
	}
	return m
}

// apply takes in the answer to a batch that was sent at a time.
func (s *sharing) apply(b *batch, settled *Settled, sent int64) {
	now := s.limiter.clock().UnixNano()
	for i := range b.rates {
		s.applyRate(&b.rates[i], settled.Levels[i], sent, now)
	}
	for i := range b.quotas {
		s.applyQuota(&b.quotas[i], settled.Counts[i])
	}
}

// applyRate raises the level to what all have taken, and what this node has taken since. Both
// drain from when the batch was sent, which was a little before the level was read: so it is
// too low rather than too high.
func (s *sharing) applyRate(t *rateTakes, settled float64, sent, now int64) {
	shard := s.limiter.shardOf(t.told.token)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	one := t.told.state
	i := indexOf(one.limits, t.limit.API)
	if i < 0 || one.limits[i].Rate.IsZero() || one.told != t.told {
		return // it has none any more, or another sharing has taken over
	}
	r, m, open := &one.limits[i].Rate, &one.meters[i].rate, t.told.of(i, false)
	open.sent = 0
	level, at := int64(min(settled, float64(t.most))*float64(r.Per)), sent
	most := mostLevel(r, s.nodes.Load()) * int64(r.Per)
	level = min(level, most)
	if open.taken > 0 {
		level = drained(r, level, open.first-at) + min(open.taken, int64(r.Burst))*int64(r.Per)
		at = max(at, open.first)
	}
	m.advance(r, now)
	m.level = max(m.level, min(most, drained(r, level, now-at)))
}

// applyQuota raises the count to what all have counted, and what this node has since.
func (s *sharing) applyQuota(t *quotaTakes, settled int64) {
	shard := s.limiter.shardOf(t.told.token)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	one := t.told.state
	i := indexOf(one.limits, t.api)
	if i < 0 || one.limits[i].Quota.IsZero() || one.told != t.told {
		return // it has none any more, or another sharing has taken over
	}
	m, open := &one.meters[i].quota, t.told.of(i, true)
	open.sent = 0
	if m.start == t.meter.start && m.end == t.meter.end {
		m.count = max(m.count, settled+open.taken)
	}
}
