package reports_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/reports"
	"github.com/scopegate/scopegate/scopes"
)

func TestSuggest(t *testing.T) {
	t.Parallel()
	get, put := scopes.MethodOf("GET"), scopes.MethodOf("PUT")
	list := func(operations ...string) scopes.Scope {
		return scopes.Scope{API: "orders", Versions: []string{"v1"}, Methods: get, Operations: operations}
	}
	tests := map[string]struct {
		token   func(*reports.Token)
		source  func(*counted)
		want    []scopes.Scope // nil: it is left
		why     string
		missing string
		noted   bool
		nothing bool // neither suggested nor left: it has no more than it needs
	}{
		"reads a list": {
			source: func(c *counted) { c.add(use("a", "v1", "list", "GET"), 5, day) },
			want:   []scopes.Scope{list("list")},
		},
		"reads and writes": {
			source: func(c *counted) {
				c.add(use("a", "v1", "list", "GET"), 5, day)
				c.add(use("a", "v1", "one", "PUT"), 1, 80*day)
			},
			want: []scopes.Scope{list("list"), {API: "orders", Versions: []string{"v1"}, Methods: put, Operations: []string{"one"}}},
		},
		"a method without a name": {
			source: func(c *counted) { c.add(use("a", "v2", "log", "other"), 1, day) },
			want:   []scopes.Scope{{API: "orders", Versions: []string{"v2"}, Methods: scopes.AllMethods, Operations: []string{"log"}}},
		},
		"used before the window": {
			source: func(c *counted) { c.add(use("a", "v1", "list", "GET"), 5, 100*day) },
			why:    "not used",
		},
		"was refused": {
			source: func(c *counted) {
				k := use("a", "v1", "list", "GET")
				k.Reason = "expired"
				c.add(k, 5, day)
			},
			why: "not used",
		},
		"keeps a rare job": {
			token: func(t *reports.Token) {
				t.Keep.Scopes = []scopes.Scope{{API: "orders", Versions: []string{"v1"}, Methods: get, Operations: []string{"one"}}}
			},
			source: func(c *counted) { c.add(use("a", "v1", "list", "GET"), 5, day) },
			want:   []scopes.Scope{list("list", "one")},
		},
		"keeps all": {
			token:  func(t *reports.Token) { t.Keep.All = true },
			source: func(c *counted) { c.add(use("a", "v1", "list", "GET"), 5, day) },
			why:    "keep",
		},
		"was made within the window": {
			token:  func(t *reports.Token) { t.Created = now.Add(-10 * day) },
			source: func(c *counted) { c.add(use("a", "v1", "list", "GET"), 5, day) },
			why:    "made within",
		},
		"counting began within the window": {
			source: func(c *counted) { c.since = now.Add(-10 * day); c.add(use("a", "v1", "list", "GET"), 5, day) },
			why:    "counting began",
		},
		"requests were lost": {
			source: func(c *counted) {
				c.add(use("a", "v1", "list", "GET"), 5, day)
				k := use("", "", "", "")
				k.Token, k.Reason = "", "lost"
				c.add(k, 1, day)
			},
			why: "could not be counted",
		},
		"another node has not told": {
			source:  func(c *counted) { c.add(use("a", "v1", "list", "GET"), 5, day) },
			missing: "the latest counts of other nodes",
			why:     "the latest counts of other nodes",
		},
		"used what is gone": {
			source: func(c *counted) {
				c.add(use("a", "v1", "list", "GET"), 5, day)
				c.add(use("a", "v1", "renamed", "GET"), 5, day)
			},
			nothing: true,
		},
		"uses all": {
			token:   func(t *reports.Token) { t.Scopes = []scopes.Scope{list("list")} },
			source:  func(c *counted) { c.add(use("a", "v1", "list", "GET"), 5, day) },
			nothing: true,
		},
		"inactive": {
			token:   func(t *reports.Token) { t.Inactive = true },
			source:  func(c *counted) { c.add(use("a", "v1", "list", "GET"), 5, day) },
			nothing: true,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token := newToken("a", everything())
			if test.token != nil {
				test.token(&token)
			}
			usedIn := func(c *counted) *reports.Usage {
				u := c.collect(t, 90*day)
				u.Missing = test.missing
				return u
			}
			source := counting()
			test.source(source)
			estate := &reports.Estate{Catalog: catalogOf(t, orders()), Tokens: []reports.Token{token}, Now: now}
			got := reports.Suggest(estate, usedIn(source))
			switch {
			case test.nothing:
				if len(got.Tokens)+len(got.Left) > 0 {
					t.Errorf("got %+v, want nothing", got)
				}
			case test.want == nil:
				if len(got.Tokens) > 0 || len(got.Left) != 1 || !strings.Contains(got.Left[0].Why, test.why) {
					t.Errorf("got %+v, want it left because of %q", got, test.why)
				}
			case len(got.Tokens) != 1 || !reflect.DeepEqual(declared(got.Tokens[0].Scopes), test.want):
				t.Errorf("got %+v, want %+v", got.Tokens, test.want)
			}
		})
	}
}

