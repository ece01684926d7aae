package store

import (
	"context"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

// A name that was given to another token hides the deleted one from Tokens, but not from
// EachToken.
func TestEachToken(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := newTestStore(t)
	apply(t, s, testFile(acme(testToken("a"), testToken("b"))))
	gone, err := s.Delete(ctx, tester, "acme/a")
	if err != nil {
		t.Fatal(err)
	}
	again := edit(testToken("a"), func(t *scopes.Token) { t.Credential = scopes.Digest{} })
	if _, err := s.Create(ctx, tester, "acme", &again); err != nil {
		t.Fatal(err)
	}
	found := make(map[string]Token)
	if err := s.EachToken(func(token *Token) { found[token.ID] = *token }); err != nil {
		t.Fatal(err)
	}
	now, err := s.Token("acme/a")
	if err != nil || len(found) != 3 || !found[gone.ID].Deleted || found[now.ID].Deleted || found[gone.ID].Contact.Email == "" {
		t.Errorf("got %+v, %v, want the deleted token, the one with its name and another", found, err)
	}
}

// Each deactivation is another one, whatever else is changed of the token.
func TestDeactivationIsKnown(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := newTestStore(t)
	off := func(t *scopes.Token) { t.Inactive = true }
	apply(t, s, testFile(acme(testToken("a"), edit(testToken("off"), off))))
	deactivation := func(ref string) string {
		token, err := s.Token(ref)
		if err != nil {
			t.Fatal(err)
		}
		return token.Deactivation
	}
	if a, made := deactivation("acme/a"), deactivation("acme/off"); a != "" || made != "" {
		t.Errorf("nobody has deactivated %q and %q", a, made)
	}
	var seen []string
	for range 2 {
		if _, err := s.Deactivate(ctx, tester, "acme/a"); err != nil {
			t.Fatal(err)
		}
		seen = append(seen, deactivation("acme/a"))
		if _, err := s.Issue(ctx, tester, "acme/a"); err == nil {
			seen = append(seen, deactivation("acme/a"))
		}
		if _, err := s.Activate(ctx, tester, "acme/a"); err != nil {
			t.Fatal(err)
		}
		if got := deactivation("acme/a"); got != "" {
			t.Errorf("it is active, and has %q", got)
		}
	}
	if len(seen) != 2 || seen[0] == "" || seen[0] == seen[1] {
		t.Errorf("two deactivations are %q", seen)
	}
}
