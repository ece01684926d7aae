package scopes

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Step is one check of a decision, as [View.Explain] tells it.
type Step struct {
	Check  string `json:"check"`  // such as "operation"
	Passed bool   `json:"passed"` // whether the request passed it
	Detail string `json:"detail"` // what was found and compared, in words
}

// ShadowCheck is the check of a step that tells what shadow scopes say. It decides
// nothing, whether it passed or not.
const ShadowCheck = "shadow"

var checkNames = [numChecks]string{
	"target", "credential", "state", "expiry", "source", "operation", "version", "account", "scopes",
}

// Explain decides as [View.Decide] does and tells every step. The decision is
// that of the first check that fails; those after it that do not depend on it
// are told too, so that one sees what else would be missing. The last step of an
// allowed request is what the token's shadow scopes say, if it has any: it may fail,
// and the decision is not changed by it. Before that come its limits: whether they are
// used up is not looked at.
func (v *View) Explain(r *Request, g *Grant) (Decision, []Step) {
	var e Evaluation
	e.Begin(v, r)
	e.grant = g
	verdict := Decision{Reason: Allowed}
	var steps []Step
	for c := range numChecks {
		if c.needsToken() && !e.knowsToken() {
			continue
		}
		reason := e.check(c)
		steps = append(steps, Step{checkNames[c], reason == Allowed, e.tell(c, reason)})
		if verdict.Reason == Allowed {
			verdict = e.decision
			verdict.Deny(reason) // or allow, so far
		}
		if reason != Allowed && c.endsAll() {
			break
		}
	}
	if verdict.Allowed() && len(g.Limits) > 0 {
		steps = append(steps, Step{"limits", true, e.tellLimits()})
	}
	if verdict.Allowed() && g.HasShadow {
		verdict.Shadow = e.shadow()
		steps = append(steps, Step{ShadowCheck, verdict.Shadow == Allowed, e.tellShadow(verdict.Shadow)})
	}
	return verdict, steps
}

// needsToken reports whether a check is about the token, so that there is nothing
// to compare without one.
func (c check) needsToken() bool {
	return c == checkState || c == checkExpiry || c == checkSource || c == checkAccount || c == checkScopes
}

func (e *Evaluation) knowsToken() bool { return e.credential() == Allowed }

// endsAll reports whether no later check can be made once c has failed.
func (c check) endsAll() bool { return c == checkTarget || c == checkOperation || c == checkVersion }

// tell says in words what a check compared.
func (e *Evaluation) tell(c check, reason Reason) string {
	switch c {
	case checkTarget:
		return e.tellTarget()
	case checkCredential:
		return e.tellCredential()
	case checkState:
		if e.grant.State == Active {
			return "the token is active"
		}
		return "the token is not active"
	case checkExpiry:
		return e.tellExpiry()
	case checkSource:
		return e.tellSource()
	case checkOperation:
		return e.tellOperation()
	case checkVersion:
		return e.tellVersion(reason)
	case checkAccount:
		return e.tellAccount()
	case checkScopes:
		return e.tellScopes(reason)
	}
	return ""
}

func (e *Evaluation) tellTarget() string {
	if e.flaw != "" {
		return e.flaw
	}
	return fmt.Sprintf("%q reads the same for every parser", e.request.Target)
}

func (e *Evaluation) tellCredential() string {
	switch e.grant.State {
	case Deactivated, Active:
		token := "token " + e.grant.Account + "/" + e.grant.Name
		if e.grant.ID == "" { // declared in a file, not stored yet
			return token
		}
		return token + " (" + e.grant.ID + ")"
	case Anonymous:
		return "no credential was sent"
	case Unknown:
	}
	return "no token has this credential"
}

func (e *Evaluation) tellExpiry() string {
	if e.grant.Expires == 0 {
		return "the token does not expire"
	}
	end := time.Unix(e.grant.Expires, 0).UTC().Format(time.RFC3339)
	return fmt.Sprintf("the token expires at %s, and it is %s", end, e.request.Now.UTC().Format(time.RFC3339))
}

func (e *Evaluation) tellSource() string {
	if len(e.grant.Sources) == 0 {
		return "the token may be used from everywhere"
	}
	source := "an unknown address"
	if e.request.Source.IsValid() {
		source = e.request.Source.String()
	}
	return fmt.Sprintf("the token may be used from %s; the request comes from %s", joinPrefixes(e.grant.Sources), source)
}

