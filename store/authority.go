package store

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/scopegate/scopegate/scopes"
)

// authority is the administrator's token that a change is made with, as it was
// when the change began. Whatever the change does to that token, it gives no more
// than that.
type authority struct {
	scopes.Authority
	ref string
}

// takeAuthority finds out what the actor may give. The token may have lost its
// power since the request was decided on: its body may have taken minutes to come.
func (c *change) takeAuthority() error {
	if c.actor.Token == "" {
		return nil
	}
	rec, err := c.token(c.actor.Token)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAuthority, err)
	}
	expires := rec.token.Expires
	if rec.terminal || rec.token.Inactive || !expires.IsZero() && !c.now.Before(expires) {
		return fmt.Errorf("%w: token %s is no longer in force", ErrAuthority, rec.ref())
	}
	if c.actor.Recheck != nil {
		if err := c.actor.Recheck(); err != nil {
			return fmt.Errorf("%w: token %s: %w", ErrAuthority, rec.ref(), err)
		}
	}
	snapshot := c.store.snapshot.Load()
	if snapshot == nil {
		return ErrClosed
	}
	c.authority = &authority{scopes.Authority{Account: rec.account, Token: &rec.token, Catalog: snapshot.catalog}, rec.ref()}
	return nil
}

// authorize refuses the step of a token from old to now if it gives something that
// the administrator's token does not have itself. Taking away is free.
func (c *change) authorize(old, now *record) error {
	if c.authority == nil || now.terminal {
		return nil
	}
	if err := c.authorizeLater(old, now); err != nil {
		return err
	}
	return c.authority.mayGive(now, kept(old, now), &now.token)
}

// authorizeLater refuses a step that gives nothing by itself, but has a scope file
// give something when it is applied again, perhaps to a token whose credential the
// administrator has made.
func (c *change) authorizeLater(old, now *record) error {
	if old == nil { // a file that declared the last token of this name adopts the new one
		last, err := c.named(now.ref())
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, was := range []*scopes.Token{&last.token, last.declared} {
			if was == nil {
				continue
			}
			if err := c.authority.mayGive(now, nil, was); err != nil {
				return fmt.Errorf("a token that was deleted had the name %s: %w", now.ref(), err)
			}
		}
		return nil
	}
	if old.declared == nil || now.declared != nil && bytes.Equal(power(old.declared), power(now.declared)) {
		return nil
	}
	restored := old.clone() // what a file makes of it that no longer knows what was changed by hand
	restored.token = *old.declared
	restored.token.Inactive = old.declared.Inactive || old.held
	if err := c.authority.mayGive(now, kept(old, restored), &restored.token); err != nil {
		return fmt.Errorf("token %s has less than the file that declared it says: %w", now.ref(), err)
	}
	return nil
}

// power returns what of a token decides what it may do, and when and from where.
func power(t *scopes.Token) []byte {
	return appendToken(nil, &scopes.Token{
		Inactive: t.Inactive, Version: t.Version, Expires: t.Expires, Sources: t.Sources, Scopes: t.Scopes, Access: t.Access,
		Limits: t.Limits,
	})
}

// mayGive refuses to make of a token what it is to be, instead of before, if that
// gives something that the authority does not have.
func (a *authority) mayGive(to *record, before, after *scopes.Token) error {
	var nothing scopes.Authority
	if before != nil && nothing.Lacks(to.account, before, after) == "" {
		return nil
	}
	switch lacks := a.Lacks(to.account, before, after); {
	case lacks != "":
		return fmt.Errorf("%w: token %s has no %s, so it cannot give it to token %s", ErrAuthority, a.ref, lacks, to.ref())
	case outlives(after, a.Token):
		return fmt.Errorf("%w: token %s expires at %s, and token %s would not by then; let it expire no later",
			ErrAuthority, a.ref, expiryText(a.Token), to.ref())
	case !within(after.Sources, a.Token.Sources):
		return fmt.Errorf("%w: token %s may be used from %s, and token %s from elsewhere; give it sources within these",
			ErrAuthority, a.ref, sourcesText(a.Token), to.ref())
	}
	if outrun := after.Outruns(a.Token.Limits); outrun != "" {
		return fmt.Errorf("%w: token %s has the %s, and token %s would not be held to it; give it a limit within that",
			ErrAuthority, a.ref, outrun, to.ref())
	}
	return nil
}

// kept returns what a token was able to do before a step, so that only what the
// step adds is given. It is nil where the step gives all that the token may do:
// where the token is new or comes back to life, gets a credential or keeps one for
// longer, or may be used for longer, from more places or more often.
func kept(old, now *record) *scopes.Token {
	switch {
	case old == nil,
		old.token.Inactive && !now.token.Inactive,
		old.held && !now.held,
		outlives(&now.token, &old.token),
		!within(now.token.Sources, old.token.Sources),
		scopes.CompareLimits(old.token.Limits, now.token.Limits).Widens,
		slices.ContainsFunc(now.credentials, func(cr credential) bool { return !old.accepts(cr) }):
		return nil
	}
	return &old.token
}

// accepts reports whether the token has a credential, for at least as long.
func (r *record) accepts(cr credential) bool {
	return slices.ContainsFunc(r.credentials, func(own credential) bool {
		return own.digest == cr.digest && (own.ends.IsZero() || !cr.ends.IsZero() && !cr.ends.After(own.ends))
	})
}

// authorizeAll refuses what no administrator's token can do, however it came into
// the change: what an API is, and who an account is, decides what tokens may do.
func (c *change) authorizeAll() error {
	if c.authority == nil {
		return nil
	}
	errAPIs := fmt.Errorf("%w: APIs are not changed with a token; apply the file with caddy scopegate apply on the server", ErrAuthority)
	if slices.ContainsFunc(c.entries, func(e Entry) bool { return e.Kind == "api" }) {
		return errAPIs
	}
	if c.recompile { // for whatever reason
		apis, err := c.apis()
		if err != nil {
			return err
		}
		if !slices.EqualFunc(apis, c.authority.Catalog.APIs(), equalAPIs) {
			return errAPIs
		}
	}
	for _, name := range sortedKeys(c.accounts) {
		if !slices.Equal(c.accounts[name].ids, c.before[name].ids) {
			return fmt.Errorf("%w: the ids of account %s are not changed with a token; use caddy scopegate on the server", ErrAuthority, name)
		}
	}
	return nil
}

func equalAPIs(a, b scopes.API) bool { return bytes.Equal(encodeAPI(&a, ""), encodeAPI(&b, "")) }
