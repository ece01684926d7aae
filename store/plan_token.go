package store

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/scopegate/scopegate/scopes"
)

// planToken plans a token of the file.
func (p *planner) planToken(a *account, wanted *scopes.Token) error {
	ref := a.name + "/" + wanted.Name
	live, err := p.named(ref)
	switch {
	case errors.Is(err, ErrNotFound):
		return p.planCreate(a, wanted)
	case err != nil:
		return err
	case live.terminal:
		p.warnf("token %s was deleted, and is skipped; remove it from the file, or create it again by hand", ref)
		return nil
	}
	return p.planUpdate(a, live, wanted)
}

func (p *planner) planCreate(a *account, wanted *scopes.Token) error {
	ref := a.name + "/" + wanted.Name
	owner := p.file.OwnerOfToken(ref)
	now := newDeclared(a.name, owner, wanted)
	c := Change{Kind: "token", Name: ref, Action: Create, Details: describeToken(wanted)}
	if err := p.planCredential(&c, nil, &now, wanted.Credential); err != nil {
		return err
	}
	if len(now.credentials) == 0 {
		if err := p.planMade(&c, &now); err != nil {
			return err
		}
	}
	if now.countsActive() {
		a.active++
	}
	account, credentials := a.name, now.credentials
	p.step(c, func(ch *change) (err error) {
		now := newDeclared(account, owner, wanted) // anew, so that a plan that failed half-way can be applied again
		now.credentials = slices.Clone(credentials)
		if now.id, err = newID(ch.store.random); err != nil {
			return err
		}
		now.created = ch.now
		return ch.putPlanned(c, nil, &now)
	})
	return nil
}

// newDeclared returns the record of a token that a scope file declares, without an id.
func newDeclared(account, owner string, wanted *scopes.Token) record {
	now := record{account: account, token: *wanted, declared: wanted, owner: owner}
	now.token.Credential = scopes.Digest{}
	return now
}

func (p *planner) planUpdate(a *account, live *record, wanted *scopes.Token) error {
	now := live.clone()
	now.token = merge(live.declared, &live.token, wanted)
	now.declared, now.owner = wanted, p.file.OwnerOfToken(live.ref())
	if live.declared != nil {
		now.owner = p.heir("token "+live.ref(), live.owner, now.owner)
		if had := live.declared.Credential; wanted.Credential.IsZero() && !had.IsZero() {
			// It is left alone, and so is the memory of where it came from.
			declared := *wanted
			declared.Credential = had
			now.declared = &declared
		}
	}
	c := Change{Kind: "token", Name: live.ref(), Action: Update}
	if c.Held = live.held && !wanted.Inactive; live.held {
		now.token.Inactive = true
	}
	c.Details = diffToken(&live.token, &now.token)
	if err := p.planCredential(&c, live, now, wanted.Credential); err != nil {
		return err
	}
	c.judge(p.both, p.next, &live.token, &now.token)
	if now.countsActive() && !live.countsActive() {
		a.active++
	} else if !now.countsActive() && live.countsActive() {
		a.active--
	}
	p.stepUpdate(c, live, now)
	return nil
}

// stepUpdate adds what an update needs: a change that is shown, or one that only
// remembers what the file declares, or none.
func (p *planner) stepUpdate(c Change, live, now *record) {
	do := func(ch *change) error { return ch.putPlanned(c, live, now.clone()) }
	switch {
	case len(c.Details) > 0:
		p.step(c, do)
		return
	case c.Held:
		c.Action, c.Details = Hold, []string{"it was deactivated by hand, and stays inactive until it is activated"}
		p.plan.Changes = append(p.plan.Changes, c)
	}
	if !bytes.Equal(now.encode(), live.encode()) {
		c.Action, c.Details = Update, []string{"a scope file declares it"}
		if now.declared == nil {
			c.Details = []string{"no scope file declares it any more"}
		}
		p.plan.steps = append(p.plan.steps, do)
	}
}

