package caddymodule

import (
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	caddy.RegisterModule(new(HealthHandler))
	httpcaddyfile.RegisterHandlerDirective("scopegate_health", parseHealth)
	// Before scopegate, which would refuse a request without a credential.
	httpcaddyfile.RegisterDirectiveOrder("scopegate_health", httpcaddyfile.Before, "root")
}

// HealthHandler tells a load balancer whether this node may decide: 200, or 503 while the
// store is not open or the node is stale. It answers every request that reaches it, so it
// stands behind a matcher or in a handle block:
//
//	scopegate_health /healthz
type HealthHandler struct{ app *App }

// CaddyModule returns the Caddy module information.
func (*HealthHandler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.scopegate_health",
		New: func() caddy.Module { return new(HealthHandler) },
	}
}

// Provision finds the app.
func (h *HealthHandler) Provision(ctx caddy.Context) error {
	app, err := ctx.App("scopegate")
	if err != nil {
		return fmt.Errorf("scopegate: %w", err)
	}
	h.app = app.(*App) //nolint:forcetypeassert // the only type under this name
	return nil
}

// ServeHTTP answers.
func (h *HealthHandler) ServeHTTP(w http.ResponseWriter, _ *http.Request, _ caddyhttp.Handler) error {
	status, text := http.StatusOK, "ok\n"
	if s := h.app.Store(); s == nil || healthOf(s) != nil {
		status, text = http.StatusServiceUnavailable, "not fit to decide\n"
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // a client that has gone needs no answer
	return nil
}

func parseHealth(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(HealthHandler)
	return handler, handler.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile reads the directive, which has no options.
func (*HealthHandler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if d.NextArg() || d.NextBlock(0) {
		return d.Err("scopegate_health takes a matcher and nothing else: scopegate_health /healthz")
	}
	return nil
}

var (
	_ caddy.Provisioner           = (*HealthHandler)(nil)
	_ caddyhttp.MiddlewareHandler = (*HealthHandler)(nil)
	_ caddyfile.Unmarshaler       = (*HealthHandler)(nil)
)
