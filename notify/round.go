package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// open is a message that is being delivered, by this node or another: they all keep a copy, so
// that another can go on with it.
type open struct {
	Message  *Message  `json:"message"`
	Attempts int       `json:"attempts,omitempty"` // that failed
	Next     time.Time `json:"next,omitzero"`      // when the next is due
	// Settled: it was delivered, or given up. What is left is to tell the other nodes.
	Settled bool `json:"settled,omitempty"`

	mine bool // this run delivers it
	free bool // nobody does
}

// load reads which messages were being delivered.
func (n *Notifier) load() error {
	n.open = make(map[string]*open)
	return n.journal.view(func(tx *bolt.Tx) error {
		n.common.load(tx)
		return tx.Bucket(bucketOpen).ForEach(func(id, text []byte) error {
			if o := readOpen(id, text); o != nil {
				n.open[o.Message.ID] = o
			} else {
				n.log.Error("a message in the journal cannot be read, and is left out", "id", string(id))
			}
			return nil
		})
	})
}

// readOpen is the inverse of put. It returns nil for what is damaged.
func readOpen(id, text []byte) *open {
	o := new(open)
	if err := json.Unmarshal(text, o); err != nil || o.Message == nil || o.Message.ID != string(id) || len(o.Message.Events) == 0 {
		return nil
	}
	return o
}

func (o *open) put(tx *bolt.Tx) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return tx.Bucket(bucketOpen).Put([]byte(o.Message.ID), text)
}

// round is one look at what is to be done.
type round struct {
	n   *Notifier
	s   *setup
	now time.Time
	// quiet: nodes put back what Redis has lost, and nothing new may be sent meanwhile.
	quiet bool
	// until is when other nodes may think that this one is gone, zero on a single node; began is
	// when the round did. Both are by the clock of the process.
	until, began time.Time
	// failed is what went wrong beside deliveries themselves.
	failed error
}

// look does what is to be done now, and reports whether there is more.
func (n *Notifier) look(ctx context.Context) (more bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n.mu.Lock()
	n.breakOff = cancel
	n.mu.Unlock()
	r := &round{n: n, s: n.setup.Load(), now: n.now(), began: time.Now()}
	if len(r.s.channels) == 0 {
		return false
	}
	more, err := r.do(ctx)
	if ctx.Err() == nil {
		n.held(err)
	}
	return more && err == nil
}

func (r *round) do(ctx context.Context) (more bool, err error) {
	if err := r.share(ctx); err != nil {
		return false, err
	}
	if !r.quiet {
		if err := r.gather(ctx); err != nil {
			return false, err
		}
	}
	more = r.deliver(ctx)
	return more, errors.Join(r.failed, r.prune(ctx))
}

// share makes this node and the others know the same.
func (r *round) share(ctx context.Context) error {
	if r.s.Exchange != nil {
		if err := r.sync(ctx); err != nil {
			return fmt.Errorf("nothing is sent, for what the nodes have in common cannot be asked for: %w", err)
		}
		return nil
	}
	for _, o := range r.n.open {
		o.mine = true
		if o.Settled {
			if err := r.close(o); err != nil {
				return err
			}
		}
	}
	return r.seed(ctx, nil)
}

// close forgets a message that all know is settled.
func (r *round) close(o *open) error {
	delete(r.n.open, o.Message.ID)
	return r.n.journal.update(func(tx *bolt.Tx) error {
		if err := tx.Bucket(bucketOpen).Delete([]byte(o.Message.ID)); err != nil {
			return err
		}
		return settle(tx, o.Message.pending(), r.now)
	})
}

// gather makes messages of what was pending for long enough. A recipient has one open message
// at most: what comes while it cannot be delivered goes into the next.
func (r *round) gather(ctx context.Context) error {
	if !r.n.offered.Swap(false) && r.now.Before(r.n.nextDue) {
		return nil
	}
	batches, next, err := r.due()
	if err != nil {
		return err
	}
	r.n.nextDue = next
	if len(batches) > maxBatches {
		batches = batches[:maxBatches]
		r.n.offered.Store(true)
	}
	for i := range batches {
		o := &open{Message: r.messageOf(&batches[i]), mine: true}
		if len(o.Message.Events) == 0 {
			continue
		}
		if batches[i].more {
			r.n.offered.Store(true)
		}
		if err := r.begin(ctx, o); err != nil {
			r.n.offered.Store(true)
			return err
		}
	}
	return nil
}

