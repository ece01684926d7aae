package scopes

import (
	"net/netip"
	"slices"
	"time"
)

// Request is what a decision rests on. Nothing else of a request counts.
type Request struct {
	Method string
	// Target is the raw target in origin-form, path and query, as it is sent
	// upstream (RFC 9112, section 3.2.1).
	Target string
	Host   string // with or without a port
	// Header has canonical names; only the headers that an API's version_from
	// names are looked at.
	Header map[string][]string
	Source netip.Addr // the client's address; the zero Addr is in no source
	Now    time.Time  // the zero Time is after every expiry
}

// Decision is allow, or deny with exactly one reason. The zero Decision denies.
type Decision struct {
	Reason Reason
	// Shadow is what would be the reason if the token had its shadow scopes instead of
	// its scopes. It is the Reason where the token has none, and of a denial.
	Shadow Reason
	// API and Operation are nil until the request's target has named them. They
	// must not be modified.
	API       *API
	Operation *Operation
	// Version is one of the API's versions; "" until it is known, or if the API
	// has none.
	Version string
	// SetHeader is the header in which the upstream is to be told Version,
	// because the request did not state it; "" for none.
	SetHeader string
}

// Allowed reports whether the request is to be forwarded.
func (d *Decision) Allowed() bool { return d.Reason == Allowed }

// Deny makes the decision a denial, and leaves what it says about the request.
func (d *Decision) Deny(reason Reason) { d.Reason, d.Shadow = reason, reason }

// View is the part of a catalog that one site serves. It is immutable and safe
// for concurrent use.
type View struct {
	catalog *Catalog
	router  *node
	slashes bool // some API allows encoded slashes
}

// Decide decides on a request that was sent with the credential of g, or without
// one. It takes no lock, does no I/O, and does not allocate, unless a segment is
// percent-encoded and longer than 255 bytes, or a version is percent-encoded and
// unknown or in the query. The grant must have been compiled against the view's
// catalog.
func (v *View) Decide(r *Request, g *Grant) Decision {
	var e Evaluation
	e.Begin(v, r)
	return e.Decide(g)
}

// Route tells where a request leads, whoever sent it: the API, operation and
// version. The reason is Allowed, or why it leads nowhere. It is for requests
// that go on although they are denied.
func (v *View) Route(r *Request) Decision {
	var e Evaluation
	e.Begin(v, r)
	e.grant = &Grant{Access: ReadWrite}
	for _, c := range [...]check{checkTarget, checkOperation, checkVersion} {
		if reason := e.check(c); reason != Allowed {
			e.decision.Deny(reason)
			return e.decision
		}
	}
	e.decision.Reason, e.decision.Shadow = Allowed, Allowed
	return e.decision
}

// Catalog returns the catalog that v is a part of.
func (v *View) Catalog() *Catalog { return v.catalog }

// check is one step of an evaluation. The order is that of the reasons.
type check uint8

const (
	checkTarget check = iota
	checkCredential
	checkState
	checkExpiry
	checkSource
	checkOperation
	checkVersion
	checkAccount
	checkScopes
	numChecks
)

// Evaluation is a decision in two halves: what depends on the request alone, and then
// what depends on its token, so that the token can be fetched from memory during the
// first. The zero Evaluation denies.
type Evaluation struct {
	view     *View
	request  *Request
	grant    *Grant
	decision Decision

	search            // for the operation
	flaw       string // what is wrong with the target
	leaf       *leaf
	methodOnly bool // leaf matches but for its method
	version    int  // position in the API's versions
}

// Begin puts the first half into the zero Evaluation e: it reads the target and finds
// the operation. The rest of the request may still be filled in until Decide.
func (e *Evaluation) Begin(v *View, r *Request) {
	e.view, e.request = v, r
	e.flaw = e.target.parse(r.Target, v.slashes)
	if e.flaw != "" {
		return
	}
	e.locate()
	if e.target.slashes && !e.slashIsData() {
		e.flaw = "the path has an encoded slash, which no API here allows at this place"
	}
}

// Decide is [View.Decide] on the request that e has begun with.
func (e *Evaluation) Decide(g *Grant) Decision {
	e.grant = g
	for c := range numChecks {
		if reason := e.check(c); reason != Allowed {
			e.decision.Deny(reason)
			return e.decision
		}
	}
	e.decision.Reason, e.decision.Shadow = Allowed, e.shadow()
	return e.decision
}

