package scopes

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

const (
	platformFile = `format: 1
owner: platform
apis:
  orders:
    versions: ["v1"]
    operations: {list: 'GET /orders/{version}'}
accounts:
  acme: {title: Acme Corp, ids: [IR1], max_active_tokens: 1}
`
	teamFile = `format: 1
owner: team
accounts:
  globex:
    tokens:
      sync: {description: d, contact: {email: a@b}, scopes: [{api: orders, methods: [GET]}]}
  acme:
    tokens:
      sync: {description: d, contact: {email: a@b}, scopes: [{api: orders, methods: [GET]}]}
tests:
  - {token: acme/sync, request: GET /orders/v1, expect: no_api}
`
)

// files returns sources called a, b and so on.
func files(texts ...string) []Source {
	sources := make([]Source, len(texts))
	for i, text := range texts {
		sources[i] = Source{Name: string(rune('a' + i)), Data: []byte(text)}
	}
	return sources
}

// In whatever order files come, what one declares the others may use.
func TestReadAll(t *testing.T) {
	t.Parallel()
	for _, order := range [][]string{{platformFile, teamFile}, {teamFile, platformFile}} {
		f, err := ReadAll(files(order...), Options{Now: testNow})
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Owners(); !reflect.DeepEqual(got, []string{"platform", "team"}) {
			t.Errorf("owners: got %q", got)
		}
		for what, got := range map[string]string{
			"platform of API orders": f.OwnerOfAPI("orders"), "platform of acme": f.OwnerOfAccount("acme"),
			"team of globex": f.OwnerOfAccount("globex"), "team of acme/sync": f.OwnerOfToken("acme/sync"),
		} {
			if want, _, _ := strings.Cut(what, " "); got != want {
				t.Errorf("%s: got %q", what, got)
			}
		}
		for i := range f.Accounts {
			a := &f.Accounts[i]
			if len(a.Tokens) != 1 || a.States() != (a.Name == "acme") {
				t.Errorf("got account %+v", a)
			}
		}
		catalog, err := NewCatalog(f.APIs)
		if err != nil {
			t.Fatal(err)
		}
		failed := RunTests(f, catalog)
		if len(failed) != 1 || failed[0].File != f.Tests[0].File || failed[0].Line != 11 {
			t.Errorf("the test that fails: got %v", failed)
		}
	}
}

// APIs that are known need not be declared.
func TestReadWithKnownAPIs(t *testing.T) {
	t.Parallel()
	platform, err := Read("a", []byte(platformFile), testNow)
	if err != nil {
		t.Fatal(err)
	}
	f, err := ReadAll(files(teamFile), Options{Now: testNow, Known: platform.APIs})
	if err != nil || len(f.APIs) != 0 || f.Accounts[0].Tokens[0].Scopes[0].Versions[0] != "v1" {
		t.Errorf("got %+v, %v", f, err)
	}
	anew := "format: 1\napis: {orders: {operations: {list: GET /o}}}\n"
	f, err = ReadAll(files(teamFile, anew), Options{Now: testNow, Known: platform.APIs})
	if err != nil || len(f.APIs) != 1 || f.Accounts[0].Tokens[0].Scopes[0].Versions != nil {
		t.Errorf("declared anew: got %+v, %v", f, err)
	}
}

// Problems say in which file they are, and where the other place is.
func TestReadAllProblems(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		files []string
		want  string
	}{
		{"not YAML", []string{teamFile, "format: 1\n  a: b"}, `b:2:4: not valid YAML: a ": " where no key can stand; put text that has one into quotes, and check the indentation`},
		{"an API twice", []string{platformFile, platformFile}, "b:4:3: API orders is declared in a, line 4 already\n" +
			"b:8:10: account acme has keys of its own in a, line 8 already; they stand in one file, its tokens in any"},
		{"a token twice", []string{platformFile, teamFile, strings.Replace(teamFile, "globex", "other", 1)}, "c:9:7: token acme/sync is declared in b, line 9 already"},
		{"an id twice", []string{platformFile, "format: 1\naccounts: {globex: {ids: [IR1]}}"}, "b:2:27: \"IR1\" already names account acme (a, line 8); the tokens of one would reach the other's data"},
		{
			"a limit in another file",
			[]string{teamFile, platformFile, "format: 1\naccounts:\n  acme:\n    tokens:\n      b: {description: d, contact: {email: a@b}, scopes: [{api: orders, methods: [GET]}]}"},
			"c:5:7: account acme has more than 1 active scoped tokens; make some inactive, or raise max_active_tokens",
		},
		{
			"conflicting operations",
			[]string{platformFile, "format: 1\napis: {b: {versions: [\"1\"], operations: {x: 'GET /orders/{version}'}}}"},
			"b:2:45: b/x matches the same requests as orders/list in a, line 6: GET /orders/{version}; give them different paths, methods or hosts",
		},
		{
			"two files with problems, in order",
			[]string{"format: 1\nx: 1", "format: 1\ny: 1"},
			"a:2:1: a scope file has no key \"x\"; it has the keys format, owner, apis, accounts, tests\n" +
				"b:2:1: a scope file has no key \"y\"; it has the keys format, owner, apis, accounts, tests",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f, err := ReadAll(files(c.files...), Options{Now: testNow})
			problems, ok := errors.AsType[Problems](err)
			if !ok || f != nil || problems.Error() != c.want {
				t.Errorf("got\n%v\nwant\n%s", err, c.want)
			}
		})
	}
}
