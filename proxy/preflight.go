package proxy

import (
	"net/http"
	"slices"
	"strings"

	"github.com/scopegate/scopegate/scopes"
)

// Preflight reports whether the request is a CORS preflight that the gateway
// answers itself.
func (v *Verdict) Preflight() bool { return v.preflight != 0 }

// preflightMethods returns the methods that the API has at the target of a CORS
// preflight (Fetch standard, section 3.2.2); none if the request is no preflight
// from an origin that is answered.
func (g *Gateway) preflightMethods(r *http.Request, view *scopes.View, target string) scopes.Methods {
	if len(g.PreflightOrigins) == 0 || r.Method != http.MethodOptions {
		return 0
	}
	origin, asked := r.Header["Origin"], r.Header["Access-Control-Request-Method"]
	if len(origin) != 1 || len(asked) != 1 || !g.answersOrigin(origin[0]) {
		return 0
	}
	methods := view.MethodsAt(r.Host, target)
	if !methods.Has(scopes.MethodOf(asked[0])) {
		return 0
	}
	return methods
}

func (g *Gateway) answersOrigin(origin string) bool {
	return slices.Contains(g.PreflightOrigins, origin) || slices.Contains(g.PreflightOrigins, "*")
}

// answerPreflight allows the methods and whatever fields the page asks to send:
// each request is decided on by itself when it comes.
func answerPreflight(w http.ResponseWriter, r *http.Request, methods scopes.Methods) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	allowed := methods.Names()
	if methods == scopes.AllMethods {
		allowed = r.Header["Access-Control-Request-Method"]
	}
	h.Set("Access-Control-Allow-Methods", strings.Join(allowed, ", "))
	if fields := r.Header["Access-Control-Request-Headers"]; len(fields) > 0 {
		h.Set("Access-Control-Allow-Headers", strings.Join(fields, ", "))
	}
	h.Set("Access-Control-Max-Age", "600")
	h.Add("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
	w.WriteHeader(http.StatusNoContent)
}
