package caddymodule

import (
	"context"
	"log/slog"
	"time"

	"github.com/scopegate/scopegate/proxy"
)

// openRequests are the allowed requests of this process that are not over. They belong
// to no configuration: one that was replaced may still have some.
var openRequests = new(proxy.OpenRequests)

// How often open requests are reviewed.
const (
	// reviewInterval is for what only time changes: tokens that expire, a node that
	// goes stale.
	reviewInterval = 250 * time.Millisecond
	// reviewShare is the part of the time that reviews may take: with so many open
	// requests that one takes long, the next one comes later.
	reviewShare = 20
)

// review reviews the open requests whenever the store has changed, and from time to
// time, until ctx ends.
func (p *pooled) review(ctx context.Context) {
	tick := time.NewTicker(reviewInterval)
	defer tick.Stop()
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-rest.C:
		}
		changed := p.Store().Changed() // before the review, so that nothing is missed in between
		begun := time.Now()
		endRequests(p.logger)
		rest.Reset(reviewShare * time.Since(begun))
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-tick.C:
		}
	}
}

// endRequests ends the open requests that would not be allowed any more, and tells of
// them.
func endRequests(logger *slog.Logger) {
	for _, e := range openRequests.Review() {
		processMetrics.ended.WithLabelValues(e.Reason.String()).Inc()
		attributes := []any{"token", e.Token, "account", e.Account, "api", e.API, "reason", e.Reason.String()}
		if e.Err != nil {
			logger.Error("an open request is no longer allowed, and the server cannot end it", append(attributes, "error", e.Err)...)
			continue
		}
		logger.Info("an open request was ended: it is no longer allowed", attributes...)
	}
}
