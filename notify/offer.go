package notify

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// maxText bounds what is kept of each text of an event.
const maxText = 1000

// Offer tells what there is to be told of. Events that were offered before are nothing new,
// whatever became of them: so it can be called with all that is found, as often as one likes. The
// first time it must be: what is found later is news.
// When it returns, no new one is forgotten any more, even if the process is killed.
func (n *Notifier) Offer(events []Event) error {
	s := n.setup.Load()
	if len(s.channels) == 0 {
		return nil
	}
	found := offered{now: n.now(), events: make(map[string]*Event), pending: make(map[string]*pending)}
	if err := n.journal.view(func(tx *bolt.Tx) error {
		found.compare(tx, s, events)
		return nil
	}); err != nil || found.isNothing() {
		return err
	}
	if err := n.journal.update(found.put); err != nil {
		return err
	}
	n.offered.Store(true)
	n.wake()
	return nil
}

// offered is what is new in what was offered.
type offered struct {
	now     time.Time
	roles   []string
	events  map[string]*Event   // by id
	pending map[string]*pending // by key
	done    []string            // keys of what people were told long ago, and is found still
}

func (o *offered) isNothing() bool { return len(o.roles)+len(o.pending)+len(o.done) == 0 }

// compare finds out what is new.
func (o *offered) compare(tx *bolt.Tx, s *setup, events []Event) {
	known, done, waiting := tx.Bucket(bucketRoles), tx.Bucket(bucketDone), tx.Bucket(bucketPending)
	for _, role := range s.roles() {
		if known.Get([]byte(role)) == nil {
			o.roles = append(o.roles, role)
		}
	}
	for i := range events {
		e := &events[i]
		if !s.wants(e.Kind) {
			continue
		}
		for _, to := range s.recipientsOf(e) {
			key := to.keyOf(e.ID)
			if at := done.Get([]byte(key)); at != nil {
				if o.now.Sub(timeOf(at)) > doneRefreshed {
					o.done = append(o.done, key)
				}
				continue
			}
			p := &pending{to, e.ID, e.Kind, o.now}
			if place := p.key(); waiting.Get(place) == nil {
				o.events[e.ID], o.pending[string(place)] = e, p
			}
		}
	}
}

// put writes down what is new. It does so in the order of the keys: bbolt inserts many of
// them at random places in time that grows with their square.
func (o *offered) put(tx *bolt.Tx) error {
	for _, id := range slices.Sorted(maps.Keys(o.events)) {
		if err := putEvent(tx, o.events[id]); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(o.pending)) {
		if err := tx.Bucket(bucketPending).Put([]byte(key), o.pending[key].value()); err != nil {
			return err
		}
	}
	return errors.Join(putRoles(tx, o.roles, o.now), putDone(tx, o.done, o.now))
}

func putEvent(tx *bolt.Tx, e *Event) error {
	clipped := *e
	for _, text := range []*string{&clipped.Token, &clipped.Account, &clipped.Description, &clipped.Contact.Name, &clipped.Text, &clipped.Hint} {
		*text = clip(*text, maxText)
	}
	text, err := json.Marshal(&clipped)
	if err != nil {
		return err
	}
	return tx.Bucket(bucketEvents).Put([]byte(e.ID), text)
}

// putDone takes note that keys were told of.
func putDone(tx *bolt.Tx, keys []string, at time.Time) error {
	for _, key := range slices.Sorted(slices.Values(keys)) {
		if err := tx.Bucket(bucketDone).Put([]byte(key), appendTime(nil, at)); err != nil {
			return err
		}
	}
	return nil
}

// settle takes note that people were told of what was pending.
func settle(tx *bolt.Tx, list []pending, at time.Time) error {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b pending) int { return bytes.Compare(a.key(), b.key()) })
	keys := make([]string, len(list))
	for i := range list {
		keys[i] = list[i].to.keyOf(list[i].event)
		if err := tx.Bucket(bucketPending).Delete(list[i].key()); err != nil {
			return err
		}
	}
	return putDone(tx, keys, at)
}
