package scopes

import "slices"

// Management is the name of the built-in API: what an administrator's token may
// do. Its operations are the management routes of Scopegate itself. Every catalog
// has it, no file declares it, and only [Catalog.ManagementView] serves it. A
// legacy token, whatever its access, has nothing of it.
const Management = "scopegate"

// managementOperations are the operations of the built-in API. Tokens are named
// by account and name only, so that one request has one path.
var managementOperations = []Operation{
	{"status", MethodOf("GET"), "/scopegate/status"},
	{"openapi", MethodOf("GET"), "/scopegate/openapi.json"},
	{"plan", MethodOf("POST"), "/scopegate/plan"},
	{"apply", MethodOf("POST"), "/scopegate/apply"},
	{"drift", MethodOf("POST"), "/scopegate/drift"},
	{"export", MethodOf("GET"), "/scopegate/export"},
	{"explain", MethodOf("POST"), "/scopegate/explain"},
	{"log", MethodOf("GET"), "/scopegate/log"},
	{"apis/list", MethodOf("GET"), "/scopegate/apis"},
	{"apis/show", MethodOf("GET"), "/scopegate/apis/{api}"},
	{"accounts/list", MethodOf("GET"), "/scopegate/accounts"},
	{"accounts/show", MethodOf("GET"), "/scopegate/accounts/{account}"},
	{"accounts/create", MethodOf("POST"), "/scopegate/accounts"},
	{"accounts/delete", MethodOf("DELETE"), "/scopegate/accounts/{account}"},
	{"tokens/list", MethodOf("GET"), "/scopegate/tokens"},
	{"tokens/show", MethodOf("GET"), "/scopegate/tokens/{account}/{token}"},
	{"tokens/create", MethodOf("POST"), "/scopegate/tokens"},
	{"tokens/update", MethodOf("PATCH"), "/scopegate/tokens/{account}/{token}"},
	{"tokens/delete", MethodOf("DELETE"), "/scopegate/tokens/{account}/{token}"},
	{"tokens/issue", MethodOf("POST"), "/scopegate/tokens/{account}/{token}/issue"},
	{"tokens/rotate", MethodOf("POST"), "/scopegate/tokens/{account}/{token}/rotate"},
	{"tokens/retire", MethodOf("POST"), "/scopegate/tokens/{account}/{token}/retire"},
	{"tokens/import", MethodOf("POST"), "/scopegate/tokens/{account}/{token}/import"},
	{"tokens/activate", MethodOf("POST"), "/scopegate/tokens/{account}/{token}/activate"},
	{"tokens/deactivate", MethodOf("POST"), "/scopegate/tokens/{account}/{token}/deactivate"},
	{"reports/usage", MethodOf("GET"), "/scopegate/reports/usage"},
	{"reports/activity", MethodOf("GET"), "/scopegate/reports/activity"},
	{"reports/attention", MethodOf("GET"), "/scopegate/reports/attention"},
	{"reports/errors", MethodOf("GET"), "/scopegate/reports/errors"},
	{"reports/unused", MethodOf("GET"), "/scopegate/reports/unused"},
	{"reports/overprivileged", MethodOf("GET"), "/scopegate/reports/overprivileged"},
	{"reports/rotation", MethodOf("GET"), "/scopegate/reports/rotation"},
	{"reports/legacy", MethodOf("GET"), "/scopegate/reports/legacy"},
	{"reports/contacts", MethodOf("GET"), "/scopegate/reports/contacts"},
	{"reports/shadow", MethodOf("GET"), "/scopegate/reports/shadow"},
	{"reports/deprecated", MethodOf("GET"), "/scopegate/reports/deprecated"},
	{"suggest", MethodOf("GET"), "/scopegate/suggest"},
}

// ManagementAPI returns the built-in API.
func ManagementAPI() API {
	return API{Name: Management, Title: "Management of Scopegate", Operations: slices.Clone(managementOperations)}
}

// ManagementView returns the view that serves the built-in API and nothing else.
func (c *Catalog) ManagementView() *View {
	router, _ := route(c.apis[len(c.apis)-1:], nil)
	return &View{catalog: c, router: router}
}

// Everything returns the view of all APIs and the built-in one, for questions that
// are asked apart from a site. Where both have the same path, it is the declared
// API's.
func (c *Catalog) Everything() *View {
	c.everythingOnce.Do(func() {
		router, _ := route(c.apis, nil)
		c.everything = &View{catalog: c, router: router, slashes: c.allowsEncodedSlash()}
	})
	return c.everything
}

// managementDeclared is the built-in API as scopes of a file refer to it.
var managementDeclared = func() *declaredAPI {
	api := ManagementAPI()
	return knownAPI(&api)
}()

// Values returns the decoded segments of a target, if it is one of the operation's,
// in the order of its path's segments. It is for who serves the operation, so that
// nobody reads the target a second time in another way.
func (o *Operation) Values(rawTarget string) (segments []string, ok bool) {
	template, err := ParseTemplate(o.Path)
	if err != nil || template.hasRest() {
		return nil, false
	}
	var t target
	if flaw := t.parse(rawTarget, false); flaw != "" {
		return nil, false
	}
	path := t.path[1:]
	for i, s := range template.Segments {
		segment, rest, more := cutSegment(path)
		text := unescape(segment)
		if text == "" || s.Kind == Literal && text != s.Text || more != (i+1 < len(template.Segments) || template.Slash) {
			return nil, false
		}
		segments = append(segments, text)
		path = rest
	}
	return segments, path == ""
}
