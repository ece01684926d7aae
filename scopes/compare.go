package scopes

import "slices"

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
	if t.Legacy() {
		for i := range c.declared() {
			api := &c.apis[i]
			s := Scope{API: api.Name, Versions: api.Versions, Methods: t.Access.Methods()}
			api.grant(cells, &s)
		}
		return cells
	}
	for i := range t.Scopes {
		if index, ok := c.byName[t.Scopes[i].API]; ok {
			c.apis[index].grant(cells, &t.Scopes[i])
		}
	}
	return cells
}

// grant adds what a scope grants of the API.
func (a *compiledAPI) grant(cells map[cell]Methods, s *Scope) {
	versions := s.Versions
	if len(a.Versions) == 0 && len(versions) == 0 {
		versions = []string{""}
	}
	for i := range a.Operations {
		op := &a.Operations[i]
		methods := op.Methods.WithHead() & s.Methods.WithHead()
		if methods == 0 || len(s.Operations) > 0 && !slices.Contains(s.Operations, op.Name) {
			continue
		}
		bound := a.AccountParam != "" && a.templates[i].parameter(a.AccountParam) >= 0
		for _, v := range versions {
			if v != "" && !slices.Contains(a.Versions, v) {
				continue
			}
			c := cell{api: a.Name, version: v, shape: a.templates[i].shape()}
			cells[c] |= methods
			if c.others = true; !bound {
				cells[c] |= methods
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
