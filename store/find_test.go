package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

// names returns "account/name" of each.
func names(tokens []Token) []string {
	list := make([]string, len(tokens))
	for i := range tokens {
		list[i] = tokens[i].Ref()
	}
	return list
}

func TestSearch(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	a, b, c := testToken("a"), testToken("b"), testToken("c")
	a.Description, b.Description = "Copies YESTERDAY's orders", "Für die Größe"
	c.Contact = scopes.Contact{Name: "Data Team", Email: "data@globex.example"}
	apply(t, s, testFile(acme(a, b, c)))
	for search, want := range map[string]string{
		"":             "acme/a acme/b acme/c",
		"ACME/":        "acme/a acme/b acme/c",
		"e/B":          "acme/b",
		"yesterday":    "acme/a",
		"GRÖẞE":        "acme/b",
		"GRÖße":        "acme/b",
		"data team":    "acme/c",
		"@GLOBEX":      "acme/c",
		"team data":    "",
		"nothing such": "",
	} {
		for _, limit := range []int{0, 10} {
			got := names(must(t, func() ([]Token, error) { return s.Tokens(Filter{Search: search, Limit: limit}) }))
			if strings.Join(got, " ") != want {
				t.Errorf("search %q, limit %d: got %v, want %s", search, limit, got, want)
			}
		}
	}
}

// TestPages goes through all that a filter selects, page by page: it is the whole list,
// however rare what is selected is.
func TestPages(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	const tokens = 6 * fewNames
	fillEstate(t, path, tokens)
	s := openStore(t, path, testOptions())
	must(t, func() (Token, error) { return s.Delete(context.Background(), tester, "account-000299/token-03") })
	mustDo(t, s.Deactivate, "account-000002/token-03")
	mustDo(t, s.Deactivate, "account-000250/token-07")
	for _, f := range []Filter{
		{},
		{Deleted: true},
		{Deleted: true, OnlyDeleted: true},
		{Inactive: true},
		{API: "api-07"},
		{Account: "account-000123"},
		{Search: "token-07"},
		{Search: "account-0002"},
		{Search: "ACCOUNT-00029", API: "api-11"},
		{Search: "none of them"},
		{Account: "account-000299", Search: "TOKEN-1"},
		{After: "account-000298/token-05", Search: "token-0"},
	} {
		want := names(must(t, func() ([]Token, error) { return s.Tokens(f) }))
		for _, f.Limit = range []int{1, 7, 1000} {
			if len(want)/f.Limit > 100 {
				continue // it only takes longer
			}
			var got []string
			for page := f; ; page.After = got[len(got)-1] {
				next := names(must(t, func() ([]Token, error) { return s.Tokens(page) }))
				if len(next) > f.Limit {
					t.Fatalf("%+v: got %d tokens on a page", page, len(next))
				}
				if got = append(got, next...); len(next) < f.Limit {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%+v: got %d tokens, want %d: %v, %v", f, len(got), len(want), excerpt(got), excerpt(want))
			}
		}
	}
}

func excerpt(list []string) []string { return list[:min(len(list), 10)] }

// TestPagesWhereNamesWereUsedAgain: a name counts for who has it, not for the deleted one
// that had it before.
func TestPagesWhereNamesWereUsedAgain(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	fillEstate(t, path, 2*fewNames)
	s := openStore(t, path, testOptions())
	const name = "account-000099/token-05"
	must(t, func() (Token, error) { return s.Delete(context.Background(), tester, name) })
	again := testToken("token-05")
	again.Scopes = []scopes.Scope{{API: "api-00", Versions: []string{"v1"}, Methods: scopes.MethodOf("GET")}}
	must(t, func() (Token, error) { return s.Create(context.Background(), tester, "account-000099", &again) })
	for _, f := range []Filter{{Search: name, Limit: 5}, {Search: name, Limit: 5, Deleted: true}} {
		if got := must(t, func() ([]Token, error) { return s.Tokens(f) }); len(got) != 1 || got[0].Deleted {
			t.Errorf("%+v: got %+v, want the new one", f, got)
		}
	}
	only := Filter{Search: name, Limit: 5, Deleted: true, OnlyDeleted: true}
	if got := must(t, func() ([]Token, error) { return s.Tokens(only) }); len(got) != 0 {
		t.Errorf("%+v: got %+v, want none: its name is another's", only, got)
	}
}

func TestAccountFilter(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	apply(t, s, testFile(scopes.Account{Name: "acme", Title: "Acme Corp"}, scopes.Account{Name: "beta", IDs: []string{"IRx7"}}, scopes.Account{Name: "gamma"}))
	for want, f := range map[string]AccountFilter{
		"acme beta gamma": {},
		"beta gamma":      {After: "acme"},
		"beta ":           {After: "acme", Limit: 1},
		"gamma":           {After: "betb"},
		"acme":            {Search: "CORP"},
		"beta":            {Search: "irX"},
		"acme beta":       {Limit: 2},
		"":                {After: "gamma"},
	} {
		var got []string
		for _, a := range must(t, func() ([]Account, error) { return s.Accounts(f) }) {
			got = append(got, a.Name)
		}
		if strings.Join(got, " ") != strings.TrimSpace(want) {
			t.Errorf("%s: got %v, want %s", fmt.Sprintf("%+v", f), got, want)
		}
	}
}
