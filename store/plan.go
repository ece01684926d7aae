package store

import (
	"context"

	"github.com/scopegate/scopegate/scopes"
)

// PlanOptions say how a scope file is compared with the store. The zero value
// only adds and updates.
type PlanOptions struct {
	// Prune deactivates the tokens that the file's owner declared before and the
	// file no longer has.
	Prune bool
}

// Plan is what applying a scope file would do, in the order in which it does it.
type Plan struct {
	Revision uint64 // of the store that the plan was made for
	Changes  []Change
	Warnings []string // what of the file is not applied, and why
	steps    []step
}

// Change is one difference that a plan makes.
type Change struct {
	Kind   string `json:"kind"`   // "api", "account" or "token"
	Name   string `json:"name"`   // of the API or account, or "account/name"
	Action string `json:"action"` // "create", "update", "activate", "deactivate", "prune", or "hold" for none
	Widens bool   `json:"widens"` // an existing token is granted something that it was not
	// Narrows is set where an existing token loses something that it was granted.
	Narrows bool `json:"narrows"`
	// Held is set where the token stays inactive, because it was deactivated by hand.
	Held    bool     `json:"held"`
	Details []string `json:"details,omitempty"` // one line for each thing that differs
}

// Empty reports whether applying the plan would change nothing.
func (p *Plan) Empty() bool { return len(p.steps) == 0 }

// Widens returns the changes that widen.
func (p *Plan) Widens() []Change {
	var widens []Change
	for _, c := range p.Changes {
		if c.Widens {
			widens = append(widens, c)
		}
	}
	return widens
}

// step is one change of a plan, ready to be made.
type step struct{}

// Plan compares a scope file with the store. It changes nothing. Its error wraps
// [ErrConflict], [ErrLimit] or [ErrExists] where the file cannot be applied.
func (s *Store) Plan(ctx context.Context, f *scopes.File, o PlanOptions) (*Plan, error) {
	return nil, ErrClosed
}
