package store

import (
	"context"
	"errors"
	"os"
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

func TestStatus(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	s := openStore(t, path, testOptions())
	got, err := s.Status()
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.Size == 0 || got.Size > info.Size() {
		t.Errorf("got size %d, want at most that of the file, %d", got.Size, info.Size())
	}
	got.Size = 0
	want := Status{Path: path, Revision: 3, APIs: 2, Accounts: 1, Tokens: Counts{Active: 1, Inactive: 1}}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// A change that has to wait gives up when its context ends.
func TestAChangeGivesUpWaiting(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	apply(t, s, testFile(acme(testToken("a"))))
	if err := s.lock(context.Background()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		_, err := s.Deactivate(ctx, tester, "acme/a")
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	s.unlock()
	if got := stateOf(s, "secret of a"); got != scopes.Active {
		t.Errorf("got state %d, want Active", got)
	}
}
