package redislog

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/redis/go-redis/v9"
)

// errNotConnected: nothing was sent, for there is no connection.
var errNotConnected = errors.New("no connection")

// outcomes is in between of the client and each server, and sees every attempt: a client
// for a cluster sends a command again by itself, and tells only of the last time.
type outcomes struct {
	// failed is called after an attempt of which nothing came; nil for nothing to do.
	failed func()
}

// openKey is the context's key for a *bool, which is set once a command was sent of which
// it is not known whether the server has carried it out.
type openKey struct{}

// DialHook implements [redis.Hook].
func (outcomes) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errNotConnected, err)
		}
		return conn, nil
	}
}

// ProcessHook implements [redis.Hook].
func (o outcomes) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if _, bounded := ctx.Deadline(); !bounded { // it is the client that asks, for itself
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, callTimeout)
			defer cancel()
		}
		err := next(ctx, cmd)
		o.note(ctx, err)
		return err
	}
}

// ProcessPipelineHook implements [redis.Hook]. In a cluster, a script goes this way whose
// keys are just being moved to the server. Whatever else does is the client's greeting, and
// older servers do not know all of it.
func (o outcomes) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			if name := cmd.Name(); name == "evalsha" || name == "eval" {
				o.note(ctx, cmd.Err())
			}
		}
		return err
	}
}

// note takes note of what came of an attempt.
func (o outcomes) note(ctx context.Context, err error) {
	if err == nil || errors.Is(err, redis.Nil) {
		return
	}
	if open, ok := ctx.Value(openKey{}).(*bool); ok && !isUndone(err) {
		*open = true
	}
	if o.failed != nil && !errors.Is(err, context.Canceled) && !redis.HasErrorPrefix(err, "NOSCRIPT") {
		o.failed()
	}
}

// undone begins the replies which say that nothing was done.
var undone = []string{
	"READONLY", "LOADING", "NOREPLICAS", "OOM", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "NOAUTH", "NOPERM", "WRONGPASS",
	"MISCONF", "NOSCRIPT", "MOVED", "ASK", "ERR max number of clients",
}

// isUndone reports whether an error says that nothing was done.
func isUndone(err error) bool {
	if errors.Is(err, errNotConnected) {
		return true
	}
	for _, code := range undone {
		if redis.HasErrorPrefix(err, code) {
			return true
		}
	}
	return false
}

// isReply reports whether an error is what a Redis has answered.
func isReply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply) && !errors.Is(err, redis.Nil)
}
