package store

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// Options say how a store is opened. The zero value is fit for use.
type Options struct {
	// ReadOnly opens an existing store for reading. A store on a read-only file
	// system is opened so in any case.
	ReadOnly bool
	Now      func() time.Time // nil: time.Now
	Random   io.Reader        // of ids and credentials; nil: crypto/rand.Reader
	Logger   *slog.Logger     // nil: nothing is logged
}

// Store is a bbolt file and the index of its tokens. It is safe for concurrent use.
type Store struct{}

// Open opens the store at path, or creates it where there is no file; a missing
// folder is an error. It waits at most 2 s for another process to close it. Its
// errors wrap [ErrLocked], [ErrDamaged], [ErrForeign], [ErrNewer] or [ErrNoLog],
// and say what to do.
func Open(path string, o Options) (*Store, error) { return nil, ErrClosed }

// Close waits for the change that is being made, if any, and closes the file.
// Snapshots that were taken before stay valid; Snapshot returns nil from now on.
func (s *Store) Close() error { return nil }

// Snapshot returns the current state. It is nil when there is none to decide on:
// after Close, and after the file was found damaged while it was open.
func (s *Store) Snapshot() *Snapshot { return nil }

// Snapshot is one consistent state of all APIs and tokens. It is immutable and
// safe for concurrent use.
type Snapshot struct{}

// Catalog returns the compiled APIs. The grants are compiled against it.
func (s *Snapshot) Catalog() *scopes.Catalog { return nil }

// Revision returns the number of the last change that the snapshot has.
func (s *Snapshot) Revision() uint64 { return 0 }

// Counts returns the numbers of tokens by state.
func (s *Snapshot) Counts() Counts { return Counts{} }

// Grant returns what the credential with the given digest may do; the zero Grant
// for one that no token has, or has no longer. It does not allocate.
func (s *Snapshot) Grant(d scopes.Digest) scopes.Grant { return scopes.Grant{} }

// Status returns the state of the store.
func (s *Store) Status() (Status, error) { return Status{}, ErrClosed }

// Tokens returns the tokens that f selects, by account and name.
func (s *Store) Tokens(f Filter) ([]Token, error) { return nil, ErrClosed }

// Token returns one token, by "account/name" or by id. A name means the token
// that has it now, else the deleted one that had it last.
func (s *Store) Token(ref string) (Token, error) { return Token{}, ErrClosed }

// Accounts returns all accounts, by name.
func (s *Store) Accounts() ([]Account, error) { return nil, ErrClosed }

// APIs returns all APIs, by name.
func (s *Store) APIs() ([]scopes.API, error) { return nil, ErrClosed }

// Issue makes the first credential of a token. Where it has one already the
// error wraps [ErrExists].
func (s *Store) Issue(ctx context.Context, actor, ref string) (Issued, error) {
	return Issued{}, ErrClosed
}

// Activate ends a deactivation, whoever made it. On an active token it changes
// nothing. The error wraps [ErrLimit] where the account has as many active
// scoped tokens as it may.
func (s *Store) Activate(ctx context.Context, actor, ref string) (Token, error) {
	return Token{}, ErrClosed
}

// Deactivate refuses the token until [Store.Activate], whatever a scope file says.
func (s *Store) Deactivate(ctx context.Context, actor, ref string) (Token, error) {
	return Token{}, ErrClosed
}

// Delete removes the token for ever: its id and its credentials stay dead, and
// scope files cannot create its name again. On a deleted token it changes nothing.
func (s *Store) Delete(ctx context.Context, actor, ref string) (Token, error) {
	return Token{}, ErrClosed
}

// Log returns up to limit entries of the audit log, the newest first, that are
// older than the revision before; 0 begins with the newest.
func (s *Store) Log(before uint64, limit int) ([]Entry, error) { return nil, ErrClosed }
