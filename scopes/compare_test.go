package scopes_test

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

func TestCompare(t *testing.T) {
	t.Parallel()
	get, put := scopes.MethodOf("GET"), scopes.MethodOf("PUT")
	api := func(change func(*scopes.API)) *scopes.Catalog {
		a := scopes.API{
			Name: "orders", Versions: []string{"v1", "v2"}, AccountParam: "account",
			Operations: []scopes.Operation{
				{Name: "one", Methods: get | put, Path: "/orders/{version}/{account}/{id}"},
				{Name: "list", Methods: get, Path: "/orders/{version}"},
			},
		}
		change(&a)
		return newCatalog(t, a)
	}
	same := api(func(*scopes.API) {})
	token := func(scope scopes.Scope) *scopes.Token {
		scope.API = "orders"
		return &scopes.Token{Scopes: []scopes.Scope{scope}}
	}
	reader := token(scopes.Scope{Versions: []string{"v1"}, Methods: get})
	tests := []struct {
		name            string
		old             *scopes.Catalog
		before          *scopes.Token
		now             *scopes.Catalog
		after           *scopes.Token
		widens, narrows bool
	}{
		{"nothing changes", same, reader, same, reader, false, false},
		{"a new token", nil, nil, same, reader, true, false},
		{"a new token without a scope", same, nil, same, &scopes.Token{}, false, false},
		{"a token goes", same, reader, same, nil, false, true},
		{"a method more", same, reader, same, token(scopes.Scope{Versions: []string{"v1"}, Methods: get | put}), true, false},
		{"HEAD is part of GET", same, reader, same, token(scopes.Scope{Versions: []string{"v1"}, Methods: get.WithHead()}), false, false},
		{"a method that no operation has", same, reader, same, token(scopes.Scope{Versions: []string{"v1"}, Methods: get | scopes.MethodOf("LOCK")}), false, false},
		{"another version", same, reader, same, token(scopes.Scope{Versions: []string{"v2"}, Methods: get}), true, true},
		{"a version that the API does not have", same, reader, same, token(scopes.Scope{Versions: []string{"v1", "v3"}, Methods: get}), false, false},
		{"only some operations", same, reader, same, token(scopes.Scope{Versions: []string{"v1"}, Methods: get, Operations: []string{"one"}}), false, true},
		{"all operations by name", same, reader, same, token(scopes.Scope{Versions: []string{"v1"}, Methods: get, Operations: []string{"one", "list"}}), false, false},
		{"read_only reads all versions", same, reader, same, &scopes.Token{Access: scopes.ReadOnly}, true, false},
		{"read_only to read_write", same, &scopes.Token{Access: scopes.ReadOnly}, same, &scopes.Token{Access: scopes.ReadWrite}, true, false},
		{"the API gains an operation", same, reader, api(func(a *scopes.API) {
			a.Operations = append(a.Operations, scopes.Operation{Name: "new", Methods: get, Path: "/orders/{version}/new"})
		}), reader, true, false},
		{"an operation is renamed", same, reader, api(func(a *scopes.API) { a.Operations[0].Name = "single" }), reader, false, false},
		{
			"an operation is renamed that the scope names", same, token(scopes.Scope{Versions: []string{"v1"}, Methods: get, Operations: []string{"list"}}),
			api(func(a *scopes.API) { a.Operations[1].Name = "all" }), token(scopes.Scope{Versions: []string{"v1"}, Methods: get, Operations: []string{"all"}}), false, false,
		},
		{"a parameter is renamed", same, reader, api(func(a *scopes.API) { a.Operations[0].Path = "/orders/{version}/{account}/{number}" }), reader, false, false},
		{"the path states no version any more", same, reader, api(func(a *scopes.API) { a.Operations[1].Path = "/orders/{v}" }), reader, true, true},
		{"an operation moves", same, reader, api(func(a *scopes.API) { a.Operations[1].Path = "/all/{version}" }), reader, true, true},
		{"the account is not compared any more", same, reader, api(func(a *scopes.API) { a.AccountParam = "" }), reader, true, false},
		{"the account is compared from now on", api(func(a *scopes.API) { a.AccountParam = "" }), reader, same, reader, false, true},
		{"the account's parameter is renamed", same, reader, api(func(a *scopes.API) {
			a.AccountParam, a.Operations[0].Path = "sid", "/orders/{version}/{sid}/{id}"
		}), reader, false, false},
	}
	for _, test := range tests {
		got := scopes.Compare(test.old, test.before, test.now, test.after)
		if want := (scopes.Difference{Widens: test.widens, Narrows: test.narrows}); got != want {
			t.Errorf("%s: %+v, want %+v", test.name, got, want)
		}
	}
}