// maxBatches is how many messages are made in one round, so that it ends well within a lease.
const maxBatches = 500

// batch is what is due for one recipient.
type batch struct {
	to     recipient
	events []Event
	rest   []string
	more   bool // there are more than one message holds
}

// waits is how long an event of a kind is pending at most.
func (s *setup) waits(k Kind) time.Duration {
	if k.Urgent() {
		return min(s.Timing.Urgent, s.Digest)
	}
	return s.Digest
}

// due returns what is to be sent now, and when it is to be looked at again.
func (r *round) due() (batches []batch, next time.Time, err error) {
	next = r.now.Add(r.s.Digest)
	elsewhere, busy := r.underWay()
	err = r.n.journal.view(func(tx *bolt.Tx) error {
		var list []pending
		isDue := false
		flush := func() {
			if isDue {
				batches = append(batches, r.n.batchOf(tx, list, r.s.channels[list[0].to.channel].Personal()))
			}
			list, isDue = nil, false
		}
		if err := eachPending(tx, func(p *pending) error {
			if len(list) > 0 && p.to != list[0].to {
				flush()
			}
			if busy[p.to] || elsewhere[p.to.keyOf(p.event)] || !r.mayTell(tx, p) {
				return nil
			}
			list = append(list, *p)
			at := p.since.Add(r.s.waits(p.kind))
			isDue = isDue || !at.After(r.now)
			if at.After(r.now) && at.Before(next) {
				next = at
			}
			return nil
		}); err != nil {
			return err
		}
		flush()
		return nil
	})
	return batches, next, err
}

// mayTell reports whether there is a way to tell somebody of something, and it is known that
// they are to be told.
func (r *round) mayTell(tx *bolt.Tx, p *pending) bool {
	if r.s.channels[p.to.channel] == nil || r.n.status.isStopped(p.to.channel) {
		return false
	}
	role := tx.Bucket(bucketRoles).Get([]byte(r.s.roleOf(p.to, p.kind)))
	return len(role) > 0 && role[0] == roleKnown
}

// underWay returns what open messages tell of, and to whom.
func (r *round) underWay() (keys map[string]bool, recipients map[recipient]bool) {
	keys, recipients = make(map[string]bool), make(map[recipient]bool)
	for _, o := range r.n.open {
		recipients[o.Message.recipient()] = true
		for _, key := range o.Message.keys() {
			keys[key] = true
		}
	}
	return keys, recipients
}

// batchOf returns what of a recipient's pending events goes into one message: for a program
// all in full, and for people the most urgent, and how many more there are.
func (n *Notifier) batchOf(tx *bolt.Tx, list []pending, personal bool) batch {
	b := batch{to: list[0].to}
	most := maxBatch
	if personal {
		most = maxEvents
	}
	slices.SortStableFunc(list, func(a, b pending) int { return rank(a.kind) - rank(b.kind) })
	for i := range list {
		switch {
		case len(b.events) < most:
			e := new(Event)
			if err := json.Unmarshal(tx.Bucket(bucketEvents).Get([]byte(list[i].event)), e); err != nil {
				n.log.Error("an event in the journal cannot be read, and is left out", "id", list[i].event)
				continue
			}
			b.events = append(b.events, *e)
		case personal && len(b.rest) < maxRest:
			b.rest = append(b.rest, list[i].event)
		default:
			b.more = true
			return b
		}
	}
	return b
}

func (r *round) messageOf(b *batch) *Message {
	slices.SortStableFunc(b.events, byUrgency)
	return newMessage(b.to, b.events, b.rest, r.now, r.s.Link)
}

// begin writes a message down as this node's, before it is sent for the first time.
func (r *round) begin(ctx context.Context, o *open) error {
	if r.s.Exchange != nil {
		mine, err := r.claim(ctx, o)
		if err != nil || !mine {
			return err
		}
	}
	if err := r.n.journal.update(o.put); err != nil {
		return err
	}
	r.n.open[o.Message.ID] = o
	return nil
}

// pruneInterval is how often what nobody needs is forgotten.
const pruneInterval = 6 * time.Hour

func (r *round) prune(ctx context.Context) error {
	if r.now.Sub(r.n.pruned) < pruneInterval {
		return nil
	}
	r.n.pruned = r.now
	forgotten, err := r.n.journal.prune(r.now, func(channel string) bool { return r.s.channels[channel] != nil })
	if err != nil || r.s.Exchange == nil {
		return err
	}
	return r.forget(ctx, forgotten)
}
