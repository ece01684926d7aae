package scopes

import (
	"strings"
	"testing"
	"time"
)

const authorityAPIs = `format: 1
apis:
  orders:
    versions: ["v1", "v2"]
    operations: {list: "GET /orders/{version}", one: "GET|PUT|DELETE /orders/{version}/{id}"}
  partners:
    account_param: account
    operations: {actions: "GET /partners/{account}/actions", public: GET /partners}
`

// tokenWith reads a token from what stands in its mapping.
func tokenWith(t *testing.T, catalog *Catalog, keys string) *Token {
	t.Helper()
	if keys == "" {
		return nil
	}
	src := "{description: d, contact: {email: a@b.example}, " + keys + "}"
	token, _, err := ReadToken(catalog.APIs(), "a", "t", []byte(src), time.Now())
	if err != nil {
		t.Fatalf("%s: %v", keys, err)
	}
	return token
}

func TestAuthorityLacks(t *testing.T) {
	t.Parallel()
	file, err := Read("scopes.yaml", []byte(authorityAPIs), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	catalog, err := NewCatalog(file.APIs)
	if err != nil {
		t.Fatal(err)
	}
	const (
		readV1    = `scopes: [{api: orders, version: "v1", methods: [GET]}]`
		allV1     = `scopes: [{api: orders, version: "v1", methods: ["*"]}]`
		listV1    = `scopes: [{api: orders, version: "v1", methods: [GET], operations: [list]}]`
		bothV1    = `scopes: [{api: orders, version: "v1", methods: [GET], operations: [list, one]}]`
		readBoth  = `scopes: [{api: orders, version: ["v1", "v2"], methods: [GET]}]`
		partners  = `scopes: [{api: partners, methods: [GET]}]`
		public    = `scopes: [{api: partners, methods: [GET], operations: [public]}]`
		viewer    = `scopes: [{api: scopegate, methods: [GET]}]`
		helpdesk  = `scopes: [{api: scopegate, methods: [POST], operations: [tokens/deactivate]}]`
		readOnly  = `access: read_only`
		readWrite = `access: read_write`
	)
	for _, c := range []struct{ name, has, account, before, after, want string }{
		{"the same", readV1, "b", "", readV1, ""},
		{"fewer operations", readV1, "b", "", listV1, ""},
		{"another method", readV1, "b", "", allV1, "orders:v1:*"},
		{"every method, by name too", allV1, "b", "", readV1, ""},
		{"HEAD comes with GET", readV1, "b", "", `scopes: [{api: orders, version: "v1", methods: [HEAD]}]`, ""},
		{"GET does not come with HEAD", `scopes: [{api: orders, version: "v1", methods: [HEAD]}]`, "b", "", readV1, "orders:v1:GET"},
		{"another version", readV1, "b", "", readBoth, "orders:v2:GET"},
		{"another API", readV1, "b", "", partners, "partners::GET"},
		{"operations of the future", bothV1, "b", "", readV1, "orders:v1:GET"},
		{"all that there are now", readV1, "b", "", bothV1, ""},
		{"methods that an operation may get", listV1, "b", "", `scopes: [{api: orders, version: "v1", methods: ["*"], operations: [list]}]`, "orders:v1:*:list"},
		{"two scopes together", `scopes: [{api: orders, version: "v1", methods: [GET]}, {api: orders, version: "v1", methods: [PUT]}]`, "b", "", `scopes: [{api: orders, version: "v1", methods: [GET, PUT]}]`, ""},
		{"what it had already", readV1, "b", allV1, allV1, ""},
		{"less than it had", readV1, "b", allV1, `scopes: [{api: orders, version: "v1", methods: [PUT]}]`, ""},
		{"part had, part given", readV1, "b", `scopes: [{api: orders, version: "v1", methods: [PUT]}]`, `scopes: [{api: orders, version: "v1", methods: [GET, PUT]}]`, ""},
		{"moved to another version", readV1, "b", readV1, `scopes: [{api: orders, version: "v2", methods: [GET]}]`, "orders:v2:GET"},
		{"bound to its own account", partners, "a", "", partners, ""},
		{"bound to another account", partners, "b", "", partners, "partners::GET"},
		{"not bound", partners, "b", "", public, ""},
		{"management", allV1, "b", "", viewer, "scopegate::GET"},
		{"management, one operation", viewer, "b", "", helpdesk, "scopegate::POST:tokens/deactivate"},
		{"management it has", viewer, "b", "", viewer, ""},
		{"legacy access", allV1, "b", "", readOnly, "access: read_only"},
		{"wider legacy access", allV1, "b", readOnly, readWrite, "access: read_write"},
		{"legacy access it had", allV1, "b", readWrite, readOnly, ""},
		{"scopes for legacy access", readV1, "b", readWrite, readBoth, ""},
		{"methods beyond legacy access", readV1, "b", readOnly, allV1, "orders:v1:*"},
		{"management for legacy access", readV1, "b", readWrite, viewer, "scopegate::GET"},
		{"nobody's authority", "", "b", "", listV1, "orders:v1:GET:list"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := &Authority{Account: "a", Token: tokenWith(t, catalog, c.has), Catalog: catalog}
			got := a.Lacks(c.account, tokenWith(t, catalog, c.before), tokenWith(t, catalog, c.after))
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// An API that the catalog does not have, or no longer, may be bound to accounts.
func TestAuthorityOnUnknownAPI(t *testing.T) {
	t.Parallel()
	token := &Token{Scopes: []Scope{{API: "gone", Methods: ReadMethods}}}
	catalog, err := NewCatalog(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*Catalog{catalog, nil} {
		a := &Authority{Account: "a", Token: token, Catalog: c}
		if got := a.Lacks("a", nil, token); got != "" {
			t.Errorf("for its own account: got %q, want nothing", got)
		}
		if got := a.Lacks("b", nil, token); !strings.HasPrefix(got, "gone::") {
			t.Errorf("for another account: got %q, want gone::GET", got)
		}
	}
}
