package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
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
	bulk         *bulk             // of a change that writes many tokens; nil: each is written at once
	wrote        bool              // something that is not worth a revision
	touched      map[string][]byte // shared records that are written, as they were before; nil for none
	foreignNames map[string]string // names of tokens that other nodes have changed: their ids
	standing     *standing         // of the node after the change, once the sequencer has it
	repaired     int               // damaged records that were replaced
}

// tokenChange is a token that a change touched.
type tokenChange struct {
	old, now *record // old is nil for a new token
}

// errIdle ends a transaction in which nothing changed.
var errIdle = errors.New("nothing to change")

// change makes one change: fn makes it in a transaction, and all that follows from
// it is done here. Where fn changes nothing there is no new revision.
func (s *Store) change(ctx context.Context, actor Actor, fn func(*change) error) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	if err := s.writable(); err != nil {
		return err
	}
	return s.commitInOrder(ctx, actor, fn)
}

// commitTries is how often a change is made again because another node was faster.
const commitTries = 50

// refusedHere is why a change cannot be made on what this node has.
type refusedHere struct{ cause error }

// Error implements error.
func (r refusedHere) Error() string { return r.cause.Error() }

// Unwrap returns the cause.
func (r refusedHere) Unwrap() error { return r.cause }

// commitInOrder makes a change after all those of other nodes. fn is called again where
// one of these comes in between, also if the change was refused for want of it. Where the
// node cannot get there, what only takes away is made all the same.
func (s *Store) commitInOrder(ctx context.Context, actor Actor, fn func(*change) error) error {
	err := s.commit(ctx, actor, nil, fn)
	if refused, ok := errors.AsType[refusedHere](err); ok {
		if !s.hadMissed(ctx) {
			return refused.cause
		}
		err = s.commit(ctx, actor, nil, fn)
	}
	for range commitTries {
		if !errors.Is(err, ErrHeadMoved) {
			break
		}
		if pulled := s.replica.Load().catchUp(ctx); pulled != nil {
			err = s.commit(ctx, actor, fmt.Errorf("%w: %w", ErrUnreachable, pulled), fn)
			break
		}
		err = s.commit(ctx, actor, nil, fn)
	}
	if errors.Is(err, ErrHeadMoved) {
		err = s.commit(ctx, actor, fmt.Errorf("%w: other nodes were faster each time", ErrUnreachable), fn)
	}
	if refused, ok := errors.AsType[refusedHere](err); ok {
		return refused.cause
	}
	return err
}

// hadMissed catches up with the other nodes, and reports whether there was something
// that this node did not know.
func (s *Store) hadMissed(ctx context.Context) bool {
	r := s.replica.Load()
	if r == nil {
		return false
	}
	before := r.standing.Position
	_ = r.catchUp(ctx) // without the others, what this node has is what there is to go by
	return r.standing.Position != before
}

// writable returns why no change can be made, or nil.
func (s *Store) writable() error {
	if s.readOnly && s.failure.Load() == nil {
		return fmt.Errorf("%w: %s cannot be written", ErrReadOnly, s.path)
	}
	return s.Err()
}