// TestCompareAgreesWithDecisions compares random tokens on random catalogs, and
// what Compare says with what is decided on every request.
func TestCompareAgreesWithDecisions(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	var widened, narrowed, same int
	for range 300 {
		old, now := randomCatalog(t, random), randomCatalog(t, random)
		if random.IntN(2) == 0 {
			now = old
		}
		before, after := randomToken(random), randomToken(random)
		had, has := allowedRequests(t, old, before), allowedRequests(t, now, after)
		want := scopes.Difference{Widens: !containsAll(had, has), Narrows: !containsAll(has, had)}
		if got := scopes.Compare(old, before, now, after); got != want {
			t.Fatalf("%+v, want %+v\n\told catalog %+v\n\tbefore %+v\n\tnew catalog %+v\n\tafter %+v", got, want, old.APIs(), before, now.APIs(), after)
		}
		if want.Widens {
			widened++
		}
		if want.Narrows {
			narrowed++
		}
		if want == (scopes.Difference{}) {
			same++
		}
	}
	if widened < 30 || narrowed < 30 || same < 30 {
		t.Errorf("of 300 only %d widen, %d narrow and %d are the same: the cases have become too alike", widened, narrowed, same)
	}
}

func newCatalog(t *testing.T, apis ...scopes.API) *scopes.Catalog {
	t.Helper()
	catalog, err := scopes.NewCatalog(apis)
	if err != nil {
		t.Fatal(err)
	}
	return catalog
}

// randomCatalog has two APIs with operations of a few that do not collide.
func randomCatalog(t *testing.T, random *rand.Rand) *scopes.Catalog {
	t.Helper()
	var apis []scopes.API
	for _, name := range []string{"a", "b"} {
		paths := []string{
			"/" + name, "/" + name + "/{version}/x", "/" + name + "/{id}", "/" + name + "/x/{account}", "/" + name + "/{n}/y/**", "/{account}/" + name,
		}
		api := scopes.API{Name: name, VersionFrom: []scopes.VersionPlace{{Kind: scopes.InHeader, Name: "Api-Version"}}}
		api.Versions = [][]string{nil, {"v1"}, {"v1", "v2"}, {"v2", "v1"}}[random.IntN(4)]
		api.AccountParam = []string{"", "account"}[random.IntN(2)]
		for i, path := range paths {
			if random.IntN(3) == 0 || len(api.Versions) == 0 && i == 1 {
				continue
			}
			api.Operations = append(api.Operations, scopes.Operation{
				Name: strconv.Itoa(random.IntN(2)) + path, Methods: randomMethods(random), Path: path,
			})
		}
		apis = append(apis, api)
	}
	return newCatalog(t, apis...)
}

var compareMethods = []string{"GET", "HEAD", "PUT", "BREW"}

func randomMethods(random *rand.Rand) scopes.Methods {
	get, head, put := scopes.MethodOf("GET"), scopes.MethodOf("HEAD"), scopes.MethodOf("PUT")
	return []scopes.Methods{get, head, put, get | put, scopes.AllMethods}[random.IntN(5)]
}

func randomToken(random *rand.Rand) *scopes.Token {
	switch random.IntN(8) {
	case 0:
		return nil
	case 1:
		return &scopes.Token{Access: scopes.ReadOnly}
	case 2:
		return &scopes.Token{Access: scopes.ReadWrite}
	}
	token := new(scopes.Token)
	for range 1 + random.IntN(2) {
		scope := scopes.Scope{API: []string{"a", "b", "gone"}[random.IntN(3)], Methods: randomMethods(random)}
		scope.Versions = [][]string{nil, {"v1"}, {"v2"}, {"v1", "v2", "v3"}}[random.IntN(4)]
		if random.IntN(3) == 0 {
			scope.Operations = []string{"0/" + scope.API, "1/" + scope.API + "/x/{account}", "0/" + scope.API + "/{id}"}
		}
		token.Scopes = append(token.Scopes, scope)
	}
	return token
}

// allowedRequest is a request that is allowed, of those that Compare tells apart.
type allowedRequest struct{ api, version, path, method, account string }

var parameterName = regexp.MustCompile(`\{[^}]*\}`)

// allowedRequests sends every operation, version and method, for the token's own
// account and for another.
func allowedRequests(t *testing.T, catalog *scopes.Catalog, token *scopes.Token) []allowedRequest {
	t.Helper()
	if token == nil {
		return nil
	}
	grant := scopes.GrantOf(&scopes.Account{Name: "acme"}, token, catalog)
	var allowed []allowedRequest
	for _, api := range catalog.APIs() {
		versions := api.Versions
		if len(versions) == 0 {
			versions = []string{""}
		}
		for _, op := range api.Operations {
			template, err := scopes.ParseTemplate(op.Path)
			if err != nil {
				t.Fatal(err)
			}
			for _, version := range versions {
				for _, method := range compareMethods {
					for _, account := range []string{"acme", "globex"} {
						request := scopes.Request{Method: method, Target: sampleTarget(template, version, account)}
						if version != "" {
							request.Header = map[string][]string{"Api-Version": {version}}
						}
						d := catalog.View().Decide(&request, &grant)
						if !d.Allowed() {
							continue
						}
						path := parameterName.ReplaceAllStringFunc(d.Operation.Path, func(name string) string {
							if name == "{version}" {
								return name
							}
							return "{}"
						})
						allowed = append(allowed, allowedRequest{d.API.Name, d.Version, path, method, account})
					}
				}
			}
		}
	}
	return allowed
}

func containsAll(all, some []allowedRequest) bool {
	return !slices.ContainsFunc(some, func(r allowedRequest) bool { return !slices.Contains(all, r) })
}
