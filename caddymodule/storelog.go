package caddymodule

import (
	"context"
	"log/slog"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
)

// storeLog is where a store logs, which knows no Caddy. The store outlives the
// configuration that opened it, and that one's logs are closed with it: so each
// entry goes to the logger of the configuration that runs.
type storeLog struct {
	opener *zap.Logger                     // of the configuration that opened the store; used until one runs
	with   func(slog.Handler) slog.Handler // adds what WithAttrs and WithGroup were called with
}

func newStoreLog(opener *zap.Logger) *slog.Logger {
	return slog.New(&storeLog{opener, func(h slog.Handler) slog.Handler { return h }})
}

func (l *storeLog) current() slog.Handler {
	logger := l.opener
	if app, err := caddy.ActiveContext().AppIfConfigured("scopegate"); err == nil {
		logger = app.(*App).logger //nolint:forcetypeassert // the only type under this name
	}
	return l.with(zapslog.NewHandler(logger.Core(), zapslog.WithName(logger.Name())))
}

// Enabled implements [slog.Handler].
func (l *storeLog) Enabled(ctx context.Context, level slog.Level) bool {
	return l.current().Enabled(ctx, level)
}

// Handle implements [slog.Handler].
func (l *storeLog) Handle(ctx context.Context, r slog.Record) error {
	return l.current().Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (l *storeLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &storeLog{l.opener, func(h slog.Handler) slog.Handler { return l.with(h).WithAttrs(attrs) }}
}

// WithGroup implements [slog.Handler].
func (l *storeLog) WithGroup(name string) slog.Handler {
	return &storeLog{l.opener, func(h slog.Handler) slog.Handler { return l.with(h).WithGroup(name) }}
}

var _ slog.Handler = (*storeLog)(nil)
