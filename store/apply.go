package store

import "context"

// ApplyOptions say how a plan is applied.
type ApplyOptions struct {
	Actor string // who applies it, for the audit log
	// AllowWiden lets tokens be granted more than they were.
	AllowWiden bool
	// Source names where the scope file came from, such as its path, and Digest
	// is the SHA-256 of its bytes: see [Store.AppliedDigest]. "" records nothing.
	Source string
	Digest [32]byte
}

// Result is what applying a plan did.
type Result struct {
	Revision uint64 // of the store afterwards
	Changes  []Change
	Warnings []string
}

// Apply makes a plan's changes in one transaction: all of them or none. Its error
// wraps [ErrWiden] where tokens would widen without AllowWiden, and [ErrMoved]
// where the store was changed since the plan was made.
func (s *Store) Apply(ctx context.Context, p *Plan, o ApplyOptions) (Result, error) {
	return Result{}, ErrClosed
}

// AppliedDigest returns the digest that was last applied from a source, and
// whether there is one.
func (s *Store) AppliedDigest(source string) (digest [32]byte, ok bool, err error) {
	return digest, false, ErrClosed
}
