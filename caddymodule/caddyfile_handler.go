package caddymodule

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/scopegate/scopegate/scopes"
)

func init() {
	// Not RegisterHandlerDirective, which takes a matcher before we see it.
	httpcaddyfile.RegisterDirective("scopegate", parseHandler)
	// Before anything that could change the request: what is decided on is what
	// the client sent.
	httpcaddyfile.RegisterDirectiveOrder("scopegate", httpcaddyfile.Before, "method")
}

// parseHandler reads the directive:
//
//	scopegate {
//	    apis             <names...>
//	    credentials      bearer | basic | header <name>
//	    keep_credentials
//	    unauthenticated  401 | 403
//	    on_deny          answer | error
//	    preflight        answer <origins...>
//	    shadow
//	}
func parseHandler(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next() // so that an error has the place
	if err := refuseOrder(h); err != nil {
		return nil, err
	}
	h.Reset()
	handler := new(Handler)
	if err := handler.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return h.NewRoute(nil, handler), nil
}

// answering are the directives that answer a request or hand it on: one that stands
// before scopegate is reached without a decision.
var answering = []string{
	"invoke", "handle", "handle_path", "route", "respond", "metrics", "reverse_proxy", "php_fastcgi", "file_server",
	"scopegate_proxy",
}

// refuseOrder refuses a global option "order" that puts something before scopegate
// which answers.
func refuseOrder(h httpcaddyfile.Helper) error {
	order, _ := h.Option("order").([]string) // nil where Caddy's own order holds
	for _, directive := range order[:max(0, slices.Index(order, "scopegate"))] {
		if slices.Contains(answering, directive) {
			return h.Errf("the global option order puts %s before scopegate, so that nothing which %s answers would be decided on; "+
				"remove it, or let it leave scopegate before all that answers", directive, directive)
		}
	}
	return nil
}

// UnmarshalCaddyfile reads the directive's tokens.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if err := refuseArguments(d, "write its options into a block: scopegate { apis … }"); err != nil {
		return err
	}
	for d.NextBlock(0) {
		name := d.Val()
		known, err := h.option(d)
		if err != nil {
			return err
		}
		if !known {
			return d.Errf("unknown option %q of scopegate; expected %s", name, strings.Join(handlerOptions, ", "))
		}
	}
	return nil
}

// refuseArguments refuses a matcher with a reason: one would fail open, for /orders*
// does not match /orders%5cv1, and what it does not match is not decided on. It
// refuses any other argument with what to do instead.
func refuseArguments(d *caddyfile.Dispenser, instead string) error {
	directive := d.Val()
	if !d.NextArg() {
		return nil
	}
	argument := d.Val()
	if argument == "*" || strings.HasPrefix(argument, "/") || strings.HasPrefix(argument, "@") {
		return d.Errf("%s takes no matcher (got %s): requests that a matcher misses would not be checked. "+
			"Put %s into a handle block and end the site with a refusal: handle { respond 403 }", directive, argument, directive)
	}
	return d.Errf("%s takes no argument (got %s): %s", directive, argument, instead)
}

var handlerOptions = []string{
	"apis", "credentials", "keep_credentials", "unauthenticated", "on_deny", "preflight", "shadow",
}

// option reads one option of the block and reports whether it is one.
func (h *Handler) option(d *caddyfile.Dispenser) (known bool, err error) {
	switch d.Val() {
	case "apis":
		err = h.unmarshalAPIs(d)
	case "credentials":
		err = h.unmarshalCredentials(d)
	case "keep_credentials":
		err = flag(d, &h.KeepCredentials)
	case "unauthenticated":
		err = h.unmarshalUnauthenticated(d)
	case "on_deny":
		err = h.unmarshalOnDeny(d)
	case "preflight":
		err = h.unmarshalPreflight(d)
	case "shadow":
		err = flag(d, &h.Shadow)
	default:
		return false, nil
	}
	return true, err
}

