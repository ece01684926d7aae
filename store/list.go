package store

import (
	"encoding/hex"
	"errors"
	"slices"

	"github.com/scopegate/scopegate/scopes"
)

// Token returns one token, by "account/name" or by id. A name means the token
// that has it now, else the deleted one that had it last. The error wraps
// [ErrNotFound] if there is none.
func (s *Store) Token(ref string) (Token, error) {
	var token Token
	err := s.view(func(r reader) error {
		rec, err := r.find(ref)
		if err == nil {
			token = rec.public()
		}
		return err
	})
	return token, err
}

// Tokens returns the tokens that f selects, by account and name. A damaged one is
// logged and left out.
func (s *Store) Tokens(f Filter) ([]Token, error) {
	var tokens []Token
	err := s.view(func(r reader) error {
		find := newFinder(r, &f, func(name string, err error) {
			s.log.Error("a token cannot be listed", "token", name, "error", err)
		})
		err := find.all()
		tokens = find.found
		return err
	})
	return tokens, err
}

// EachToken calls fn with every token, deleted ones too, by id. They are as they were written down:
// a revocation that is held while the disk is full comes with the next change. A damaged one is
// logged and left out. fn must not call the store, nor keep what it is given.
func (s *Store) EachToken(fn func(*Token)) error {
	return s.view(func(r reader) error {
		return r.bucket(bucketTokens).ForEach(func(id, _ []byte) error {
			rec, err := r.stored(string(id))
			switch {
			case errors.Is(err, ErrDamaged):
				s.log.Error("a token cannot be looked at", "token", string(id), "error", err)
			case err != nil:
				return err
			default:
				token := rec.public()
				fn(&token)
			}
			return nil
		})
	})
}

// public returns what may be told of a token: no digest is in it.
func (r *record) public() Token {
	t := Token{
		ID: r.id, Account: r.account, Token: r.token,
		Held: r.held && !r.terminal, Deleted: r.terminal, Owner: r.owner,
		Created: r.created, Updated: r.updated, Revision: r.revision,
	}
	if r.token.Inactive && !r.terminal && len(r.seen) > 0 && r.version > 1 {
		last := r.lastDeactivation()
		t.Deactivation = hex.EncodeToString(last[:])
	}
	for _, c := range r.credentials {
		t.Credentials = append(t.Credentials, Credential{LastFour: c.lastFour, Tag: c.digest.Tag(), Created: c.created, Ends: c.ends})
	}
	return t
}

// Accounts returns the accounts that f selects, by name.
func (s *Store) Accounts(f AccountFilter) ([]Account, error) {
	var accounts []Account
	search := newNeedle(f.Search)
	err := s.view(func(r reader) error {
		cursor := r.bucket(bucketAccounts).Cursor()
		for name, value := cursor.Seek([]byte(f.After)); name != nil && !f.isFull(accounts); name, value = cursor.Next() {
			a, err := decodeAccount(name, value)
			if err != nil {
				return damaged("account", string(name), err)
			}
			if a.name > f.After && a.has(&search) {
				accounts = append(accounts, a.public())
			}
		}
		return nil
	})
	return accounts, err
}

// has reports whether a needle is in the account's name, its title or one of its ids.
func (a *account) has(n *needle) bool {
	return n.in([]byte(a.name)) || n.in([]byte(a.title)) || slices.ContainsFunc(a.ids, func(id string) bool { return n.in([]byte(id)) })
}

// APIs returns all APIs, by name.
func (s *Store) APIs() ([]scopes.API, error) {
	var apis []scopes.API
	err := s.view(func(r reader) (err error) {
		apis, err = r.apis()
		return err
	})
	return apis, err
}

// Status returns the state of the store.
func (s *Store) Status() (Status, error) {
	status := Status{Path: s.path, ReadOnly: s.readOnly}
	err := s.view(func(r reader) error {
		status.Size = r.tx.Size()
		return nil
	})
	snapshot := s.Snapshot()
	if err != nil || snapshot == nil {
		return status, errors.Join(err, s.failed())
	}
	status.Revision, status.Tokens = snapshot.revision, snapshot.counts
	status.APIs, status.Accounts = snapshot.catalog.Len(), snapshot.accounts.count
	return status, nil
}

// failed returns why the store can no longer be used, or nil.
func (s *Store) failed() error {
	if failure := s.failure.Load(); failure != nil {
		return *failure
	}
	return nil
}