// commit makes a change, in this order: the transaction is filled, the next
// snapshot is built from it, the transaction is committed, the log is written, the
// snapshot is published. The log follows the commit, so that a process that dies
// in between leaves the change as a whole, or nothing of it. If alone is not nil, that
// is why the other nodes are not asked.
func (s *Store) commit(ctx context.Context, actor Actor, alone error, fn func(*change) error) error {
	var c *change
	var next *Snapshot
	err := s.guard(func() error {
		return s.db.Update(func(tx *bolt.Tx) (err error) {
			if c, err = s.begin(tx, actor); err != nil {
				return err
			}
			if err := c.takeAuthority(); err != nil {
				return err
			}
			if err := fn(c); err != nil {
				return refusedHere{err}
			}
			if err := c.authorizeAll(); err != nil {
				return err
			}
			if !c.wrote && len(c.entries) == 0 {
				return errIdle
			}
			if next, err = c.prepare(); err != nil {
				return refusedHere{err}
			}
			if s.replica.Load() == nil || len(c.touched) == 0 {
				return nil
			}
			if alone != nil {
				return alone
			}
			return s.replica.Load().propose(ctx, c)
		})
	})
	switch {
	case errors.Is(err, errIdle):
		s.pending.Store(nil) // nothing of it was news
		return nil
	case err == nil:
		return s.publish(c, next)
	case next == nil, errors.Is(err, ErrHeadMoved): // nothing was committed
		return err
	case !c.revokes && (errors.Is(err, ErrUnreachable) || errors.Is(err, ErrUncertain)):
		return fmt.Errorf("%w; until they can be reached again, tokens can be deactivated and deleted, and nothing else be changed", err)
	}
	return s.commitFailed(c, next, err)
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

// publish writes down in the log what was committed, and makes it visible. The
// store has it, and the log is made anew from the store at the next start, should
// that be needed: without the log a revocation holds, but not against an older copy
// of the store, so it is not acknowledged.
func (s *Store) publish(c *change, next *Snapshot) error {
	err := s.journal.append(c.logLines(), len(c.revocations) > 0)
	s.revision = c.revision
	if s.replica.Load() != nil {
		s.replica.Load().committed(c)
	}
	s.snapshot.Store(next)
	s.pending.Store(nil)
	s.announce()
	switch {
	case err == nil:
		return nil
	case len(c.revocations) == 0:
		s.log.Warn("the revocations log cannot be written; revocations need it", "error", err)
		return nil
	}
	broken := fmt.Errorf("%w: the last change is in the store, and the revocations log could not be written: %w", ErrReopen, err)
	s.broken.Store(&broken)
	return broken
}

// logLines returns what the revocations log is to have of the change.
func (c *change) logLines() []logLine {
	return slices.Concat(c.revocations, c.activations, []logLine{{act: actCommit, revision: c.revision}})
}

// commitFailed settles what a failed commit left behind. Either the file has the
// change, and it is not certain that the disk has, or it is as it was.
func (s *Store) commitFailed(c *change, next *Snapshot, cause error) error {
	var written bool
	err := s.view(func(r reader) error {
		written = c.revision > s.revision && r.state.revision == c.revision
		return nil
	})
	switch {
	case err != nil:
		s.fail(fmt.Errorf("%w: a commit failed, and then reading it back: %w", ErrReopen, errors.Join(cause, err)))
		return *s.failure.Load()
	case !written && c.standing != nil:
		s.snapshot.Store(next) // what the others decide on: the file has it once it is open again, and has pulled
		s.announce()
		broken := fmt.Errorf("%w: the other nodes have the last change, and this one could not write it: %w", ErrReopen, cause)
		s.broken.Store(&broken)
		return broken
	case written:
		broken := fmt.Errorf("%w: it is not certain that the last change is on the disk: %w", ErrReopen, cause)
		s.broken.Store(&broken)
		return errors.Join(broken, s.publish(c, next))
	}
	if c.revokes {
		return s.hold(c, cause)
	}
	return fmt.Errorf("%w, and nothing was changed: %w", ErrWrite, cause)
}

// hold keeps up a revocation that could not be written to the file, such as on a
// full disk. It goes into the log, which has room for it: it is in force, and so it
// will be after a restart.
func (s *Store) hold(c *change, cause error) error {
	s.revision = c.revision // the log may have it
	if err := s.journal.append(c.revocations, true); err != nil {
		return fmt.Errorf("%w, and nothing was changed: %w", ErrWrite, errors.Join(cause, err))
	}
	pending := foldRevocations(c.revocations, 0)
	if before := s.pending.Load(); before != nil {
		for id, r := range *before {
			if pending[id] == nil {
				pending[id] = r
			}
		}
	}
	next, err := s.snapshot.Load().without(pending)
	if err != nil {
		return errors.Join(cause, err)
	}
	next.revision = c.revision
	s.pending.Store(&pending)
	s.snapshot.Store(next)
	s.announce()
	if s.replica.Load() != nil {
		s.keepOutbox(pending, cause)
		return nil
	}
	s.log.Error("a revocation is in force and in the revocations log, but the store could not be written; the next change will",
		"error", cause)
	return nil
}

// keepOutbox writes down what the other nodes do not know yet. On a full disk the
// revocations log has it all the same.
func (s *Store) keepOutbox(pending map[string]*revocation, cause error) {
	s.log.Warn("a revocation is in force here, and the other nodes get it as soon as they can be reached", "error", cause)
	err := s.guard(func() error {
		return s.db.Update(func(tx *bolt.Tx) error {
			c, err := s.newChange(tx, Actor{})
			if err != nil {
				return err
			}
			return c.putOutbox(pending)
		})
	})
	if err != nil {
		s.log.Error("what the other nodes have yet to get is in the revocations log alone", "error", err)
	}
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

// putToken writes a token, and what differs into the audit log. old is nil for a new
// token. The notes are for the log too.
func (c *change) putToken(old, now *record, action string, notes ...string) error {
	if err := c.stepToken(old, now); err != nil {
		return err
	}
	c.record(action, "token", now.ref(), tokenDetails(old, now, notes))
	return nil
}

// stepToken writes a token, with all that its step from old to now means for its
// name, its digests and its account. It is the one way to do so: what the actor may
// not give is refused here.
func (c *change) stepToken(old, now *record) error {
	now.killEnded(c.now)
	now.version++
	now.revision, now.updated = c.revision, c.now
	if now.token.Inactive && (old == nil || !old.token.Inactive) {
		var id deactivationID
		if _, err := io.ReadFull(c.store.random, id[:]); err != nil {
			return err
		}
		now.noteDeactivation(id)
	}
	if old != nil {
		for _, d := range old.digests() {
			if !slices.Contains(now.digests(), d) {
				now.kill(d)
			}
		}
	}
	if err := c.authorize(old, now); err != nil {
		return err
	}
	if err := c.claimDigests(old, now); err != nil {
		return err
	}
	if err := c.countActive(old, now); err != nil {
		return err
	}
	if err := c.writeToken(old, now); err != nil {
		return err
	}
	c.revocations = append(c.revocations, revocationsBetween(old, now, c.revision)...)
	c.activations = append(c.activations, activationsBetween(old, now, c.revision)...)
	if t := c.tokens[now.id]; t != nil {
		t.now = now
	} else {
		c.tokens[now.id] = &tokenChange{old: old, now: now}
	}
	return nil
}

// claimDigests makes sure that no credential becomes a token's that is another's, or
// was ever taken from one.
func (c *change) claimDigests(old, now *record) error {
	had, current := old.digests(), c.store.snapshot.Load()
	for _, d := range now.digests() {
		ended := current.hasEnded(d, c.now)
		if slices.Contains(had, d) && !ended {
			continue
		}
		owner := c.digests[d]
		if owner == "" {
			owner = current.tokenOf(d)
		}
		switch {
		case ended || c.isDead(d):
			return fmt.Errorf("%w: the credential of token %s was deleted or rotated out before", ErrDead, now.ref())
		case owner != "" && owner != now.id:
			return fmt.Errorf("%w: the credential of token %s is token %s's", ErrExists, now.ref(), owner)
		}
		c.digests[d] = now.id
	}
	return nil
}

func (c *change) writeToken(old, now *record) error {
	value := now.encode()
	if _, err := decodeRecord([]byte(now.id), value); err != nil {
		return fmt.Errorf("%w: token %s cannot be stored as it is: %w", ErrConflict, now.ref(), err)
	}
	c.share(keyToken, now.id)
	tokens := c.bucket(bucketTokens)
	if tokens.Get([]byte(now.id)) == nil {
		if _, err := tokens.NextSequence(); err != nil { // it counts them
			return err
		}
	}
	if err := c.put(bucketTokens, []byte(now.id), value); err != nil {
		return err
	}
	ref := []byte(now.ref())
	if old == nil && (!now.terminal || c.bucket(bucketNames).Get(ref) == nil) {
		if err := c.put(bucketNames, ref, []byte(now.id)); err != nil {
			return err
		}
	}
	for i := range now.dead {
		if err := c.bucket(bucketDead).Put(now.dead[i][:], []byte(now.id)); err != nil {
			return err
		}
	}
	return nil
}

// countActive keeps the number of tokens that count towards the account's limit.
func (c *change) countActive(old, now *record) error {
	delta := 0
	if now.countsActive() {
		delta++
	}
	if old.countsActive() {
		delta--
	}
	a, err := c.account(now.account)
	switch {
	case errors.Is(err, ErrNotFound) && old == nil:
		a = c.createAccount(now.account)
	case err != nil && delta <= 0: // whatever the account's record is like, taking away must work
		return nil
	case err != nil:
		return err
	}
	a.active += delta
	return nil
}

// record adds a line to the audit log.
func (c *change) record(action, kind, name string, details []string) {
	c.entries = append(c.entries, Entry{
		Revision: c.revision, Time: c.now, Actor: c.actor.Name, Action: action, Kind: kind, Name: name, Details: details,
	})
}

// tokenDetails says what a change does to a token, before and after, and then the
// notes that do not say the same.
func tokenDetails(old, now *record, notes []string) []string {
	var details []string
	if old == nil {
		details = describeToken(&now.token)
	} else {
		details = diffToken(&old.token, &now.token)
	}
	for _, note := range notes {
		if note != "" && !slices.Contains(details, note) {
			details = append(details, note)
		}
	}
	return details
}
