package caddymodule

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/scopegate/scopegate/proxy"
	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/usage"
)

// usageSuffix is what the name of the file with the usage has behind that of the store.
const usageSuffix = ".usage"

// startUsage opens the file with the usage of the store's tokens, and keeps it until
// closeUsage. A gateway does its work without it.
func (p *pooled) startUsage(ctx context.Context) {
	ledger, err := usage.Open(p.path+usageSuffix, usage.Options{Now: time.Now, Logger: p.logger})
	if err != nil {
		p.logger.Error("how tokens are used is not counted, for the file cannot be opened; mend that and restart", "error", err)
		return
	}
	p.usage = ledger
	if err := p.shareUsage(); err != nil {
		p.logger.Error("how tokens are used is not told to other nodes", "error", err)
	}
	p.running.Go(func() { ledger.Run(ctx) })
}

// shareUsage makes the usage known to the nodes that the store follows, and theirs here.
func (p *pooled) shareUsage() error {
	switch {
	case p.usage == nil:
		return nil
	case p.cluster.log == nil:
		return p.usage.Follow(nil, "")
	}
	return p.usage.Follow(p.cluster.log.Usage(), p.cluster.peers.secret)
}

func (p *pooled) closeUsage() error {
	if p.usage == nil {
		return nil
	}
	return p.usage.Close()
}

// usageFile is the file with the usage of a store that a command has opened itself.
type usageFile struct {
	path   string
	ledger *usage.Ledger // nil until it is asked for
}

func (f *usageFile) open() (*usage.Ledger, error) {
	if f.ledger != nil {
		return f.ledger, nil
	}
	if _, err := os.Stat(f.path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // nothing was counted yet
	}
	ledger, err := usage.Open(f.path, usage.Options{})
	f.ledger = ledger
	return ledger, err
}

func (f *usageFile) close() error {
	if f.ledger == nil {
		return nil
	}
	return f.ledger.Close()
}

// counted is a request whose use is counted.
type counted struct {
	meter   *usage.Meter // nil: it is not counted
	use     usage.Use
	decided time.Time
}

// countUse counts what a request uses.
func (h *Handler) countUse(v *proxy.Verdict, decided time.Time) counted {
	if h.usage == nil || v.Preflight() {
		return counted{}
	}
	ledger := h.usage()
	if ledger == nil {
		return counted{}
	}
	c := counted{ledger.Meter, useOf(v), decided}
	c.meter.Decided(&c.use, decided)
	return c
}

func useOf(v *proxy.Verdict) usage.Use {
	return usage.Use{
		Credential: v.Credential(),
		Token:      v.Grant.ID,
		API:        v.API,
		Operation:  v.Decision.Operation,
		Version:    v.Version,
		Method:     scopes.MethodOf(v.Method),
		Reason:     v.Decision.Reason,
		Shadow:     v.Decision.Shadow,
		Through:    v.Through && !v.Decision.Allowed(),
	}
}

// answered counts how the next handler has answered: by what it has written, or by the
// error that it leaves to the server.
func (c *counted) answered(v *proxy.Verdict, err error) {
	if c.meter == nil {
		return
	}
	status, at := v.Answer()
	now := time.Now()
	if failed, ok := errors.AsType[caddyhttp.HandlerError](err); ok && status == 0 {
		status, at = failed.StatusCode, now
	}
	c.meter.Answered(&c.use, status, at.Sub(c.decided), now)
}
