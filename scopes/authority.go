package scopes

import (
	"slices"
	"strings"
)

// Authority is what an administrator's token may give to others: what it may do
// itself, and nothing else. The zero Authority has nothing to give.
type Authority struct {
	Account string   // of the administrator's token
	Token   *Token   // nil may do nothing
	Catalog *Catalog // tells which operations are bound to an account; nil: all are
}

// Lacks tells what a token of an account gets when it becomes after, instead of
// before, and the authority does not have itself: one scope, such as
// "orders:v1:DELETE:one", or an access, or "" if it has all of it. A nil before had
// nothing.
//
// Scopes are compared as they are written, not by what the APIs happen to have
// now: one for all operations has those of the future, and only one for all
// operations covers it. No scope covers legacy access, which is for every API. What
// is bound to an account by account_param is had for that account only.
func (a *Authority) Lacks(account string, before, after *Token) string {
	if after.Legacy() {
		if before != nil && before.Access.Methods()&after.Access.Methods() == after.Access.Methods() {
			return ""
		}
		return "access: " + after.Access.String()
	}
	for i := range after.Scopes {
		s := &after.Scopes[i]
		for u := range s.units() {
			missing := s.Methods.WithHead() &^ before.methodsOn(u)
			if missing != 0 && (a.Account == account || !a.bound(u)) {
				missing &^= a.Token.methodsOn(u)
			}
			if missing != 0 {
				return u.text(missing)
			}
		}
	}
	return ""
}

// unit is what a scope grants as a whole, but for the methods.
type unit struct {
	api, version string // "" for no version
	operation    string // "" for all that the API has or will have
}

// units yields what the scope is made of.
func (s *Scope) units() func(yield func(unit) bool) {
	versions, operations := s.Versions, s.Operations
	if len(versions) == 0 {
		versions = []string{""}
	}
	if len(operations) == 0 {
		operations = []string{""}
	}
	return func(yield func(unit) bool) {
		for _, version := range versions {
			for _, operation := range operations {
				if !yield(unit{s.API, version, operation}) {
					return
				}
			}
		}
	}
}

// methodsOn returns the methods that the token has on a unit.
func (t *Token) methodsOn(u unit) Methods {
	switch {
	case t == nil:
		return 0
	case t.Legacy() && u.api == Management:
		return 0
	case t.Legacy():
		return t.Access.Methods()
	}
	var methods Methods
	for i := range t.Scopes {
		s := &t.Scopes[i]
		if s.API == u.api && s.hasVersion(u.version) && (len(s.Operations) == 0 || slices.Contains(s.Operations, u.operation)) {
			methods |= s.Methods.WithHead()
		}
	}
	return methods
}

// Lacks tells what of a scope the token does not have, as the command line has a scope,
// such as "orders:v1:DELETE:one"; "" if it has all of it.
func (t *Token) Lacks(s *Scope) string {
	for u := range s.units() {
		if missing := s.Methods.WithHead() &^ t.methodsOn(u); missing != 0 {
			return u.text(missing)
		}
	}
	return ""
}

func (s *Scope) hasVersion(version string) bool {
	if version == "" {
		return len(s.Versions) == 0
	}
	return slices.Contains(s.Versions, version)
}

// bound reports whether a unit has operations, or may get some, that a token can
// use for its own account only. What is not known is.
func (a *Authority) bound(u unit) bool {
	if a.Catalog == nil {
		return true
	}
	index, ok := a.Catalog.byName[u.api]
	if !ok {
		return true
	}
	api := &a.Catalog.apis[index]
	if api.AccountParam == "" {
		return false
	}
	op, ok := api.opIndex[u.operation]
	return !ok || api.templates[op].parameter(api.AccountParam) >= 0
}

// text writes a unit with methods as the command line has a scope.
func (u unit) text(m Methods) string {
	methods := "*"
	if m&otherMethod == 0 {
		methods = strings.Join(m.withoutHead().Names(), ",")
	}
	text := u.api + ":" + u.version + ":" + methods
	if u.operation != "" {
		text += ":" + u.operation
	}
	return text
}
