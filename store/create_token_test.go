package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

func TestCreate(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := newTestStore(t)
	apply(t, s, testFile())
	token := testToken("a")
	first := must(t, func() (Token, error) { return s.Create(ctx, tester, "acme", &token) })
	if stateOf(s, "secret of a") != scopes.Active || first.Owner != "" {
		t.Errorf("created %+v, want an active token that no file declares", first)
	}
	if _, err := s.Create(ctx, tester, "acme", &token); !errors.Is(err, ErrExists) {
		t.Errorf("the name is taken: got %v, want ErrExists", err)
	}
	must(t, func() (Token, error) { return s.Delete(ctx, tester, "acme/a") })
	if _, err := s.Create(ctx, tester, "acme", &token); !errors.Is(err, ErrDead) {
		t.Errorf("the credential is dead: got %v, want ErrDead", err)
	}
	token.Credential = scopes.Digest{}
	again := must(t, func() (Token, error) { return s.Create(ctx, tester, "acme", &token) })
	if again.ID == first.ID {
		t.Error("a name that is used again got the same id")
	}
	if old, err := s.Token(first.ID); err != nil || !old.Deleted {
		t.Errorf("the deleted token: got %+v, %v", old, err)
	}
	for i := range scopes.DefaultMaxActive - 1 {
		next := testToken(fmt.Sprintf("n%d", i))
		must(t, func() (Token, error) { return s.Create(ctx, tester, "acme", &next) })
	}
	over := testToken("over")
	if _, err := s.Create(ctx, tester, "acme", &over); !errors.Is(err, ErrLimit) {
		t.Errorf("one more than the limit: got %v, want ErrLimit", err)
	}
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := newTestStore(t)
	file := testFile(acme(testToken("a")))
	apply(t, s, file)
	update := func(edit func(*scopes.Token), o UpdateOptions) (Token, Change, error) {
		return s.Update(ctx, tester, "acme/a", func(t *scopes.Token) error { edit(t); return nil }, o)
	}
	widen := func(t *scopes.Token) { t.Scopes[0].Methods |= scopes.MethodOf("PUT") }
	if _, _, err := update(widen, UpdateOptions{}); !errors.Is(err, ErrWiden) || !strings.Contains(err.Error(), "PUT") {
		t.Errorf("widening: got %v, want ErrWiden that says what", err)
	}
	if token := must(t, func() (Token, error) { return s.Token("acme/a") }); token.Scopes[0].Methods != scopes.MethodOf("GET") {
		t.Errorf("a refused update left %v", token.Scopes)
	}
	if _, c, err := update(widen, UpdateOptions{AllowWiden: true}); err != nil || !c.Widens || c.Narrows {
		t.Errorf("got %+v, %v, want a change that widens", c, err)
	}
	token, c, err := update(func(t *scopes.Token) { t.Expires = testNow.AddDate(1, 0, 0); t.Inactive, t.Name = true, "b" }, UpdateOptions{})
	if err != nil || !c.Narrows || c.Widens || token.Inactive || token.Name != "a" {
		t.Errorf("got %+v, %+v, %v, want a change that narrows, and the name and state as they were", token, c, err)
	}
	revision := s.Snapshot().Revision()
	if _, c, err := update(func(*scopes.Token) {}, UpdateOptions{}); err != nil || len(c.Details) > 0 || s.Snapshot().Revision() != revision {
		t.Errorf("nothing to change: got %+v, %v", c, err)
	}
	apply(t, s, file) // which did not change: what was changed by hand stays
	if token := must(t, func() (Token, error) { return s.Token("acme/a") }); token.Expires.IsZero() {
		t.Error("a file that did not change undid a change by hand")
	}
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := newTestStore(t)
	create := func(name string, ids ...string) error {
		_, err := s.CreateAccount(ctx, tester, &scopes.Account{Name: name, IDs: ids})
		return err
	}
	for _, test := range []struct {
		name string
		ids  []string
		want error
	}{
		{"acme", []string{"IR1"}, nil},
		{"acme", nil, ErrExists},
		{"IR1", nil, ErrConflict},
		{"globex", []string{"IR1"}, ErrConflict},
		{"globex", []string{"acme"}, ErrConflict},
		{"globex", []string{"IR2"}, nil},
	} {
		if err := create(test.name, test.ids...); !errors.Is(err, test.want) {
			t.Errorf("%s %v: got %v, want %v", test.name, test.ids, err, test.want)
		}
	}
	token := testToken("a")
	apply(t, s, testFile())
	must(t, func() (Token, error) { return s.Create(ctx, tester, "acme", &token) })
	if err := s.DeleteAccount(ctx, tester, "acme"); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "acme/a") {
		t.Errorf("an account with a token: got %v, want a conflict that names it", err)
	}
	must(t, func() (Token, error) { return s.Delete(ctx, tester, "acme/a") })
	if err := s.DeleteAccount(ctx, tester, "acme"); err != nil {
		t.Errorf("an account without tokens: %v", err)
	}
	if _, err := s.Account("acme"); !errors.Is(err, ErrNotFound) {
		t.Errorf("the deleted account: got %v, want ErrNotFound", err)
	}
	if err := create("IR1"); err != nil {
		t.Errorf("an id that is free again: %v", err)
	}
}

// A file may not give an account another account's name either.
func TestPlanRefusesSharedNames(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	apply(t, s, testFile(scopes.Account{Name: "acme", IDs: []string{"IR1"}}))
	for _, account := range []scopes.Account{{Name: "IR1"}, {Name: "globex", IDs: []string{"IR1"}}, {Name: "globex", IDs: []string{"acme"}}} {
		if _, err := s.Plan(context.Background(), testFile(account), PlanOptions{}); !errors.Is(err, ErrConflict) {
			t.Errorf("%+v: got %v, want ErrConflict", account, err)
		}
	}
	moved := []scopes.Account{{Name: "acme"}, {Name: "globex", IDs: []string{"IR1"}}}
	if _, err := s.Plan(context.Background(), testFile(moved...), PlanOptions{}); err != nil {
		t.Errorf("an id that moves: %v", err)
	}
}

func TestFilter(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	a, b, old := testToken("a"), testToken("b"), testToken("old")
	a.Expires, b.Inactive = testNow.AddDate(0, 0, 10), true
	b.Contact.Email = "Ops@globex.example"
	b.Scopes = []scopes.Scope{{API: "ads", Methods: scopes.MethodOf("GET")}}
	old.Scopes, old.Access = nil, scopes.ReadOnly
	apply(t, s, testFile(acme(a, b, old)))
	for want, f := range map[string]Filter{
		"a b old": {},
		"a old":   {Active: true},
		"b":       {Inactive: true},
		"b old":   {API: "ads"},
		"b ":      {Contact: "ops@GLOBEX"},
		"a ":      {ExpiresBefore: testNow.AddDate(0, 0, 11)},
		"":        {ExpiresBefore: testNow.AddDate(0, 0, 10)},
		"a b":     {Access: "scoped"},
		"old":     {Access: "legacy"},
		"old ":    {Access: "read_only"},
		" ":       {Access: "read_write"},
	} {
		var got []string
		for _, token := range must(t, func() ([]Token, error) { return s.Tokens(f) }) {
			got = append(got, token.Name)
		}
		if strings.Join(got, " ") != strings.TrimSpace(want) {
			t.Errorf("%+v: got %v, want %s", f, got, want)
		}
	}
}
