package store

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// childVariable makes the test binary a process of its own that does one of the
// children below to the store at childPath.
const (
	childVariable = "SCOPEGATE_TEST_CHILD"
	childPath     = "SCOPEGATE_TEST_STORE"
	childSeed     = "SCOPEGATE_TEST_SEED"
)

var children = map[string]func(path string) error{
	"write":     writeUntilKilled,
	"fill disk": fillDisk,
	"truncate":  useTruncated,
	"apply":     applyUntilKilled,
	"rotate":    rotateUntilKilled,
	"restore":   restoreUntilKilled,
}

// runChild runs a child, and reports whether this process is one.
func runChild() (status int, ok bool) {
	child := children[os.Getenv(childVariable)]
	if child == nil {
		return 0, false
	}
	if err := child(os.Getenv(childPath)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1, true
	}
	return 0, true
}

func newChild(ctx context.Context, name, path, seed string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0]) //nolint:gosec // this very test
	cmd.Env = append(os.Environ(), childVariable+"="+name, childPath+"="+path, childSeed+"="+seed)
	return cmd
}

// acknowledged is what the writer says after a change: the state that the token
// has now.
type acknowledged struct {
	Token    string
	State    string // "active", "inactive" or "deleted"
	Revision uint64
}

// writeUntilKilled makes changes and tells of each one that was acknowledged.
func writeUntilKilled(path string) error {
	s, err := Open(path, Options{})
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	for i := 0; ; i++ {
		token := testToken(fmt.Sprintf("%s-%d", os.Getenv(childSeed), i))
		token.Scopes, token.Access = nil, scopes.ReadOnly // these have no limit
		if _, err := tryApply(s, testFile(acme(token)), PlanOptions{}, ApplyOptions{AllowWiden: true}); err != nil {
			return err
		}
		if err := out.Encode(acknowledged{token.Name, "active", s.Snapshot().Revision()}); err != nil {
			return err
		}
		revoke, state := s.Deactivate, "inactive"
		switch i % 3 {
		case 0:
			continue
		case 1:
			revoke, state = s.Delete, "deleted"
		}
		if _, err := revoke(context.Background(), tester, "acme/"+token.Name); err != nil {
			return err
		}
		if err := out.Encode(acknowledged{token.Name, state, s.Snapshot().Revision()}); err != nil {
			return err
		}
	}
}

// A writer is killed at any time. Whatever it acknowledged is there, nothing is
// there by half, and the store opens. SCOPEGATE_SOAK=1 makes 100 rounds of it.
func TestKilledWhileWriting(t *testing.T) {
	t.Parallel()
	rounds := crashRounds(5)
	path := newPath(t)
	known := make(map[string]string) // token to state
	var revision uint64
	for round := range rounds {
		said := killedWriter(t, path, fmt.Sprint("round", round))
		last := ""
		for _, a := range said {
			known[a.Token], last = a.State, a.Token
			revision = a.Revision
		}
		s, err := Open(path, testOptions())
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if got := s.Snapshot().Revision(); got < revision {
			t.Errorf("round %d: got revision %d, and %d was acknowledged", round, got, revision)
		}
		for name, state := range known {
			known[name] = checkKnown(t, s, name, state, name == last)
		}
		t.Logf("round %d: %d changes acknowledged, %d tokens in all", round, len(said), len(known))
		if checkAndClose(t, s); t.Failed() {
			return
		}
	}
}

// killedWriter runs a writer, kills it, and returns what it acknowledged.
func killedWriter(t *testing.T, path, seed string) []acknowledged {
	t.Helper()
	cmd := newChild(t.Context(), "write", path, seed)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	delay := time.Duration(rand.IntN(300)) * time.Millisecond
	timer := time.AfterFunc(delay, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	var said []acknowledged
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		var a acknowledged
		if err := json.Unmarshal(lines.Bytes(), &a); err == nil { // else the last one was cut off
			said = append(said, a)
		}
	}
	_ = cmd.Wait() // it was killed
	if stderr.Len() > 0 {
		t.Fatalf("the writer failed by itself: %s", stderr.String())
	}
	return said
}

