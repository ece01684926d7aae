package store

import "errors"

// What Open and the methods of a Store fail with. The errors returned wrap these
// with what happened and what to do about it; tell them apart with errors.Is.
var (
	// ErrLocked: another process has the store open.
	ErrLocked = errors.New("the store is in use by another process")
	// ErrDamaged: the store, its revocations log or one record of it is not as it was written.
	ErrDamaged = errors.New("the store is damaged")
	// ErrForeign: the file is not a Scopegate store.
	ErrForeign = errors.New("not a Scopegate store")
	// ErrNewer: a newer Scopegate wrote the store.
	ErrNewer = errors.New("the store has a newer format")
	// ErrNoLog: the store's revocations log is missing or belongs to another store.
	ErrNoLog = errors.New("the store's revocations log is missing")
	// ErrClosed: the store was closed, or failed while it was open.
	ErrClosed = errors.New("the store is closed")
	// ErrReadOnly: the store was opened for reading only.
	ErrReadOnly = errors.New("the store is read-only")
	// ErrWrite: the disk did not take a change, because it is full for instance. Nothing was changed.
	ErrWrite = errors.New("the store could not be written")
	// ErrReopen: a commit failed in a way that only opening the store again can settle.
	ErrReopen = errors.New("the store must be opened again")

	// ErrNotFound: there is no such token or account.
	ErrNotFound = errors.New("not found")
	// ErrExists: it is there already, such as a credential of a token that has one.
	ErrExists = errors.New("exists already")
	// ErrDead: the token was deleted, or a credential was and cannot be used again.
	ErrDead = errors.New("deleted")
	// ErrLimit: the account would have more active scoped tokens than it may.
	ErrLimit = errors.New("limit of active tokens reached")
	// ErrWiden: the change widens what tokens may do, and that was not allowed.
	ErrWiden = errors.New("the change widens what tokens may do")
	// ErrMoved: the store was changed since the plan was made.
	ErrMoved = errors.New("the store has changed since the plan was made")
	// ErrAuthority: the administrator's token would give more than it has itself, or is no longer in force.
	ErrAuthority = errors.New("beyond the authority of the administrator's token")
	// ErrConflict: the wanted state contradicts itself or what the store holds.
	ErrConflict = errors.New("conflict")
)