func (h *Handler) unmarshalAPIs(d *caddyfile.Dispenser) error {
	names := d.RemainingArgs()
	if len(names) == 0 {
		return d.Err("apis takes the names of the APIs that are served here; leave it out to serve all")
	}
	if slices.Contains(names, scopes.Management) {
		return d.Err(managementElsewhere)
	}
	h.APIs = append(h.APIs, names...)
	return nil
}

func (h *Handler) unmarshalCredentials(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.Err("credentials takes: bearer, basic, header <name>, or several of them")
	}
	for i := 0; i < len(args); i++ {
		place := CredentialPlace{In: args[i]}
		switch args[i] {
		case "bearer", "basic":
		case "header":
			i++
			if i == len(args) {
				return d.Err("credentials header takes the header's name, such as X-Api-Key")
			}
			if !validFieldName(args[i]) {
				return d.Errf("credentials cannot be in the header %q: %s", args[i], fieldNameRule)
			}
			place.Name = http.CanonicalHeaderKey(args[i])
		default:
			return d.Errf("unknown place %q for credentials; expected bearer, basic or header <name>", args[i])
		}
		if slices.Contains(h.Credentials, place) {
			return d.Errf("credentials: %s stands twice", args[i])
		}
		h.Credentials = append(h.Credentials, place)
	}
	return nil
}

func (h *Handler) unmarshalUnauthenticated(d *caddyfile.Dispenser) error {
	if h.Unauthenticated != 0 {
		return d.Err("unauthenticated stands twice")
	}
	var status string
	if err := oneArg(d, &status); err != nil {
		return err
	}
	switch status {
	case "401":
		h.Unauthenticated = http.StatusUnauthorized
	case "403":
		h.Unauthenticated = http.StatusForbidden
	default:
		return d.Errf("unauthenticated is 401 or 403, not %q", status)
	}
	return nil
}

func (h *Handler) unmarshalOnDeny(d *caddyfile.Dispenser) error {
	if err := oneArg(d, &h.OnDeny); err != nil {
		return err
	}
	if h.OnDeny != "answer" && h.OnDeny != "error" {
		return d.Errf("on_deny is answer or error, not %q", h.OnDeny)
	}
	return nil
}

func (h *Handler) unmarshalPreflight(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 2 || args[0] != "answer" {
		return d.Err("preflight takes: answer <origins...>, such as: preflight answer https://app.example.com")
	}
	for _, origin := range args[1:] {
		if !validOrigin(origin) {
			return d.Errf("%q is no origin; expected a scheme, host and port without a path, such as https://app.example.com, or *", origin)
		}
	}
	h.Preflight = append(h.Preflight, args[1:]...)
	return nil
}

// validOrigin reports whether s is an origin as browsers write it (RFC 6454, section
// 6.2), or "*". Another spelling would never equal one.
func validOrigin(s string) bool {
	if s == "*" {
		return true
	}
	scheme, host, ok := strings.Cut(s, "://")
	return ok && scheme != "" && host != "" && s == strings.ToLower(s) && !strings.ContainsAny(host, "/?#@ ")
}

// fieldNameRule says which header may have credentials; see validFieldName.
const fieldNameRule = "expected letters, digits and hyphens, such as X-Api-Key, " +
	"and no header that has a meaning of its own (for Authorization there are bearer and basic)"

// validFieldName reports whether s is a header's name that the gateway may take a
// credential from: a token (RFC 9110, section 5.6.2) that Caddy does not drop for
// its "_" or ".", and not a field with a meaning of its own.
func validFieldName(s string) bool {
	switch name := http.CanonicalHeaderKey(s); name {
	case "", "Authorization", "Cookie", "Host", "Connection", "Content-Length", "Transfer-Encoding", "Te", "Trailer", "Upgrade":
		return false
	default:
		if strings.HasPrefix(name, "X-Scopegate-") {
			return false
		}
	}
	for _, c := range []byte(s) {
		if c != '-' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}

var _ caddyfile.Unmarshaler = (*Handler)(nil)
