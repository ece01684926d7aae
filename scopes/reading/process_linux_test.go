package reading

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

const raw = `format: 1
apis:
  raw: {operations: {all: "* /raw/**"}}
accounts:
  acme:
    tokens:
      one: {description: d, contact: {email: a@b.example}, expires: 2026-01-01, scopes: [{api: raw, methods: [GET]}]}
`

// usesCarts are accounts whose token has a scope for an API that they do not declare.
const usesCarts = `accounts:
  other:
    tokens:
      t: {description: d, contact: {email: a@b.example}, scopes: [{api: carts, methods: [GET]}]}
`

const ordersDocument = `{"openapi": "3.0.3", "info": {"title": "Orders", "version": "1"}, "paths": {
	"/orders": {"get": {"operationId": "listOrders", "responses": {"200": {"description": "ok"}}}}}}`

// It makes no difference where files are read: the same comes of it, whether they are
// valid or not.
func TestReadApart(t *testing.T) {
	t.Parallel()
	known := []scopes.API{{Name: "carts", Operations: []scopes.Operation{{Name: "list", Methods: scopes.MethodOf("GET"), Path: "/carts"}}}}
	documents := map[string]Document{
		"orders.json": {Data: []byte(ordersDocument)},
		"gone.json":   {Err: errors.New("it is gone")},
	}
	second := func(text string) []scopes.Source {
		return []scopes.Source{{Name: "a.yaml", Data: []byte(raw)}, {Name: "b.yaml", Data: []byte("format: 1\n" + text)}}
	}
	for _, c := range []struct {
		name, fails string // "" is read
		sources     []scopes.Source
	}{
		{"one file", "", []scopes.Source{{Name: "a.yaml", Data: []byte(raw)}}},
		{"an owner", "", second("owner: b\n" + usesCarts)},
		{"a document", "", second("apis:\n  orders: {openapi: orders.json}\n")},
		{"a document that is gone", "it is gone", second("apis:\n  orders: {openapi: gone.json}\n")},
		{"a document that was not given", "it was not given", second("apis:\n  orders: {openapi: other.json}\n")},
		{"problems", `a token needs "contact"`, []scopes.Source{{Name: "a.yaml", Data: []byte(raw + "      worse: {description: d}\n")}}},
		{"tests that fail", "POST /raw/x", []scopes.Source{{Name: "a.yaml", Data: []byte(raw + "tests:\n  - {token: acme/one, request: POST /raw/x, expect: allow}\n")}}},
		{"APIs that do not go together", "carts/list", second("apis:\n  other: {operations: {mine: GET /carts}}\n" + usesCarts)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := Options{Now: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC), Known: known, Documents: documents}
			want, wantErr := Files(c.sources, o)
			if (wantErr == nil) != (c.fails == "") || wantErr != nil && !strings.Contains(wantErr.Error(), c.fails) {
				t.Fatalf("read here: got %v, want %q", wantErr, c.fails)
			}
			got, err := readApart(t.Context(), executable, time.Minute, c.sources, o)
			if fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Fatalf("read apart: got\n%v\nwant\n%v", err, wantErr)
			}
			wantProblems, content := errors.AsType[scopes.Problems](wantErr)
			if problems, ok := errors.AsType[scopes.Problems](err); ok != content || !reflect.DeepEqual(problems, wantProblems) {
				t.Errorf("got %#v, want %#v", err, wantErr)
			}
			if !reflect.DeepEqual(got, want) {
				t.Error("it is not the same file")
			}
		})
	}
}

