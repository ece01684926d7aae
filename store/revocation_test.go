package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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

func TestDamagedLog(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		damage func(text string) string
		older  bool // the store is put back too
		want   error
	}{
		{"a torn line", func(text string) string { return text + "0123abcd delete 99 tok_" }, false, nil},
		{"a flipped character", func(text string) string { return strings.Replace(text, " hold ", " hald ", 1) }, false, nil},
		{"a flipped character, and an older store", func(text string) string { return strings.Replace(text, " hold ", " hald ", 1) }, true, ErrNoLog},
		{"a line of a later program", func(text string) string { return text + sumLine("explode 3 - - -") }, true, ErrNoLog},
		{"a first line that is damaged", func(text string) string { return "x" + text }, false, ErrNoLog},
		{"something behind the zeros", func(text string) string { return text + "\x00\x00" + sumLine("commit 9 - - -") }, false, ErrNoLog},
		{"a part that the disk has not, and the end of the change", func(text string) string {
			at := strings.Index(text, " hold ")
			return text[:at-4] + strings.Repeat("\x00", 20) + text[at+16:]
		}, false, nil},
		{"a part that the disk has not, and an older store", func(text string) string {
			at := strings.Index(text, " hold ")
			return text[:at-4] + strings.Repeat("\x00", 20) + text[at+16:]
		}, true, ErrNoLog},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := newPath(t)
			s, err := Open(path, testOptions())
			if err != nil {
				t.Fatal(err)
			}
			apply(t, s, testFile(acme(testToken("a"))))
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			older := filepath.Join(t.TempDir(), "older.db")
			copyFile(t, path, older)
			if s, err = Open(path, testOptions()); err != nil {
				t.Fatal(err)
			}
			mustDo(t, s.Deactivate, "acme/a")
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if test.older {
				copyFile(t, older, path)
			}
			data, err := os.ReadFile(path + logSuffix)
			if err != nil {
				t.Fatal(err)
			}
			text := test.damage(strings.TrimRight(string(data), "\x00")) + "\x00"
			if err := os.WriteFile(path+logSuffix, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			var log lines
			o := testOptions()
			o.Logger = log.logger()
			s, err = Open(path, o)
			if !errors.Is(err, test.want) {
				t.Fatalf("Open: got %v, want %v", err, test.want)
			}
			if told := strings.Contains(log.String(), "log is damaged"); told != (err == nil && test.name != "a torn line") {
				t.Errorf("the log: %s", log.String())
			}
			if err != nil {
				return
			}
			if got := stateOf(s, "secret of a"); got != scopes.Deactivated {
				t.Errorf("got state %d, want Deactivated", got)
			}
			mustDo(t, s.Activate, "acme/a")
			checkAndClose(t, s)
			contents, err := readLog(path + logSuffix)
			if err != nil || contents.damaged != 0 || len(foldRevocations(contents.lines, 0)) != 0 {
				t.Errorf("the log afterwards: got %+v, %v, want it whole and without revocations", contents, err)
			}
		})
	}
}

// Where the end of the log is damaged or cut off, nobody can know what was revoked
// there: an older copy of the store must not be believed.
func TestADamagedTailRevivesNothing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		damage func(log []byte, deleted, end int) []byte
	}{
		{"a bad sector", func(log []byte, deleted, end int) []byte {
			log[deleted+3] ^= 1
			log[end-8] ^= 1
			return log
		}},
		{"cut off before the deletion", func(log []byte, deleted, _ int) []byte { return log[:deleted-8] }},
		{"cut off within the deletion", func(log []byte, deleted, _ int) []byte { return log[:deleted+20] }},
		{"only the filling cut off", func(log []byte, _, end int) []byte { return log[:end] }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := newPath(t)
			s, err := Open(path, testOptions())
			if err != nil {
				t.Fatal(err)
			}
			apply(t, s, testFile(acme(testToken("a"), testToken("b"))))
			older := backupOf(t, s)
			mustDo(t, s.Delete, "acme/a")
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			log := must(t, func() ([]byte, error) { return os.ReadFile(path + logSuffix) })
			log = test.damage(log, bytes.Index(log, []byte(" delete ")), bytes.IndexByte(log, 0))
			if err := errors.Join(os.WriteFile(path+logSuffix, log, fileMode), os.WriteFile(path, older, fileMode)); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(path, testOptions()); !errors.Is(err, ErrNoLog) {
				t.Fatalf("Open: got %v, want ErrNoLog", err)
			}
			if now := must(t, func() ([]byte, error) { return os.ReadFile(path + logSuffix) }); !bytes.Equal(now, log) {
				t.Error("a refused start changed the log")
			}
		})
	}
}

