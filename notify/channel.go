package notify

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Channel is a way by which messages reach somebody. It is safe for concurrent use.
type Channel interface {
	// Name tells it from other channels, for people, and from one start to the next: it has
	// nothing secret in it, and does not change as long as the same people are reached.
	Name() string
	// Personal reports whether messages have an address: then each recipient gets their own,
	// a summary for people. If not, each event is told once, in full.
	Personal() bool
	// Deliver sends a message. It may be called with the same message again, after an error
	// or a crash, and must send the same then, with the same id. An error that is not a
	// [Failure] is tried again.
	Deliver(ctx context.Context, m *Message) error
}

// Failure is why a message could not be delivered, as its channel saw it. It has nothing
// secret in it.
type Failure struct {
	Err error
	// Final: sending it again is of no use.
	Final bool
	// Stop: nothing more is to be sent by this channel until it is configured anew.
	Stop bool
	// After is how long to wait before the next try, where the other side has said so.
	After time.Duration
}

// Error implements error.
func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// failureOf returns an error as a failure.
func failureOf(err error) *Failure {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f
	}
	return &Failure{Err: err}
}

// final returns a failure that makes trying again useless.
func final(format string, args ...any) *Failure {
	return &Failure{Err: fmt.Errorf(format, args...), Final: true}
}
