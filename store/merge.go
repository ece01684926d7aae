package store

import (
	"bytes"
	"net/netip"
	"slices"

	"github.com/scopegate/scopegate/scopes"
)

// merge returns the token that a scope file makes of a live one. What the file
// changed since it was applied last, as base has it, is as the file wants it; all
// else stays as it is. Without a base everything is as the file wants it.
func merge(base, live, wanted *scopes.Token) scopes.Token {
	merged := *live
	for i := range fields {
		f := &fields[i]
		if base == nil || !f.equal(base, wanted) {
			f.copy(&merged, wanted)
		}
	}
	return merged
}

// field is a part of a token that changes as a whole.
type field struct {
	name   string
	encode func(*scopes.Token) []byte   // equal parts have equal bytes
	text   func(*scopes.Token) string   // for people; nil: too long to show
	copy   func(to, from *scopes.Token) // the part alone
}

func (f *field) equal(a, b *scopes.Token) bool { return bytes.Equal(f.encode(a), f.encode(b)) }

// fields are all that a scope file declares of a token but its name and its
// credential. What a token may do is one field, since its parts make no sense
// without each other.
var fields = []field{
	{
		name:   "state",
		encode: func(t *scopes.Token) []byte { return []byte(stateText(t)) },
		text:   stateText,
		copy:   func(to, from *scopes.Token) { to.Inactive = from.Inactive },
	},
	{
		name: "scopes",
		encode: func(t *scopes.Token) []byte {
			return appendScopes(appendString([]byte{byte(t.Access)}, t.Version), t.Scopes)
		},
		text: grantText,
		copy: func(to, from *scopes.Token) {
			to.Access, to.Version, to.Scopes = from.Access, from.Version, from.Scopes
		},
	},
	{
		name:   "expires",
		encode: func(t *scopes.Token) []byte { return appendTime(nil, t.Expires) },
		text:   expiryText,
		copy:   func(to, from *scopes.Token) { to.Expires = from.Expires },
	},
	{
		name:   "sources",
		encode: func(t *scopes.Token) []byte { return appendSources(nil, t.Sources) },
		text:   sourcesText,
		copy:   func(to, from *scopes.Token) { to.Sources = from.Sources },
	},
	{
		name:   "rate",
		encode: func(t *scopes.Token) []byte { return []byte(scopes.RateText(t.Limits)) },
		text:   func(t *scopes.Token) string { return orNone(scopes.RateText(t.Limits)) },
		copy:   func(to, from *scopes.Token) { to.Limits = scopes.JoinLimits(from.Limits, to.Limits) },
	},
	{
		name:   "quota",
		encode: func(t *scopes.Token) []byte { return []byte(scopes.QuotaText(t.Limits)) },
		text:   func(t *scopes.Token) string { return orNone(scopes.QuotaText(t.Limits)) },
		copy:   func(to, from *scopes.Token) { to.Limits = scopes.JoinLimits(to.Limits, from.Limits) },
	},
	{
		name:   "shadow",
		encode: func(t *scopes.Token) []byte { return appendScopes(nil, t.Shadow) },
		text:   func(t *scopes.Token) string { return scopesText(t.Shadow) },
		copy:   func(to, from *scopes.Token) { to.Shadow = from.Shadow },
	},
	{
		name:   "keep",
		encode: func(t *scopes.Token) []byte { return appendKeep(nil, &t.Keep) },
		text:   keepText,
		copy:   func(to, from *scopes.Token) { to.Keep = from.Keep },
	},
	{
		name:   "description",
		encode: func(t *scopes.Token) []byte { return []byte(t.Description) },
		copy:   func(to, from *scopes.Token) { to.Description = from.Description },
	},
	{
		name:   "contact",
		encode: func(t *scopes.Token) []byte { return appendString(appendString(nil, t.Contact.Name), t.Contact.Email) },
		text:   func(t *scopes.Token) string { return contactText(t.Contact) },
		copy:   func(to, from *scopes.Token) { to.Contact = from.Contact },
	},
	{
		name:   "environment",
		encode: func(t *scopes.Token) []byte { return []byte(t.Environment) },
		text:   func(t *scopes.Token) string { return orNone(t.Environment) },
		copy:   func(to, from *scopes.Token) { to.Environment = from.Environment },
	},
	{
		name:   "rotate_every",
		encode: func(t *scopes.Token) []byte { return []byte(t.RotateEvery.String()) },
		text:   rotationText,
		copy:   func(to, from *scopes.Token) { to.RotateEvery = from.RotateEvery },
	},
}

// within reports whether every address of sources a is in sources b. No sources
// are all addresses.
func within(a, b []netip.Prefix) bool {
	if len(b) == 0 {
		return true
	}
	if len(a) == 0 {
		return false
	}
	return !slices.ContainsFunc(a, func(inner netip.Prefix) bool {
		return !slices.ContainsFunc(b, func(outer netip.Prefix) bool {
			return outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
		})
	})
}
