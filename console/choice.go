package console

import (
	"net/http"
	"slices"
	"strings"
)

// choice is what a token is to get of one version of an API: a table of its operations by
// method.
type choice struct {
	Key     string // "api/version"
	API     string
	Version string // "" for an API without versions
	Title   string
	Methods []string // the columns
	Rows    []choiceRow
	Later   bool // operations that the API gets later are granted too, where all of a method are
}

// choiceRow is one operation.
type choiceRow struct {
	operation
	Cells []choiceCell // one for each column
}

// choiceCell is a checkbox, unless the operation does not have the method.
type choiceCell struct {
	Method  string
	Value   string // in the form: "api/version METHOD operation"
	Checked bool
}

// offer is what can be added to the choices.
type offer struct {
	Key, API, Text string
}

// anyMethod is the method of operations that have all of them.
const anyMethod = "*"

// columnOrder are the methods in the order of the columns; those that are not in it follow.
var columnOrder = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}

// widely are the methods that are shown of an operation that has all of them.
var widely = []string{"GET", "POST", "PUT", "PATCH", "DELETE", anyMethod}

// firstGranted is what is chosen when an API is added: the least that is of use.
const firstGranted = "GET"

// newChoice makes the table of an API's version. With grants of nil, the first method is
// chosen of all operations; else what they say is.
func newChoice(a *api, version string, grants []string) *choice {
	c := &choice{Key: a.Name + "/" + version, API: a.Name, Version: version, Title: a.Title, Methods: columns(a.Operations)}
	for _, op := range a.Operations {
		row := choiceRow{operation: op}
		for _, method := range c.Methods {
			cell := choiceCell{Method: method}
			if slices.Contains(methodsOf(&op), method) {
				cell.Value = c.Key + " " + method + " " + op.Name
				cell.Checked = grants == nil && method == firstGranted || hasText(grants, cell.Value)
			}
			row.Cells = append(row.Cells, cell)
		}
		c.Rows = append(c.Rows, row)
	}
	return c
}

// methodsOf returns the methods that can be chosen of an operation.
func methodsOf(op *operation) []string {
	if hasText(op.Methods, anyMethod) {
		return widely
	}
	return op.Methods
}

// columns returns all methods of some operations, in the order of the table's columns.
func columns(operations []operation) []string {
	var all []string
	for i := range operations {
		all = append(all, methodsOf(&operations[i])...)
	}
	rank := func(method string) int {
		at := slices.Index(columnOrder, method)
		switch {
		case method == anyMethod:
			return 2 * len(columnOrder)
		case at < 0:
			return len(columnOrder)
		}
		return at
	}
	slices.SortFunc(all, func(a, b string) int {
		if rank(a) != rank(b) {
			return rank(a) - rank(b)
		}
		return strings.Compare(a, b)
	})
	return slices.Compact(all)
}

// scopes returns what is chosen as the scopes of a token: those operations that are granted
// with the same methods are one.
func (c *choice) scopes() []map[string]any {
	var scopes []map[string]any
	add := func(methods, operations []string) {
		s := map[string]any{"api": c.API, "methods": methods}
		if c.Version != "" {
			s["version"] = c.Version
		}
		if operations != nil {
			s["operations"] = operations
		}
		scopes = append(scopes, s)
	}
	whole := c.whole()
	if len(whole) > 0 {
		add(whole, nil)
	}
	var order []string
	operations := make(map[string][]string) // by their methods
	for i := range c.Rows {
		methods := c.Rows[i].granted(whole)
		if len(methods) == 0 {
			continue
		}
		key := strings.Join(methods, " ")
		if operations[key] == nil {
			order = append(order, key)
		}
		operations[key] = append(operations[key], c.Rows[i].Name)
	}
	for _, key := range order {
		add(strings.Fields(key), operations[key])
	}
	return scopes
}

// granted returns the methods that are chosen of an operation, but for some.
func (r *choiceRow) granted(but []string) []string {
	var methods []string
	for _, cell := range r.Cells {
		if cell.Checked && !hasText(but, cell.Method) {
			methods = append(methods, cell.Method)
		}
	}
	if hasText(methods, anyMethod) {
		return []string{anyMethod} // the others are in it
	}
	return methods
}

// whole returns the methods that are granted of all operations, also of those to come.
func (c *choice) whole() []string {
	var whole []string
	for at, method := range c.Methods {
		all := c.Later && method != anyMethod
		for i := range c.Rows {
			cell := &c.Rows[i].Cells[at]
			all = all && (cell.Value == "" || cell.Checked)
		}
		if all {
			whole = append(whole, method)
		}
	}
	return whole
}

// choose makes the choices of a form: those that it had, with their grants, and one that is
// added. It offers the others.
func (p *tokenForm) choose(v *visit, chosen, grants []string, added string) error {
	if p.MayChoose = v.client.May(http.MethodGet, "/scopegate/apis") && v.client.May(http.MethodGet, "/scopegate/apis/a"); !p.MayChoose {
		return nil
	}
	if grants == nil {
		grants = []string{} // nothing, instead of what is chosen first
	}
	all, err := v.readAPIs()
	if err != nil {
		return err
	}
	added = completed(all, added)
	details := make(map[string]*api)
	for _, one := range offersOf(all) {
		isNew := one.Key == added && !hasText(chosen, added)
		if !isNew && !hasText(chosen, one.Key) {
			p.Offered = append(p.Offered, one)
			continue
		}
		if details[one.API] == nil {
			details[one.API] = new(api)
			if err := ask(v.client, "/scopegate/apis/"+one.API, details[one.API]); err != nil {
				return err
			}
		}
		kept := grants
		if isNew {
			kept = nil
		}
		_, version, _ := strings.Cut(one.Key, "/")
		p.Choices = append(p.Choices, newChoice(details[one.API], version, kept))
	}
	return nil
}

// completed returns the key of what an address adds: an API, perhaps without its version.
func completed(all []api, added string) string {
	for i := range all {
		if all[i].Name == added && len(all[i].Versions) > 0 {
			return added + "/" + all[i].Versions[len(all[i].Versions)-1]
		}
		if all[i].Name == added {
			return added + "/"
		}
	}
	return added
}

// offersOf returns all versions of all APIs.
func offersOf(all []api) []offer {
	var offers []offer
	for i := range all {
		a := &all[i]
		text := a.Name
		if a.Title != "" {
			text += " · " + a.Title
		}
		if len(a.Versions) == 0 {
			offers = append(offers, offer{a.Name + "/", a.Name, text})
		}
		for _, version := range a.Versions {
			told := text + " · version " + version
			if _, ends := a.Deprecated[version]; ends {
				told += " (deprecated)"
			}
			offers = append(offers, offer{a.Name + "/" + version, a.Name, told})
		}
	}
	return offers
}

// hasText reports whether a text is in a list.
func hasText(list []string, text string) bool { return slices.Contains(list, text) }

// without returns a list without a text.
func without(list []string, text string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == text })
}
