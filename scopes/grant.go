package scopes

import (
	"math"
	"net/netip"
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
	// Expires is when the credential ends, in Unix seconds: the token's expiry,
	// or 0 for never.
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

const everyOperation = math.MaxUint16

// anyVersion is the version bit of an API without versions.
const anyVersion = 1

// Covers reports how far the rule grants operation op of api in the versions of
// the one-bit set version by the one-bit set method.
func (r *Rule) grantsOperation(op int) bool {
	return r.block == everyOperation ||
		int(r.block) == op>>6 && r.operations&(1<<(op&63)) != 0
}
