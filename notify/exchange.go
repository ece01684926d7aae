package notify

import (
	"context"
	"time"
)

// Exchange is what the nodes of a cluster have in common, so that each message is sent by one
// of them. Each method is one step for all: no other comes in between. It need not be trusted
// to keep what it is told, and what it makes up itself is found: what nodes leave there is
// sealed. Keys, ids and texts are printable and have no spaces, but for the texts.
//
// It remembers of each key either a mark, once people were told, or the open message that tells
// them. It keeps count of its changes: if it has lost some, or all, it begins a new epoch.
type Exchange interface {
	// Sync tells what a node knows, and returns what it asks for. Open messages that are the
	// node's are so for another lease.
	Sync(ctx context.Context, s *Sync) (*Common, error)
	// Claim makes a message a node's to deliver.
	Claim(ctx context.Context, c *Claim) (*Claimed, error)
	// Settle tells what came of a delivery.
	Settle(ctx context.Context, s *Settled) error
}

// Memory says how much an exchange remembers.
type Memory struct {
	Epoch string // another one after each loss
	Seq   uint64 // how many changes there were
}

// Sync is what a node tells and asks.
type Sync struct {
	Node string
	Seen Memory // what the node has seen last
	// Fresh is the epoch that begins if Seen is of this epoch, and more than there is; or if
	// there is none.
	Fresh string
	Lease time.Duration
	// Grace is for how long nothing may be claimed in a new epoch.
	Grace time.Duration

	Ask  []string // keys of which the state is asked
	Want []string // ids of open messages that are wanted

	// What the node puts back in a new epoch.
	Marks []Mark
	Open  []SharedMessage
	Roles []string // also those that it has begun

	Forget []string // keys that nobody needs any more, or whose marks are forged
	Drop   []string // ids of open messages that are forged
}

// Mark says that people were told of a key.
type Mark struct{ Key, Value string }

// SharedMessage is an open message as nodes leave it.
type SharedMessage struct {
	ID   string
	Keys []string
	Text string // sealed
	Mine bool   // it is the node's that puts it back
}

// Common is what an exchange answers.
type Common struct {
	Memory
	Quiet time.Duration // for which nothing may be claimed
	Open  []OpenState   // of all messages
	// Of Ask, in the same order: the value of the mark, or empty for none.
	Marks []string
	Texts []string // of Want, in the same order; empty for what is not there
	Roles []string // all
}

// OpenState is how it is with an open message.
type OpenState struct {
	ID       string
	Mine     bool // the node's that asks
	Free     bool // its node has not been heard of for a lease
	Attempts int
	Next     time.Duration // until it is due; negative if it has been
}

// Claim is a message that a node wants to deliver: a new one, or one that is free.
type Claim struct {
	Node    string
	Seen    Memory
	Lease   time.Duration
	Message SharedMessage
}

// Claimed is what came of a claim.
type Claimed struct {
	Mine     bool // the message is the node's
	Attempts int
	Next     time.Duration
	// Marks are those that are there of the message's keys, if that is why it is not: it has to
	// be made anew, without them.
	Marks []Mark
}

// Settled is what came of a delivery.
type Settled struct {
	Node string
	ID   string
	// Marks are those of the message's keys, once it was delivered or given up. None: it is
	// tried again.
	Marks    []Mark
	Attempts int
	Next     time.Duration
}

// Bounds of what is exchanged in one call.
const (
	maxAsk  = 1000
	maxWant = 20
	maxBack = 1000
)
