package scopes

import (
	"slices"
)

var scopeTable = table[scopeDraft]{"scope", "a scope", []field[scopeDraft]{
	{key: "api", required: "the API that it grants", read: (*reader).readScopeAPI},
	{key: "version", read: (*reader).readScopeVersions},
	{key: "methods", required: `such as [GET, POST], or ["*"] for all`, read: (*reader).readScopeMethods},
	{key: "operations", read: (*reader).readScopeOperations},
}}

// scopeDraft is a scope while it is read.
type scopeDraft struct {
	Scope
	node    *yamlNode
	token   *tokenDraft
	api     *declaredAPI // nil if there is no such API
	methods []grantedMethod
}

// grantedMethod is a method of a scope, and where it stands.
type grantedMethod struct {
	set  Methods // with HEAD where it is GET
	node *yamlNode
}

func (r *reader) readScopes(n *yamlNode, d *tokenDraft) {
	if n.kind == list && len(n.items) == 0 {
		r.problemf(n, "a token without scopes may do nothing; list some, or leave it out, or write state: inactive beside them")
		return
	}
	before := r.told()
	d.Scopes = r.scopeList(n, d, "scopes", nil)
	d.scopesRead = r.told() == before
}

// scopeList reads a list of scopes. Each that has no problem is shown to check, if that
// is not nil.
func (r *reader) scopeList(n *yamlNode, d *tokenDraft, what string, check func(*scopeDraft)) []Scope {
	var list []Scope
	for _, item := range r.items(n, what, "[{api: orders, methods: [GET]}]") {
		before := r.told()
		draft := scopeDraft{node: item, token: d}
		if readFields(r, &scopeTable, item, item, &draft) && r.told() == before && draft.api.sound {
			r.checkScope(&draft)
			if check != nil && r.told() == before {
				check(&draft)
			}
		}
		draft.Methods = draft.Methods.withoutHead()
		list = append(list, draft.Scope)
	}
	return list
}

func (r *reader) readScopeAPI(n *yamlNode, d *scopeDraft) {
	name, ok := r.name(n, "an API")
	if !ok {
		return
	}
	if d.api = r.apis[name]; name == Management {
		d.api = managementDeclared
	}
	if d.api == nil {
		r.unknownf(n, keysOf(r.apis), "the file has ", "there is no API %s", shown(name))
	}
	d.API = name
}

// readScopeVersions reads one version or a list of them.
func (r *reader) readScopeVersions(n *yamlNode, d *scopeDraft) {
	read := r.version
	if d.api != nil && d.api.sound {
		read = func(n *yamlNode) (string, bool) { return r.versionOf(n, d.api.API) }
	}
	if n.kind == list {
		d.Versions = r.uniqueTexts(n, "version", `["13", "14"]`, read)
	} else if v, ok := read(n); ok {
		d.Versions = []string{v}
	}
}

// readScopeMethods reads a list of methods, or "*".
func (r *reader) readScopeMethods(n *yamlNode, d *scopeDraft) {
	const example = `[GET, POST], or ["*"] for all`
	items := []*yamlNode{n}
	if n.kind != text || n.text != "*" {
		items = r.items(n, "methods", example)
	}
	for _, item := range items {
		m, ok := r.scopeMethod(item, len(items))
		if !ok {
			continue
		}
		if slices.ContainsFunc(d.methods, func(g grantedMethod) bool { return g.node.text == item.text }) {
			r.problemf(item, "the method %s stands twice", item.text)
			continue
		}
		d.methods = append(d.methods, grantedMethod{m.WithHead(), item})
		d.Methods |= m.WithHead()
	}
}

// scopeMethod reads one method of a list of the given length.
func (r *reader) scopeMethod(n *yamlNode, of int) (Methods, bool) {
	if n.kind != text {
		r.problemf(n, "expected a method, such as GET, found %s", n.describe())
		return 0, false
	}
	if n.text == "*" && of == 1 {
		return AllMethods, true
	}
	m, flaw := parseMethod(n.text)
	if flaw != "" {
		r.problemf(n, "%s", flaw)
	}
	return m, flaw == ""
}

func (r *reader) readScopeOperations(n *yamlNode, d *scopeDraft) {
	d.Operations = r.uniqueTexts(n, "operations", "[list, create]", func(item *yamlNode) (string, bool) {
		if !r.isName(item, "an operation", validOperationName, operationRule) {
			return "", false
		}
		if d.api == nil || d.api.operations == nil {
			return item.text, true // its API has been told
		}
		if _, ok := d.api.operations[item.text]; !ok {
			r.unknownf(item, keysOf(d.api.operations), "it has ", "API %s has no operation %s", d.API, shown(item.text))
			return "", false
		}
		return item.text, true
	})
}

// checkScope fills in the versions and checks what takes several keys to see.
func (r *reader) checkScope(d *scopeDraft) {
	if len(d.Versions) == 0 {
		r.fillVersion(d)
	}
	some := d.api.methods // that some of the operations have
	if len(d.Operations) > 0 {
		some = 0
	}
	for _, name := range d.Operations {
		some |= d.api.operation(name).Methods.WithHead()
	}
	if d.Methods&some == 0 {
		r.warnf(d.node, "this scope grants nothing: none of its operations has one of its methods; they have %s", some)
		return
	}
	for _, m := range d.methods {
		if m.set&some == 0 {
			r.warnf(m.node, "no operation of this scope has the method %s", m.node.text)
		}
	}
	for _, name := range d.Operations {
		if op := d.api.operation(name); op.Methods.WithHead()&d.Methods == 0 {
			r.warnf(d.node.value("operations"), "operation %s is %s, which is not among this scope's methods", op.Name, op.Methods)
		}
	}
}

// fillVersion gives a scope that states no version the token's, or the only one
// of its API. There is no "all versions".
func (r *reader) fillVersion(d *scopeDraft) {
	versions := d.api.Versions
	switch {
	case len(versions) == 0:
	case d.token.Version != "" && slices.Contains(versions, d.token.Version):
		d.Versions = []string{d.token.Version}
	case d.token.Version != "":
		r.problemf(d.node, "API %s has no version %q, which the token is pinned to; say which one this scope grants, such as version: %q",
			d.API, d.token.Version, versions[0])
	case len(versions) == 1:
		d.Versions = []string{versions[0]}
	default:
		r.problemf(d.node, "API %s has the versions %s; say which one this scope grants, such as version: %q",
			d.API, quoteAll(versions), versions[len(versions)-1])
	}
}