func TestLogLines(t *testing.T) {
	t.Parallel()
	d := scopes.DigestOf("a")
	for _, want := range []logLine{
		{act: actCommit, revision: 1},
		{act: actHold, revision: 18446744073709551615, id: "tok_1", ref: "acme/a"},
		{act: actKill, revision: 2, id: "tok_1", ref: "acme/a", digests: []scopes.Digest{d, d}},
	} {
		got, err := parseLogLine(want.String())
		if err != nil || got.String() != want.String() || !slices.Equal(got.digests, want.digests) {
			t.Errorf("%s: got %+v, %v", want.String(), got, err)
		}
	}
	for _, text := range []string{"", "hold", "hold x - - -", "hold 1 - - - -", "hug 1 - - -", "kill 1 a b c", "kill -1 - - -"} {
		if line, err := parseLogLine(text); err == nil {
			t.Errorf("%q: got %+v, want an error", text, line)
		}
	}
}

// A log in which most lines are superseded is written anew.
func TestLogIsCompacted(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	s, err := Open(path, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	apply(t, s, testFile(acme(testToken("a"), testToken("b"))))
	mustDo(t, s.Deactivate, "acme/b")
	var many []logLine
	for range 2000 {
		many = append(many, logLine{act: actCommit, revision: s.revision})
	}
	if err := errors.Join(s.journal.append(many, false), s.Close()); err != nil {
		t.Fatal(err)
	}
	openStore(t, path, testOptions())
	contents, err := readLog(path + logSuffix)
	if err != nil || len(contents.lines) != 2 || len(foldRevocations(contents.lines, 0)) != 1 {
		t.Errorf("got %+v, %v, want the one revocation and the last commit", contents, err)
	}
}

// compactable returns the path of a closed store whose deleted token is acme/a and
// whose log is to be written anew, and a copy from before the deletion.
func compactable(t *testing.T) (path, deleted string, older []byte) {
	t.Helper()
	path = newPath(t)
	s, err := Open(path, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	apply(t, s, testFile(acme(testToken("a"), testToken("b"))))
	older = backupOf(t, s)
	deleted = mustDo(t, s.Delete, "acme/a").ID
	var many []logLine
	for range 2000 {
		many = append(many, logLine{act: actCommit, revision: s.revision})
	}
	if err := errors.Join(s.journal.append(many, false), s.Close()); err != nil {
		t.Fatal(err)
	}
	return path, deleted, older
}

// The log that is written anew keeps the revocation of a token whose record cannot
// be read.
func TestCompactionKeepsWhatTheStoreCannotRead(t *testing.T) {
	t.Parallel()
	path, deleted, older := compactable(t)
	storeFile{t, path}.damageRecord(bucketTokens, deleted)
	s, err := Open(path, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	contents := must(t, func() (*logContents, error) { return readLog(path + logSuffix) })
	if len(contents.lines) != 2 {
		t.Fatalf("got %+v, want the deletion and the last commit", contents.lines)
	}
	if err := os.WriteFile(path, older, fileMode); err != nil {
		t.Fatal(err)
	}
	s, _ = openLogged(t, path)
	if got := stateOf(s, "secret of a"); got != scopes.Unknown {
		t.Errorf("got state %d, want Unknown", got)
	}
}

// A log that is only too long is no reason not to start: here the temporary file's
// name is longer than a file system takes.
func TestCompactionMayFail(t *testing.T) {
	t.Parallel()
	short, _, _ := compactable(t)
	path := filepath.Join(filepath.Dir(short), strings.Repeat("s", 240))
	if err := errors.Join(os.Rename(short, path), os.Rename(short+logSuffix, path+logSuffix)); err != nil {
		t.Fatal(err)
	}
	s, log := openLogged(t, path)
	if !strings.Contains(log.String(), "going on with it as it is") {
		t.Errorf("the log: %q", log.String())
	}
	mustDo(t, s.Deactivate, "acme/b")
}

// The log grows past its reserve, and every line stays.
func TestLogGrows(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	if err := writeLog(path, "store_1", nil, nameNew); err != nil {
		t.Fatal(err)
	}
	contents, err := readLog(path)
	if err != nil {
		t.Fatal(err)
	}
	log, err := openLog(path, contents.end)
	if err != nil {
		t.Fatal(err)
	}
	const count = 3000
	for i := range count {
		line := logLine{act: actHold, revision: uint64(i), id: "tok_0000000000000000000000", ref: "acme/a", digests: []scopes.Digest{{1}}}
		if err := log.append([]logLine{line}, false); err != nil {
			t.Fatal(err)
		}
		if log.end >= log.size {
			t.Fatalf("after %d lines no zero is behind the text", i+1)
		}
	}
	if err := log.close(); err != nil {
		t.Fatal(err)
	}
	contents, err = readLog(path)
	if err != nil || len(contents.lines) != count || contents.damaged != 0 || contents.last != count-1 {
		t.Errorf("got %d lines, %d damaged, last %d, %v", len(contents.lines), contents.damaged, contents.last, err)
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
