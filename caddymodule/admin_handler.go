package caddymodule

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/scopegate/scopegate/console"
	"github.com/scopegate/scopegate/proxy"
	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store"
	"github.com/scopegate/scopegate/usage"
)

func init() {
	caddy.RegisterModule(new(AdminHandler))
}

// AdminHandler serves the management routes on a site, to tokens whose scopes name
// the built-in API scopegate. Each request is decided on as one to any API; what
// the token may do beyond that, such as what it may give to others, the store
// decides. Whatever is not one of the routes is refused, so nothing can follow it.
type AdminHandler struct {
	// Credentials are the places where a credential may be. Default: bearer.
	Credentials []CredentialPlace `json:"credentials,omitempty"`

	// Unauthenticated is the status for no or an unknown credential: 401 or 403.
	// Default: 403.
	Unauthenticated int `json:"unauthenticated,omitempty"`

	// Console is "off" to serve the management routes only. Default: a page for browsers
	// is served too, below /console/.
	Console string `json:"console,omitempty"`

	gate    *Handler         // decides, tells, and refuses
	console *console.Handler // nil: there is no page
	app     *App
	serving map[string]*served // by the operation's name
	origins *http.CrossOriginProtection
	logger  *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*AdminHandler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.scopegate_admin",
		New: func() caddy.Module { return new(AdminHandler) },
	}
}

// Provision sets the handler up.
func (a *AdminHandler) Provision(ctx caddy.Context) error {
	a.gate = &Handler{Credentials: a.Credentials, Unauthenticated: a.Unauthenticated}
	if err := a.gate.Provision(ctx); err != nil {
		return err
	}
	a.gate.gateway.Management = true
	a.gate.gateway.KeepCredentials = true // nothing follows, and recheck needs them
	app, err := ctx.App("scopegate")
	if err != nil {
		return fmt.Errorf("scopegate: %w", err)
	}
	a.app = app.(*App) //nolint:forcetypeassert // the only type under this name
	m := management{store: a.store, usage: a.usage, actor: a.actor, messages: activeNotifier}
	a.serving = serveOperations(m.routes())
	a.origins = http.NewCrossOriginProtection()
	a.logger = ctx.Logger()
	return a.provisionConsole(ctx)
}

// Cleanup ends what the page does while nobody waits for it.
func (a *AdminHandler) Cleanup() error {
	if a.console != nil {
		a.console.Close()
	}
	return nil
}

// usage returns what has counted the uses of the tokens in the store.
func (a *AdminHandler) usage() (*usage.Ledger, error) {
	ledger := a.app.Ledger()
	if ledger == nil {
		return nil, unavailable(errNotCounted)
	}
	return ledger, nil
}

// Validate checks what the JSON form could get wrong.
func (a *AdminHandler) Validate() error {
	if a.Console != "" && a.Console != consoleOff {
		return fmt.Errorf("scopegate: console is off, or left out, not %q", a.Console)
	}
	return a.gate.Validate()
}

// ServeHTTP serves the page, or decides on a request to a management route.
func (a *AdminHandler) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	if a.console != nil && console.Serves(r) {
		guarded := proxy.Guard(w, r)
		a.console.ServeHTTP(guarded, r)
		proxy.Returned(w, guarded)
		return nil
	}
	return a.decideAndAnswer(w, r)
}

// decideAndAnswer decides on a request, records the decision, and answers.
func (a *AdminHandler) decideAndAnswer(w http.ResponseWriter, r *http.Request) error {
	return a.gate.ServeHTTP(w, r, caddyhttp.HandlerFunc(a.answer))
}

// errOtherOrigin is what a page in a browser gets that is not of this site. Only
// credentials that browsers send by themselves, as they do with basic, need it.
var errOtherOrigin = errors.New("the request comes from a page of another origin")

// answer does what an allowed request asks for: what the decision was about, and
// nothing that could be read from the request in another way.
func (a *AdminHandler) answer(w http.ResponseWriter, r *http.Request) error {
	v := verdictOf(r)
	if v == nil || !v.Decision.Allowed() || v.Decision.Operation == nil {
		return caddyhttp.Error(http.StatusInternalServerError, errNoVerdict)
	}
	if err := a.origins.Check(r); err != nil {
		writeFailure(w, caddy.APIError{HTTPStatus: http.StatusForbidden, Err: errOtherOrigin})
		return nil //nolint:nilerr // the client is told
	}
	s, ok := a.serving[v.Decision.Operation.Name]
	if !ok {
		writeFailure(w, failf(http.StatusNotFound, "this version does not serve %s", v.Decision.Operation.Name))
		return nil
	}
	if !s.name(r, v) {
		return caddyhttp.Error(http.StatusInternalServerError, errChanged)
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxAdminBody)
	err := s.handler.ServeHTTP(w, r)
	if apiError, ok := errors.AsType[caddy.APIError](err); ok && apiError.HTTPStatus >= http.StatusInternalServerError {
		a.logger.Error("a management request failed", zap.String("operation", v.Decision.Operation.Name), zap.Error(err))
	}
	writeFailure(w, err)
	return nil
}

// maxAdminBody bounds the body of any request, in bytes: that of scope files with
// what may come with them. Most routes have a lower bound of their own.
const maxAdminBody = scopes.MaxFileBytes + maxSentDocuments + maxSentCredentials

// store returns the store that the site decides with: it is the same one in which
// a change is made, even while another configuration takes over.
func (a *AdminHandler) store() (*store.Store, error) {
	if s := a.app.Store(); s != nil {
		return s, nil
	}
	return nil, unavailable(errNotOpen)
}

// actor says who asks, and on which token's authority.
func (a *AdminHandler) actor(r *http.Request) store.Actor {
	v := verdictOf(r)
	return store.Actor{
		Name:    fmt.Sprintf("token %s (%s), from %s", tokenName(v), v.Grant.ID, clientAddr(r)),
		Token:   v.Grant.ID,
		Recheck: func() error { return a.recheck(r, v) },
	}
}

// errNoLonger refuses a change whose request would now be denied.
var errNoLonger = errors.New("its request is no longer allowed")

// recheck decides on a request once more. The store calls it where nobody else
// changes anything, so what counts is the very state that is changed: the request
// may have been decided on minutes ago, before the rest of its body came.
func (a *AdminHandler) recheck(r *http.Request, before *proxy.Verdict) error {
	v := a.gate.gateway.Judge(r)
	if !v.Decision.Allowed() || v.Grant.ID != before.Grant.ID || v.Decision.Operation.Name != before.Decision.Operation.Name {
		return errNoLonger
	}
	return nil
}

var (
	_ caddy.Provisioner           = (*AdminHandler)(nil)
	_ caddy.Validator             = (*AdminHandler)(nil)
	_ caddy.CleanerUpper          = (*AdminHandler)(nil)
	_ caddyhttp.MiddlewareHandler = (*AdminHandler)(nil)
)
