package store

import (
	"context"
	"fmt"
)

// propose takes a change to the sequencer, inside its transaction. The next standing is
// written with it.
func (r *replica) propose(ctx context.Context, c *change) error {
	if r.standing.Epoch == "" {
		return fmt.Errorf("%w: this node has not heard of the others yet", ErrHeadMoved)
	}
	next := standing{Head: r.standing.Head, sum: r.standing.sum}
	next.Revision, next.Format = c.revision, format
	commit := &Commit{Base: r.standing.Head, Urgent: len(c.revocations) > 0}
	for _, key := range sortedKeys(c.touched) {
		before, after := c.touched[key], c.shared(key)
		changed := Keyed{Key: key}
		if before != nil {
			_, was := r.integrity.tag(key, before)
			next.sum = next.sum.minus(was)
			next.Count--
		}
		if after != nil {
			var hidden sum
			changed.Value, hidden = r.integrity.seal(key, after)
			next.sum = next.sum.plus(hidden)
			next.Count++
		}
		commit.Changed = append(commit.Changed, changed)
	}
	commit.Audit, _ = r.integrity.seal(auditKey(next.Epoch, next.Revision), c.encodeEntries())
	r.integrity.extend(&commit.Base, &next.Head, next.sum)
	commit.Next = next.Head
	if err := c.putStanding(&next); err != nil {
		return err
	}
	if err := r.sequencer.Commit(ctx, commit); err != nil {
		return err
	}
	c.standing = &next
	return nil
}

// committed takes note that a proposed change is in the file.
func (r *replica) committed(c *change) {
	if c.standing != nil {
		r.standing = *c.standing
		r.publishPosition()
	}
}
