package notify

import (
	"bytes"
	"context"
	"errors"
	"time"

	bolt "go.etcd.io/bbolt"
)

// A role is as what somebody is told of a kind of events: as an operator by mail of expiring
// tokens, say. Where a role is new, because messages were just switched on, or a kind of them,
// most of what is found was so long before, and telling of it would be a flood: it is noted as
// told, all but what is ahead. Whether a role is new is for all nodes to say: one that knows
// it goes on where the others are.
//
// All roles begin when events are offered for the first time, whether there are such or not: what
// comes later is news, though it be the first of its kind.
//
// Bucket roles has for each role a letter, and the time since when it is known: roleWaiting
// until what was found by then is noted as told, then roleKnown.
const (
	roleWaiting = 'w'
	roleKnown   = 'k'
)

// putRoles begins roles.
func putRoles(tx *bolt.Tx, roles []string, at time.Time) error {
	for _, role := range roles {
		if err := tx.Bucket(bucketRoles).Put([]byte(role), appendTime([]byte{roleWaiting}, at)); err != nil {
			return err
		}
	}
	return nil
}

// rolesOf returns the roles that are in one of both states, and since when.
func (j *journal) rolesOf(state byte) (roles map[string]time.Time, err error) {
	roles = make(map[string]time.Time)
	err = j.view(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketRoles).ForEach(func(role, value []byte) error {
			if len(value) == 1+numberBytes && value[0] == state {
				roles[string(role)] = timeOf(value[1:])
			}
			return nil
		})
	})
	return roles, err
}

// knowRoles notes roles as known.
func knowRoles(tx *bolt.Tx, roles []string) error {
	bucket := tx.Bucket(bucketRoles)
	for _, role := range roles {
		value := bytes.Clone(bucket.Get([]byte(role)))
		if len(value) != 1+numberBytes {
			value = appendTime([]byte{roleKnown}, time.Time{})
		}
		value[0] = roleKnown
		if err := bucket.Put([]byte(role), value); err != nil {
			return err
		}
	}
	return nil
}

// seed settles the roles that are waiting. Those in known are so to other nodes.
func (r *round) seed(ctx context.Context, known map[string]bool) error {
	waiting, err := r.n.journal.rolesOf(roleWaiting)
	if err != nil || len(waiting) == 0 {
		return err
	}
	var old []pending // of what is told to nobody
	var roles []string
	for role := range waiting {
		roles = append(roles, role)
	}
	if err := r.n.journal.view(func(tx *bolt.Tx) error {
		return eachPending(tx, func(p *pending) error {
			role := r.s.roleOf(p.to, p.kind)
			since, isNew := waiting[role]
			if isNew && !known[role] && !p.kind.Ahead() && !p.since.After(since) {
				old = append(old, *p)
			}
			return nil
		})
	}); err != nil {
		return err
	}
	if err := r.tellSeeded(ctx, old, roles); err != nil {
		return err
	}
	if len(old) > 0 {
		r.n.log.Info("messages are new here: nobody is told of what was so before", "events", len(old))
	}
	return r.n.journal.update(func(tx *bolt.Tx) error {
		return errors.Join(settle(tx, old, r.now), knowRoles(tx, roles))
	})
}
