package caddymodule

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/caddyserver/caddy/v2"

	"github.com/scopegate/scopegate/store"
	"github.com/scopegate/scopegate/usage"
)

func init() {
	caddy.RegisterModule(new(Admin))
}

// Admin serves the management routes under /scopegate/ of Caddy's admin endpoint:
//
//	GET    /scopegate/status
//	GET    /scopegate/openapi.json                     describes them
//	POST   /scopegate/plan?name=&prune=                the body is a scope file
//	POST   /scopegate/apply?name=&prune=&allow_widen=  the body is a scope file
//	POST   /scopegate/explain                          {"token", "method", "url", "headers", "from", "at"}
//	GET    /scopegate/log?after=&before=&since=&actor=&action=&kind=&name=&limit=&wait=
//	GET    /scopegate/apis
//	GET    /scopegate/apis/{api}
//	GET    /scopegate/accounts?search=&limit=&after=
//	POST   /scopegate/accounts                         {"name", "title", "ids", "max_active_tokens"}
//	GET    /scopegate/accounts/{account}
//	DELETE /scopegate/accounts/{account}
//	GET    /scopegate/tokens?account=&state=&api=&contact=&expiring=&access=&search=&limit=&after=
//	POST   /scopegate/tokens                           {"token", "issue"} and the keys of a scope file's token
//	GET    /scopegate/tokens/{ref}                     ref is account/name, or an id
//	PATCH  /scopegate/tokens/{ref}?allow_widen=        the keys to change; null unsets one
//	DELETE /scopegate/tokens/{ref}
//	POST   /scopegate/tokens/{ref}/issue               the answer has the credential
//	POST   /scopegate/tokens/{ref}/rotate              {"overlap"}; the answer has the credential
//	POST   /scopegate/tokens/{ref}/retire
//	POST   /scopegate/tokens/{ref}/import              {"digest", "last_four"}
//	POST   /scopegate/tokens/{ref}/activate
//	POST   /scopegate/tokens/{ref}/deactivate
//	GET    /scopegate/reports/{report}?window=&token=&detail=
//	GET    /scopegate/reports/activity?window=&tokens=  at most 100 tokens, with commas between
//	GET    /scopegate/suggest?window=&token=
//	GET    /scopegate/backup                           the answer is a copy of the store
//	POST   /scopegate/restore                          the body is such a copy
//	GET    /scopegate/health                           503 where nothing can be decided
//	GET    /scopegate/wait?revision=&timeout=          until every node has the revision
//	POST   /scopegate/cluster/reset?force=             drops everything, on every node
//	POST   /scopegate/notify/test?to=                  sends a test message by each channel
//
// Who may reach the admin endpoint may use them all. Answers are JSON, and errors
// are Caddy's: {"error": "…"}. Where more can be said there is more beside it:
// "problems" are the places in a scope file that are wrong, "widens" the changes
// that were refused because they widen. Of a list with a limit, the header field Link
// (RFC 8288) names the next page. No credential is ever in a URL. The answer to
// a change has the header fields Scopegate-Revision, and Scopegate-Pending: how many
// tokens' revocations the other nodes have yet to get.
type Admin struct{}

// CaddyModule returns the Caddy module information.
func (*Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.scopegate",
		New: func() caddy.Module { return new(Admin) },
	}
}

// Routes implements [caddy.AdminRouter].
func (*Admin) Routes() []caddy.AdminRoute {
	m := management{store: activeStore, usage: activeUsage, actor: adminActor, messages: activeNotifier}
	return slices.Concat(m.routes(), m.fileRoutes(), m.clusterRoutes(), m.notifyRoutes())
}

// Why the running server has no store. They are states, not failures: the same
// request may succeed a moment or a reload later.
var (
	errNoApp   = errors.New("the running configuration has no scopegate app; add the global option scopegate to it")
	errNotOpen = errors.New("the store is not open yet; try again in a moment")
	// errNotCounted: the log says why.
	errNotCounted = errors.New("how tokens are used is not counted; the server's log says why")
)

// activeStore returns the store of the configuration that runs now. It is looked
// up for each request: an admin router outlives the configuration that it was
// made for, and after a rejected reload it belongs to one that never ran.
func activeStore() (*store.Store, error) {
	app, err := activeApp()
	if err != nil {
		return nil, err
	}
	s := app.Store()
	if s == nil {
		return nil, unavailable(errNotOpen)
	}
	return s, nil
}

// activeUsage returns what has counted the uses of the tokens in activeStore.
func activeUsage() (*usage.Ledger, error) {
	app, err := activeApp()
	if err != nil {
		return nil, err
	}
	ledger := app.Ledger()
	if ledger == nil {
		return nil, unavailable(errNotCounted)
	}
	return ledger, nil
}

func activeApp() (*App, error) {
	app, err := caddy.ActiveContext().AppIfConfigured("scopegate")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil, unavailable(errNoApp)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return app.(*App), nil //nolint:forcetypeassert // the only type under this name
}

func unavailable(err error) error {
	return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: err}
}

// userHeader names the user that runs "caddy scopegate", by that command's own
// word.
const userHeader = "Scopegate-User"

// adminActor says who asks: what is known of the connection,
// and, as what it is, what the client says of itself.
func adminActor(r *http.Request) store.Actor {
	name := "admin endpoint, " + peer(r)
	if claim := printable(r.Header.Get(userHeader)); claim != "" {
		name += fmt.Sprintf(", says it is user %q", claim)
	}
	return store.Actor{Name: name}
}

// peer tells the client of a connection: its address, and the certificate with
// which Caddy's remote administration has let it in.
func peer(r *http.Request) string {
	from := "unix socket"
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		from = host
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		from += fmt.Sprintf(", certificate %q", r.TLS.PeerCertificates[0].Subject.String())
	}
	return from
}

// printable bounds what a client says of itself to what a line of a log can hold.
func printable(s string) string {
	const most = 64
	if len(s) > most {
		s = s[:most]
	}
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}

var _ caddy.AdminRouter = (*Admin)(nil)
