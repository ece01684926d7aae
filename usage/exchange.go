package usage

import (
	"context"
	"errors"
)

// Exchange is where nodes leave what they have counted for the others. It need not be
// trusted: what it changes, mixes up or gives back is found, and what it loses is left
// there again. It keeps shelves until [ExchangeDays] after their day, by its own clock.
type Exchange interface {
	// Shelves returns the marks of all shelves that are there.
	Shelves(ctx context.Context) (map[Shelf]Mark, error)
	// Put leaves a batch, as a whole or not at all. A row that is there with a higher
	// number, or the same, stays. It returns ErrIncomplete and ErrPassed.
	Put(ctx context.Context, b *Batch) error
	// Get calls fn with the rows of a shelf, in parts; one may come twice.
	Get(ctx context.Context, s Shelf, fn func([]SharedRow) error) error
}

// Batch is rows of a shelf that are left at once.
type Batch struct {
	Shelf Shelf
	Rows  []SharedRow // at most BatchRows
	// Anew: whatever is there of the shelf is dropped first.
	Anew bool
	// Last: with these rows the shelf has Count of them, and gets the mark. If it has
	// another number of rows, it does not get it, and ErrIncomplete is returned.
	Last  bool
	Count int
	Mark  Mark
}

// SharedRow is a row as it is exchanged.
type SharedRow struct {
	Key   []byte // at most MaxSharedKey bytes
	Value []byte // its number, in eight bytes, big endian; then more; at most MaxSharedValue bytes
}

// Bounds of what is exchanged.
const (
	BatchRows      = 1000
	MaxSharedKey   = 1 << 10
	MaxSharedValue = 8 << 10
)

// ExchangeDays is how many days are exchanged: those that are known by hour. A node that
// was away for longer lacks what others counted before.
const ExchangeDays = HourDays

// SealBytes is the length of a seal.
const SealBytes = 16

// Mark tells whether two have the same of a shelf. The zero mark is that of an empty one.
type Mark struct {
	Seq  uint64          // the highest number of its rows
	Seal [SealBytes]byte // over which rows there are, and their numbers, with the nodes' secret
}

// Errors of an [Exchange] that are about one shelf. After any other, the exchange is left
// alone until the next time.
var (
	// ErrIncomplete: the shelf has not the rows that it should have.
	ErrIncomplete = errors.New("usage: the exchange has other rows of a shelf than were left there")
	// ErrPassed: the day of the shelf has passed for too long. The clock of one of both
	// may be wrong.
	ErrPassed = errors.New("usage: the exchange does not keep such an old day; is the clock of this node behind?")
)
