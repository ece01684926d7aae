package caddymodule

import (
	"context"
	"time"

	"github.com/scopegate/scopegate/limits"
	"github.com/scopegate/scopegate/proxy"
	"github.com/scopegate/scopegate/scopes"
)

// Take implements [proxy.Limiter].
func (a *App) Take(g *scopes.Grant, api string, now time.Time) proxy.Limited {
	return proxy.Limited(a.opened.limiter.Take(g, api, now))
}

// startLimits counts what the store's tokens take of their limits, until closeLimits.
func (p *pooled) startLimits(ctx context.Context) {
	p.nodes.Store(1)
	p.limiter = limits.New(limits.Options{
		Exchange: p.cluster.exchange(), Nodes: func() int { return int(p.nodes.Load()) }, Now: steadyNow, Logger: p.logger,
	})
	p.restoreQuotas()
	p.running.Go(func() { p.countNodes(ctx) })
	p.running.Go(func() { p.keepQuotas(ctx) })
}

// closeLimits ends the counting, after all else that uses it.
func (p *pooled) closeLimits() error {
	err := p.saveQuotas()
	p.limiter.Close()
	return err
}

// countInterval is how often it is looked how many nodes there are, which the slices of a
// limit depend on.
const countInterval = 2 * time.Second

// countNodes counts the nodes until ctx ends. While they cannot be counted the last number
// goes on.
func (p *pooled) countNodes(ctx context.Context) {
	ticker := time.NewTicker(countInterval)
	defer ticker.Stop()
	for {
		if nodes, err := p.Store().Nodes(ctx); err == nil {
			p.nodes.Store(int64(max(1, len(nodes))))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

var _ proxy.Limiter = (*App)(nil)
