package scopes

import (
	"iter"
	"slices"
)

// Difference says how what a token may do changes.
type Difference struct {
	Widens  bool // something is granted that was not
	Narrows bool // something is no longer granted
}

// cell is the smallest thing that can be granted, but for the method.
type cell struct {
	api, version, shape string
	others              bool // where the path names any account, not only the token's own
}

// Compare tells by set arithmetic on operations how a token changes from before,
// compiled against the catalog old, to after, against the catalog now. A nil
// token may do nothing; a nil catalog has nothing.
//
// An operation counts as its API, version, path and method, so that renaming it
// or a parameter changes nothing, and moving it takes one thing away and grants
// another. An operation whose path is no longer bound to the token's account is
// wider than before.
func Compare(old *Catalog, before *Token, now *Catalog, after *Token) Difference {
	had, has := old.granted(before), now.granted(after)
	var d Difference
	for c, methods := range has {
		d.Widens = d.Widens || methods&^had[c] != 0
	}
	for c, methods := range had {
		d.Narrows = d.Narrows || methods&^has[c] != 0
	}
	return d
}

// granted lists all that a token may do.
func (c *Catalog) granted(t *Token) map[cell]Methods {
	cells := make(map[cell]Methods)
	if c == nil || t == nil {
		return cells
	}
	for api, s := range c.scopesOf(t) {
		for g := range api.granted(s) {
			bound := api.AccountParam != "" && api.templates[g.operation].parameter(api.AccountParam) >= 0
			at := cell{api: api.Name, version: g.version, shape: api.templates[g.operation].shape()}
			cells[at] |= g.methods
			if at.others = true; !bound {
				cells[at] |= g.methods
			}
		}
	}
	return cells
}

// scopesOf yields what a token may do: its scopes, or as many as equal its legacy access, each
// with its API. What the catalog does not have is left out.
func (c *Catalog) scopesOf(t *Token) iter.Seq2[*compiledAPI, *Scope] {
	return func(yield func(*compiledAPI, *Scope) bool) {
		if t.Legacy() {
			for i := range c.declared() {
				api := &c.apis[i]
				if !yield(api, &Scope{API: api.Name, Versions: api.Versions, Methods: t.Access.Methods()}) {
					return
				}
			}
			return
		}
		for i := range t.Scopes {
			if at, ok := c.byName[t.Scopes[i].API]; ok && !yield(&c.apis[at], &t.Scopes[i]) {
				return
			}
		}
	}
}

// granted is an operation, by its position, that a scope grants in a version, and how.
type granted struct {
	operation int
	version   string // "" for an API without versions
	methods   Methods
}

// granted yields what a scope grants of the API.
func (a *compiledAPI) granted(s *Scope) iter.Seq[granted] {
	versions := s.Versions
	if len(a.Versions) == 0 && len(versions) == 0 {
		versions = []string{""}
	}
	return func(yield func(granted) bool) {
		for i := range a.Operations {
			op := &a.Operations[i]
			methods := op.Methods.WithHead() & s.Methods.WithHead()
			if methods == 0 || len(s.Operations) > 0 && !slices.Contains(s.Operations, op.Name) {
				continue
			}
			for _, v := range versions {
				if (v == "" || slices.Contains(a.Versions, v)) && !yield(granted{i, v, methods}) {
					return
				}
			}
		}
	}
}

// shape returns the template without the names of its parameters, {version} apart.
func (t Template) shape() string {
	t.Segments = slices.Clone(t.Segments)
	for i := range t.Segments {
		if s := &t.Segments[i]; s.Kind == Parameter && s.Text != VersionParameter {
			s.Text = ""
		}
	}
	return t.String()
}
