package scopes

import (
	"errors"
	"strings"
)

// declaredAPI is an API of the file, with where its operations stand.
type declaredAPI struct {
	*API
	at         *yamlNode // its name; nil if no file declares it
	operations map[string]declaredOperation
	methods    Methods // that some operation has, with HEAD where it has GET
	sound      bool    // nothing is wrong with it
}

// operation returns an operation that the API has.
func (a *declaredAPI) operation(name string) *Operation {
	return &a.Operations[a.operations[name].index]
}

// knownAPI returns an API that no file declares, and that is as Read gives it.
func knownAPI(a *API) *declaredAPI {
	known := &declaredAPI{API: a, operations: make(map[string]declaredOperation, len(a.Operations)), sound: true}
	for i, op := range a.Operations {
		known.operations[op.Name] = declaredOperation{index: i}
		known.methods |= op.Methods.WithHead()
	}
	return known
}

// declaredOperation is an operation of the file, with where it stands.
type declaredOperation struct {
	node     *yamlNode
	index    int // in the API's operations; -1 if something is wrong with it
	template Template
}

// apiTable has the keys of an API. Operations are read when all else is known.
var apiTable = table[apiDraft]{"api", "an API", []field[apiDraft]{
	{key: "title", read: func(r *reader, n *yamlNode, d *apiDraft) { d.Title = r.title(n, "a title") }},
	{key: "hosts", read: func(r *reader, n *yamlNode, d *apiDraft) {
		d.Hosts = r.uniqueTexts(n, "hosts", "[api.example.com]", r.host)
	}},
	{key: "versions", read: (*reader).readVersions},
	{key: "account_param", read: (*reader).readAccountParam},
	{key: "openapi", read: (*reader).readOpenAPI},
	{key: "version_from", read: (*reader).readVersionFrom},
	{key: "default_version", read: (*reader).readDefaultVersion},
	{key: "path_case", read: func(r *reader, n *yamlNode, d *apiDraft) {
		d.FoldCase = r.word(n, "path_case", "sensitive", "insensitive") == "insensitive"
	}},
	{key: "encoded_slash", read: func(r *reader, n *yamlNode, d *apiDraft) {
		d.EncodedSlash = r.word(n, "encoded_slash", "refuse", "allow") == "allow"
	}},
	{key: "upstream", read: (*reader).readUpstream},
	{key: "operations", read: (*reader).readOperations},
	{key: "deprecated", read: (*reader).readDeprecated},
}}

// apiDraft is an API while it is read.
type apiDraft struct {
	API
	node *yamlNode // the API's mapping
	// versionsKnown is set unless the versions have a problem.
	versionsKnown bool
	operations    map[string]declaredOperation
}

func (r *reader) readAPIs(n *yamlNode, f *File) {
	before := r.told()
	defer func() { r.unsound = r.unsound || r.told() > before }()
	for p := range r.named(n, "an API", validName, nameRule) {
		if p.key.text == Management {
			r.problemf(p.key, "the name scopegate is reserved for the management API; choose another")
			continue
		}
		if first := r.apis[p.key.text]; first != nil && first.at != nil {
			r.problemf(p.key, "API %s is declared in %s already", p.key.text, r.place(first.at, p.key))
			continue
		}
		if len(f.APIs) == MaxAPIs {
			r.problemf(p.key, "more than %d APIs", MaxAPIs)
			break
		}
		r.readAPI(p, f)
	}
}

// checkAPIs is called once the APIs of all files are read.
func (r *reader) checkAPIs() {
	for i := range r.file.APIs { // they stay where they are from here on
		api := &r.file.APIs[i]
		declared := r.apis[api.Name]
		declared.API = api
		r.file.setOwner('a', api.Name, r.ownerOf(declared.at))
	}
	for i := range r.sources {
		if r.sources[i].owner != r.file.Owner {
			r.file.others = append(r.file.others, r.sources[i].owner)
		}
	}
	if r.unsound {
		r.versions = nil
		return
	}
	r.checkConflicts(r.file.APIs)
}

func (r *reader) readAPI(p yamlPair, f *File) {
	before := r.told()
	draft := apiDraft{API: API{Name: p.key.text}, node: p.value, versionsKnown: true}
	if readFields(r, &apiTable, p.key, p.value, &draft) {
		r.checkHasOperations(p)
	}
	if r.told() == before {
		r.checkAPI(&draft)
	}
	f.APIs = append(f.APIs, draft.API)
	for _, v := range draft.Versions {
		r.versions[v] = true
	}
	declared := &declaredAPI{at: p.key, operations: draft.operations, sound: r.told() == before}
	for _, op := range draft.Operations {
		declared.methods |= op.Methods.WithHead()
	}
	r.apis[draft.Name] = declared
}