// judge tells what a change to a token does to what it may do, and names it for it.
func (c *Change) judge(old, next *scopes.Catalog, before, after *scopes.Token) {
	switch {
	case before.Inactive && after.Inactive: // it may be activated, and then counts
	case before.Inactive:
		c.Action, before = Activate, nil
	case after.Inactive:
		c.Action, after = Deactivate, nil
	}
	d := scopes.Compare(old, before, next, after)
	c.Widens, c.Narrows = d.Widens, d.Narrows
	if before == nil || after == nil {
		return
	}
	limits := scopes.CompareLimits(before.Limits, after.Limits)
	c.Widens = c.Widens || limits.Widens || outlives(after, before) || !within(after.Sources, before.Sources)
	c.Narrows = c.Narrows || limits.Narrows || outlives(before, after) || !within(before.Sources, after.Sources)
}

// outlives reports whether a expires later than b.
func outlives(a, b *scopes.Token) bool {
	return !b.Expires.IsZero() && (a.Expires.IsZero() || a.Expires.After(b.Expires))
}

// planCredential plans the credential d that a file brings along. It adds one, or
// replaces the one that the file had before; without one nothing changes. live is
// nil for a new token.
func (p *planner) planCredential(c *Change, live, now *record, d scopes.Digest) error {
	clock := p.snapshot.now()
	switch {
	case d.IsZero():
		return nil
	case p.isDead(d) || p.snapshot.hasEnded(d, clock):
		p.warnf("the credential of token %s was deleted or rotated out, and is ignored; remove it from the file", now.ref())
		return nil
	case slices.Contains(now.digests(), d):
		return nil
	}
	if err := p.claim(d, now.ref()); err != nil {
		return err
	}
	detail := "credential: imported"
	if live != nil && live.declared != nil {
		had := len(now.credentials)
		now.credentials = slices.DeleteFunc(now.credentials, func(cr credential) bool {
			return cr.digest == live.declared.Credential
		})
		if len(now.credentials) < had {
			detail = "credential: imported, in place of the one that the file had"
		}
	}
	if now.killEnded(clock); len(now.credentials) == maxCredentials {
		return fmt.Errorf("%w: token %s has %d credentials already; retire one first", ErrConflict, now.ref(), maxCredentials)
	}
	now.credentials = append(now.credentials, credential{digest: d})
	c.Details, c.admits = append(c.Details, detail), true
	return nil
}

// planMade gives a new token the credential that was made for it, if one was.
func (p *planner) planMade(c *Change, now *record) error {
	made, ok := p.made[now.ref()]
	if !ok {
		p.plan.Bare = append(p.plan.Bare, now.ref())
		return nil
	}
	delete(p.made, now.ref())
	if p.isDead(made.Digest) {
		return fmt.Errorf("%w: the credential that was made for token %s was deleted or rotated out before", ErrDead, now.ref())
	}
	if err := p.claim(made.Digest, now.ref()); err != nil {
		return err
	}
	now.credentials = []credential{{digest: made.Digest, lastFour: made.LastFour}}
	c.Details = append(c.Details, "credential: one that ends in "+made.LastFour)
	return nil
}

// claim makes sure that no two tokens get the same credential.
func (p *planner) claim(d scopes.Digest, ref string) error {
	other := p.claimed[d]
	if id := p.snapshot.tokenOf(d); id != "" {
		other = id
		if rec, err := p.token(id); err == nil {
			other = rec.ref()
		}
	}
	if other != "" {
		return fmt.Errorf("%w: the credential of token %s is token %s's", ErrExists, ref, other)
	}
	p.claimed[d] = ref
	return nil
}

// putPlanned writes a token as planned. old is nil for a new one.
func (c *change) putPlanned(planned Change, old, now *record) error {
	for i := range now.credentials {
		if now.credentials[i].created.IsZero() {
			now.credentials[i].created = c.now
		}
	}
	if err := c.stepToken(old, now); err != nil {
		return err
	}
	c.audit(planned)
	return nil
}
