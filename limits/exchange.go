package limits

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// Exchange brings together what several nodes take.
type Exchange interface {
	// Settle adds what a node has taken to what all have taken, and returns that. It adds
	// all of the batch or nothing, and nothing of a batch of the same node whose number is
	// not higher than that of one that was added: so it can be called again when no answer
	// came. The batch is not modified, and not kept.
	Settle(ctx context.Context, b *Batch) (*Settled, error)
}

// Batch is what one node tells at a time.
type Batch struct {
	Node   string // made anew for each process
	Number uint64 // counts from 1
	// Sent is when ages and levels were so, by the clock that all nodes have in common; it
	// may be a little earlier, but not later.
	Sent   time.Time
	Rates  []RateTakes
	Quotas []QuotaTakes
}

// RateTakes is what a node has taken of a rate since it last told, and what it knows.
type RateTakes struct {
	Token, API string  // the API's name is "" for all of them
	PerSecond  float64 // requests that drain
	Taken      int64
	// Age is how long ago the first of them was taken.
	Age time.Duration
	// Level is how many requests are in the bucket at least, and Most how many can be.
	Level, Most float64
}

// QuotaTakes is what a node has taken of a quota since it last told, and what it knows.
type QuotaTakes struct {
	Token, API string
	Start, End time.Time // of the window
	Taken      int64
	Count      int64 // how many requests were counted in the window at least
}

// Settled is what all nodes have taken: the answer to a batch, in its order.
type Settled struct {
	// Now is the time by the clock that all nodes have in common.
	Now time.Time
	// Levels are how many requests are in the buckets of the rates.
	Levels []float64
	// Counts are how many requests were counted in the windows of the quotas.
	Counts []int64
}

// Bounds of what an answer can be that is meant well.
const (
	// maxAhead is how much the clock of all nodes may differ from this one's.
	maxAhead = time.Hour
	// maxCount is more than a quota can have and all nodes can take.
	maxCount = 1e12
)

var errAnswer = errors.New("the answer cannot be true")

// check returns an error for an answer that cannot be true.
func (s *Settled) check(b *Batch, now time.Time) error {
	if len(s.Levels) != len(b.Rates) || len(s.Counts) != len(b.Quotas) {
		return fmt.Errorf("%w: %d levels and %d counts, asked for %d and %d", errAnswer, len(s.Levels), len(s.Counts), len(b.Rates), len(b.Quotas))
	}
	if ahead := s.Now.Sub(now); ahead.Abs() > maxAhead {
		return fmt.Errorf("%w: its clock is %s ahead of this node's", errAnswer, ahead.Round(time.Second))
	}
	for i, level := range s.Levels {
		if math.IsNaN(level) || level < 0 || level > b.Rates[i].Most+1 {
			return fmt.Errorf("%w: a level of %g", errAnswer, level)
		}
	}
	for _, count := range s.Counts {
		if count < 0 || count > maxCount {
			return fmt.Errorf("%w: a count of %d", errAnswer, count)
		}
	}
	return nil
}
