package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// Rotate gives a token a new credential. The old one lives on for overlap, so that
// clients have the time to change over, and without an overlap ends at once. One that
// was to end sooner, since an older copy of the store was restored after a rotation,
// still does.
//
// The error wraps [ErrNotFound] where the token has no credential, [ErrConflict]
// during an overlap, [ErrDead] for a deleted token.
func (s *Store) Rotate(ctx context.Context, actor Actor, ref string, overlap time.Duration) (Issued, error) {
	secret, err := scopes.NewCredential(s.random)
	if err != nil {
		return Issued{}, err
	}
	var issued Issued
	err = s.change(ctx, actor, func(c *change) error {
		old, err := c.alive(ref)
		if err != nil {
			return err
		}
		now := old.clone()
		now.killEnded(c.now)
		switch {
		case len(now.credentials) == 0:
			return fmt.Errorf("the credential of token %s: %w; issue makes the first", old.ref(), ErrNotFound)
		case len(now.credentials) > 1:
			return fmt.Errorf("%w: token %s is being rotated already, and its old credential is accepted until %s; retire ends that now",
				ErrConflict, old.ref(), now.credentials[0].ends.Format(time.RFC3339))
		}
		detail := "a credential that ends in " + secret.LastFour()
		if overlap > 0 {
			now.endAt(now.credentials[0].digest, c.now.Add(overlap))
			detail += "; the old one is accepted until " + now.credentials[0].ends.Format(time.RFC3339)
		} else {
			now.kill(now.credentials[0].digest)
		}
		now.credentials = append(now.credentials, credential{
			digest: secret.Digest(), lastFour: secret.LastFour(), created: c.now,
		})
		issued = Issued{ID: now.id, Token: now.ref(), Credential: secret}
		return c.putToken(old, now, "rotate", detail)
	})
	if err != nil {
		return Issued{}, err
	}
	return issued, nil
}

// Retire ends the old credential of a token that is being rotated. The error wraps
// [ErrConflict] where there is none, [ErrDead] for a deleted token.
func (s *Store) Retire(ctx context.Context, actor Actor, ref string) (Token, error) {
	return s.changeToken(ctx, actor, func(c *change) (string, error) {
		c.revokes = true
		old, err := c.alive(ref)
		if err != nil {
			return "", err
		}
		now := old.clone()
		now.killEnded(c.now)
		if len(now.credentials) < maxCredentials {
			return "", fmt.Errorf("%w: token %s has no old credential; rotate with an overlap leaves one", ErrConflict, old.ref())
		}
		now.kill(now.credentials[0].digest)
		return now.id, c.putToken(old, now, "retire")
	})
}

// Import gives a token that has no credential one that was made elsewhere, by its
// digest. lastFour are its last four characters, if they are known.
//
// The error wraps [ErrExists] where the token has a credential or the credential is
// another token's, [ErrDead] where it was deleted or rotated out before, or the
// token was deleted.
func (s *Store) Import(ctx context.Context, actor Actor, ref string, d scopes.Digest, lastFour string) (Token, error) {
	return s.changeToken(ctx, actor, func(c *change) (string, error) {
		old, err := c.alive(ref)
		if err != nil {
			return "", err
		}
		now := old.clone()
		now.killEnded(c.now)
		if len(now.credentials) > 0 {
			return "", fmt.Errorf("the credential of token %s: %w; rotate replaces it", old.ref(), ErrExists)
		}
		now.credentials = []credential{{digest: d, lastFour: lastFour, created: c.now}}
		return now.id, c.putToken(old, now, "import", "credential: imported")
	})
}

// killEnded makes the credentials dead whose end has come.
func (r *record) killEnded(now time.Time) {
	for _, c := range slices.Clone(r.credentials) {
		if !c.ends.IsZero() && !now.Before(c.ends) {
			r.kill(c.digest)
		}
	}
}
