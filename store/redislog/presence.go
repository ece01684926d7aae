package redislog

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/scopegate/scopegate/store"
)

// Nodes implements [store.Presence].
func (l *Log) Nodes(ctx context.Context) ([]store.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := nodesScript.Run(ctx, l.client, []string{l.keys.nodes}).Slice()
	if err != nil {
		return nil, fail(err)
	}
	var reports []store.Report
	for a := (answers{list: answer}); a.at < len(a.list); {
		var r store.Report
		at := a.number()
		if err := json.Unmarshal([]byte(a.text()), &r); err != nil || a.bad {
			return nil, errors.Join(errAnswer, err)
		}
		r.At = time.UnixMilli(int64(at)) //nolint:gosec // a time
		reports = append(reports, r)
	}
	return reports, nil
}

// Leave implements [store.Presence].
func (l *Log) Leave(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := l.client.HDel(ctx, l.keys.nodes, id).Err(); err != nil {
		return fail(err)
	}
	return nil
}

// Wakeups implements [store.Presence].
func (l *Log) Wakeups() <-chan []store.Keyed { return l.wakeups }

// manyWakeups is how many wait at the most. One that comes then is left out, for who takes
// the others asks for all that was changed.
const manyWakeups = 16

// wake tells that there may be changes, and of urgent ones what was changed.
func (l *Log) wake(changed []store.Keyed) {
	select {
	case l.wakeups <- changed:
	default:
	}
}

// Bounds of what a wake-up has of a change.
const (
	mostTold  = 100 // records
	bytesTold = 64 << 10
)

// wakeupOf returns the message that wakes the other nodes after a change: empty, or what was
// changed.
func wakeupOf(c *store.Commit) []byte {
	if !c.Urgent || c.Replace || len(c.Changed) > mostTold {
		return nil
	}
	message, err := json.Marshal(c.Changed)
	if err != nil || len(message) > bytesTold {
		return nil
	}
	return message
}

// readWakeup returns what a message says was changed; nil for nothing, as for what no node
// has sent.
func readWakeup(message any) []store.Keyed {
	m, ok := message.(*redis.Message)
	if !ok || len(m.Payload) > bytesTold {
		return nil
	}
	var changed []store.Keyed
	if err := json.Unmarshal([]byte(m.Payload), &changed); err != nil {
		return nil
	}
	return changed
}

const (
	hearTimeout  = 500 * time.Millisecond
	maxMissed    = 2 // answers to a PING
	resubscribes = 200 * time.Millisecond
)

// listen waits for messages until ctx ends. After each interruption it wakes, for some may
// have been missed, and the server is looked at again, for it may be another one.
func (l *Log) listen(ctx context.Context) {
	defer close(l.done)
	for ctx.Err() == nil {
		l.hear(ctx)
		l.checked.Store(false)
		l.wake(nil)
		select {
		case <-ctx.Done():
		case <-time.After(resubscribes):
		}
	}
}

// hear waits for messages until the connection fails. A peer that is gone, or stopped,
// sends no error, so that it is asked each time that nothing was heard for a while: the
// client's own check writes, but does not look for the answer.
func (l *Log) hear(ctx context.Context) {
	sub := l.client.Subscribe(ctx)
	defer func() { _ = sub.Close() }()
	defer context.AfterFunc(ctx, func() { _ = sub.Close() })() // it waits for no message any longer
	if bounded(ctx, func(ctx context.Context) error { return sub.Subscribe(ctx, l.keys.channel) }) != nil {
		return
	}
	for missed := 0; ; {
		err := bounded(ctx, func(ctx context.Context) error {
			message, err := sub.ReceiveTimeout(ctx, hearTimeout)
			if _, isPong := message.(*redis.Pong); err == nil && !isPong {
				l.wake(readWakeup(message))
			}
			return err
		})
		if err == nil {
			missed = 0
			continue
		}
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() || missed == maxMissed {
			return
		}
		missed++
		if bounded(ctx, func(ctx context.Context) error { return sub.Ping(ctx) }) != nil {
			return
		}
	}
}

// bounded calls something of the subscription that may connect, each time anew: a host
// that takes connections and is silent would hold it for as long as a call may ever take.
func bounded(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 2*hearTimeout)
	defer cancel()
	return call(ctx)
}
