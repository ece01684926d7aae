package proxy

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// Snapshot is one consistent state of all tokens and APIs. It is immutable.
type Snapshot interface {
	// GrantInto puts what is known of the token with this credential into the zero
	// Grant at into, and leaves that if there is none. It must not allocate.
	GrantInto(into *scopes.Grant, credential scopes.Digest)
	// Expect tells that GrantInto is going to be called with a credential. It must
	// not wait for anything.
	Expect(credential *scopes.Digest)
	// Catalog returns the APIs that the grants are compiled against.
	Catalog() *scopes.Catalog
}

// Source yields the state to decide on.
type Source interface {
	// Snapshot returns the state to decide on at a time, or nil while there is none:
	// then every request is refused as stale.
	Snapshot(now time.Time) Snapshot
}

// Gateway is the configuration of one site. It must not be modified once it is
// in use, and is then safe for concurrent use.
type Gateway struct {
	Source Source
	// APIs are the only ones served here; others do not exist. None means all.
	APIs []string
	// Management serves the built-in API [scopes.Management] and no other.
	Management bool
	// Places are where a credential may be. None means bearer.
	Places []Place
	// Session returns the digest of the credential that somebody has shown before who
	// sends this request now, if there is one. Then none may be in the request itself.
	// Nil means that there are no sessions.
	Session func(*http.Request) (scopes.Digest, bool)
	// KeepCredentials leaves the credential in the request that goes upstream.
	KeepCredentials bool
	// Challenge answers requests without a known credential 401 instead of 403.
	Challenge bool
	// PreflightOrigins are the origins whose CORS preflights are answered; "*" is
	// every origin, none answers none.
	PreflightOrigins []string
	// Shadow lets requests through that would be denied, unless their framing or
	// target is malformed or there is no state to decide on.
	Shadow bool
	// ClientAddr returns the client's address, for tokens that are bound to
	// sources; the zero Addr, which is in no source, if it is not known for sure.
	// Nil means the connection's peer.
	ClientAddr func(*http.Request) netip.Addr
	// Now is the clock for expiry. Nil means time.Now.
	Now func() time.Time
	// Requests has those that the gateway has let through, from Enter to Leave. Nil
	// keeps none: then they go on to their end, whatever happens meanwhile.
	Requests *OpenRequests
	// Limiter holds tokens to their rates and quotas, in Limit. Nil holds them to none.
	Limiter Limiter

	view atomic.Pointer[scopes.View] // the view of the latest catalog seen
}

// Verdict is what came of judging a request.
type Verdict struct {
	Decision scopes.Decision
	// Grant is the token's; zero if there was no credential or no token has it.
	Grant scopes.Grant
	// API and Version are where the request leads: what was decided on, or, for a
	// denied request that goes on in shadow, what it asks for. API is nil if that
	// is no API.
	API     *scopes.API
	Version string
	// Target and Method are what was decided on.
	Target, Method string
	// Through reports that the request goes on to the next handler: because it is
	// allowed, or in shadow of a denial.
	Through bool

	// unverified is set where the client's address counts, and is not verified yet.
	unverified bool
	preflight  scopes.Methods
	request    scopes.Request // here and not on its own, so that a verdict is one allocation
	told       [4]string      // the values of the identity fields, here for the same reason
	found      presented
	place      *Place // that held the credential; nil for none
	open       openRequest
}

// Credential returns the digest of the credential that the request was sent with; the
// zero Digest if there was none, or none that could be read.
func (v *Verdict) Credential() scopes.Digest { return v.found.digest }

// Format writes a fixed text: a verdict has the request's header, and with it a
// credential.
func (*Verdict) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[verdict]") }

// Judge decides on a request. It changes neither the request nor anything else.
func (g *Gateway) Judge(r *http.Request) *Verdict {
	v := new(Verdict)
	g.judge(v, r)
	return v
}

// JudgeInto is Judge with a verdict of the caller's, which is overwritten. It does
// not allocate.
func (g *Gateway) JudgeInto(v *Verdict, r *http.Request) {
	*v = Verdict{}
	g.judge(v, r)
}

// judge is JudgeInto with a zero verdict.
func (g *Gateway) judge(v *Verdict, r *http.Request) {
	v.Method = r.Method
	v.request.Now = g.now()
	snapshot := g.Source.Snapshot(v.request.Now)
	if snapshot == nil {
		return // the zero Decision: stale
	}
	readable := g.findCredential(&v.found, r)
	if v.found.place != nil {
		snapshot.Expect(&v.found.digest)
	}
	target, ok := readTarget(r)
	v.Target = target
	if !ok || !wellFramed(r) {
		v.Decision.Deny(scopes.MalformedRequest)
		return
	}
	view := g.viewOf(snapshot.Catalog())
	if v.preflight = g.preflightMethods(r, view, target); v.preflight == 0 {
		g.decide(v, r, snapshot, view, readable)
	}
}

// decide reads the credential and has the request evaluated.
func (g *Gateway) decide(v *Verdict, r *http.Request, snapshot Snapshot, view *scopes.View, ok bool) {
	request := &v.request
	request.Method, request.Target, request.Host = r.Method, v.Target, r.Host
	request.Header = r.Header
	var e scopes.Evaluation
	e.Begin(view, request)
	if ok {
		v.place = v.found.place
		v.found.grant(&v.Grant, snapshot)
	}
	if len(v.Grant.Sources) > 0 {
		v.unverified = isEarly(r)
		request.Source = g.clientAddr(r)
	}
	v.Decision = e.Decide(&v.Grant)
	mayShadow := v.Decision.Reason != scopes.MalformedRequest
	if !ok {
		v.Decision = scopes.Decision{}
		v.Decision.Deny(scopes.MalformedRequest)
	}
	v.Through = v.Decision.Allowed() || g.Shadow && mayShadow
	v.API, v.Version = v.Decision.API, v.Decision.Version
	if v.Through && !v.Decision.Allowed() {
		route := view.Route(request)
		v.API, v.Version = route.API, route.Version
	}
}

// viewOf returns the site's view of a catalog, made once for each catalog.
func (g *Gateway) viewOf(c *scopes.Catalog) *scopes.View {
	view := g.view.Load()
	if view == nil || view.Catalog() != c {
		view = c.View(g.APIs...)
		if g.Management {
			view = c.ManagementView()
		}
		g.view.Store(view)
	}
	return view
}

func (g *Gateway) now() time.Time {
	if g.Now != nil {
		return g.Now()
	}
	return time.Now()
}

// isEarly reports whether a request was sent before the TLS handshake was over. On
// QUIC anybody could have sent it from any address then (RFC 9001, section 9.2).
func isEarly(r *http.Request) bool { return r.TLS != nil && !r.TLS.HandshakeComplete }

func (g *Gateway) clientAddr(r *http.Request) netip.Addr {
	if isEarly(r) {
		return netip.Addr{} // in no source
	}
	if g.ClientAddr != nil {
		return g.ClientAddr(r)
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{} // in no source
	}
	return peer.Addr()
}

// places returns where a credential may be, the default filled in.
func (g *Gateway) places() []Place {
	if len(g.Places) == 0 {
		return defaultPlaces
	}
	return g.Places
}

func (g *Gateway) accepts(kind PlaceKind) bool {
	return slices.ContainsFunc(g.places(), func(p Place) bool { return p.Kind == kind })
}
