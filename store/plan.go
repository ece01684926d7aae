package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// PlanOptions say how a scope file is compared with the store. The zero value
// only adds and updates.
type PlanOptions struct {
	// Prune deactivates the tokens that the file's owner declared before and the
	// file no longer has, and removes such APIs if no token has scopes for them.
	Prune bool
	// Credentials are those that tokens get which the plan creates, by "account/name".
	// One for another token is an error that wraps [ErrConflict].
	Credentials map[string]NewCredential
}

// NewCredential is a credential that somebody else made, and knows.
type NewCredential struct {
	Digest   scopes.Digest
	LastFour string
}

// Plan is what applying a scope file would do, in the order in which it does it.
type Plan struct {
	Revision uint64 // of the store that the plan was made for
	Changes  []Change
	Warnings []string // what of the file is not applied, and why
	// Bare are the tokens that it creates without a credential, as "account/name".
	Bare []string
	// steps make the changes, and remember what the file declares where nothing
	// else changes.
	steps []func(*change) error
}

// Action is what a [Change] does.
type Action string

// The actions. Hold does nothing: it tells of a token that the file has as active
// and that stays inactive, because it was deactivated by hand.
const (
	Create     Action = "create"
	Update     Action = "update"
	Activate   Action = "activate"
	Deactivate Action = "deactivate"
	Prune      Action = "prune"
	Hold       Action = "hold"
)

// Change is one difference that a plan makes.
type Change struct {
	Kind   string `json:"kind"` // "api", "account" or "token"
	Name   string `json:"name"` // of the API or account, or "account/name"
	Action Action `json:"action"`
	// Widens is set where tokens that exist are granted something that they were
	// not. A new token has nothing to be compared with: Action says that it is new.
	Widens bool `json:"widens"`
	// Narrows is set where tokens lose something that they were granted.
	Narrows bool `json:"narrows"`
	// Held is set where the token stays inactive, because it was deactivated by hand.
	Held    bool     `json:"held"`
	Details []string `json:"details,omitempty"` // one line for each thing that differs
	// admits is set where somebody else gets access or sees requests, though no token
	// is granted more: a file brings a credential along, or an API goes elsewhere.
	admits bool
}

// Empty reports whether applying the plan would change nothing that a plan shows.
func (p *Plan) Empty() bool {
	return !slices.ContainsFunc(p.Changes, func(c Change) bool { return c.Action != Hold })
}

// Widening returns the names of what widens, such as "token acme/nightly-sync".
func (p *Plan) Widening() []string {
	var names []string
	for _, c := range p.Changes {
		if c.Widens {
			names = append(names, c.Kind+" "+c.Name)
		}
	}
	return names
}

// admitting returns the names of what lets somebody in without widening.
func (p *Plan) admitting() []string {
	var names []string
	for _, c := range p.Changes {
		if c.admits {
			names = append(names, c.Kind+" "+c.Name)
		}
	}
	return names
}

// Plan compares a scope file with the store, three ways: what the file has now,
// what it had when it was applied last, and what the store has. What the file did
// not change since stays as the store has it. Plan itself changes nothing, and f
// must not be changed until the plan is applied. Its error wraps
// [ErrConflict], [ErrLimit] or [ErrExists] where the file cannot be applied, and
// [scopes.Conflicts] where its operations collide with those of other APIs.
func (s *Store) Plan(ctx context.Context, f *scopes.File, o PlanOptions) (*Plan, error) {
	snapshot := s.Snapshot()
	if snapshot == nil {
		return nil, s.failed()
	}
	tokens := f.CountTokens()
	running := s.work.begin("plan", tokens)
	defer s.work.end(running)
	defer giveWay(tokens)()
	var plan *Plan
	err := s.view(func(r reader) error {
		p := &planner{
			reader: r, running: running, cancelled: ctx.Err, file: f, snapshot: snapshot, made: maps.Clone(o.Credentials),
			today: dayOf(s.now()),
			plan: &Plan{
				Revision: r.state.revision, Changes: make([]Change, 0, tokens), steps: make([]func(*change) error, 0, tokens),
			},
			accounts: make(map[string]*account), before: make(map[string]account),
			claimed: make(map[scopes.Digest]string, credentialsOf(f)), taken: make(map[[2]string][]string),
		}
		plan = p.plan
		return p.run(o)
	})
	if err != nil {
		return nil, err
	}
	return plan, nil
}

func credentialsOf(f *scopes.File) int {
	n := 0
	for i := range f.Accounts {
		for t := range f.Accounts[i].Tokens {
			if !f.Accounts[i].Tokens[t].Credential.IsZero() {
				n++
			}
		}
	}
	return n
}

// planner makes one plan.
type planner struct {
	reader
	running   *runningWork
	cancelled func() error // the error of the context
	file      *scopes.File
	snapshot  *Snapshot
	today     time.Time    // in UTC
	apis      []scopes.API // of the file, with when their deprecations began
	plan      *Plan
	next      *scopes.Catalog // as the file makes it
	both      *scopes.Catalog // the same with the APIs that are removed: what tokens are judged by
	legacy    bool            // there are active legacy tokens; known if APIs are pruned
	accounts  map[string]*account
	before    map[string]account
	claimed   map[scopes.Digest]string // by tokens of the file: their names
	made      map[string]NewCredential // for tokens that are not planned yet, by their names
	taken     map[[2]string][]string   // by the owner before and now: what changes hands
}

