package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/scopegate/scopegate/scopes"
)

// CreateAccount makes an account without tokens. The error wraps [ErrExists] where
// there is one of that name, and [ErrConflict] where the name or one of the ids is
// another account's.
func (s *Store) CreateAccount(ctx context.Context, actor Actor, wanted *scopes.Account) (Account, error) {
	err := s.change(ctx, actor, func(c *change) error {
		_, err := c.account(wanted.Name)
		if err == nil {
			return fmt.Errorf("account %s: %w", wanted.Name, ErrExists)
		}
		if !errors.Is(err, ErrNotFound) {
			return err
		}
		planned := Change{Kind: "account", Name: wanted.Name, Action: Create, Details: diffAccount(&scopes.Account{}, wanted)}
		return c.putAccount(planned, account{
			name: wanted.Name, title: wanted.Title, ids: wanted.IDs, limit: wanted.MaxActiveTokens,
		})
	})
	if err != nil {
		return Account{}, err
	}
	return s.Account(wanted.Name)
}

// DeleteAccount removes an account. The error wraps [ErrConflict] where it has
// tokens that are not deleted. A scope file that declares it makes it again.
func (s *Store) DeleteAccount(ctx context.Context, actor Actor, name string) error {
	return s.change(ctx, actor, func(c *change) error {
		if _, err := c.account(name); err != nil {
			return err
		}
		prefix := []byte(name + "/")
		cursor := c.bucket(bucketNames).Cursor()
		for ref, id := cursor.Seek(prefix); bytes.HasPrefix(ref, prefix); ref, id = cursor.Next() {
			if rec, err := c.token(string(id)); err != nil || !rec.terminal {
				return fmt.Errorf("%w: account %s has token %s; delete its tokens first", ErrConflict, name, ref)
			}
		}
		c.share(keyAccount, name)
		delete(c.accounts, name)
		c.recompile = true // the index does not forget a single account
		c.record("delete", "account", name, nil)
		return c.bucket(bucketAccounts).Delete([]byte(name))
	})
}

// Account returns an account. The error wraps [ErrNotFound] if there is none.
func (s *Store) Account(name string) (Account, error) {
	var found Account
	err := s.view(func(r reader) error {
		a, err := r.account(name)
		if err == nil {
			found = a.public()
		}
		return err
	})
	return found, err
}

// checkNames refuses accounts whose name or ids are another account's: where an API
// has an account parameter, the tokens of one would reach what is the other's.
// accounts are those that a change touches, as they will be; known are all, as they
// are.
func checkNames(known *accountNames, accounts map[string]*account) error {
	var renamed []*account
	for _, name := range sortedKeys(accounts) {
		if known.renames(accounts[name]) {
			renamed = append(renamed, accounts[name])
		}
	}
	if len(renamed) == 0 {
		return nil
	}
	owners := make(map[string]string) // of the ids of all accounts, as they will be
	for name, ids := range known.withIDs() {
		if accounts[name] == nil {
			for _, id := range ids {
				owners[id] = name
			}
		}
	}
	for _, name := range sortedKeys(accounts) {
		for _, id := range accounts[name].ids {
			if other, taken := owners[id]; taken && other != name {
				return sharedName(id, other, name)
			}
			owners[id] = name
		}
	}
	for _, a := range renamed {
		if other, taken := owners[a.name]; taken && other != a.name {
			return sharedName(a.name, other, a.name)
		}
		for _, id := range a.ids {
			_, exists := known.find([]byte(id))
			if (exists || accounts[id] != nil) && id != a.name {
				return sharedName(id, id, a.name)
			}
		}
	}
	return nil
}

func sharedName(id, one, other string) error {
	return fmt.Errorf("%w: %q names both account %s and account %s; the tokens of one would reach the other's data", ErrConflict, id, one, other)
}
