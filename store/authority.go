package store

import (
	"bytes"
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
	a := c.authority
	if a == nil || now.terminal {
		return nil
	}
	before := kept(old, now)
	var nothing scopes.Authority
	if before != nil && nothing.Lacks(now.account, before, &now.token) == "" {
		return nil
	}
	switch lacks := a.Lacks(now.account, before, &now.token); {
	case lacks != "":
		return fmt.Errorf("%w: token %s has no %s, so it cannot give it to token %s", ErrAuthority, a.ref, lacks, now.ref())
	case outlives(&now.token, a.Token):
		return fmt.Errorf("%w: token %s expires at %s, and token %s would not by then; let it expire no later",
			ErrAuthority, a.ref, expiryText(a.Token), now.ref())
	case !within(now.token.Sources, a.Token.Sources):
		return fmt.Errorf("%w: token %s may be used from %s, and token %s from elsewhere; give it sources within these",
			ErrAuthority, a.ref, sourcesText(a.Token), now.ref())
	}
	return nil
}

// kept returns what a token was able to do before a step, so that only what the
// step adds is given. It is nil where the step gives all that the token may do:
// where the token is new or comes back to life, gets a credential or keeps one for
// longer, or may be used for longer or from more places.
func kept(old, now *record) *scopes.Token {
	switch {
	case old == nil,
		old.token.Inactive && !now.token.Inactive,
		old.held && !now.held,
		outlives(&now.token, &old.token),
		!within(now.token.Sources, old.token.Sources),
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
