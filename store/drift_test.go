package store

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

// Whatever is not as the file says is told, however it came about.
func TestDrift(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := newTestStore(t)
	f := testFile(acme(testToken("same"), testToken("held"), testToken("gone"), testToken("more"), testToken("new")))
	f.Accounts[0].Tokens = f.Accounts[0].Tokens[:4]
	before := testFile(acme(append(slices.Clone(f.Accounts[0].Tokens), testToken("extra"), edit(testToken("off"), func(t *scopes.Token) { t.Inactive = true }))...))
	apply(t, s, before)
	theirs := testFile(acme(testToken("theirs")))
	theirs.Owner, theirs.APIs = "them", nil
	apply(t, s, theirs)
	mustDo(t, s.Deactivate, "acme/held")
	mustDo(t, s.Delete, "acme/gone")
	_, _, err := s.Update(ctx, tester, "acme/more", func(t *scopes.Token) error {
		t.Scopes = orders("GET", "PUT")
		return nil
	}, UpdateOptions{AllowWiden: true})
	if err != nil {
		t.Fatal(err)
	}
	byHand := edit(testToken("by-hand"), func(t *scopes.Token) { t.Credential = scopes.Digest{} })
	if _, err := s.Create(ctx, tester, "acme", &byHand); err != nil {
		t.Fatal(err)
	}
	f.Accounts[0].Tokens = append(f.Accounts[0].Tokens, testToken("new"))
	f.APIs[0].Operations = f.APIs[0].Operations[:2]
	drift, err := s.Drift(ctx, f)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range drift.Differences {
		line := string(c.Action) + " " + c.Kind + " " + c.Name
		if c.Widens {
			line += " WIDEN"
		}
		got = append(got, line+": "+strings.Join(c.Details, "; "))
	}
	want := []string{
		"differs api orders: + one: GET|PUT /orders/{version}/{id}",
		"hold token acme/held: it was deactivated by hand, and stays inactive until it is activated",
		"missing token acme/gone: it was deleted",
		"differs token acme/more WIDEN: scopes: orders:v1:GET → orders:v1:GET,PUT",
		"missing token acme/new: ",
		"extra token acme/by-hand WIDEN: scopes: orders:v1:GET; it was made by hand",
		"extra token acme/extra WIDEN: scopes: orders:v1:GET",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	exported, _ := exported(t, s)
	if again, err := s.Drift(ctx, exported); err != nil || len(again.Differences) != 0 {
		t.Errorf("from what it exports: got %+v, %v, want no difference", again, err)
	}
}