// checkHasOperations tells an API that says of no operations where they are.
func (r *reader) checkHasOperations(p yamlPair) {
	if p.value.value("operations") == nil && p.value.value("openapi") == nil {
		r.problemf(p.key, `an API needs "operations", a mapping such as {list: GET /orders}, or "openapi", the path of a document`)
	}
}

// checkConflicts tells operations that match the same requests, at the later one.
func (r *reader) checkConflicts(apis []API) {
	_, err := NewCatalog(apis)
	var conflicts Conflicts
	if !errors.As(err, &conflicts) {
		if err != nil {
			r.add(0, Problem{Text: err.Error()})
		}
		return
	}
	for _, c := range conflicts {
		a, b := r.apis[c.A.API].operations[c.A.Operation].node, r.apis[c.B.API].operations[c.B.Operation].node
		r.problemf(b, "%s matches the same requests as %s in %s: %s %s; give them different paths, methods or hosts",
			c.B, c.A, r.place(a, b), c.Methods, c.Path)
	}
}

// checkAPI checks what takes several keys to see.
func (r *reader) checkAPI(d *apiDraft) {
	for _, op := range d.Operations {
		r.checkVersionStated(d, d.operations[op.Name])
	}
	if d.AccountParam != "" {
		r.checkAccountParam(d)
	}
}

// checkVersionStated tells an operation whose path states a version though the
// API has none, and one whose requests have no place to state theirs.
func (r *reader) checkVersionStated(d *apiDraft, op declaredOperation) {
	n := op.node
	inPath := op.template.parameter(VersionParameter) >= 0
	switch {
	case inPath && len(d.Versions) == 0:
		r.problemf(n, "the path has {version}, but API %s has no versions; list them under versions:", d.Name)
	case !inPath && len(d.Versions) > 1 && len(d.VersionFrom) == 0:
		r.warnf(n, "no request can say which version of API %s it means, so scoped tokens are refused; put {version} into the path, or name a header in version_from:", d.Name)
	}
}

// readAccountParam takes the name of the parameter; checkAccountParam looks at
// the operations.
func (r *reader) readAccountParam(n *yamlNode, d *apiDraft) {
	name, ok := r.text(n, "account_param")
	switch {
	case !ok:
	case !isParameterName(name):
		r.problemf(n, "account_param is the name of a parameter, such as AccountID, found %s", shown(name))
	case name == VersionParameter:
		r.problemf(n, "account_param cannot be {version}, which states the version")
	default:
		d.AccountParam = name
	}
}

// checkAccountParam sees to it that a slip in a name does not leave the account
// unchecked: an operation without the parameter is a warning, one with a
// parameter of nearly that name an error.
func (r *reader) checkAccountParam(d *apiDraft) {
	n := d.node.value("account_param")
	checked, slips := false, false
	for _, op := range d.Operations {
		at, template := d.operations[op.Name].node, d.operations[op.Name].template
		if template.parameter(d.AccountParam) >= 0 {
			checked = true
			continue
		}
		if slip := slipOf(d.AccountParam, template); slip != "" {
			slips = true
			r.problemf(at, "the path has {%s}, but account_param is %s, so the account is not checked; write {%s}, or if it is no account, another name",
				slip, d.AccountParam, d.AccountParam)
			continue
		}
		r.warnf(at, "the path of %s/%s has no {%s}, so it is open to tokens of every account", d.Name, op.Name, d.AccountParam)
	}
	if !checked && !slips {
		r.problemf(n, "no operation of API %s has the parameter {%s}, so the account is checked nowhere", d.Name, d.AccountParam)
	}
}

// slipOf returns the parameter of a template whose name is nearly name, or "".
func slipOf(name string, t Template) string {
	few := min(2, len(name)/4)
	for _, s := range t.Segments {
		if s.Kind == Parameter && editDistance(strings.ToLower(s.Text), strings.ToLower(name), few) <= few {
			return s.Text
		}
	}
	return ""
}

// isParameterName reports whether {name} can stand in a template.
func isParameterName(name string) bool {
	t, err := ParseTemplate("/{" + name + "}")
	return err == nil && t.parameter(name) == 0
}
