package store

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// testClock is a clock that tests move.
type testClock struct{ now time.Time }

func (c *testClock) options() Options { return Options{Now: func() time.Time { return c.now }} }

// rotating returns a store with the token acme/a, and its first credential.
func rotating(t *testing.T, path string, clock *testClock) (*Store, Issued) {
	t.Helper()
	s := openStore(t, path, clock.options())
	token := testToken("a")
	token.Credential = scopes.Digest{}
	apply(t, s, testFile(acme(token)))
	return s, must(t, func() (Issued, error) { return s.Issue(context.Background(), tester, "acme/a") })
}

// must returns what do returns, and fails the test at an error.
func must[T any](t *testing.T, do func() (T, error)) T {
	t.Helper()
	value, err := do()
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func wantState(t *testing.T, s *Store, what string, c Issued, want scopes.State) {
	t.Helper()
	if got := s.Snapshot().Grant(c.Credential.Digest()).State; got != want {
		t.Errorf("%s: got state %d, want %d", what, got, want)
	}
}

func TestRotate(t *testing.T) {
	t.Parallel()
	ctx, clock := context.Background(), &testClock{testNow}
	s, first := rotating(t, newPath(t), clock)
	rotate := func(overlap time.Duration) (Issued, error) { return s.Rotate(ctx, tester, "acme/a", overlap) }

	second := must(t, func() (Issued, error) { return rotate(0) })
	wantState(t, s, "the first, after a rotation at once", first, scopes.Unknown)
	wantState(t, s, "the second", second, scopes.Active)

	third := must(t, func() (Issued, error) { return rotate(time.Hour) })
	wantState(t, s, "the second, in the overlap", second, scopes.Active)
	wantState(t, s, "the third", third, scopes.Active)
	if _, err := rotate(0); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "retire") {
		t.Errorf("rotating in an overlap: got %v, want a conflict that names retire", err)
	}
	if _, err := s.Issue(ctx, tester, "acme/a"); !errors.Is(err, ErrExists) {
		t.Errorf("issuing in an overlap: got %v, want ErrExists", err)
	}

	clock.now = clock.now.Add(time.Hour)
	wantState(t, s, "the second, after the overlap", second, scopes.Unknown)
	fourth := must(t, func() (Issued, error) { return rotate(time.Hour) }) // the second is dead by now
	wantState(t, s, "the third, in its overlap", third, scopes.Active)
	must(t, func() (Token, error) { return s.Retire(ctx, tester, "acme/a") })
	wantState(t, s, "the third, retired", third, scopes.Unknown)
	wantState(t, s, "the fourth", fourth, scopes.Active)
	if _, err := s.Retire(ctx, tester, "acme/a"); !errors.Is(err, ErrConflict) {
		t.Errorf("retiring again: got %v, want ErrConflict", err)
	}
	for _, gone := range []Issued{first, second, third} {
		_, err := s.Create(ctx, tester, "acme", &scopes.Token{
			Name: "b", Scopes: testToken("b").Scopes, Credential: gone.Credential.Digest(),
		})
		if !errors.Is(err, ErrDead) {
			t.Errorf("a credential that was rotated out: got %v, want ErrDead", err)
		}
	}
}

// A credential whose overlap is over is dead, whether a change has removed it since
// or not.
func TestAnEndedCredentialIsDead(t *testing.T) {
	t.Parallel()
	ctx, clock := context.Background(), &testClock{testNow}
	s, first := rotating(t, newPath(t), clock)
	must(t, func() (Issued, error) { return s.Rotate(ctx, tester, "acme/a", time.Hour) })
	clock.now = clock.now.Add(time.Hour)
	other := testToken("b")
	other.Credential = first.Credential.Digest()
	if _, err := s.Create(ctx, tester, "acme", &other); !errors.Is(err, ErrDead) {
		t.Errorf("creating with it: got %v, want ErrDead", err)
	}
	plan := must(t, func() (*Plan, error) { return s.Plan(ctx, testFile(acme(other)), PlanOptions{}) })
	if len(plan.Warnings) != 1 {
		t.Errorf("a file that has it: got warnings %q, want one", plan.Warnings)
	}
	if _, err := s.Retire(ctx, tester, "acme/a"); !errors.Is(err, ErrConflict) {
		t.Errorf("retiring it: got %v, want ErrConflict", err)
	}
	token := testToken("a") // with a credential: there is room for it
	apply(t, s, testFile(acme(token)))
	if got := stateOf(s, "secret of a"); got != scopes.Active {
		t.Errorf("the file's credential: got state %d, want Active", got)
	}
}