func (e *Evaluation) tellOperation() string {
	if e.leaf == nil {
		return fmt.Sprintf("no API served here has an operation for %s on host %q", e.target.path, e.request.Host)
	}
	op := e.leaf.api.Operations[e.leaf.op]
	if e.methodOnly {
		return fmt.Sprintf("API %s has %s at this path, but not for %s", e.leaf.api.Name, op.Path, e.request.Method)
	}
	return fmt.Sprintf("API %s, operation %s: %s %s", e.leaf.api.Name, op.Name, op.Methods, op.Path)
}

func (e *Evaluation) tellVersion(reason Reason) string {
	api := e.leaf.api
	has := "the API has " + quoteAll(api.Versions)
	switch {
	case reason == VersionConflict:
		return "the request states its version twice, or in a way that parsers read differently; " + has
	case reason == VersionUnknown:
		if stated := readVersion(e.request, &e.target, e.leaf); stated.stated {
			return fmt.Sprintf("the request states version %q; %s", stated.value, has)
		}
		return "the request states no version and none can be filled in; " + has
	case len(api.Versions) == 0:
		return "the API has no versions"
	}
	text := fmt.Sprintf("version %q", e.decision.Version)
	if e.decision.SetHeader != "" {
		text += ", filled in and told to the upstream in " + e.decision.SetHeader
	}
	if said := api.Deprecation(e.decision.Version); said != nil {
		text += ", which is deprecated: " + said.String()
	}
	return text
}

func (e *Evaluation) tellAccount() string {
	if e.leaf.account < 0 {
		return "the path names no account"
	}
	account := unescape(e.target.segment(e.leaf.account))
	own := append([]string{e.grant.Account}, e.grant.AccountIDs...)
	return fmt.Sprintf("the path names account %q; the token's account is %s", account, quoteAll(own))
}

func (e *Evaluation) tellScopes(reason Reason) string {
	if e.grant.Access != ScopedAccess {
		if reason == APINotGranted {
			return "a legacy token never has the management API " + Management
		}
		return fmt.Sprintf("a legacy token with access %s to every API", e.grant.Access)
	}
	return e.tellRules(reason)
}

// tellLimits says which of the token's limits the request would be taken from.
func (e *Evaluation) tellLimits() string {
	var words []string
	for i := range e.grant.Limits {
		limit := &e.grant.Limits[i]
		where := " over all APIs"
		if limit.API != "" {
			where = " for API " + limit.API
		}
		if limit.API != "" && limit.API != e.leaf.api.Name {
			continue
		}
		for _, bound := range [...]string{limit.Rate.String(), limit.Quota.String()} {
			if bound != "" {
				words = append(words, bound+where)
			}
		}
	}
	if len(words) == 0 {
		return "the token has limits, none of them for this API"
	}
	return "taken from " + strings.Join(words, ", ") + "; whether that is used up is not looked at here"
}

func (e *Evaluation) tellShadow(reason Reason) string {
	if reason == Allowed {
		return "the shadow scopes allow it too"
	}
	return fmt.Sprintf("not enforced: the shadow scopes would deny it as %s, for %s", reason, e.tellRules(reason))
}

// tellRules says how far the best of some rules came.
func (e *Evaluation) tellRules(reason Reason) string {
	switch reason {
	case Allowed:
		return "a scope grants API, version, method and operation"
	case APINotGranted:
		return "no scope names API " + e.leaf.api.Name
	case VersionNotGranted:
		return fmt.Sprintf("no scope for API %s has version %q", e.leaf.api.Name, e.decision.Version)
	case MethodNotGranted:
		return fmt.Sprintf("no scope for this API and version has method %s here", e.request.Method)
	case OperationNotGranted:
		return fmt.Sprintf("no scope for this API, version and method has operation %s", e.decision.Operation.Name)
	default:
		return reason.String()
	}
}

func quoteAll(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(quoted, ", ")
}

func joinPrefixes(prefixes []netip.Prefix) string {
	words := make([]string, len(prefixes))
	for i, p := range prefixes {
		words[i] = p.String()
	}
	return strings.Join(words, ", ")
}
