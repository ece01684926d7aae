package scopes

import (
	"iter"
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
	Rules   RuleSet
	// Shadow is what is decided on too, and not enforced, if HasShadow.
	Shadow    RuleSet
	HasShadow bool
	// Limits bound how often the token may be used; they are sorted by API, that for
	// all APIs together first. No decision here counts requests. They are shared by
	// many grants, and must not be modified.
	Limits []Limit
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

// RuleSet is the rules of one token. Tokens share most of them, so they are few
// that stand in a table, and a set says which of them. The zero RuleSet has none.
type RuleSet struct {
	table []Rule
	ref   RuleRef
}

// RuleRef tells which rules of a table a set has. The zero RuleRef is none.
type RuleRef [3]uint32

// MaxRefs is the number of rules that can stand anywhere in the table. More than
// these stand in one run.
const MaxRefs = len(RuleRef{})

// isRun is the last part of a RuleRef to a run, whose first parts are where it
// begins and how many rules it has. Else each part is a position plus 1, or 0.
const isRun = math.MaxUint32

// RefTo returns a reference to rules at the given positions, at most [MaxRefs].
func RefTo(positions ...uint32) RuleRef {
	var ref RuleRef
	for i, p := range positions {
		ref[i] = p + 1
	}
	return ref
}

// RefToRun returns a reference to count rules from a position on.
func RefToRun(position, count uint32) RuleRef { return RuleRef{position, count, isRun} }

// RulesAt returns the set of rules of a table that ref refers to. The table must
// not be modified as long as the set is used.
func RulesAt(table []Rule, ref RuleRef) RuleSet { return RuleSet{table, ref} }

// RulesOf returns the set of all the given rules.
func RulesOf(rules []Rule) RuleSet {
	if len(rules) == 0 {
		return RuleSet{}
	}
	return RuleSet{rules, RefToRun(0, uint32(len(rules)))} //nolint:gosec // a token has fewer
}

// All yields the rules.
func (s *RuleSet) All() iter.Seq[Rule] {
	return func(yield func(Rule) bool) {
		if s.ref[MaxRefs-1] == isRun {
			for _, rule := range s.table[s.ref[0]:][:s.ref[1]] {
				if !yield(rule) {
					return
				}
			}
			return
		}
		for _, position := range s.ref {
			if position == 0 || !yield(s.table[position-1]) {
				return
			}
		}
	}
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