func (p *planner) run(o PlanOptions) error {
	pruned, err := p.planAPIs(o)
	if err != nil {
		return err
	}
	var errs []error
	for i := range p.file.Accounts {
		errs = append(errs, p.planAccount(&p.file.Accounts[i]))
	}
	if o.Prune {
		errs = append(errs, p.planPrune())
		p.pruneAPIs(pruned)
	}
	for _, name := range sortedKeys(p.accounts) {
		before := p.before[name]
		errs = append(errs, checkLimit(&before, p.accounts[name]))
	}
	errs = append(errs, checkNames(&p.snapshot.accounts, p.accounts))
	p.warnOfOwners()
	for _, ref := range sortedKeys(p.made) {
		errs = append(errs, fmt.Errorf("%w: a credential was made for token %s, which is not one that is created without; plan again", ErrConflict, ref))
	}
	return errors.Join(errs...)
}

// step adds a change that is shown, and what makes it.
func (p *planner) step(c Change, do func(*change) error) {
	p.plan.Changes = append(p.plan.Changes, c)
	p.plan.steps = append(p.plan.steps, do)
}

func (p *planner) warnf(format string, args ...any) {
	p.plan.Warnings = append(p.plan.Warnings, fmt.Sprintf(format, args...))
}

// account returns the account as it will be, or nil if there is none.
func (p *planner) account(name string) (*account, error) {
	if a := p.accounts[name]; a != nil {
		return a, nil
	}
	a, err := p.reader.account(name)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil //nolint:nilnil // that there is none is no error here
	case err != nil:
		return nil, err
	}
	p.accounts[name], p.before[name] = a, *a
	return a, nil
}

// planAccount plans an account of the file, and its tokens. What the account itself
// has is its owner's: a file that states nothing of it leaves it alone.
func (p *planner) planAccount(wanted *scopes.Account) error {
	live, err := p.account(wanted.Name)
	if err != nil {
		return err
	}
	c := Change{Kind: "account", Name: wanted.Name, Action: Update}
	if live == nil {
		c.Action = Create
		live = &account{name: wanted.Name}
		p.accounts[wanted.Name] = live
	}
	if wanted.States() || live.stated && slices.Contains(p.file.Owners(), live.owner) {
		p.planStated(c, live, wanted)
	} else if c.Action == Create {
		p.step(c, func(ch *change) error { return ch.putAccount(c, *live) })
	}
	var errs []error
	for i := range wanted.Tokens {
		if err := p.cancelled(); err != nil {
			return err
		}
		errs = append(errs, p.planToken(live, &wanted.Tokens[i]))
		p.running.done.Add(1)
	}
	return errors.Join(errs...)
}

// planStated plans what a file states of an account, or no longer does.
func (p *planner) planStated(c Change, live *account, wanted *scopes.Account) {
	declared, before := live.declared(), *live
	c.Details = diffAccount(&declared, wanted)
	if c.Action == Update {
		c.Widens = hasMore(declared.IDs, wanted.IDs)
		c.Narrows = hasMore(wanted.IDs, declared.IDs)
	}
	live.title, live.ids, live.limit = wanted.Title, wanted.IDs, wanted.MaxActiveTokens
	owner := p.file.OwnerOfAccount(wanted.Name)
	switch live.stated = wanted.States(); {
	case !live.stated:
		live.owner = ""
	case before.stated:
		live.owner = p.heir("account "+wanted.Name, before.owner, owner)
	default:
		live.owner = owner
	}
	now := *live
	do := func(ch *change) error { return ch.putAccount(c, now) }
	switch {
	case c.Action == Create || len(c.Details) > 0:
		p.step(c, do)
	case before.stated != now.stated || before.owner != now.owner:
		c.Details = []string{"a scope file states it"}
		p.plan.steps = append(p.plan.steps, do)
	}
}

// heir returns who owns a thing that owner before has declared, and a file of owner
// now declares. A file without an owner takes nothing from those that have one.
func (p *planner) heir(what, before, now string) string {
	if now == "" || now == before {
		return before
	}
	pair := [2]string{before, now}
	p.taken[pair] = append(p.taken[pair], what)
	return now
}

// warnOfOwners tells what changes hands, a line for each two owners.
func (p *planner) warnOfOwners() {
	const most = 5
	for _, pair := range slices.SortedFunc(maps.Keys(p.taken), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		things, more := p.taken[pair], ""
		if len(things) > most {
			things, more = things[:most], fmt.Sprintf(" and %d more", len(things)-most)
		}
		p.warnf("declared by owner %q before, and by %q now: %s%s", pair[0], pair[1], strings.Join(things, ", "), more)
	}
}

// hasMore reports whether b has a name that a has not.
func hasMore(a, b []string) bool {
	return slices.ContainsFunc(b, func(name string) bool { return !slices.Contains(a, name) })
}

// putAccount writes what a scope file declares of an account.
func (c *change) putAccount(planned Change, wanted account) error {
	a, err := c.account(wanted.name)
	if errors.Is(err, ErrNotFound) {
		a, err = c.createAccount(wanted.name), nil
	}
	if err != nil {
		return err
	}
	a.title, a.ids, a.limit = wanted.title, wanted.ids, wanted.limit
	a.stated, a.owner = wanted.stated, wanted.owner
	a.revision, a.updated = c.revision, c.now
	c.audit(planned)
	return nil
}
