package caddymodule

import (
	"context"
	"errors"
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
	p.running.Go(func() { ledger.Run(ctx) })
}

func (p *pooled) closeUsage() error {
	if p.usage == nil {
		return nil
	}
	return p.usage.Close()
}

// counted is a request whose use is counted.
type counted struct {
	meter   *usage.Meter // nil: it is not counted
	use     usage.Use
	decided time.Time
}

// countUse counts what a request uses.
func (h *Handler) countUse(v *proxy.Verdict, decided time.Time) counted {
	if h.meter == nil || v.Preflight() {
		return counted{}
	}
	meter := h.meter()
	if meter == nil {
		return counted{}
	}
	c := counted{meter, useOf(v), decided}
	meter.Decided(&c.use, decided)
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
		Shadow:     v.Decision.Reason,
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
