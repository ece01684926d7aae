package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/scopegate/scopegate/proxy"
	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/usage"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// Handler decides on every request that reaches it: an allowed one goes on to the
// next handler, with the headers that tell the upstream what was decided, and
// any other is refused.
type Handler struct {
	// APIs are the only APIs served here; others do not exist. Default: all.
	APIs []string `json:"apis,omitempty"`

	// Credentials are the places where a credential may be. Default: bearer.
	Credentials []CredentialPlace `json:"credentials,omitempty"`

	// KeepCredentials leaves the credential in the request that goes upstream.
	KeepCredentials bool `json:"keep_credentials,omitempty"`

	// Unauthenticated is the status for no or an unknown credential: 401 or 403.
	// Default: 403.
	Unauthenticated int `json:"unauthenticated,omitempty"`

	// OnDeny is "answer", to answer a denial, or "error", to hand it to
	// handle_errors. Default: answer.
	OnDeny string `json:"on_deny,omitempty"`

	// Preflight are the origins whose CORS preflights are answered, for the
	// methods that the API has. Default: none, preflights are refused.
	Preflight []string `json:"preflight,omitempty"`

	// Shadow decides, counts and logs, but lets requests through.
	Shadow bool `json:"shadow,omitempty"`

	gateway *proxy.Gateway
	metrics *metrics
	usage   func() *usage.Ledger // what counts the uses; nil, or what returns nil, counts none
	logger  *zap.Logger
	logged  bool // the server that the handler belongs to may keep an access log
}

// CredentialPlace is a place where a credential may be.
type CredentialPlace struct {
	// In is "bearer", "basic" or "header".
	In string `json:"in"`
	// Name is the header's name, for "header".
	Name string `json:"name,omitempty"`
}

// errDenied is what handle_errors gets with "on_deny error". The reason is in the
// placeholder {http.scopegate.reason}, and not in the error, which might be shown.
var errDenied = errors.New("access denied")

// managementElsewhere says where the built-in API is served.
const managementElsewhere = "the management API is not among the apis of a site; serve it on a site of its own, with scopegate_admin"

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.scopegate",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision sets the handler up.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	app, err := ctx.App("scopegate")
	if err != nil {
		return fmt.Errorf("scopegate: %w", err)
	}
	source := app.(*App) //nolint:forcetypeassert // the only type under this name
	h.metrics, h.usage = processMetrics, source.Ledger
	places, err := h.places()
	if err != nil {
		return err
	}
	server, known := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	h.logged = !known || server.Logs != nil
	if known {
		if err := h.checkLogs(ctx, server); err != nil {
			return err
		}
	}
	h.gateway = &proxy.Gateway{
		Source:           source,
		APIs:             h.APIs,
		Places:           places,
		KeepCredentials:  h.KeepCredentials,
		Challenge:        h.Unauthenticated == http.StatusUnauthorized,
		PreflightOrigins: h.Preflight,
		Shadow:           h.Shadow,
		ClientAddr:       clientAddr,
		Now:              steadyNow,
		Requests:         openRequests,
		Limiter:          source,
	}
	return nil
}

// Validate checks what the JSON form could get wrong.
func (h *Handler) Validate() error {
	switch h.Unauthenticated {
	case 0, http.StatusUnauthorized, http.StatusForbidden:
	default:
		return fmt.Errorf("scopegate: unauthenticated is 401 or 403, not %d", h.Unauthenticated)
	}
	if slices.Contains(h.APIs, scopes.Management) {
		return fmt.Errorf("scopegate: %s", managementElsewhere)
	}
	switch h.OnDeny {
	case "", "answer", "error":
	default:
		return fmt.Errorf(`scopegate: on_deny is "answer" or "error", not %q`, h.OnDeny)
	}
	return nil
}

// ServeHTTP decides, records the decision, and forwards or refuses.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	start := time.Now()
	verdict := h.gateway.Judge(r)
	h.gateway.Limit(w, verdict)
	decided := time.Now()
	h.metrics.count(verdict, decided.Sub(start))
	used := h.countUse(verdict, decided)
	h.announce(r, verdict)
	if verdict.Through {
		return h.forward(w, r, next, verdict, &used)
	}
	if h.OnDeny == "error" && !verdict.Preflight() && !proxy.IsTunnel(r.Method) {
		h.gateway.HandOver(w, r)
		return caddyhttp.Error(h.gateway.Status(verdict), errDenied)
	}
	h.gateway.Refuse(w, r, verdict)
	return nil
}

func (h *Handler) forward(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, v *proxy.Verdict, used *counted) (err error) {
	forwarded := h.gateway.Forward(w, r, v)
	writer, r := h.gateway.Enter(forwarded, r, v)
	defer func() {
		h.gateway.Leave(v)
		used.answered(v, err)
	}()
	err = next.ServeHTTP(writer, r)
	proxy.Returned(w, writer)
	return err
}

// places turns the configured places into those of package proxy.
func (h *Handler) places() ([]proxy.Place, error) {
	places := make([]proxy.Place, 0, len(h.Credentials))
	for _, c := range h.Credentials {
		switch {
		case c.In == "bearer" && c.Name == "":
			places = append(places, proxy.Place{Kind: proxy.Bearer})
		case c.In == "basic" && c.Name == "":
			places = append(places, proxy.Place{Kind: proxy.Basic})
		case c.In == "header" && validFieldName(c.Name):
			places = append(places, proxy.Place{Kind: proxy.Header, Name: http.CanonicalHeaderKey(c.Name)})
		default:
			return nil, fmt.Errorf("scopegate: no place for a credential: %q %q; expected bearer, basic, or header and its name", c.In, c.Name)
		}
	}
	return places, nil
}

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.Validator             = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
