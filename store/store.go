package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Options say how a store is opened. The zero value is fit for use.
type Options struct {
	// ReadOnly opens an existing store for reading. A store on a read-only file
	// system is opened so in any case.
	ReadOnly bool
	Now      func() time.Time // nil: time.Now
	Random   io.Reader        // of ids and credentials; nil: crypto/rand.Reader
	Logger   *slog.Logger     // nil: nothing is logged
	Cluster  *ClusterOptions  // nil: a single node
}

// Store is a bbolt file and the index of its tokens. It is safe for concurrent use.
type Store struct {
	path   string
	now    func() time.Time
	random io.Reader
	log    *slog.Logger
	bare   *slog.Logger // as it was given

	db       *bolt.DB
	file     *os.File // the one that db has mapped
	readOnly bool

	snapshot atomic.Pointer[Snapshot]
	work     work
	// failure is set once the store can no longer be used, and says why.
	failure atomic.Pointer[error]
	// broken is set once no further change can be made, and says why.
	broken  atomic.Pointer[error]
	changed atomic.Pointer[chan struct{}] // closed and replaced at each change
	// pending are revocations that hold here and are in the log, but not in the
	// file yet. The next change writes them. A published map is never modified.
	pending atomic.Pointer[map[string]*revocation]

	// writer has one element: who takes it out may make a change, and alone uses
	// the fields below.
	writer   chan struct{}
	revision uint64         // the highest that was ever used
	opened   uint64         // the revision that the file had when it was opened
	journal  *revocationLog // nil if the store is read-only
	closed   bool

	cluster *ClusterOptions // as it was opened with; nil for a single node
	replica atomic.Pointer[replica]
}

func newStore(path string, o Options) *Store {
	s := &Store{
		path: path, now: o.Now, random: o.Random, log: o.Logger, readOnly: o.ReadOnly,
		writer: make(chan struct{}, 1), cluster: o.Cluster,
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.random == nil {
		s.random = rand.Reader
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.bare = s.log
	s.log = s.log.With("store", path)
	changed := make(chan struct{})
	s.changed.Store(&changed)
	s.unlock()
	return s
}

// Snapshot returns the current state. It is nil when there is none to decide on:
// after Close, and after the file was found damaged while it was open.
func (s *Store) Snapshot() *Snapshot { return s.snapshot.Load() }

// Close waits for the change that is being made, if any, and closes the file.
// Snapshots that were taken before stay valid; Snapshot returns nil from now on.
// Closing a closed store does nothing.
func (s *Store) Close() error {
	left := s.leave()
	<-s.writer
	defer s.unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	fault := !s.fail(ErrClosed)
	errs := []error{left}
	if s.journal != nil {
		errs = append(errs, s.journal.close())
	}
	if fault { // bbolt may be stuck in the middle of something
		errs = append(errs, unlock(s.file), s.file.Close())
	} else {
		errs = append(errs, s.db.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("store: closing %s: %w", s.path, err)
	}
	return nil
}

// leave ends the replication.
func (s *Store) leave() error {
	if r := s.replica.Load(); r != nil {
		return r.close()
	}
	return nil
}

// Err returns why the store must be closed and opened again; nil while it is fit
// for use. It wraps [ErrClosed], [ErrDamaged] or [ErrReopen].
func (s *Store) Err() error {
	for _, reason := range []*error{s.failure.Load(), s.broken.Load()} {
		if reason != nil {
			return *reason
		}
	}
	return nil
}

// fail makes every further call fail with the given error and leaves nothing to
// decide on. It reports whether the store had not failed before.
func (s *Store) fail(err error) bool {
	first := s.failure.CompareAndSwap(nil, &err)
	s.snapshot.Store(nil)
	s.announce() // whoever waits for a change waits in vain
	return first
}

// guard runs fn, which uses the file. The file is mapped into memory: where it was
// cut off or overwritten while it was open, reading it is a memory fault, or
// bbolt finds nonsense and panics. Both end the use of the store, not the process.
func (s *Store) guard(fn func() error) (err error) {
	if failure := s.failure.Load(); failure != nil {
		return *failure
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%w: reading %s failed: %v; restore a backup, or remove the file to begin anew", ErrDamaged, s.path, cause)
			s.log.Error("the store is damaged and is no longer used", "error", err, "stack", string(debug.Stack()))
			s.fail(err)
		}
	}()
	if err := fn(); !errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return err
	}
	return ErrClosed
}

// lock waits for the change that is being made, and keeps others from being made
// until unlock.
func (s *Store) lock(ctx context.Context) error {
	select {
	case <-s.writer:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("store: waiting for another change: %w", ctx.Err())
	}
}

func (s *Store) unlock() { s.writer <- struct{}{} }

// view runs fn in a transaction that sees one consistent state.
func (s *Store) view(fn func(reader) error) error {
	pending := s.pending.Load() // before the transaction: what it does not see yet is pending
	return s.guard(func() error {
		return s.db.View(func(tx *bolt.Tx) error {
			r, err := newReader(tx)
			if err != nil {
				return err
			}
			if pending != nil {
				r.pending = *pending
			}
			return fn(r)
		})
	})
}
