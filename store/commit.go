package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"
)

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
