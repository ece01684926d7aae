package caddymodule

import (
	"context"
	"log/slog"
	"time"

	"github.com/scopegate/scopegate/notify"
	"github.com/scopegate/scopegate/store"
	"github.com/scopegate/scopegate/usage"
)

// search finds what people are to be told of and offers it to whoever tells them. It looks at
// tokens that were changed as soon as they are; at all tokens once an hour, for what comes with time;
// and at what was counted every five minutes. What takes long it does less often.
type search struct {
	store  func() *store.Store
	ledger *usage.Ledger // nil: nothing is counted
	offer  func([]notify.Event) error
	log    *slog.Logger

	asked      chan struct{} // has one element if everything is to be looked at soon
	seen       uint64        // the revision up to which changes were looked at
	all, usage pace
	// denied has when tokens were changed whose first denial after that is known.
	denied map[string]time.Time
}

const (
	allInterval   = time.Hour
	usageInterval = 5 * time.Minute
	// settleTime is how long is waited for more changes before the first is looked at.
	settleTime = time.Second
	// longestPause is how long nothing is looked at, at the most.
	longestPause = time.Minute
)

func newSearch(from func() *store.Store, ledger *usage.Ledger, offer func([]notify.Event) error, log *slog.Logger) *search {
	return &search{
		store: from, ledger: ledger, offer: offer, log: log, asked: make(chan struct{}, 1),
		all: pace{every: allInterval}, usage: pace{every: usageInterval}, denied: make(map[string]time.Time),
	}
}

// ask has everything looked at soon.
func (s *search) ask() {
	select {
	case s.asked <- struct{}{}:
	default: // it will be
	}
}

// pace is how often something is done: at an interval, and seldom enough that it takes a small
// part of the time only.
type pace struct {
	every time.Duration
	last  time.Time     // when it was done last; zero for never
	took  time.Duration // what that took
	asked bool          // it is to be done as soon as it may
}

// paceShare is the part of its time, one in so many, that something may take.
const paceShare = 50

func (p *pace) due(now time.Time) bool { return !now.Before(p.next()) }

func (p *pace) next() time.Time {
	wait := p.every
	if p.asked {
		wait = 0
	}
	return p.last.Add(max(wait, paceShare*p.took))
}

// done takes note that it was begun at a moment and is over. If it failed it is due again
// at the interval.
func (p *pace) done(began time.Time) { p.last, p.took, p.asked = began, time.Since(began), false }

// run searches until ctx ends.
func (s *search) run(ctx context.Context) {
	told := ""
	for ctx.Err() == nil {
		from := s.store()
		changed := from.Changed()
		err := s.look(from)
		if err != nil && err.Error() != told {
			s.log.Error("what people are to be told of cannot be looked for; it is tried again", "error", err)
		}
		told = ""
		if err != nil {
			told = err.Error()
		}
		s.pause(ctx, changed)
	}
}

// pause waits until there is something to look at.
func (s *search) pause(ctx context.Context, changed <-chan struct{}) {
	next := s.all.next()
	if at := s.usage.next(); at.Before(next) {
		next = at
	}
	timer := time.NewTimer(min(longestPause, max(settleTime, time.Until(next))))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return
	case <-timer.C:
		return
	case <-s.asked:
		s.all.asked = true
	case <-changed:
	}
	settled := time.NewTimer(settleTime)
	defer settled.Stop()
	select {
	case <-ctx.Done():
	case <-settled.C:
	}
}

// look offers what is found now. A node that does not know the state of the cluster finds
// nothing.
func (s *search) look(from *store.Store) error {
	now := time.Now()
	snapshot := from.Snapshot()
	if snapshot == nil || from.Stale(steadyNow()) {
		return nil
	}
	f := &finding{search: s, from: from, now: now, view: notify.View{Now: now, Catalog: snapshot.Catalog()}}
	if err := f.changes(snapshot.Revision()); err != nil {
		return err
	}
	if s.all.due(now) {
		err := f.everything()
		s.all.done(now)
		if err != nil {
			return err
		}
	}
	if began := time.Now(); s.ledger != nil && s.usage.due(began) {
		err := f.uses()
		s.usage.done(began)
		if err != nil {
			return err
		}
	}
	return s.offer(f.events)
}

// finding is one look.
type finding struct {
	*search
	from   *store.Store
	now    time.Time
	view   notify.View
	events []notify.Event
}

// maxChanges is how many changes are looked at one by one.
const maxChanges = 1000

// changes looks at the tokens that were changed since the last look, as the log has it. What it
// does not tell of in a few lines, everything is looked at for.
func (f *finding) changes(revision uint64) error {
	seen := f.seen
	f.seen = revision
	if seen == revision || f.all.last.IsZero() {
		return nil
	}
	entries, err := f.from.Log(store.LogQuery{After: seen, OldestFirst: true, Limit: maxChanges})
	if err != nil {
		return err
	}
	f.all.asked = f.all.asked || len(entries) >= maxChanges || revision < seen
	names := make(map[string]bool)
	for i := range entries {
		if e := &entries[i]; e.Kind == "token" {
			names[e.Name] = true
		} else {
			f.all.asked = true
		}
	}
	for name := range names {
		token, err := f.from.Token(name)
		if err != nil {
			f.all.asked = true // it is looked at by its id
			continue
		}
		f.add(&token, nil)
	}
	return nil
}

func (f *finding) add(t *store.Token, used *notify.Used) {
	told := toldToken(t)
	f.events = append(f.events, f.view.Find(&told, used)...)
}

func toldToken(t *store.Token) notify.Token {
	told := notify.Token{
		ID: t.ID, Account: t.Account, Token: t.Token, Deleted: t.Deleted, Deactivation: t.Deactivation, Created: t.Created, Updated: t.Updated,
	}
	for i := range t.Credentials {
		c := &t.Credentials[i]
		told.Credentials = append(told.Credentials, notify.Credential{LastFour: c.LastFour, Created: c.Created, Ends: c.Ends})
	}
	return told
}

// everything looks at all tokens, and when each was used last.
func (f *finding) everything() error {
	f.forgetDenied(f.now)
	last, err := f.lastUses()
	if err != nil {
		f.log.Error("which tokens nobody uses cannot be found out", "error", err)
	}
	return f.from.EachToken(func(t *store.Token) {
		var used *notify.Used
		if last != nil && !t.Inactive {
			used = &notify.Used{Last: last[t.ID]}
		}
		f.add(t, used)
	})
}

// lastUses returns when each active token was used last; nil if nothing is counted.
func (f *finding) lastUses() (map[string]time.Time, error) {
	if f.ledger == nil {
		return nil, nil //nolint:nilnil // as the comment says
	}
	counting, err := f.ledger.Since()
	if err != nil {
		return nil, err
	}
	f.view.Counting = counting
	var ids []string
	if err := f.from.EachToken(func(t *store.Token) {
		if !t.Inactive && !t.Deleted {
			ids = append(ids, t.ID)
		}
	}); err != nil {
		return nil, err
	}
	return f.ledger.LastUses(ids, f.now.Add(-notify.LastUsed))
}
