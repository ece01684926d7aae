package notify

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// atOnce is how many messages of a channel are delivered at the same time.
	atOnce = 4
	// perRound is how many messages of a channel are delivered before the other nodes are asked
	// again.
	perRound = 64
)

// outcome is what came of a try to deliver a message.
type outcome struct {
	open *open
	err  error // nil: it was delivered
}

// deliver sends the messages that are due, and reports whether there are more.
func (r *round) deliver(ctx context.Context) (more bool) {
	r.giveUpStale(ctx)
	due := make(map[string][]*open)
	for _, o := range r.n.open {
		if name := o.Message.Channel; o.mine && !o.Settled && !o.Next.After(r.now) && r.s.channels[name] != nil && !r.n.status.isStopped(name) {
			due[name] = append(due[name], o)
		}
	}
	outcomes, waiting := make(chan outcome), 0
	var senders sync.WaitGroup
	for name, list := range due {
		slices.SortFunc(list, func(a, b *open) int { return strings.Compare(a.Message.ID, b.Message.ID) })
		if len(list) > perRound {
			list, more = list[:perRound], true
		}
		waiting += len(list)
		queue := make(chan *open, len(list))
		for _, o := range list {
			queue <- o
		}
		close(queue)
		for range min(atOnce, len(list)) {
			senders.Go(func() { r.send(ctx, r.s.channels[name], queue, outcomes) })
		}
	}
	go func() {
		senders.Wait()
		close(outcomes)
	}()
	for done := range outcomes {
		more = r.note(ctx, done) || more
		waiting--
	}
	return more || waiting > 0 && ctx.Err() == nil
}

// send delivers messages one after the other, as long as they are this node's.
func (r *round) send(ctx context.Context, c Channel, queue <-chan *open, outcomes chan<- outcome) {
	for o := range queue {
		if ctx.Err() != nil || !r.mayBegin() || r.n.status.isStopped(c.Name()) {
			continue
		}
		outcomes <- outcome{o, r.try(ctx, c, o.Message)}
	}
}

// mayBegin reports whether a delivery that begins now ends before another node may think that
// this one is gone, and while this round may take.
func (r *round) mayBegin() bool {
	now := time.Now()
	return now.Sub(r.began) < r.s.Timing.Attempt && (r.until.IsZero() || now.Add(r.s.Timing.Attempt).Before(r.until))
}

func (r *round) try(ctx context.Context, c Channel, m *Message) error {
	ctx, cancel := context.WithTimeout(ctx, r.s.Timing.Attempt)
	defer cancel()
	return c.Deliver(ctx, m)
}

// note writes down what came of a try, and reports whether something is to be done at once.
func (r *round) note(ctx context.Context, done outcome) (more bool) {
	o, m := done.open, done.open.Message
	if done.err != nil && ctx.Err() != nil {
		return false // it was broken off
	}
	if done.err == nil {
		r.n.tried(r.s, m, Delivered, nil)
		r.settled(ctx, o)
		return true
	}
	f := failureOf(done.err)
	if f.Stop {
		r.n.stop(m.Channel)
		r.n.log.Error("nothing more is sent by this channel: the other side wants nothing any more; configure it anew", "channel", m.Channel, "error", f)
	}
	if f.Final || r.now.Sub(m.At) > r.s.Timing.GiveUp {
		r.giveUp(ctx, o, f)
		return true
	}
	o.Attempts++
	o.Next = r.n.now().Add(r.backoff(o.Attempts, f.After))
	r.n.tried(r.s, m, Failed, f)
	r.n.log.Warn("a message could not be delivered, and is sent again",
		"channel", m.Channel, "message", m.ID, "events", len(m.Events)+len(m.Rest), "attempts", o.Attempts, "next", o.Next, "error", f)
	if err := r.postpone(ctx, o); err != nil {
		r.fail(err)
	}
	return false
}

// longestAfter bounds what the other side may ask for.
const longestAfter = 24 * time.Hour

// backoff is how long to wait after so many failures: some more or less, so that not all come
// at once.
func (r *round) backoff(failures int, asked time.Duration) time.Duration {
	const jitter = 0.2
	wait := r.s.Timing.First
	for range failures - 1 {
		if wait *= 2; wait > r.s.Timing.Longest {
			break
		}
	}
	wait = min(wait, r.s.Timing.Longest)
	wait += time.Duration(float64(wait) * jitter * (2*rand.Float64() - 1)) //nolint:gosec // nobody is to guess nothing
	return max(wait, min(asked, longestAfter))
}

// giveUpStale gives up what no try has settled for too long: also what is for a channel that
// is not there any more.
func (r *round) giveUpStale(ctx context.Context) {
	for _, o := range r.n.open {
		if o.mine && !o.Settled && r.s.channels[o.Message.Channel] == nil && r.now.Sub(o.Message.At) > r.s.Timing.GiveUp {
			r.giveUp(ctx, o, &Failure{Err: errNoChannel})
		}
	}
}

// giveUp settles a message that could not be delivered.
func (r *round) giveUp(ctx context.Context, o *open, f *Failure) {
	m := o.Message
	r.n.tried(r.s, m, GivenUp, f)
	var kinds []Kind
	for i := range m.Events {
		kinds = append(kinds, m.Events[i].Kind)
	}
	slices.Sort(kinds)
	r.n.log.Error("a message could not be delivered, and is given up",
		"channel", m.Channel, "message", m.ID, "events", len(m.Events)+len(m.Rest), "kinds", joinKinds(slices.Compact(kinds)), "error", f)
	r.settled(ctx, o)
}

// settled writes down that nobody needs to deliver a message again, before other nodes are
// told: if this one is killed in between, it goes on there.
func (r *round) settled(ctx context.Context, o *open) {
	o.Settled = true
	if err := r.n.journal.update(o.put); err != nil {
		r.fail(err)
	}
	if err := r.tellSettled(ctx, o); err != nil {
		r.fail(err)
		return
	}
	if err := r.close(o); err != nil {
		r.n.open[o.Message.ID] = o
		r.fail(err)
	}
	r.n.offered.Store(true) // what came meanwhile
}

// postpone writes down when a message is tried again.
func (r *round) postpone(ctx context.Context, o *open) error {
	if err := r.n.journal.update(o.put); err != nil {
		return err
	}
	return r.tellPostponed(ctx, o)
}

// fail takes note of what went wrong.
func (r *round) fail(err error) { r.failed = errors.Join(r.failed, err) }
