package store

import (
	"bytes"
	"errors"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/scopegate/scopegate/scopes"
)

// change is one change on its way into the store: a bbolt transaction and what has
// to follow from it.
type change struct {
	reader
	store *Store
	actor Actor
	// authority is the administrator's token that the change is made with; nil
	// where the actor may do everything.
	authority *authority
	now       time.Time
	revision  uint64 // that the change will have

	// revokes is set where the change does nothing but take away. It then holds
	// even where the file cannot be written.
	revokes bool

	recompile    bool // APIs change, and with them all grants
	accounts     map[string]*account
	before       map[string]account // the same, as they were
	tokens       map[string]*tokenChange
	digests      map[scopes.Digest]string // of the credentials that tokens get: the tokens' ids
	revocations  []logLine                // for the log, as is what follows
	activations  []logLine
	entries      []Entry
	scratch      []byte            // what was encoded last
	readBack     record            // memory for a token that is read back as it was written
	bulk         *bulk             // of a change that writes many tokens; nil: each is written at once
	wrote        bool              // something that is not worth a revision
	touched      map[string][]byte // shared records that are written, as they were before; nil for none
	foreignNames map[string]string // names of tokens that other nodes have changed: their ids
	filled       *loader           // of a store that was blank: it has all tokens already; else nil
	standing     *standing         // of the node after the change, once the sequencer has it
	repaired     int               // damaged records that were replaced
}

// tokenChange is a token that a change touched.
type tokenChange struct {
	old, now *record // old is nil for a new token
}

// newChange returns a change that has changed nothing yet.
func (s *Store) newChange(tx *bolt.Tx, actor Actor) (*change, error) {
	r, err := newReader(tx)
	if err != nil {
		return nil, err
	}
	return &change{
		reader: r, store: s, actor: actor, now: s.now().UTC().Truncate(time.Second),
		revision: s.revision + 1, touched: make(map[string][]byte), foreignNames: make(map[string]string),
		accounts: make(map[string]*account), before: make(map[string]account),
		tokens: make(map[string]*tokenChange), digests: make(map[scopes.Digest]string),
	}, nil
}

// begin starts a change. Revocations that the file does not have yet go first.
func (s *Store) begin(tx *bolt.Tx, actor Actor) (*change, error) {
	c, err := s.newChange(tx, actor)
	if err != nil {
		return nil, err
	}
	if pending := s.pending.Load(); pending != nil {
		c.wrote = s.replica.Load() != nil // the outbox at least
		for _, id := range sortedKeys(*pending) {
			if err := c.settle((*pending)[id]); err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

// settle brings a token up to a revocation that its record has not seen.
func (c *change) settle(r *revocation) error {
	old, err := c.token(r.id)
	var now *record
	switch {
	case errors.Is(err, ErrNotFound):
		now = r.stub(c.now)
	case errors.Is(err, ErrDamaged): // what it was is lost; that it is revoked is not
		return c.replaceDamaged(r)
	case err != nil:
		return err
	default:
		if now = old.clone(); !r.apply(now) {
			c.tokens[old.id] = &tokenChange{old: old, now: old} // the index left its credentials out
			return nil
		}
	}
	return c.putToken(old, now, "revoke", "from the revocations log")
}

// replaceDamaged puts what is known of a token in the place of a record that cannot
// be read. Nor can it be known whether that one counted towards the account's
// limit, so all are counted again.
func (c *change) replaceDamaged(r *revocation) error {
	now := r.stub(c.now)
	if err := c.putToken(nil, now, "revoke", "its record was damaged"); err != nil {
		return err
	}
	c.repaired++
	a, err := c.account(now.account)
	if err != nil {
		return nil //nolint:nilerr // whatever the account's record is like, taking away must work
	}
	a.active = 0
	prefix := []byte(a.name + "/")
	cursor := c.bucket(bucketNames).Cursor()
	for ref, id := cursor.Seek(prefix); bytes.HasPrefix(ref, prefix); ref, id = cursor.Next() {
		if rec, err := c.token(string(id)); err == nil && rec.countsActive() {
			a.active++
		}
	}
	return nil
}

// account returns an account that the change may modify, or an error that wraps
// ErrNotFound. It shadows the reader's.
func (c *change) account(name string) (*account, error) {
	if a := c.accounts[name]; a != nil {
		return a, nil
	}
	a, err := c.reader.account(name)
	if err != nil {
		return nil, err
	}
	c.accounts[name], c.before[name] = a, *a
	return a, nil
}

// createAccount adds an account, which putAccounts writes.
func (c *change) createAccount(name string) *account {
	a := &account{name: name, created: c.now}
	c.accounts[name] = a
	return a
}

// record adds a line to the audit log.
func (c *change) record(action, kind, name string, details []string) {
	c.entries = append(c.entries, Entry{
		Revision: c.revision, Time: c.now, Actor: c.actor.Name, Action: action, Kind: kind, Name: name, Details: details,
	})
}