func TestRotateNeedsACredential(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	token := testToken("a")
	token.Credential = scopes.Digest{}
	apply(t, s, testFile(acme(token)))
	if _, err := s.Rotate(context.Background(), tester, "acme/a", 0); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "issue") {
		t.Errorf("got %v, want ErrNotFound that names issue", err)
	}
	must(t, func() (Token, error) { return s.Delete(context.Background(), tester, "acme/a") })
	if _, err := s.Rotate(context.Background(), tester, "acme/a", 0); !errors.Is(err, ErrDead) {
		t.Errorf("a deleted token: got %v, want ErrDead", err)
	}
}

// A copy from before a rotation does not give the old credential its life back.
func TestRotationOutlivesAnOlderCopy(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		overlap time.Duration
		during  scopes.State
	}{
		{"at once", 0, scopes.Unknown},
		{"with an overlap", time.Hour, scopes.Active},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path, clock := newPath(t), &testClock{testNow}
			s, first := rotating(t, path, clock)
			older := must(t, func() ([]byte, error) { return os.ReadFile(path) })
			must(t, func() (Issued, error) { return s.Rotate(context.Background(), tester, "acme/a", test.overlap) })
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, older, fileMode); err != nil {
				t.Fatal(err)
			}
			s = openStore(t, path, clock.options())
			wantState(t, s, "the old credential, after the restore", first, test.during)
			clock.now = clock.now.Add(time.Hour)
			wantState(t, s, "the old credential, after its end", first, scopes.Unknown)
		})
	}
}

// A copy from before the rotation has lost the new credential. Once the old one has
// ended too, the token has none, and gets another.
func TestARestoredTokenGetsACredentialAgain(t *testing.T) {
	t.Parallel()
	ctx, path, clock := context.Background(), newPath(t), &testClock{testNow}
	s, first := rotating(t, path, clock)
	older := must(t, func() ([]byte, error) { return os.ReadFile(path) })
	must(t, func() (Issued, error) { return s.Rotate(ctx, tester, "acme/a", time.Hour) })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, older, fileMode); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, path, clock.options())
	lost := must(t, func() (Issued, error) { return s.Rotate(ctx, tester, "acme/a", 2*time.Hour) })
	wantState(t, s, "the old one, which is to end in an hour", first, scopes.Active)
	clock.now = clock.now.Add(time.Hour) // and is not given a second one
	wantState(t, s, "the old one, an hour later", first, scopes.Unknown)
	must(t, func() (Issued, error) { return s.Rotate(ctx, tester, "acme/a", time.Hour) })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, older, fileMode); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, path, clock.options())
	if _, err := s.Import(ctx, tester, "acme/a", lost.Credential.Digest(), ""); !errors.Is(err, ErrDead) {
		t.Errorf("importing one that the copy never had, and that was to end: got %v, want ErrDead", err)
	}
	if _, err := s.Import(ctx, tester, "acme/a", first.Credential.Digest(), ""); !errors.Is(err, ErrDead) {
		t.Errorf("importing the old one: got %v, want ErrDead", err)
	}
	wantState(t, s, "the old one", first, scopes.Unknown)
	second := must(t, func() (Issued, error) { return s.Issue(ctx, tester, "acme/a") })
	wantState(t, s, "the one issued since", second, scopes.Active)
}

func TestImport(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := newTestStore(t)
	a, b := testToken("a"), testToken("b")
	b.Credential = scopes.Digest{}
	apply(t, s, testFile(acme(a, b)))
	imported := scopes.DigestOf("a secret of another system")
	for _, test := range []struct {
		name   string
		ref    string
		digest scopes.Digest
		want   error
	}{
		{"another token's", "acme/b", a.Credential, ErrExists},
		{"a token with one", "acme/a", imported, ErrExists},
		{"no such token", "acme/c", imported, ErrNotFound},
		{"fine", "acme/b", imported, nil},
	} {
		if _, err := s.Import(ctx, tester, test.ref, test.digest, "stem"); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
	}
	if got := stateOf(s, "a secret of another system"); got != scopes.Active {
		t.Errorf("the imported credential: got state %d, want Active", got)
	}
}
