package usage

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// lastSync bounds how long the end of [Ledger.Run] waits for the other nodes.
const lastSync = 2 * time.Second

// Run writes down what is counted, and exchanges it with other nodes, until ctx ends.
// Before it returns it does both once more: a node that is stopped orderly leaves nothing
// behind. An exchange that is slow does not keep it from writing down.
func (l *Ledger) Run(ctx context.Context) {
	flushed := make(chan struct{}, 1)
	var syncing sync.WaitGroup
	syncing.Go(func() {
		told := teller{l.log, "what tokens are used for is not exchanged with all other nodes; it is tried again", ""}
		for range flushed {
			told.tell(l.Sync(ctx))
		}
	})
	l.flushUntil(ctx, flushed)
	close(flushed)
	syncing.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSync)
	defer cancel()
	told := teller{l.log, "what was counted last is not with the other nodes yet; it is sent when this one starts again", ""}
	told.tell(l.Sync(ctx))
}

// flushUntil writes down what is counted until ctx ends, and then once more.
func (l *Ledger) flushUntil(ctx context.Context, flushed chan<- struct{}) {
	told := teller{l.log, "what tokens are used for cannot be written down; it is kept in memory, as far as there is room", ""}
	ticker := time.NewTicker(FlushInterval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		due := false
		select {
		case <-ctx.Done():
		case <-l.Meter.full:
		case <-ticker.C:
			due = true
		}
		told.tell(l.Flush())
		if due {
			select {
			case flushed <- struct{}{}:
			default: // it is still at it
			}
		}
	}
}

// teller logs errors, each once as long as it goes on.
type teller struct {
	log     *slog.Logger
	message string
	last    string
}

func (t *teller) tell(err error) {
	switch {
	case err == nil:
		t.last = ""
	case errors.Is(err, context.Canceled) || t.last == err.Error():
	default:
		t.last = err.Error()
		t.log.Warn(t.message, "error", err)
	}
}
