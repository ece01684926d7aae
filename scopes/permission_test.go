package scopes_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// catalogOfMany returns a few APIs with operations that no two paths share.
func catalogOfMany(t *testing.T, r *rand.Rand) *scopes.Catalog {
	t.Helper()
	methods := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "PURGE"}
	var apis []scopes.API
	for i := range 1 + r.IntN(4) {
		api := scopes.API{Name: fmt.Sprintf("api%d", i)}
		for v := range r.IntN(4) {
			api.Versions = append(api.Versions, fmt.Sprintf("v%d", v))
		}
		for o := range 1 + r.IntN(80) {
			op := scopes.Operation{Name: fmt.Sprintf("op%d", o), Path: fmt.Sprintf("/%s/%d", api.Name, o), Methods: scopes.AllMethods}
			if r.IntN(10) > 0 {
				op.Methods = 0
				for len(op.Methods.Names()) == 0 {
					for _, m := range methods {
						if r.IntN(3) == 0 {
							op.Methods |= scopes.MethodOf(m)
						}
					}
				}
			}
			api.Operations = append(api.Operations, op)
		}
		apis = append(apis, api)
	}
	catalog, err := scopes.NewCatalog(apis)
	if err != nil {
		t.Fatal(err)
	}
	return catalog
}

// TestCoverIsExact: scopes that cover some permissions grant these, and nothing else.
func TestCoverIsExact(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 8))
	for range 300 {
		catalog := catalogOfMany(t, random)
		all := catalog.Permissions(&scopes.Token{Access: scopes.ReadWrite})
		var want []scopes.Permission
		for _, p := range all {
			if p.Methods = (p.Methods & scopes.Methods(random.Uint32())).WithHead(); p.Methods != scopes.AllMethods {
				const nameless = 1 << 31 // all methods without a name are granted with "*" alone
				p.Methods &^= nameless
			}
			if random.IntN(3) > 0 || p.Methods.Count() == 0 {
				continue
			}
			want = append(want, p)
		}
		token := &scopes.Token{Scopes: catalog.Cover(want)}
		got := catalog.Permissions(token)
		if len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Fatalf("got  %v\nwant %v\nby   %v", got, want, token.Scopes)
		}
		if len(token.Scopes) > len(want) {
			t.Fatalf("%d scopes for %d permissions", len(token.Scopes), len(want))
		}
		whole := &scopes.Token{Scopes: catalog.Cover(all)}
		if d := scopes.Compare(catalog, whole, catalog, token); d.Widens {
			t.Fatalf("%v widens", token.Scopes)
		}
	}
}

func TestCoverJoins(t *testing.T) {
	t.Parallel()
	get, put := scopes.MethodOf("GET"), scopes.MethodOf("PUT")
	catalog, err := scopes.NewCatalog([]scopes.API{{
		Name: "orders", Versions: []string{"v1", "v2"}, Operations: []scopes.Operation{
			{Name: "list", Methods: get, Path: "/a"}, {Name: "one", Methods: get | put, Path: "/a/{id}"}, {Name: "log", Methods: get | put, Path: "/b"},
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	got := catalog.Cover([]scopes.Permission{
		{"orders", "v1", "list", get},
		{"orders", "v1", "one", get | put},
		{"orders", "v1", "log", get},
		{"orders", "v2", "log", get},
		{"orders", "v3", "log", get},
		{"orders", "v1", "gone", get},
		{"gone", "", "list", get},
	})
	want := []scopes.Scope{
		{API: "orders", Versions: []string{"v1"}, Methods: get | put, Operations: []string{"list", "one"}},
		{API: "orders", Versions: []string{"v1", "v2"}, Methods: get, Operations: []string{"log"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

const rescoped = `format: 1
# who may do what
apis:
  orders: {versions: ["v1"], upstream: [http://127.0.0.1:9000], operations: {list: GET /orders, one: GET|PUT /orders/x}}
accounts:
  acme:
    tokens:
      a:  # the first
        description: d
        contact: {email: a@acme.example}
        scopes:   # all of it
          - {api: orders, version: "v1", methods: ["*"]}

          - api: orders
            version: "v1"
            methods: [GET,
              PUT]
        # rotated in spring
        rotate_every: 90d
      b:
        description: d
        contact: {email: a@acme.example}
        scopes: [
          {api: orders, version: "v1", methods: [GET, PUT]},
        ]
      c: {description: d, contact: {email: a@acme.example}, scopes: [{api: orders, version: "v1", methods: [PUT]}]}
`

func TestRescope(t *testing.T) {
	t.Parallel()
	list := []scopes.Scope{{API: "orders", Versions: []string{"v1"}, Methods: scopes.MethodOf("GET"), Operations: []string{"list"}}}
	edits, err := scopes.Rescope([]byte(rescoped), map[string][]scopes.Scope{"acme/a": list, "acme/b": list, "acme/none": list})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(rescoped, "\n")
	for _, e := range slices.Backward(edits) {
		lines = slices.Replace(lines, e.First-1, e.Last, e.Lines...)
	}
	got := strings.Join(lines, "\n")
	for _, kept := range []string{"# the first", "# rotated in spring", "# who may do what", "rotate_every: 90d"} {
		if !strings.Contains(got, kept) {
			t.Errorf("%q is gone:\n%s", kept, got)
		}
	}
	file, err := scopes.Read("scopes.yaml", []byte(got), time.Unix(1, 0))
	if err != nil {
		t.Fatalf("%v\n%s", err, got)
	}
	tokens := file.Accounts[0].Tokens
	if len(tokens) != 3 || !reflect.DeepEqual(tokens[0].Scopes, list) || !reflect.DeepEqual(tokens[1].Scopes, list) {
		t.Errorf("got %v", tokens)
	}
	if _, err := scopes.Rescope([]byte(rescoped), map[string][]scopes.Scope{"acme/c": list}); err == nil || !strings.Contains(err.Error(), "acme/c") {
		t.Errorf("a token on one line: got %v, want an error that names it", err)
	}
	if _, err := scopes.Rescope([]byte("format: ["), nil); err == nil {
		t.Error("what is no YAML gives no error")
	}
}
