package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// ApplyOptions say how a plan is applied.
type ApplyOptions struct {
	Actor Actor // who applies it
	// AllowWiden lets tokens be granted more than they were.
	AllowWiden bool
	// Review refuses, unless AllowWiden is set, also what lets somebody else in without
	// widening: a credential that the file brings along, another upstream.
	Review bool
	// File is what the scope file is called, for the audit log; "" if there is none.
	File string
	// Source names where the scope file came from, such as its path, and Digest
	// is the SHA-256 of its bytes: see [Store.AppliedDigest]. Without a Source nothing
	// is remembered for that.
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
	if widening := p.Widening(); len(widening) > 0 && !o.AllowWiden {
		return Result{}, fmt.Errorf("%w: %s; look at the plan, then allow it", ErrWiden, firstOf(widening))
	}
	if o.Review && !o.AllowWiden {
		if admitting := p.admitting(); len(admitting) > 0 {
			return Result{}, fmt.Errorf("%w, or who sees requests: %s brings a credential or another upstream; look at the plan, then allow it",
				ErrWiden, firstOf(admitting))
		}
	}
	running := s.work.begin("apply", len(p.steps))
	defer s.work.end(running)
	var catchUp func()
	defer func() {
		if catchUp != nil {
			catchUp()
		}
	}()
	err := s.change(ctx, o.Actor, func(c *change) error {
		if catchUp == nil { // now it is this change's turn, and may be once more
			catchUp = giveWay(len(p.steps))
		}
		return p.applyTo(ctx, c, o, running)
	})
	if err != nil {
		return Result{}, err
	}
	result := Result{Changes: p.Changes, Warnings: p.Warnings}
	if snapshot := s.Snapshot(); snapshot != nil {
		result.Revision = snapshot.revision
	}
	return result, nil
}

// applyTo makes the plan's changes in a transaction, with what is remembered of them.
func (p *Plan) applyTo(ctx context.Context, c *change, o ApplyOptions, running *runningWork) error {
	if c.state.revision != p.Revision {
		return fmt.Errorf("%w: it was at revision %d, and is at %d now; plan again", ErrMoved, p.Revision, c.state.revision)
	}
	take := func() error { return p.take(ctx, c, running) }
	var err error
	if len(p.steps) < manySteps {
		err = take()
	} else {
		err = c.inBulk(len(p.steps), take)
	}
	if err != nil {
		return err
	}
	if o.File != "" && len(c.entries) > 0 {
		c.record("apply", "file", o.File, []string{fmt.Sprintf("sha256:%x", o.Digest)})
	}
	if o.Source == "" {
		return nil
	}
	return c.putSource(o.Source, o.Digest)
}

// take makes the plan's changes.
func (p *Plan) take(ctx context.Context, c *change, running *runningWork) error {
	for _, step := range p.steps {
		if err := errors.Join(ctx.Err(), step(c)); err != nil {
			return err
		}
		running.done.Add(1)
	}
	return nil
}

// firstOf names the first things of a list.
func firstOf(names []string) string {
	const most = 10
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// audit adds what was planned to the audit log.
func (c *change) audit(planned Change) {
	c.record(string(planned.Action), planned.Kind, planned.Name, planned.Details)
}

func detailOf(planned Change) string { return strings.Join(planned.Details, "; ") }
