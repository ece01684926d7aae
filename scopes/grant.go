package scopes

import (
	"math"
	"net/netip"
	"slices"
)

// State is whether a token may be used.
type State uint8

// The zero State is that of a token nobody knows, so that the zero [Grant] denies.
const (
	Unknown   State = iota // no token has the credential that was sent
	Anonymous              // no credential was sent
	Deactivated
	Active
)

// Grant is all that a decision needs to know of a token, with its scopes
// compiled against one [Catalog]. The zero Grant is that of an unknown
// credential, and denies.
type Grant struct {
	State   State
	Access  Access // for a legacy token, which has no rules
	ID      string // "tok_…"
	Account string
	Name    string
	// Version is the version that the token is pinned to; "" for none.
	Version string
	// AccountIDs are the other names that an account parameter may have.
	AccountIDs []string
	// Expires is when the token ends, in Unix seconds; 0 for never.
	Expires int64
	Sources []netip.Prefix // none means everywhere
	Rules   []Rule
}

// Rule is one scope of a token, compiled against a [Catalog]: an API and bit sets
// of its versions, its operations and methods. It has no pointer, so that
// millions of them cost the garbage collector nothing.
type Rule struct {
	api        uint16
	block      uint16 // operations 64*block to 64*block+63, or everyOperation
	methods    Methods
	versions   uint64
	operations uint64
}

// everyOperation is the block of a rule for all that the API has.
const everyOperation = math.MaxUint16

// verdict tells how far the rule comes in granting an operation of its API, by
// its position: Allowed, or the reason why not.
func (r *Rule) verdict(version uint64, method Methods, op int) Reason {
	switch {
	case r.versions&version == 0:
		return VersionNotGranted
	case !r.methods.Has(method):
		return MethodNotGranted
	case r.block != everyOperation && (int(r.block) != op>>6 || r.operations&(1<<(op&63)) == 0):
		return OperationNotGranted
	}
	return Allowed
}

// Rules appends the compiled scopes of a token to dst. What the catalog does not
// have grants nothing and is returned in missing, in words, such as "version v3
// of API orders".
func (c *Catalog) Rules(dst []Rule, t *Token) (rules []Rule, missing []string) {
	for i := range t.Scopes {
		dst, missing = c.appendRules(dst, missing, &t.Scopes[i])
	}
	return dst, missing
}

func (c *Catalog) appendRules(dst []Rule, missing []string, s *Scope) ([]Rule, []string) {
	index, ok := c.byName[s.API]
	if !ok {
		return dst, append(missing, "API "+s.API)
	}
	api := &c.apis[index]
	rule := Rule{api: api.index, block: everyOperation, methods: s.Methods.WithHead()}
	if len(api.Versions) == 0 && len(s.Versions) == 0 {
		rule.versions = 1 // the one bit that stands for "no version"
	}
	for _, v := range s.Versions {
		if i := slices.Index(api.Versions, v); i >= 0 {
			rule.versions |= 1 << i
		} else {
			missing = append(missing, "version "+v+" of API "+s.API)
		}
	}
	if len(api.Versions) > 0 && len(s.Versions) == 0 {
		missing = append(missing, "a version for API "+s.API)
	}
	if rule.versions == 0 {
		return dst, missing
	}
	if len(s.Operations) == 0 {
		return append(dst, rule), missing
	}
	return api.appendBlocks(dst, missing, rule, s.Operations)
}

// appendBlocks appends the rule once for each block of 64 operations that the
// named ones fall into.
func (a *compiledAPI) appendBlocks(dst []Rule, missing []string, rule Rule, operations []string) ([]Rule, []string) {
	first := len(dst)
	for _, name := range operations {
		op, ok := a.opIndex[name]
		if !ok {
			missing = append(missing, "operation "+name+" of API "+a.Name)
			continue
		}
		block := uint16(op >> 6) //nolint:gosec // bounded by MaxOperations
		at := slices.IndexFunc(dst[first:], func(r Rule) bool { return r.block == block })
		if at < 0 {
			at = len(dst) - first
			rule.block, rule.operations = block, 0
			dst = append(dst, rule)
		}
		dst[first+at].operations |= 1 << (op & 63)
	}
	return dst, missing
}
