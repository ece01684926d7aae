package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

func TestDamagedLog(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		damage func(text string) string
		older  bool // the store is put back too
		want   error
	}{
		{"a torn line", func(text string) string { return text + "0123abcd delete 99 tok_" }, false, nil},
		{"a flipped character", func(text string) string { return strings.Replace(text, " hold@", " hald@", 1) }, false, nil},
		{"a flipped character, and an older store", func(text string) string { return strings.Replace(text, " hold@", " hald@", 1) }, true, ErrNoLog},
		{"a line of a later program", func(text string) string { return text + sumLine("explode 3 - - -") }, true, ErrNoLog},
		{"a first line that is damaged", func(text string) string { return "x" + text }, false, ErrNoLog},
		{"something behind the zeros", func(text string) string { return text + "\x00\x00" + sumLine("commit 9 - - -") }, false, ErrNoLog},
		{"a part that the disk has not, and the end of the change", func(text string) string {
			at := strings.Index(text, " hold@")
			return text[:at-4] + strings.Repeat("\x00", 20) + text[at+16:]
		}, false, nil},
		{"a part that the disk has not, and an older store", func(text string) string {
			at := strings.Index(text, " hold@")
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
		{act: actHold, revision: 1, id: "tok_1", ref: "acme/a", deactivation: deactivationID{1, 2, 3}},
		{act: actDeactivate, revision: 1, id: "tok_1", ref: "acme/a", deactivation: deactivationID{7: 1}},
		{act: actEnd, revision: 1, id: "tok_1", ref: "acme/a", ends: 1790000000},
		{act: actKill, revision: 2, id: "tok_1", ref: "acme/a", digests: []scopes.Digest{d, d}},
	} {
		got, err := parseLogLine(want.String())
		if err != nil || got.String() != want.String() || got.deactivation != want.deactivation || got.ends != want.ends || !slices.Equal(got.digests, want.digests) {
			t.Errorf("%s: got %+v, %v", want.String(), got, err)
		}
	}
	for _, text := range []string{
		"", "hold", "hold x - - -", "hold 1 - - - -", "hug 1 - - -", "kill 1 a b c", "kill -1 - - -", "end@x 1 - - -", "activate@0102030405060708 1 - - -",
		"hold@ 1 - - -", "hold@0102 1 - - -", "hold@0000000000000000 1 - - -", "hold@010203040506070809 1 - - -",
	} {
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
