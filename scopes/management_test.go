package scopes

import (
	"slices"
	"strings"
	"testing"
	"time"
)

const managedFile = `format: 1
apis:
  orders: {operations: {list: GET /orders}}
  rest: {operations: {all: "* /**"}}
accounts:
  acme:
    tokens:
      viewer: {description: d, contact: {email: a@b.example}, scopes: [{api: scopegate, methods: [GET]}]}
      helpdesk: {description: d, contact: {email: a@b.example}, scopes: [{api: scopegate, methods: [POST], operations: [tokens/deactivate]}]}
      admin: {description: d, contact: {email: a@b.example}, scopes: [{api: scopegate, methods: ["*"]}]}
      client: {description: d, contact: {email: a@b.example}, scopes: [{api: orders, methods: [GET]}]}
      legacy: {contact: {email: a@b.example}, access: read_write}
tests:
  - {token: acme/viewer, request: GET /scopegate/tokens, expect: allow}
  - {token: acme/viewer, request: POST /scopegate/tokens, expect: method_not_granted}
  - {token: acme/helpdesk, request: POST /scopegate/tokens/acme/client/deactivate, expect: allow}
  - {token: acme/helpdesk, request: POST /scopegate/tokens/acme/client/activate, expect: operation_not_granted}
  - {token: acme/admin, request: DELETE /scopegate/accounts/acme, expect: allow}
  - {token: acme/client, request: GET /scopegate/status, expect: api_not_granted}
  - {token: acme/legacy, request: GET /scopegate/status, expect: api_not_granted}
  - {token: acme/legacy, request: GET /scopegate/none, expect: allow}
`

func managedCatalog(t *testing.T) (*File, *Catalog) {
	t.Helper()
	file, err := Read("scopes.yaml", []byte(managedFile), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if len(file.Warnings) > 0 {
		t.Errorf("got warnings %v, want none", file.Warnings)
	}
	catalog, err := NewCatalog(file.APIs)
	if err != nil {
		t.Fatal(err)
	}
	return file, catalog
}

// A scope file grants the built-in API as any other, and its tests know it.
func TestManagementInFile(t *testing.T) {
	t.Parallel()
	file, catalog := managedCatalog(t)
	for _, p := range RunTests(file, catalog) {
		t.Error(p)
	}
}

// No ordinary site serves the built-in API, whatever it names, and no token's grant
// makes it appear there.
func TestManagementIsOnNoOtherView(t *testing.T) {
	t.Parallel()
	file, catalog := managedCatalog(t)
	grant := GrantOf(&file.Accounts[0], &file.Accounts[0].Tokens[2], catalog)
	request := &Request{Method: "GET", Target: "/scopegate/status", Now: time.Now()}
	for _, c := range []struct {
		name string
		view *View
		want Reason
	}{
		{"all", catalog.View(), APINotGranted}, // of the API rest
		{"orders", catalog.View("orders"), NoAPI},
		{"by its name", catalog.View(Management), NoAPI},
		{"its own", catalog.ManagementView(), Allowed},
	} {
		if got := c.view.Decide(request, &grant); got.Reason != c.want {
			t.Errorf("view %s: got %v, want %v", c.name, got.Reason, c.want)
		}
	}
	orders := &Request{Method: "GET", Target: "/orders", Now: time.Now()}
	if got := catalog.ManagementView().Decide(orders, &grant); got.Reason != NoAPI {
		t.Errorf("orders on the management view: got %v, want %v", got.Reason, NoAPI)
	}
}

func TestManagementIsNotDeclared(t *testing.T) {
	t.Parallel()
	_, catalog := managedCatalog(t)
	if got := catalog.Len(); got != 2 {
		t.Errorf("Len: got %d, want 2", got)
	}
	if slices.ContainsFunc(catalog.APIs(), func(a API) bool { return a.Name == Management }) {
		t.Error("APIs has the built-in one")
	}
	if catalog.API(Management) == nil {
		t.Error("API does not know the built-in one")
	}
	if _, err := NewCatalog([]API{{Name: Management}}); err == nil {
		t.Error("a declared API took the name of the built-in one")
	}
}

// Legacy access does not cover the built-in API, so it is new to a token that had
// every other.
func TestManagementComparesWithLegacy(t *testing.T) {
	t.Parallel()
	file, catalog := managedCatalog(t)
	viewer, legacy := &file.Accounts[0].Tokens[0], &file.Accounts[0].Tokens[4]
	if d := Compare(catalog, legacy, catalog, viewer); !d.Widens || !d.Narrows {
		t.Errorf("got %+v, want it to widen and to narrow", d)
	}
}

func TestManagementScopeErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ scope, want string }{
		{`{api: scopegate, methods: [GET], operations: [token/list]}`, `API scopegate has no operation "token/list"; did you mean "tokens/list"?`},
		{`{api: scopegate, version: "v1", methods: [GET]}`, `API scopegate has no versions, so none can be named`},
	} {
		src := "format: 1\naccounts: {a: {tokens: {t: {description: d, contact: {email: a@b.example}, scopes: [" + c.scope + "]}}}}\n"
		if _, err := Read("scopes.yaml", []byte(src), time.Now()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.scope, err, c.want)
		}
	}
}

func TestOperationValues(t *testing.T) {
	t.Parallel()
	op := Operation{"tokens/issue", MethodOf("POST"), "/scopegate/tokens/{account}/{token}/issue"}
	for _, c := range []struct {
		target string
		want   []string // nil if it is not the operation's
	}{
		{"/scopegate/tokens/acme/sync/issue", []string{"scopegate", "tokens", "acme", "sync", "issue"}},
		{"/scopegate/%74okens/ac%6De/sync/issue?a=/b", []string{"scopegate", "tokens", "acme", "sync", "issue"}},
		{"/scopegate/tokens/acme/sync/issue/", nil},
		{"/scopegate/tokens/acme/sync", nil},
		{"/scopegate/tokens/acme/sync/rotate", nil},
		{"/scopegate/tokens//sync/issue", nil},
		{"/scopegate/tokens/a%2fb/sync/issue", nil},
		{"/scopegate/tokens/../sync/issue", nil},
		{"", nil},
	} {
		got, ok := op.Values(c.target)
		if ok != (c.want != nil) || ok && !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q %v, want %q", c.target, got, ok, c.want)
		}
	}
}
