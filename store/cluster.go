package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ClusterOptions make a store one of several nodes that hold the same.
type ClusterOptions struct {
	// Sequencer orders the changes of all nodes. Whoever opens the store closes it,
	// after the store.
	Sequencer Sequencer
	// Secret is what all nodes know and the sequencer does not: at least 16 bytes.
	Secret string
	// NodeName is what people call this node, such as its host's name.
	NodeName string
	// Version is that of Scopegate, for the other nodes' status.
	Version string
	// Applied, if not nil, is told how long after they were made changes of other nodes
	// were decided on here.
	Applied func(late time.Duration)
	// MaxStaleness is how long the node may decide without having heard that it has
	// all changes: 2 s to 10 min; 0 for 60 s, negative for ever.
	MaxStaleness time.Duration
}

// Bounds of ClusterOptions.MaxStaleness, and its default.
const (
	MinStaleness     = 2 * time.Second
	MaxStaleness     = 10 * time.Minute
	DefaultStaleness = time.Minute
)

// What following other nodes fails with.
var (
	// errForeign: another node's record cannot be read here. A node that is newer wrote
	// it, or it is damaged.
	errForeign = errors.New("another node's record cannot be read by this version")
	// ErrIntegrity: what the sequencer has is not what the nodes gave it.
	ErrIntegrity = errors.New("the records of the cluster were changed by somebody who does not know its secret")
)

// Replication is how a node stands to the others.
type Replication struct {
	// Joined reports that the node has been in the cluster, now or before.
	Joined   bool
	NodeID   string
	NodeName string
	Position Position
	// Verified is when the node last asked and then was known to have all changes;
	// zero if it never was since it was opened.
	Verified time.Time
	// Stale is set where it may no longer decide.
	Stale        bool
	MaxStaleness time.Duration // 0 for never
	// Pending is the number of tokens whose revocation the other nodes do not have yet.
	Pending int
	// Err is why the last pull failed; nil if it did not.
	Err error
	// Rejoins are numbers of full downloads, by reason.
	Rejoins map[string]int
	// Behind is how many revisions the last pull brought at once.
	Behind uint64
	// LostWakeups counts the changes that the node found by itself, for nothing had
	// told it of them.
	LostWakeups uint64
}

// Stale reports whether the node may no longer decide: it does not know whether it has
// all revocations. A single node never is stale.
func (s *Store) Stale(now time.Time) bool {
	r := s.replica.Load()
	return r != nil && r.lease.isStale(now)
}

// Follow makes an open store one of other nodes from now on, or with nil a single node.
// It goes on with what it has. Whoever gave it another sequencer before can close that.
func (s *Store) Follow(ctx context.Context, o *ClusterOptions) error {
	if err := s.leave(); err != nil {
		return err
	}
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	if err := s.writable(); err != nil {
		return err
	}
	s.replica.Store(nil)
	s.cluster = o
	if err := s.openReplica(); err != nil || o == nil {
		return err
	}
	s.replica.Load().start()
	return nil
}

// Replication returns how the node stands to the others, and whether there are others.
func (s *Store) Replication() (Replication, bool) {
	if s.replica.Load() == nil {
		return Replication{}, false
	}
	return s.replica.Load().replication(), true
}

// Nodes returns what the nodes of the cluster that are alive tell of themselves; nil for
// a single node.
func (s *Store) Nodes(ctx context.Context) ([]Report, error) {
	if s.replica.Load() == nil {
		return nil, nil
	}
	return s.replica.Load().sequencer.Nodes(ctx)
}

// waitInterval is how often Wait looks.
const waitInterval = 5 * time.Millisecond

// Wait returns when every node that may decide has a revision. For a single node that is
// at once.
func (s *Store) Wait(ctx context.Context, revision uint64) error {
	if s.replica.Load() == nil {
		return nil
	}
	ticker := time.NewTicker(waitInterval)
	defer ticker.Stop()
	for {
		behind, err := s.behind(ctx, revision)
		if err == nil && len(behind) == 0 {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			if err != nil {
				return fmt.Errorf("store: it is not known which nodes have revision %d: %w", revision, err)
			}
			return fmt.Errorf("store: nodes do not have revision %d yet: %s: %w", revision, firstOf(behind), ctx.Err())
		}
	}
}

// behind names the nodes that do not have a revision yet.
func (s *Store) behind(ctx context.Context, revision uint64) ([]string, error) {
	if s.pending.Load() != nil {
		return []string{"all others"}, nil
	}
	nodes, err := s.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range nodes {
		if nodes[i].Revision < revision {
			names = append(names, nodes[i].Name+" ("+nodes[i].ID+")")
		}
	}
	return names, nil
}

// check returns what is wrong with the options.
func (o *ClusterOptions) check() error {
	switch {
	case o.Sequencer == nil:
		return errors.New("store: a cluster needs a sequencer")
	case o.MaxStaleness > 0 && o.MaxStaleness < MinStaleness, o.MaxStaleness > MaxStaleness:
		return fmt.Errorf("store: max_staleness is %s; it is %s to %s, or off", o.MaxStaleness, MinStaleness, MaxStaleness)
	}
	return nil
}
