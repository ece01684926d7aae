package scopes

import "strings"

// readShadow reads the scopes that are decided on and counted, and not enforced.
func (r *reader) readShadow(n *yamlNode, d *tokenDraft) {
	d.Shadow = r.scopeList(n, d, "shadow", nil)
}

// readKeep reads what of a token stays although nobody uses it: true for all of it, or
// some scopes.
func (r *reader) readKeep(n *yamlNode, d *tokenDraft) {
	switch {
	case n.kind == boolean && strings.EqualFold(n.text, "true"):
		d.Keep.All = true
	case n.kind == boolean:
		r.problemf(n, "keep is true, or a list of scopes; leave it out where nothing is to be kept")
	case n.kind != list:
		r.problemf(n, "keep is true, or a list of scopes, such as [{api: orders, methods: [GET]}]; found %s", n.describe())
	default:
		d.Keep.Scopes = r.scopeList(n, d, "keep", r.checkKept)
	}
}

// checkKept tells a kept scope that the token does not have.
func (r *reader) checkKept(d *scopeDraft) {
	if !d.token.Legacy() && !d.token.scopesRead {
		return // what it has is not known
	}
	if lacks := d.token.Lacks(&d.Scope); lacks != "" {
		r.problemf(d.node, "%s does not have %s, so it cannot be kept; keep lists a part of what the token's scopes grant",
			d.token.place(), lacks)
	}
}
