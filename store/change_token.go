package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
)

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
	becomesInactive := now.token.Inactive && (old == nil || !old.token.Inactive)
	isNoted := len(now.seen) > 0 && (old == nil || !slices.Contains(old.seen, now.lastDeactivation()))
	if becomesInactive && !isNoted { // Deactivate has noted it already, and so has a revocation that was pending
		if err := c.noteDeactivation(now); err != nil {
			return err
		}
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

// noteDeactivation takes note that a record is deactivated once more.
func (c *change) noteDeactivation(rec *record) error {
	var id deactivationID
	if _, err := io.ReadFull(c.store.random, id[:]); err != nil {
		return err
	}
	rec.noteDeactivation(id)
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
	c.scratch = now.encodeIn(c.scratch)
	value := bytes.Clone(c.scratch)
	if err := c.readBack.decode([]byte(now.id), value); err != nil {
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
