package reading

import (
	"crypto/rand"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

// What becomes of the process is told, and never taken for what is wrong with the files.
func TestReadApartFails(t *testing.T) { // not parallel: a program that is being written while another test starts a process cannot be run
	program := func(script string) string {
		path := filepath.Join(t.TempDir(), "program")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	credential, err := scopes.NewCredential(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	secret := credential.Reveal()
	small := []scopes.Source{{Name: "a.yaml", Data: []byte("format: 1\n")}}
	larger := []scopes.Source{{Name: "a.yaml", Data: make([]byte, 4<<20)}} // than a pipe holds
	for name, c := range map[string]struct {
		program string
		sources []scopes.Source
		is      error
		says    string
	}{
		"not there":              {"/nowhere", small, errNotStarted, "no such file"},
		"not known":              {"", small, errNotStarted, ""},
		"ends, without a word":   {program("exit 3"), small, ErrProcess, "exit status 3: it said nothing"},
		"ends before it has all": {program("exit 3"), larger, ErrProcess, "exit status 3"},
		"is killed":              {program("kill -9 $$"), small, ErrProcess, "signal: killed"},
		"says why":               {program("echo panic: out of luck >&2; echo more >&2; exit 2"), small, ErrProcess, "exit status 2: panic: out of luck"},
		"says a lot":             {program("yes x | head -c 100000 | tr -d '\\n' >&2; exit 2"), small, ErrProcess, "exit status 2: xxx"},
		"answers nothing":        {program("cat > /dev/null"), small, ErrProcess, "its answer cannot be read: EOF"},
		"answers something else": {program("cat > /dev/null; echo hello world"), small, ErrProcess, "its answer cannot be read"},
		"has a credential":       {program("echo " + secret + " >&2; exit 1"), small, ErrProcess, "exit status 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, err := readApart(t.Context(), c.program, c.sources, Options{})
			if !errors.Is(err, c.is) || file != nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, %v, want %v with %q", file, err, c.is, c.says)
			}
			if _, content := errors.AsType[scopes.Problems](err); content || len(err.Error()) > 1000 || strings.Contains(err.Error(), secret) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// An answer that is cut off, wherever, is none.
func TestReceiveCutOff(t *testing.T) {
	t.Parallel()
	file, err := Files([]scopes.Source{{Name: "a.yaml", Data: []byte("format: 1\naccounts:\n  acme: {title: Acme}\n")}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var whole strings.Builder
	if err := respond(&whole, file, nil); err != nil {
		t.Fatal(err)
	}
	for end := range whole.Len() {
		if got, err := receive([]byte(whole.String()[:end])); !errors.Is(err, ErrProcess) {
			t.Fatalf("of %d bytes, the first %d: got %v, %v", whole.Len(), end, got, err)
		}
	}
	if _, err := receive([]byte(whole.String())); err != nil {
		t.Error(err)
	}
}

// A reader gets nothing of the environment, and a part of what memory there is.
func TestEnvironment(t *testing.T) {
	t.Setenv("SECRET", "of the gateway's")
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(math.MaxInt64))
	if got, want := environment(), []string{"GOMAXPROCS=1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	debug.SetMemoryLimit(1 << 30)
	if got, want := environment(), []string{"GOMAXPROCS=1", "GOMEMLIMIT=536870912"}; !slices.Equal(got, want) {
		t.Errorf("with a limit: got %q, want %q", got, want)
	}
}
