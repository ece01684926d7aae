package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

func TestIssue(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := newTestStore(t)
	bare := edit(testToken("a"), func(t *scopes.Token) { t.Credential = scopes.Digest{} })
	apply(t, s, testFile(acme(bare)))
	issued, err := s.Issue(ctx, tester, "acme/a")
	if err != nil {
		t.Fatal(err)
	}
	if !scopes.WellFormed(issued.Credential.Reveal()) || issued.Token != "acme/a" || !isID(issued.ID) {
		t.Errorf("got %+v", issued)
	}
	if got := s.Snapshot().Grant(issued.Credential.Digest()); got.State != scopes.Active || got.ID != issued.ID || len(slices.Collect(got.Rules.All())) != 1 {
		t.Errorf("Grant: got %+v", got)
	}
	if _, err := s.Issue(ctx, tester, issued.ID); !errors.Is(err, ErrExists) || !strings.Contains(err.Error(), "rotate") {
		t.Errorf("Issue again: got %v, want ErrExists that names rotate", err)
	}
	apply(t, s, testFile(acme(bare)))
	if got := s.Snapshot().Grant(issued.Credential.Digest()); got.State != scopes.Active {
		t.Errorf("a file without credential took one away: got %+v", got)
	}
	imported := edit(bare, func(t *scopes.Token) { t.Credential = scopes.DigestOf("imported") })
	apply(t, s, testFile(acme(imported)))
	token, err := s.Token("acme/a")
	if err != nil || len(token.Credentials) != 2 || token.Credentials[0].LastFour != issued.Credential.LastFour() || token.Credentials[1].LastFour != "" {
		t.Errorf("with an imported one: got %+v, %v", token.Credentials, err)
	}
	third := edit(bare, func(t *scopes.Token) { t.Credential = scopes.DigestOf("third") })
	apply(t, s, testFile(acme(third))) // in place of the imported one
	if stateOf(s, "imported") != scopes.Unknown || stateOf(s, "third") != scopes.Active {
		t.Error("the file's credential was not replaced")
	}
	if result := apply(t, s, testFile(acme(imported))); len(result.Warnings) != 1 || stateOf(s, "imported") != scopes.Unknown {
		t.Errorf("the replaced one again: got %+v, want a warning", result)
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := newTestStore(t)
	account := acme(testToken("a"), testToken("b"), edit(testToken("c"), func(t *scopes.Token) { t.Inactive = true }),
		edit(testToken("old"), func(t *scopes.Token) { t.Scopes, t.Access = nil, scopes.ReadWrite }))
	account.MaxActiveTokens = 2
	apply(t, s, testFile(account))
	if _, err := s.Activate(ctx, tester, "acme/c"); !errors.Is(err, ErrLimit) {
		t.Errorf("a third: got %v, want ErrLimit", err)
	}
	mustDo(t, s.Deactivate, "acme/a")
	mustDo(t, s.Activate, "acme/c")
	mustDo(t, s.Delete, "acme/b")
	mustDo(t, s.Activate, "acme/a")
	accounts, err := s.Accounts(AccountFilter{})
	if err != nil || len(accounts) != 1 || accounts[0].ActiveTokens != 2 || accounts[0].MaxActiveTokens != 2 {
		t.Errorf("Accounts: got %+v, %v", accounts, err)
	}
}

func TestReferences(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	apply(t, s, testFile(acme(testToken("a"))))
	token, err := s.Token("acme/a")
	if err != nil {
		t.Fatal(err)
	}
	if byID, err := s.Token(token.ID); err != nil || byID.Ref() != "acme/a" {
		t.Errorf("by id: got %+v, %v", byID, err)
	}
	for _, ref := range []string{"", "acme", "acme/", "/a", "acme/b", "tok_", "tok_0000000000000000000000", "acme/a/b"} {
		if _, err := s.Token(ref); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: got %v, want ErrNotFound", ref, err)
		}
	}
}

// A plan that was made while another change came between does not give a
// credential to two tokens.
func TestNoTwoTokensHaveACredential(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := newTestStore(t)
	apply(t, s, testFile(acme(testToken("a"), testToken("dead"))))
	mustDo(t, s.Delete, "acme/dead")
	for _, test := range []struct {
		secret string
		want   error
	}{{"secret of a", ErrExists}, {"secret of dead", ErrDead}} {
		err := s.change(ctx, tester, func(c *change) error {
			rec := &record{id: "tok_0000000000000000000001", account: "acme", token: testToken("b")}
			rec.token.Credential = scopes.Digest{}
			rec.credentials = []credential{{digest: scopes.DigestOf(test.secret)}}
			return c.putToken(nil, rec, "create")
		})
		if !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.secret, err, test.want)
		}
	}
	if _, err := s.Token("acme/b"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}
