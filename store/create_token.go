package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/scopegate/scopegate/scopes"
)

// Create makes a token by hand, and its account if there is none. It has no
// credential, unless t brings one along. The name of a deleted token may be used
// again: the new one has another id.
//
// The error wraps [ErrExists] where the name or the credential is taken, [ErrLimit]
// where the account has as many active scoped tokens as it may, [ErrDead] where the
// credential was deleted before.
func (s *Store) Create(ctx context.Context, actor Actor, account string, t *scopes.Token) (Token, error) {
	return s.changeToken(ctx, actor, func(c *change) (string, error) {
		now := &record{account: account, token: *t, created: c.now}
		now.token.Credential = scopes.Digest{}
		if !t.Credential.IsZero() {
			now.credentials = []credential{{digest: t.Credential, created: c.now}}
		}
		switch old, err := c.named(now.ref()); {
		case err == nil && !old.terminal:
			return "", fmt.Errorf("token %s: %w", now.ref(), ErrExists)
		case err != nil && !errors.Is(err, ErrNotFound):
			return "", err
		}
		var err error
		if now.id, err = newID(c.store.random); err != nil {
			return "", err
		}
		return now.id, c.putToken(nil, now, string(Create))
	})
}

// UpdateOptions say how a token may be changed.
type UpdateOptions struct {
	AllowWiden bool // let it be granted more than it was
}

// Update changes a token by hand: edit gets a copy of what is declared of it, and
// changes that. Its name, its state and its credential are not changed that way.
// The Change says what was changed, as that of a plan; it has no details if nothing
// was.
//
// A scope file that declares the token keeps what is changed here until the file
// itself changes it. The error wraps [ErrWiden] where the token would widen without
// AllowWiden, [ErrLimit] where it begins to count towards its account's limit,
// [ErrDead] for a deleted one, and what edit returns.
func (s *Store) Update(ctx context.Context, actor Actor, ref string, edit func(*scopes.Token) error, o UpdateOptions) (Token, Change, error) {
	var planned Change
	token, err := s.changeToken(ctx, actor, func(c *change) (string, error) {
		old, err := c.alive(ref)
		if err != nil {
			return "", err
		}
		now := old.clone()
		now.token.Sources, now.token.Scopes = slices.Clone(old.token.Sources), slices.Clone(old.token.Scopes)
		now.token.Shadow, now.token.Keep.Scopes = slices.Clone(old.token.Shadow), slices.Clone(old.token.Keep.Scopes)
		now.token.Limits = slices.Clone(old.token.Limits)
		if err := edit(&now.token); err != nil {
			return "", err
		}
		now.token.Name, now.token.Inactive, now.token.Credential = old.token.Name, old.token.Inactive, scopes.Digest{}
		planned = Change{Kind: "token", Name: old.ref(), Action: Update, Details: diffToken(&old.token, &now.token)}
		if len(planned.Details) == 0 {
			return old.id, nil
		}
		catalog := c.store.snapshot.Load().catalog
		planned.judge(catalog, catalog, &old.token, &now.token)
		if planned.Widens && !o.AllowWiden {
			return "", fmt.Errorf("%w: token %s: %s; look at it, then allow it", ErrWiden, old.ref(), detailOf(planned))
		}
		return old.id, c.putToken(old, now, string(Update))
	})
	return token, planned, err
}
