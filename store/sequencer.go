package store

import (
	"context"
	"errors"
	"time"
)

// Sequencer puts the changes of all nodes into one order: it accepts a change only
// from a node that has seen all those before. It knows nothing of what it orders.
type Sequencer interface {
	History
	Presence
	Close() error
}

// History is the order of the changes.
type History interface {
	// Pull returns what was changed since a position, all at one moment, and leaves
	// the node's report for the others.
	Pull(ctx context.Context, at Position, r *Report) (*Pulled, error)
	// Commit makes a change if the head is still the commit's base. It may be called
	// again with the same commit: one that was made already is a success. The error
	// wraps [ErrHeadMoved], [ErrUncertain] or [ErrUnreachable].
	Commit(ctx context.Context, c *Commit) error
	// Scan yields all records, in no order, some perhaps twice, and some perhaps as
	// they are after a change that is made meanwhile.
	Scan(ctx context.Context, each func([]Keyed) error) error
}

// Presence is which nodes there are, and when they make changes.
type Presence interface {
	// Nodes returns the reports that have not run out.
	Nodes(ctx context.Context) ([]Report, error)
	// Leave takes a node's report away.
	Leave(ctx context.Context, id string) error
	// Wakeups has an element after changes of any node, and whenever some may have
	// been missed: the records of a change that is urgent, if they are known, else nil.
	// They may be lost, late or anybody's. Whoever receives them does not change them.
	Wakeups() <-chan []Keyed
}

// What a Sequencer's Commit fails with.
var (
	// ErrHeadMoved: another change came before; pull, and make the change again.
	ErrHeadMoved = errors.New("another node made a change first")
	// ErrUncertain: no answer came, so that the change may have been made or not.
	ErrUncertain = errors.New("it is not known whether the change was made")
	// ErrUnreachable: the change was not made, for it was not sent or it was refused.
	ErrUnreachable = errors.New("the other nodes cannot be reached")
)

// Position is how far a node has followed the changes. The zero Position is that of
// a node that has followed none.
type Position struct {
	Epoch    string // of the history; another one begins where the sequencer lost or rewrote some of it
	Revision uint64
	Chain    [32]byte // of all changes up to the revision
}

// IsZero reports whether p is the position of a node that has followed no change, and that of
// a head where there is none.
func (p Position) IsZero() bool { return p == Position{} }

// Head is the state of all records after the last change.
type Head struct {
	Format int // of the records and the log; 1
	Position
	Count uint64   // of records
	Sig   [32]byte // over all of it and a sum over the records, which only nodes know
	// Resets is how often what was there was dropped on purpose: a node that has seen
	// fewer has nothing that is to be joined.
	Resets uint64
}

// Keyed is a record with its key.
type Keyed struct {
	Key   string
	Value []byte // nil: there is none, or none any longer
}

// PullVerdict is how a node's position relates to the head.
type PullVerdict uint8

// The verdicts of a pull. The zero verdict is none.
const (
	_           PullVerdict = iota
	PullOK                  // the position is in the history, and what changed since is here
	PullEmpty               // there is no head
	PullEpoch               // the head is of another epoch
	PullRegress             // the head is older than the position
	PullDiverge             // the history has something else at the position's revision
	PullTrimmed             // the history does not reach back to the position, or too much has changed since
	PullTwin                // another instance goes by the id of the node; no report was left
)

// Pulled is the answer to a pull.
type Pulled struct {
	Verdict  PullVerdict
	Head     Head          // zero for PullEmpty
	Filling  bool          // a node is about to replace all records, and has not sent them all
	EpochAge time.Duration // since the epoch began
	HeadAge  time.Duration // since the last change was made
	// Apart is how many of the nodes whose reports have not run out were in another epoch
	// when they pulled last. It may be 0 once an epoch is a minute old.
	Apart int
	// Changed and Audit are set for PullOK: each record that has changed since the
	// position, as it is at the head, and of each change what it has for the audit log.
	Changed []Keyed
	Audit   []Audited
}

// Audited is what a change has for the audit log.
type Audited struct {
	Revision uint64
	Entries  []byte
}

// Commit is a change.
type Commit struct {
	Base     Head // that the change was made on; zero for none
	Next     Head
	NewEpoch bool    // Next begins another epoch: the history before is dropped
	Replace  bool    // all records that are not in Changed are dropped, and the history before is too
	Changed  []Keyed // each with the value after the change
	Urgent   bool    // Changed is in the wake-up of the other nodes, if it is not too large
	Audit    []byte  // for the audit log
}

// Report is what a node tells of itself.
type Report struct {
	ID           string        // of the node, the same after a restart
	Name         string        // such as its host's name
	Version      string        // of Scopegate
	Revision     uint64        // that it has applied
	Staleness    time.Duration // since it was last known to have all changes; negative if it never was
	MaxStaleness time.Duration // after which it decides nothing; 0 for never
	At           time.Time     // by the sequencer's clock; set by Nodes
	// Instance is of the process: two processes with one id, one of which has a copy of the
	// other's store, are told apart by it.
	Instance string
	// Epoch is the one that the node is in: it has told there what it knows. The position
	// that it asks from may be of another, while it downloads that.
	Epoch string `json:"-"`
	// Again is set once the instance has left a report under the id: if another's is there
	// now, that one has come since, and is alive.
	Again bool `json:"-"`
}