// checkKnown checks a token's state, and returns it. The last one may have got
// further than was acknowledged, but only wholly.
func checkKnown(t *testing.T, s *Store, name, state string, last bool) string {
	t.Helper()
	token, err := s.Token("acme/" + name)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return state
	}
	got := "active"
	switch {
	case token.Deleted:
		got = "deleted"
	case token.Inactive:
		got = "inactive"
	}
	if got != state && (!last || state != "active") {
		t.Errorf("%s: got %s, and %s was acknowledged", name, got, state)
	}
	want := map[string]scopes.State{"active": scopes.Active, "inactive": scopes.Deactivated, "deleted": scopes.Unknown}[got]
	if granted := stateOf(s, "secret of "+name); granted != want {
		t.Errorf("%s: it is %s, and granted state %d", name, got, granted)
	}
	if token.Contact.Email == "" {
		t.Errorf("%s: got half of it: %+v", name, token)
	}
	return got
}

// fillDisk writes until the file may not grow, and then revokes. A limit of the
// process on the size of files stands for a full disk.
func fillDisk(path string) error {
	s, err := Open(path, Options{})
	if err != nil {
		return err
	}
	const limit = 2*growBytes + growBytes/2
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
		return err
	}
	var full error
	for i := 0; full == nil; i++ {
		token := testToken(fmt.Sprint("t", i))
		token.Scopes, token.Access = nil, scopes.ReadOnly
		token.Description = strings.Repeat("x", 20_000)
		_, full = tryApply(s, testFile(acme(token)), PlanOptions{}, ApplyOptions{AllowWiden: true})
	}
	if !errors.Is(full, ErrWrite) {
		return fmt.Errorf("the disk is full: got %w, want ErrWrite", full)
	}
	for _, name := range []string{"t0", "t1", "t2"} {
		if got := stateOf(s, "secret of "+name); got != scopes.Active {
			return fmt.Errorf("%s: got state %d, want Active", name, got)
		}
	}
	if _, err := s.Deactivate(context.Background(), tester, "acme/t0"); err != nil {
		return err
	}
	if _, err := s.Delete(context.Background(), tester, "acme/t1"); err != nil {
		return err
	}
	return nil // without Close, as if it was killed
}

// On a full disk nothing is acknowledged but revocations, and these hold.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	if out, err := newChild(t.Context(), "fill disk", path, "").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s := openStore(t, path, testOptions())
	for name, want := range map[string]scopes.State{"t0": scopes.Deactivated, "t1": scopes.Unknown, "t2": scopes.Active} {
		if got := stateOf(s, "secret of "+name); got != want {
			t.Errorf("%s: got state %d, want %d", name, got, want)
		}
	}
}

// useTruncated uses a store whose file is cut off while it is open.
func useTruncated(path string) error {
	s, err := Open(path, Options{})
	if err != nil {
		return err
	}
	if err := os.Truncate(path, int64(os.Getpagesize())); err != nil {
		return err
	}
	if _, err := s.Token("acme/a"); !errors.Is(err, ErrDamaged) {
		return fmt.Errorf("Token: got %w, want ErrDamaged", err)
	}
	if s.Snapshot() != nil {
		return errors.New("it serves on")
	}
	if _, err := s.Deactivate(context.Background(), tester, "acme/a"); !errors.Is(err, ErrDamaged) {
		return fmt.Errorf("Deactivate: got %w, want ErrDamaged", err)
	}
	return s.Close()
}

// A file that is cut off while it is open is found out at its next use, ends the
// use of the store, and does not end the process.
func TestTruncatedWhileOpen(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	if out, err := newChild(t.Context(), "truncate", path, "").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if _, err := Open(path, testOptions()); !errors.Is(err, ErrDamaged) {
		t.Errorf("Open: got %v, want ErrDamaged", err)
	}
}
