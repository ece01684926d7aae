package store

import (
	"bytes"
	"encoding/hex"
	"errors"

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
	var prefix []byte
	if f.Account != "" {
		prefix = []byte(f.Account + "/")
	}
	var tokens []Token
	err := s.view(func(r reader) error {
		cursor := r.bucket(bucketNames).Cursor()
		for ref, _ := cursor.Seek(prefix); ref != nil && bytes.HasPrefix(ref, prefix); ref, _ = cursor.Next() {
			rec, err := r.named(string(ref))
			switch {
			case errors.Is(err, ErrDamaged):
				s.log.Error("a token cannot be listed", "token", string(ref), "error", err)
			case err != nil:
				return err
			case f.selects(rec):
				tokens = append(tokens, rec.public())
			}
		}
		return nil
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

// Accounts returns all accounts, by name.
func (s *Store) Accounts() ([]Account, error) {
	var accounts []Account
	err := s.view(func(r reader) error {
		return r.bucket(bucketAccounts).ForEach(func(name, value []byte) error {
			a, err := decodeAccount(name, value)
			if err != nil {
				return damaged("account", string(name), err)
			}
			accounts = append(accounts, a.public())
			return nil
		})
	})
	return accounts, err
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
