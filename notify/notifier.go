package notify

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Notifier tells people of events. It is safe for concurrent use, and has one goroutine, which
// ends with Close.
type Notifier struct {
	journal *journal
	now     func() time.Time
	log     *slog.Logger
	node    string // the name of this run among other nodes
	setup   atomic.Pointer[setup]

	wakeups chan struct{}
	cancel  context.CancelFunc
	done    chan struct{}

	// Of the goroutine alone.
	open    map[string]*open // the messages that are being delivered, by id
	common  common           // what is known of what the nodes have in common
	nextDue time.Time        // before which there is nothing to gather
	offered atomic.Bool      // there may be something to gather before that
	pruned  time.Time        // when that was last done

	mu       sync.Mutex         // guards what follows
	breakOff context.CancelFunc // ends the round that is going on
	status   status
}

// Local is what a [Notifier] needs for as long as it is open. The zero value is fit for use.
type Local struct {
	Now    func() time.Time // nil means time.Now
	Logger *slog.Logger     // nil: nothing is logged
}

// Open opens the journal, or makes it, and begins to deliver what was not delivered before.
func Open(path string, l Local, o Options) (*Notifier, error) {
	if l.Now == nil {
		l.Now = time.Now
	}
	if l.Logger == nil {
		l.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := newSetup(o)
	if err != nil {
		return nil, err
	}
	j, err := openJournal(path, l.Now(), l.Logger)
	if err != nil {
		return nil, err
	}
	n := &Notifier{
		journal: j, now: l.Now, log: l.Logger, node: rand.Text(),
		wakeups: make(chan struct{}, 1), done: make(chan struct{}), breakOff: func() {},
	}
	n.setup.Store(s)
	n.status.configured(s)
	if err := n.load(); err != nil {
		return nil, errors.Join(err, j.db.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	go n.run(ctx)
	return n, nil
}

// Configure exchanges the options. What is just being delivered is broken off, and goes on
// with the new ones.
func (n *Notifier) Configure(o Options) error {
	s, err := newSetup(o)
	if err != nil {
		return err
	}
	n.setup.Store(s)
	n.offered.Store(true)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.status.configured(s)
	n.breakOff()
	n.wake()
	return nil
}

// Close ends deliveries and closes the journal. A delivery that is broken off is made by the
// next run, or by another node, with the same id.
func (n *Notifier) Close() error {
	n.cancel()
	<-n.done
	return n.journal.db.Close()
}

// wake begins a round soon.
func (n *Notifier) wake() {
	select {
	case n.wakeups <- struct{}{}:
	default: // it was told already
	}
}

// run begins a round at each interval, and when it is woken, until ctx ends.
func (n *Notifier) run(ctx context.Context) {
	defer close(n.done)
	for ctx.Err() == nil {
		more := n.look(ctx)
		pause := n.setup.Load().Timing.Interval
		if more {
			pause = 0
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-n.wakeups:
		}
		timer.Stop()
	}
}
