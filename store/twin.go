package store

import (
	"fmt"
	"io"

	bolt "go.etcd.io/bbolt"
)

// Nodes with one id would count as one: nobody would wait for the other, neither after a
// change nor at the begin of an epoch. That comes from a copied store, since a node keeps
// its id there. The two are told apart by their instances, and one takes another id.

// nodePrefix is what the id of a node begins with.
const nodePrefix = "node_"

func newNodeID(random io.Reader) (string, error) {
	id, err := newID(random)
	if err != nil {
		return "", err
	}
	return nodePrefix + id[len(idPrefix):], nil
}

// takeNewID makes the node go by another id from now on.
func (r *replica) takeNewID() error {
	id, err := newNodeID(r.store.random)
	if err != nil {
		return err
	}
	err = r.store.guard(func() error {
		return r.store.db.Update(func(tx *bolt.Tx) error {
			read, err := newReader(tx)
			if err != nil {
				return err
			}
			return read.bucket(bucketMeta).Put(keyNode, []byte(id))
		})
	})
	if err != nil {
		return fmt.Errorf("another node has a copy of this one's store, and a new id for this one cannot be written: %w", err)
	}
	r.store.log.Warn("another node goes by the id of this one, so one of their stores is a copy of the other: this one has taken a new id, "+
		"and nothing was lost; start a new node without a store, for it gets everything from the others", "was", r.id, "id", id)
	r.status.Lock()
	defer r.status.Unlock()
	r.id, r.known = id, false
	return nil
}
