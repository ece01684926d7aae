package scopes

import (
	"cmp"
	"maps"
	"math/bits"
	"slices"
)

// Permission is an operation of an API in one version, and the methods that are allowed
// on it.
type Permission struct {
	API, Version, Operation string
	Methods                 Methods
}

// Count returns how many methods m has, as a scope names them: HEAD does not count beside
// GET, nor do the methods without a name.
func (m Methods) Count() int { return bits.OnesCount32(uint32(m.withoutHead() &^ otherMethod)) }

// Permissions lists all that a token may do, in the order of the APIs and their operations.
// What the catalog does not have grants nothing.
func (c *Catalog) Permissions(t *Token) []Permission {
	all := make(map[Permission]Methods) // by a permission without methods
	for api, scope := range c.scopesOf(t) {
		for g := range api.granted(scope) {
			all[Permission{API: api.Name, Version: g.version, Operation: api.Operations[g.operation].Name}] |= g.methods
		}
	}
	return c.sorted(all)
}

// sorted returns permissions in the order of the catalog.
func (c *Catalog) sorted(granted map[Permission]Methods) []Permission {
	list := make([]Permission, 0, len(granted))
	for p, methods := range granted {
		p.Methods = methods
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b Permission) int {
		return cmp.Or(c.byName[a.API]-c.byName[b.API],
			slices.Index(c.API(a.API).Versions, a.Version)-slices.Index(c.API(b.API).Versions, b.Version),
			c.operation(a)-c.operation(b))
	})
	return list
}

// operation returns the position of a permission's operation.
func (c *Catalog) operation(p Permission) int { return c.apis[c.byName[p.API]].opIndex[p.Operation] }

// Cover returns scopes that grant the given permissions and nothing else, as few as are
// found by joining two at a time. Permissions of what the catalog does not have are left out.
func (c *Catalog) Cover(permissions []Permission) []Scope {
	byAPI := make(map[string]map[string]wantedOperations)
	for _, p := range permissions {
		at, ok := c.byName[p.API]
		if !ok {
			continue
		}
		if _, ok := c.apis[at].opIndex[p.Operation]; !ok || p.Methods == 0 {
			continue
		}
		if byAPI[p.API] == nil {
			byAPI[p.API] = make(map[string]wantedOperations)
		}
		if byAPI[p.API][p.Version] == nil {
			byAPI[p.API][p.Version] = make(wantedOperations)
		}
		byAPI[p.API][p.Version][p.Operation] |= p.Methods.WithHead()
	}
	var cover []Scope
	for _, name := range slices.SortedFunc(maps.Keys(byAPI), func(a, b string) int { return c.byName[a] - c.byName[b] }) {
		cover = append(cover, c.apis[c.byName[name]].cover(byAPI[name])...)
	}
	return cover
}

// wantedOperations are operations of one version of an API with the methods wanted.
type wantedOperations map[string]Methods

// cover returns scopes for what is wanted of each version. Versions of which the same is
// wanted share theirs.
func (a *compiledAPI) cover(byVersion map[string]wantedOperations) []Scope {
	var cover []Scope
	for _, version := range slices.SortedFunc(maps.Keys(byVersion), func(x, y string) int {
		return slices.Index(a.Versions, x) - slices.Index(a.Versions, y)
	}) {
		if version != "" && !slices.Contains(a.Versions, version) {
			continue
		}
		for _, one := range a.coverVersion(byVersion[version]) {
			same := slices.IndexFunc(cover, func(s Scope) bool {
				return s.Methods == one.Methods && slices.Equal(s.Operations, one.Operations)
			})
			switch {
			case version == "":
				cover = append(cover, one)
			case same >= 0:
				cover[same].Versions = append(cover[same].Versions, version)
			default:
				one.Versions = []string{version}
				cover = append(cover, one)
			}
		}
	}
	return cover
}

// coverVersion returns scopes, without versions, for what is wanted of one version.
func (a *compiledAPI) coverVersion(wanted wantedOperations) []Scope {
	var cover []Scope
	for _, name := range slices.SortedFunc(maps.Keys(wanted), func(x, y string) int { return a.opIndex[x] - a.opIndex[y] }) {
		one := Scope{API: a.Name, Methods: wanted[name], Operations: []string{name}}
		joined := slices.IndexFunc(cover, func(s Scope) bool { return a.canJoin(&s, &one, wanted) })
		if joined < 0 {
			cover = append(cover, one)
			continue
		}
		cover[joined].Methods |= one.Methods
		cover[joined].Operations = append(cover[joined].Operations, name)
	}
	for i := range cover {
		cover[i].Methods = cover[i].Methods.withoutHead()
	}
	return cover
}

// canJoin reports whether one scope in the place of two grants no more than is wanted.
func (a *compiledAPI) canJoin(s, other *Scope, wanted wantedOperations) bool {
	methods := s.Methods | other.Methods
	for _, name := range slices.Concat(s.Operations, other.Operations) {
		if a.Operations[a.opIndex[name]].Methods.WithHead()&methods.WithHead() != wanted[name] {
			return false
		}
	}
	return true
}
