package scopes

import (
	"errors"
	"strings"
)

// readOperations reads the operations of the file. They go before those of a
// document that have the same name.
func (r *reader) readOperations(n *yamlNode, d *apiDraft) {
	if d.operations == nil {
		d.operations = make(map[string]declaredOperation)
	}
	for p := range r.named(n, "an operation", validOperationName, operationRule) {
		name := p.key.text
		op, template, ok := r.operation(p.value)
		if !ok { // scopes that name it are right nevertheless
			d.operations[name] = declaredOperation{node: p.value, index: -1}
			continue
		}
		op.Name = name
		at := len(d.Operations)
		if imported, both := d.operations[name]; both && imported.index >= 0 {
			at = imported.index
			d.Operations[at] = op
		} else {
			d.Operations = append(d.Operations, op)
		}
		d.operations[name] = declaredOperation{p.value, at, template}
	}
	switch {
	case n.kind == mapping && len(n.pairs) == 0:
		r.problemf(n, "operations is empty; an API has at least one operation")
	case len(d.Operations) > MaxOperations:
		r.problemf(n, "API %s has %d operations; at most %d are possible", d.Name, len(d.Operations), MaxOperations)
	}
}

const operationShape = `expected "METHOD /path", such as "GET|PUT /orders/{id}" or "* /files/**"`

// operation reads "METHOD[|METHOD] /path".
func (r *reader) operation(n *yamlNode) (op Operation, template Template, ok bool) {
	if n.kind != text {
		r.problemf(n, "%s, found %s", operationShape, n.describe())
		return op, template, false
	}
	methods, path, found := strings.Cut(n.text, " ")
	path = strings.TrimLeft(path, " ")
	if !found || strings.HasPrefix(methods, "/") {
		r.problemf(n, "%s, found %s", operationShape, shown(n.text))
		return op, template, false
	}
	op.Methods, ok = r.methodList(n, methods)
	op.Path = strings.TrimRight(path, " \n")
	template, err := ParseTemplate(op.Path)
	if flaw, wrong := errors.AsType[*TemplateError](err); wrong {
		r.problemAtf(n, len(n.text)-len(path)+flaw.Offset, "%s", flaw.Text)
		ok = false
	}
	return op, template, ok
}

// methodList reads "GET|PUT" or "*" at the start of an operation.
func (r *reader) methodList(n *yamlNode, list string) (set Methods, ok bool) {
	if list == "*" {
		return AllMethods, true
	}
	ok = true
	at := 0
	for name := range strings.SplitSeq(list, "|") {
		m, flaw := parseMethod(name)
		switch {
		case flaw != "":
			r.problemAtf(n, at, "%s", flaw)
			ok = false
		case set.Has(m):
			r.problemAtf(n, at, "the method %s stands twice", name)
			ok = false
		}
		set |= m
		at += len(name) + len("|")
	}
	return set, ok
}

// parseMethod returns the set of one method that can be granted by name, or says
// why it cannot.
func parseMethod(name string) (m Methods, flaw string) {
	m = MethodOf(name)
	upper := strings.ToUpper(name)
	switch {
	case m.named():
		return m, ""
	case name == "":
		return 0, "a method is missing"
	case name == "*":
		return 0, `"*" is every method, so it stands alone`
	case upper == "CONNECT" || upper == "TRACE":
		return 0, upper + " cannot be granted: it bypasses what a gateway checks"
	case MethodOf(upper).named():
		return 0, "methods are case-sensitive and in upper case; write " + upper
	}
	return 0, "unknown method " + shown(name) + suggestion(name, methodNames[:], "")
}
