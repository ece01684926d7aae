package scopes_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

// TestRulesOfManyOperations names operations on both sides of each 64th, which is
// where a rule's set of bits ends.
func TestRulesOfManyOperations(t *testing.T) {
	t.Parallel()
	get := scopes.MethodOf("GET")
	api := scopes.API{Name: "wide"}
	for i := range 300 {
		api.Operations = append(api.Operations, scopes.Operation{Name: strconv.Itoa(i), Methods: get, Path: "/wide/" + strconv.Itoa(i)})
	}
	catalog := newCatalog(t, scopes.API{Name: "first"}, api)
	granted := []string{"0", "63", "64", "127", "128", "130", "299"}
	token := scopes.Token{Scopes: []scopes.Scope{{API: "wide", Methods: get, Operations: granted}}}
	grant := scopes.GrantOf(&scopes.Account{Name: "acme"}, &token, catalog)
	if n := len(slices.Collect(grant.Rules.All())); n != 4 {
		t.Errorf("%d rules, want one for each 64 operations of which some are granted: 4", n)
	}
	for _, op := range api.Operations {
		want := scopes.OperationNotGranted
		if slices.Contains(granted, op.Name) {
			want = scopes.Allowed
		}
		d := catalog.View().Decide(&scopes.Request{Method: "GET", Target: op.Path}, &grant)
		if d.Reason != want {
			t.Errorf("operation %s: %s, want %s", op.Name, d.Reason, want)
		}
	}
}

// TestRulesOfManyVersions grants each one of the most versions that an API can have.
func TestRulesOfManyVersions(t *testing.T) {
	t.Parallel()
	get := scopes.MethodOf("GET")
	api := scopes.API{Name: "wide", Operations: []scopes.Operation{{Name: "one", Methods: get, Path: "/{version}"}}}
	for i := range scopes.MaxVersions {
		api.Versions = append(api.Versions, "v"+strconv.Itoa(i))
	}
	catalog := newCatalog(t, api)
	for _, granted := range api.Versions {
		token := scopes.Token{Scopes: []scopes.Scope{{API: "wide", Versions: []string{granted}, Methods: get}}}
		grant := scopes.GrantOf(&scopes.Account{Name: "acme"}, &token, catalog)
		for _, version := range api.Versions {
			want := scopes.VersionNotGranted
			if version == granted {
				want = scopes.Allowed
			}
			d := catalog.View().Decide(&scopes.Request{Method: "GET", Target: "/" + version}, &grant)
			if d.Reason != want || d.Version != version {
				t.Errorf("version %s with a grant of %s: %s %s, want %s", version, granted, d.Reason, d.Version, want)
			}
		}
	}
}

// TestRulesWithoutWhatTheCatalogLacks compiles scopes for what is gone: that
// grants nothing, and is told.
func TestRulesWithoutWhatTheCatalogLacks(t *testing.T) {
	t.Parallel()
	get := scopes.MethodOf("GET")
	catalog := newCatalog(t,
		scopes.API{
			Name: "orders", Versions: []string{"v1", "v2"},
			Operations: []scopes.Operation{{Name: "one", Methods: get, Path: "/orders/{version}"}},
		},
		scopes.API{Name: "flat", Operations: []scopes.Operation{{Name: "one", Methods: get, Path: "/flat"}}},
	)
	tests := []struct {
		name    string
		scope   scopes.Scope
		missing string
		orders  scopes.Reason // for GET /orders/v1
		flat    scopes.Reason // for GET /flat
	}{
		{"nothing", scopes.Scope{API: "orders", Versions: []string{"v1"}}, "", scopes.Allowed, scopes.APINotGranted},
		{"the API", scopes.Scope{API: "gone", Versions: []string{"v1"}}, "API gone", scopes.APINotGranted, scopes.APINotGranted},
		{"the version", scopes.Scope{API: "orders", Versions: []string{"v3"}}, "version v3 of API orders", scopes.APINotGranted, scopes.APINotGranted},
		{"one version of two", scopes.Scope{API: "orders", Versions: []string{"v3", "v1"}}, "version v3 of API orders", scopes.Allowed, scopes.APINotGranted},
		{"the operation", scopes.Scope{API: "orders", Versions: []string{"v1"}, Operations: []string{"two"}}, "operation two of API orders", scopes.APINotGranted, scopes.APINotGranted},
		{"versions since the scope was made", scopes.Scope{API: "orders"}, "a version for API orders", scopes.APINotGranted, scopes.APINotGranted},
		{"the versions that the scope names", scopes.Scope{API: "flat", Versions: []string{"v1"}}, "version v1 of API flat", scopes.APINotGranted, scopes.APINotGranted},
		{"nothing, without versions", scopes.Scope{API: "flat"}, "", scopes.APINotGranted, scopes.Allowed},
	}
	for _, test := range tests {
		test.scope.Methods = get
		token := scopes.Token{Scopes: []scopes.Scope{test.scope}}
		if _, missing := catalog.Rules(nil, &token); strings.Join(missing, ", ") != test.missing {
			t.Errorf("%s: missing %q, want %q", test.name, missing, test.missing)
		}
		grant := scopes.GrantOf(&scopes.Account{Name: "acme"}, &token, catalog)
		for target, want := range map[string]scopes.Reason{"/orders/v1": test.orders, "/flat": test.flat} {
			if d := catalog.View().Decide(&scopes.Request{Method: "GET", Target: target}, &grant); d.Reason != want {
				t.Errorf("%s: GET %s: %s, want %s", test.name, target, d.Reason, want)
			}
		}
	}
}

// TestRulesAppends compiles two tokens into one slice, as a store does.
func TestRulesAppends(t *testing.T) {
	t.Parallel()
	get, put := scopes.MethodOf("GET"), scopes.MethodOf("PUT")
	catalog := newCatalog(t, scopes.API{Name: "a", Operations: []scopes.Operation{
		{Name: "x", Methods: get | put, Path: "/x"}, {Name: "y", Methods: get | put, Path: "/y"},
	}})
	one := scopes.Token{Scopes: []scopes.Scope{{API: "a", Methods: get, Operations: []string{"x"}}}}
	two := scopes.Token{Scopes: []scopes.Scope{{API: "a", Methods: put, Operations: []string{"y"}}, {API: "a", Methods: get, Operations: []string{"y"}}}}
	rules, _ := catalog.Rules(nil, &one)
	first := len(rules)
	rules, _ = catalog.Rules(rules, &two)
	tests := []struct {
		rules          []scopes.Rule
		method, target string
		want           scopes.Reason
	}{
		{rules[:first], "GET", "/x", scopes.Allowed},
		{rules[:first], "GET", "/y", scopes.OperationNotGranted},
		{rules[first:], "GET", "/x", scopes.OperationNotGranted},
		{rules[first:], "PUT", "/x", scopes.OperationNotGranted},
		{rules[first:], "PUT", "/y", scopes.Allowed},
		{rules[first:], "GET", "/y", scopes.Allowed},
	}
	for i, test := range tests {
		grant := scopes.Grant{State: scopes.Active, Rules: scopes.RulesOf(test.rules)}
		if d := catalog.View().Decide(&scopes.Request{Method: test.method, Target: test.target}, &grant); d.Reason != test.want {
			t.Errorf("%d: %s %s: %s, want %s", i, test.method, test.target, d.Reason, test.want)
		}
	}
}
