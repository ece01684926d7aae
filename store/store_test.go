package store

import (
	"context"
	"errors"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

func TestLifeOfAToken(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	s, err := Open(path, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	apply(t, s, testFile(acme(testToken("a"))))

	issued, err := s.Issue(ctx, tester, "acme/a")
	if !errors.Is(err, ErrExists) {
		t.Errorf("Issue on a token with a credential: got %v, want ErrExists", err)
	}
	steps := []struct {
		name string
		do   func(context.Context, Actor, string) (Token, error)
		want scopes.State
		err  error
	}{
		{"deactivate", s.Deactivate, scopes.Deactivated, nil},
		{"deactivate again", s.Deactivate, scopes.Deactivated, nil},
		{"activate", s.Activate, scopes.Active, nil},
		{"activate again", s.Activate, scopes.Active, nil},
		{"delete", s.Delete, scopes.Unknown, nil},
		{"delete again", s.Delete, scopes.Unknown, nil},
		{"activate deleted", s.Activate, scopes.Unknown, ErrDead},
	}
	for _, step := range steps {
		_, err := step.do(ctx, tester, "acme/a")
		if !errors.Is(err, step.err) {
			t.Errorf("%s: got error %v, want %v", step.name, err, step.err)
		}
		if got := stateOf(s, "secret of a"); got != step.want {
			t.Errorf("%s: got state %d, want %d", step.name, got, step.want)
		}
	}
	_ = issued
	checkAndClose(t, s)
	s = openStore(t, path, testOptions())
	if got := stateOf(s, "secret of a"); got != scopes.Unknown {
		t.Errorf("after reopening: got state %d, want Unknown", got)
	}
}