// program returns a program that is a shell's script.
func program(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// greets is a script that begins as a reader does.
const greets = "printf 'scopegate reader\\n' >&3; "

// What becomes of the process is told, and never taken for what is wrong with the files.
func TestReadApartFails(t *testing.T) { // not parallel: a program that is being written while another test starts a process cannot be run
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
		"does not start":         {program(t, "kill -31 $$"), small, errNotStarted, "signal: bad system call"},
		"is something else":      {program(t, "cat > /dev/null"), small, errNotStarted, ""},
		"says something first":   {program(t, "echo hello; exec 3>&-; kill -9 $$"), small, errNotStarted, "signal: killed"},
		"ends, without a word":   {program(t, greets+"exit 3"), small, ErrProcess, "exit status 3: it said nothing"},
		"ends before it has all": {program(t, greets+"exit 3"), larger, ErrProcess, "exit status 3"},
		"is killed":              {program(t, greets+"kill -9 $$"), small, ErrProcess, "signal: killed"},
		"says why":               {program(t, greets+"echo panic: out of luck >&2; echo more >&2; exit 2"), small, ErrProcess, "exit status 2: panic: out of luck"},
		"says a lot":             {program(t, greets+"yes x | head -c 100000 | tr -d '\\n' >&2; exit 2"), small, ErrProcess, "exit status 2: xxx"},
		"has a credential":       {program(t, greets+"echo "+secret+" >&2; exit 1"), small, ErrProcess, "exit status 1"},
		"answers nothing":        {program(t, greets+"cat > /dev/null"), small, ErrProcess, "its answer cannot be read: EOF"},
		"answers something else": {program(t, greets+"cat > /dev/null; echo hello world >&3"), small, ErrProcess, "its answer cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, err := readApart(t.Context(), c.program, time.Minute, c.sources, Options{})
			if !errors.Is(err, c.is) || file != nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, %v, want %v with %q", file, err, c.is, c.says)
			}
			if _, content := errors.AsType[scopes.Problems](err); content || len(err.Error()) > 1000 || strings.Contains(err.Error(), secret) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A process that does not end is ended.
func TestReadApartTakesTooLong(t *testing.T) {
	t.Parallel()
	_, err := readApart(t.Context(), "/usr/bin/yes", time.Millisecond, nil, Options{})
	if !errors.Is(err, ErrProcess) || !strings.Contains(err.Error(), "too long") {
		t.Errorf("got %v, want %v", err, errSlow)
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

// A reader gets nothing of the environment.
func TestReadApartTellsNoSecret(t *testing.T) {
	t.Setenv("SECRET", "of the gateway's")
	_, err := readApart(t.Context(), program(t, greets+"env | grep SECRET >&2; exit 3"), time.Minute, nil, Options{})
	if !errors.Is(err, ErrProcess) || !strings.Contains(err.Error(), "exit status 3: it said nothing") {
		t.Errorf("got %v", err)
	}
}

// Whoever waits no longer has the process ended.
func TestReadApartCancelled(t *testing.T) { // not parallel: see TestReadApartFails
	started := filepath.Join(t.TempDir(), "started")
	if err := syscall.Mkfifo(started, 0o600); err != nil {
		t.Fatal(err)
	}
	path := program(t, greets+"echo > "+started+"; exec tail -f /dev/null")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_, _ = os.ReadFile(started) // opening it waits for the program
		cancel()
	}()
	file, err := readApart(ctx, path, time.Minute, []scopes.Source{{Name: "a.yaml"}}, Options{})
	if !errors.Is(err, context.Canceled) || errors.Is(err, errNotStarted) || file != nil {
		t.Errorf("got %v, %v, want %v", file, err, context.Canceled)
	}
}

// A reader keeps to what is left of the memory.
func TestEnvironment(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(math.MaxInt64))
	if got, want := environment(), []string{"GOMAXPROCS=1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	const limit = 1 << 30
	debug.SetMemoryLimit(limit)
	limited := environment()
	left, err := strconv.Atoi(strings.TrimPrefix(limited[len(limited)-1], "GOMEMLIMIT="))
	if err != nil || left >= limit || left < limit/2 {
		t.Errorf("of %d, the reader gets %q, %v", limit, limited, err)
	}
	debug.SetMemoryLimit(1)
	if got, want := environment()[1], "GOMEMLIMIT=67108864"; got != want {
		t.Errorf("where nothing is left, got %q, want %q", got, want)
	}
}
