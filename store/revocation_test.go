package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

func copyFile(tb testing.TB, from, to string) {
	tb.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, fileMode)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// mustDo makes a change that has to succeed.
func mustDo(tb testing.TB, do func(context.Context, Actor, string) (Token, error), ref string) Token {
	tb.Helper()
	token, err := do(context.Background(), tester, ref)
	if err != nil {
		tb.Fatal(err)
	}
	return token
}

// openLogged opens a store and returns what it logs.
func openLogged(tb testing.TB, path string) (*Store, *lines) {
	tb.Helper()
	log := new(lines)
	o := testOptions()
	o.Logger = log.logger()
	return openStore(tb, path, o), log
}

// An older copy of the store is put in its place: whatever it says, what was revoked
// since stays revoked.
func TestAnOlderCopyRevivesNothing(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	s, err := Open(path, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	apply(t, s, testFile(acme(testToken("kept"), testToken("held"), testToken("deleted"), testToken("back"), testToken("filed"), testToken("swapped"))))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	older := filepath.Join(t.TempDir(), "older.db")
	copyFile(t, path, older)

	if s, err = Open(path, testOptions()); err != nil {
		t.Fatal(err)
	}
	mustDo(t, s.Deactivate, "acme/held")
	mustDo(t, s.Delete, "acme/deleted")
	mustDo(t, s.Deactivate, "acme/back")
	mustDo(t, s.Activate, "acme/back")
	later, filed, swapped := testToken("later"), testToken("filed"), testToken("swapped")
	filed.Inactive = true
	swapped.Credential = scopes.DigestOf("another secret of swapped")
	apply(t, s, testFile(acme(filed, swapped, later)))
	mustDo(t, s.Delete, "acme/later")
	before := s.Snapshot().Revision()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	copyFile(t, older, path)
	s, log := openLogged(t, path)
	want := map[string]scopes.State{
		"kept": scopes.Active, "held": scopes.Deactivated, "deleted": scopes.Unknown, "back": scopes.Active,
		"filed": scopes.Deactivated, "swapped": scopes.Unknown, "later": scopes.Unknown,
	}
	for name, state := range want {
		if got := stateOf(s, "secret of "+name); got != state {
			t.Errorf("%s: got state %d, want %d", name, got, state)
		}
	}
	if !strings.Contains(log.String(), "went back in time") {
		t.Errorf("the log does not tell: %q", log.String())
	}
	if got := s.Snapshot().Revision(); got <= before {
		t.Errorf("got revision %d, want one after %d", got, before)
	}
	plan, err := s.Plan(context.Background(), testFile(acme(testToken("deleted"), testToken("later"), testToken("held"))), PlanOptions{})
	if err != nil || !plan.Empty() || len(plan.Warnings) != 2 {
		t.Errorf("a file that has them still: got %+v, %v, want two warnings", plan, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, log = openLogged(t, path)
	if strings.Contains(log.String(), "went back in time") {
		t.Error("the next start tells it again")
	}
}

// What is known of a token from the log alone counts towards no limit: else an older
// copy with a lower one could never be changed again. And what was switched off in the
// copy already is still known.
func TestAnOlderCopyCanBeChanged(t *testing.T) {
	t.Parallel()
	ctx, path := context.Background(), newPath(t)
	s, err := Open(path, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	file := func(limit int, tokens ...scopes.Token) *scopes.File {
		return testFile(scopes.Account{Name: "acme", MaxActiveTokens: limit, Tokens: tokens})
	}
	apply(t, s, file(2, testToken("first"), testToken("off")))
	mustDo(t, s.Deactivate, "acme/off")
	apply(t, s, file(1, testToken("first"), testToken("off")))
	older := must(t, func() ([]byte, error) { return os.ReadFile(path) })
	apply(t, s, file(3, testToken("first"), testToken("second")))
	must(t, func() (Issued, error) { return s.Rotate(ctx, tester, "acme/second", 0) })
	mustDo(t, s.Activate, "acme/off")
	mustDo(t, s.Deactivate, "acme/off")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, older, fileMode); err != nil {
		t.Fatal(err)
	}
	s, log := openLogged(t, path)
	if strings.Contains(log.String(), "could not be written") {
		t.Errorf("the log: %s", log)
	}
	if got := stateOf(s, "secret of off"); got != scopes.Deactivated {
		t.Errorf("a token that was off before and after: got state %d, want Deactivated", got)
	}
	mustDo(t, s.Deactivate, "acme/second")
}

// The last commit was a revocation, and the disk lost its meta page: bbolt falls
// back to the commit before.
func TestADamagedMetaRevivesNothing(t *testing.T) {
	t.Parallel()
	for _, meta := range []int64{0, int64(os.Getpagesize())} {
		t.Run(fmt.Sprintf("at %d", meta), func(t *testing.T) {
			t.Parallel()
			path := newFile(t)
			storeFile{t, path}.overwrite(meta+40, []byte{0xff, 0xfe})
			s, log := openLogged(t, path)
			for name, state := range map[string]scopes.State{"a": scopes.Active, "b": scopes.Deactivated, "c": scopes.Unknown} {
				if got := stateOf(s, "secret of "+name); got != state {
					t.Errorf("%s: got state %d, want %d", name, got, state)
				}
			}
			if !strings.Contains(log.String(), "meta page") && !strings.Contains(log.String(), "went back in time") {
				t.Errorf("the log does not tell: %q", log.String())
			}
		})
	}
}

// The store is removed and its log is left: a new store knows what was revoked.
func TestAMissingStoreRevivesNothing(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s, log := openLogged(t, path)
	if !strings.Contains(log.String(), "what was revoked stays revoked") {
		t.Errorf("the log does not tell: %q", log.String())
	}
	result := apply(t, s, testFile(acme(testToken("a"), testToken("b"), testToken("c"))))
	for name, state := range map[string]scopes.State{"a": scopes.Active, "b": scopes.Deactivated, "c": scopes.Unknown} {
		if got := stateOf(s, "secret of "+name); got != state {
			t.Errorf("%s: got state %d, want %d; the file did %+v", name, got, state, result)
		}
	}
	b, err := s.Token("acme/b")
	if err != nil || !b.Held || b.Contact.Email == "" || len(b.Scopes) != 1 {
		t.Errorf("b: got %+v, %v, want what the file declares, held", b, err)
	}
}

func TestGoingOnWithoutALog(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	if err := os.WriteFile(path+logSuffix, []byte(acceptLoss+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, log := openLogged(t, path)
	if !strings.Contains(log.String(), "going on without") {
		t.Errorf("the log does not tell: %q", log.String())
	}
	contents, err := readLog(path + logSuffix)
	if err != nil || contents.accept || contents.damaged != 0 || contents.last != s.Snapshot().Revision() {
		t.Errorf("the new log: got %+v, %v", contents, err)
	}
	revoked := foldRevocations(contents.lines, 0)
	if len(revoked) != 2 {
		t.Errorf("the new log has %d revocations, want those of b and c", len(revoked))
	}
}

// A revocation that is in the log alone, because the store could not be written, is
// committed at the next start.
func TestARevocationWithoutTheStoreIsFinished(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	s, err := Open(path, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	apply(t, s, testFile(acme(testToken("a"))))
	token, err := s.Token("acme/a")
	if err != nil {
		t.Fatal(err)
	}
	line := logLine{act: actDelete, revision: s.revision + 1, id: token.ID, ref: "acme/a", digests: []scopes.Digest{scopes.DigestOf("secret of a")}}
	if err := errors.Join(s.journal.append([]logLine{line}, true), s.Close()); err != nil {
		t.Fatal(err)
	}
	s, log := openLogged(t, path)
	if got := stateOf(s, "secret of a"); got != scopes.Unknown {
		t.Errorf("got state %d, want Unknown", got)
	}
	if strings.Contains(log.String(), "ERROR") {
		t.Errorf("nothing was lost, and the log says %q", log.String())
	}
}

// Where the file cannot be written, a revocation is in force all the same, now and
// after a restart; anything else fails and changes nothing.
func TestRevocationWithoutRoom(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	s, log := openLogged(t, path)
	var tokens []scopes.Token
	for i := range 20 {
		tokens = append(tokens, testToken(fmt.Sprint("t", i)))
	}
	apply(t, s, testFile(acme(tokens...)))
	s.db.MaxSize = 1 // the file cannot grow any more
	var full error
	for i := range 200 {
		grown := testToken("t0")
		grown.Description = strings.Repeat("x", 5000*(i+1))
		if _, full = tryApply(s, testFile(acme(grown)), PlanOptions{}, ApplyOptions{}); full != nil {
			break
		}
	}
	if full == nil {
		t.Fatal("the store never became full")
	}
	for i := range 20 {
		name := fmt.Sprint("t", i)
		var token Token
		if i%2 == 0 {
			token = mustDo(t, s.Deactivate, "acme/"+name)
		} else {
			token = mustDo(t, s.Delete, "acme/"+name)
		}
		if !token.Inactive || token.Deleted != (i%2 == 1) {
			t.Errorf("%s: got %+v", name, token)
		}
		if got := stateOf(s, "secret of "+name); got == scopes.Active {
			t.Errorf("%s is still active", name)
		}
	}
	if !strings.Contains(log.String(), "the next change will") {
		t.Fatalf("there was room enough: %q", log.String())
	}
	pending := len(*s.pending.Load())
	if listed := must(t, func() ([]Token, error) { return s.Tokens(Filter{Inactive: true, Limit: 20}) }); len(listed) != 10 {
		t.Errorf("got %d inactive tokens in the list, want 10", len(listed))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s, _ = openLogged(t, path)
	for i := range 20 {
		token, err := s.Token(fmt.Sprint("acme/t", i))
		if err != nil || !token.Inactive || token.Deleted != (i%2 == 1) {
			t.Errorf("after a restart (%d were pending): got %+v, %v", pending, token, err)
		}
	}
}
