package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/scopegate/scopegate/scopes"
)

// Issue makes the first credential of a token. Where it has one already the
// error wraps [ErrExists], for a deleted one [ErrDead].
func (s *Store) Issue(ctx context.Context, actor Actor, ref string) (Issued, error) {
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
		if len(now.credentials) > 0 {
			return fmt.Errorf("%w: token %s has a credential already; rotate replaces it", ErrExists, old.ref())
		}
		now.credentials = append(now.credentials, credential{
			digest: secret.Digest(), lastFour: secret.LastFour(), created: c.now,
		})
		issued = Issued{ID: now.id, Token: now.ref(), Credential: secret}
		return c.putToken(old, now, "issue", "a credential that ends in "+secret.LastFour())
	})
	if err != nil {
		return Issued{}, err
	}
	return issued, nil
}

// Activate ends a deactivation, whoever made it. On an active token it changes
// nothing. The error wraps [ErrLimit] where the account has as many active scoped
// tokens as it may, and [ErrDead] for a deleted one.
func (s *Store) Activate(ctx context.Context, actor Actor, ref string) (Token, error) {
	return s.changeToken(ctx, actor, func(c *change) (string, error) {
		old, err := c.alive(ref)
		if err != nil || !old.token.Inactive {
			return idOf(old), err
		}
		now := old.clone()
		now.token.Inactive, now.held = false, false
		return now.id, c.putToken(old, now, "activate")
	})
}

// Deactivate refuses the token until [Store.Activate], whatever a scope file says.
// On one that was deactivated by hand before, it changes nothing on a single node; among
// several it is a deactivation of its own, for another node may have activated the token
// since, and that must not win. The error wraps [ErrDead] for a deleted one.
func (s *Store) Deactivate(ctx context.Context, actor Actor, ref string) (Token, error) {
	return s.changeToken(ctx, actor, func(c *change) (string, error) {
		c.revokes = true
		old, err := c.alive(ref)
		if err != nil || old.held && c.store.replica.Load() == nil {
			return idOf(old), err
		}
		now := old.clone()
		now.token.Inactive, now.held = true, true
		if err := c.noteDeactivation(now); err != nil {
			return now.id, err
		}
		return now.id, c.putToken(old, now, "deactivate")
	})
}

// Delete removes the token for ever: its id and its credentials stay dead, and
// scope files cannot create its name again. On a deleted token it changes nothing.
// A token whose record is damaged can be deleted too.
func (s *Store) Delete(ctx context.Context, actor Actor, ref string) (Token, error) {
	return s.changeToken(ctx, actor, func(c *change) (string, error) {
		c.revokes = true
		old, err := c.find(ref)
		switch {
		case errors.Is(err, ErrDamaged):
			return c.bury(ref, err)
		case err != nil || old.terminal:
			return idOf(old), err
		}
		now := old.clone()
		now.delete()
		return now.id, c.putToken(old, now, "delete")
	})
}

// bury puts a deleted token in the place of a record that cannot be read.
func (c *change) bury(ref string, cause error) (string, error) {
	id := ref
	if isID(ref) {
		ref = ""
	} else {
		id = string(c.bucket(bucketNames).Get([]byte(ref)))
	}
	r := &revocation{id: id, ref: ref, deleted: true}
	if !isID(id) || ref == "" {
		return "", fmt.Errorf("%w; delete it by its account/name", cause)
	}
	return id, c.replaceDamaged(r)
}

// alive returns a token that is not deleted.
func (c *change) alive(ref string) (*record, error) {
	rec, err := c.find(ref)
	if err != nil {
		return nil, err
	}
	if rec.terminal {
		return nil, fmt.Errorf("token %s (%s): %w; that is for ever, create a new one", rec.ref(), rec.id, ErrDead)
	}
	return rec, nil
}

func idOf(r *record) string {
	if r == nil {
		return ""
	}
	return r.id
}

// changeToken makes a change to one token, whose id fn returns, and returns the
// token as it is afterwards.
func (s *Store) changeToken(ctx context.Context, actor Actor, fn func(*change) (string, error)) (Token, error) {
	var id string
	err := s.change(ctx, actor, func(c *change) (err error) {
		id, err = fn(c)
		return err
	})
	if err != nil {
		return Token{}, err
	}
	return s.Token(id)
}