// check runs one check and returns Allowed if it passes.
func (e *Evaluation) check(c check) Reason {
	switch c {
	case checkTarget:
		return unless(e.flaw == "", MalformedRequest)
	case checkCredential:
		return e.credential()
	case checkState:
		return unless(e.grant.State == Active, Inactive)
	case checkExpiry:
		return unless(e.grant.Expires == 0 || e.beforeExpiry(), Expired)
	case checkSource:
		return unless(e.fromSource(), SourceNotAllowed)
	case checkOperation:
		return e.operation()
	case checkVersion:
		return e.resolve()
	case checkAccount:
		return unless(e.ownAccount(), AccountMismatch)
	case checkScopes:
		return e.scopes()
	}
	return MalformedRequest
}

// unless returns Allowed if ok, else the reason.
func unless(ok bool, reason Reason) Reason {
	if ok {
		return Allowed
	}
	return reason
}

// slashIsData reports whether the API that the target leads to allows encoded slashes,
// and none is in {version}; the router finds none in a literal.
func (e *Evaluation) slashIsData() bool {
	if e.leaf == nil || !e.leaf.api.EncodedSlash {
		return false
	}
	return e.leaf.version < 0 || !hasEncodedSlash(e.target.segment(e.leaf.version))
}

func (e *Evaluation) credential() Reason {
	switch e.grant.State {
	case Deactivated, Active:
		return Allowed
	case Anonymous:
		return NoCredential
	case Unknown:
	}
	return UnknownToken
}

func (e *Evaluation) beforeExpiry() bool {
	return !e.request.Now.IsZero() && e.request.Now.Unix() < e.grant.Expires
}

func (e *Evaluation) fromSource() bool {
	if len(e.grant.Sources) == 0 {
		return true
	}
	source := e.request.Source.Unmap()
	return slices.ContainsFunc(e.grant.Sources, func(p netip.Prefix) bool { return p.Contains(source) })
}

// locate finds the operation. A path that only lacks the method leads to its API too;
// the reason for it comes last, in scopes.
func (e *Evaluation) locate() {
	e.method, e.host = MethodOf(e.request.Method), splitHost(e.request.Host)
	e.find(e.view.router, 0)
	e.leaf = e.found
	if e.leaf == nil {
		e.leaf, e.methodOnly = e.near, true
	}
}

func (e *Evaluation) operation() Reason {
	if e.leaf == nil {
		return NoAPI
	}
	e.decision.API = &e.leaf.api.API
	if !e.methodOnly {
		e.decision.Operation = &e.leaf.api.Operations[e.leaf.op]
	}
	return Allowed
}

func (e *Evaluation) resolve() Reason {
	index, header, reason := resolveVersion(e.request, &e.target, e.leaf, e.grant)
	if reason != Allowed {
		return reason
	}
	e.version = index
	e.decision.SetHeader = header
	if versions := e.leaf.api.Versions; len(versions) > 0 {
		e.decision.Version = versions[index]
	}
	return Allowed
}

func (e *Evaluation) ownAccount() bool {
	if e.leaf.account < 0 {
		return true
	}
	account := e.target.segment(e.leaf.account)
	if decodesTo(account, e.grant.Account) {
		return true
	}
	return slices.ContainsFunc(e.grant.AccountIDs, func(id string) bool { return decodesTo(account, id) })
}

// scopes looks for a rule that grants what was asked for, and else tells how far
// the best one came.
func (e *Evaluation) scopes() Reason {
	reason := e.granted()
	if e.methodOnly && (reason == Allowed || reason == OperationNotGranted) {
		return MethodNotGranted
	}
	return reason
}

func (e *Evaluation) granted() Reason {
	if e.grant.Access != ScopedAccess {
		if e.leaf.api.Name == Management {
			return APINotGranted
		}
		return unless(e.grant.Access.Methods().Has(e.method), MethodNotGranted)
	}
	return e.best(&e.grant.Rules)
}

// shadow tells what the shadow scopes say to a request that is allowed.
func (e *Evaluation) shadow() Reason {
	if !e.grant.HasShadow {
		return Allowed
	}
	return e.best(&e.grant.Shadow)
}

// best tells how far the best of some rules came.
func (e *Evaluation) best(rules *RuleSet) Reason {
	reason := APINotGranted
	for rule := range rules.All() {
		if rule.api != e.leaf.api.index {
			continue
		}
		reason = max(reason, rule.verdict(1<<e.version, e.method, e.leaf.op))
		if reason == Allowed {
			break
		}
	}
	return reason
}

// MethodsAt returns the methods that operations served here have at a target on
// a host: what a CORS preflight asks for. None if the target is malformed.
func (v *View) MethodsAt(host, rawTarget string) Methods {
	s := search{host: splitHost(host)}
	if flaw := s.target.parse(rawTarget, v.slashes); flaw != "" || s.target.slashes {
		return 0
	}
	var methods Methods
	for one := Methods(1); one != 0; one <<= 1 {
		s.method = one
		if AllMethods.Has(one) && s.find(v.router, 0) {
			methods |= one
		}
	}
	return methods
}