// TestSuggestIsSafe generates tokens and traffic: what is suggested allows every request that
// was made, grants nothing that the token did not have, and nothing more can be taken away.
func TestSuggestIsSafe(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(9, 10))
	suggested := 0
	for range 300 {
		catalog := catalogOf(t, randomAPIs(random)...)
		all := catalog.Permissions(&scopes.Token{Access: scopes.ReadWrite})
		var granted []scopes.Permission
		for _, p := range all {
			if random.IntN(2) == 0 {
				granted = append(granted, p)
			}
		}
		token := newToken("a", catalog.Cover(granted)...)
		source := counting()
		var made []scopes.Permission
		for _, p := range granted {
			for _, method := range p.Methods.Names() {
				if method == "*" {
					method = "other"
				}
				if random.IntN(4) > 0 {
					continue
				}
				k := use("a", p.Version, p.Operation, method)
				k.API = p.API
				source.add(k, 1+random.Uint64N(100), time.Duration(random.Int64N(int64(89*day))))
				one := p
				if one.Methods = scopes.MethodOf(method); method == "other" {
					one.Methods = scopes.AllMethods
				}
				made = append(made, one)
			}
		}
		estate := &reports.Estate{Catalog: catalog, Tokens: []reports.Token{token}, Now: now}
		got := reports.Suggest(estate, source.collect(t, 90*day))
		if len(got.Tokens) == 0 {
			continue
		}
		suggested++
		after := &scopes.Token{Scopes: declared(got.Tokens[0].Scopes)}
		if d := scopes.Compare(catalog, &token.Token, catalog, after); d.Widens || !d.Narrows {
			t.Fatalf("%v to %v: widens %t, narrows %t", token.Scopes, after.Scopes, d.Widens, d.Narrows)
		}
		least := catalog.Permissions(&scopes.Token{Scopes: catalog.Cover(made)})
		if have := catalog.Permissions(after); !reflect.DeepEqual(have, least) {
			t.Fatalf("suggested %v\nused      %v", have, least)
		}
	}
	if suggested < 200 {
		t.Errorf("only %d of 300 tokens got a suggestion", suggested)
	}
}

func randomAPIs(r *rand.Rand) []scopes.API {
	var apis []scopes.API
	for i := range 1 + r.IntN(3) {
		api := scopes.API{Name: fmt.Sprintf("api%d", i)}
		for v := range r.IntN(3) {
			api.Versions = append(api.Versions, fmt.Sprintf("v%d", v))
		}
		for o := range 1 + r.IntN(12) {
			op := scopes.Operation{Name: fmt.Sprintf("op%d", o), Path: fmt.Sprintf("/%s/%d", api.Name, o), Methods: scopes.AllMethods}
			if r.IntN(8) > 0 {
				op.Methods = scopes.MethodOf("GET")
				for _, m := range []string{"HEAD", "POST", "PUT", "DELETE"} {
					if r.IntN(2) == 0 {
						op.Methods |= scopes.MethodOf(m)
					}
				}
			}
			api.Operations = append(api.Operations, op)
		}
		apis = append(apis, api)
	}
	return apis
}

// TestPatch applies patches with patch itself.
func TestPatch(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(11, 12))
	for round := range 40 {
		lines := make([]string, 1+random.IntN(60))
		for i := range lines {
			lines[i] = fmt.Sprintf("line %d", i)
		}
		src := strings.Join(lines, "\n")
		if round%2 == 0 {
			src += "\n"
		}
		var edits []scopes.Edit
		for at := 1; at <= len(lines); at += 1 + random.IntN(12) {
			e := scopes.Edit{First: at, Last: min(at+random.IntN(3), len(lines))}
			for i := range 1 + random.IntN(3) {
				e.Lines = append(e.Lines, fmt.Sprintf("new %d.%d", at, i))
			}
			edits = append(edits, e)
			at = e.Last
		}
		folder := t.TempDir()
		file := filepath.Join(folder, "scopes.yaml")
		if err := os.WriteFile(file, []byte(src), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("git", "apply", "-p0", "--unidiff-zero", "-")
		cmd.Dir, cmd.Stdin = folder, strings.NewReader(reports.Patch("scopes.yaml", []byte(src), edits))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git apply: %v\n%s\n%s", err, out, reports.Patch("scopes.yaml", []byte(src), edits))
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if want := string(reports.Apply([]byte(src), edits)); string(got) != want {
			t.Fatalf("got\n%s\nwant\n%s\nby\n%s", got, want, reports.Patch("scopes.yaml", []byte(src), edits))
		}
	}
	if got := reports.Patch("scopes.yaml", []byte("x\n"), nil); got != "" {
		t.Errorf("no edits: got %q", got)
	}
}
