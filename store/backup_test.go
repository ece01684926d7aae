package store

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

// backedUp returns a store, and a copy of it as of before its tokens were revoked.
func backedUp(t *testing.T) (s *Store, path string, older []byte) {
	t.Helper()
	path = newPath(t)
	s, err := Open(path, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // a test that replaced it has closed it
	apply(t, s, testFile(acme(testToken("kept"), testToken("off"), testToken("gone"), testToken("rotated"))))
	older = backupOf(t, s)
	mustDo(t, s.Deactivate, "acme/off")
	mustDo(t, s.Delete, "acme/gone")
	must(t, func() (Issued, error) { return s.Rotate(context.Background(), tester, "acme/rotated", 0) })
	return s, path, older
}

func backupOf(t *testing.T, s *Store) []byte {
	t.Helper()
	var copied bytes.Buffer
	if _, err := s.Backup(&copied); err != nil {
		t.Fatal(err)
	}
	return copied.Bytes()
}

// wantRevoked checks that an older copy has revived nothing.
func wantRevoked(t *testing.T, s *Store) {
	t.Helper()
	for name, want := range map[string]scopes.State{
		"kept": scopes.Active, "off": scopes.Deactivated, "gone": scopes.Unknown, "rotated": scopes.Unknown,
	} {
		if got := stateOf(s, "secret of "+name); got != want {
			t.Errorf("%s: got state %d, want %d", name, got, want)
		}
	}
}

func TestRestore(t *testing.T) {
	t.Parallel()
	s, path, older := backedUp(t)
	if _, err := Restore(context.Background(), path, bytes.NewReader(older), RestoreOptions{Options: testOptions()}); !errors.Is(err, ErrLocked) {
		t.Fatalf("restoring a store that is open: got %v, want ErrLocked", err)
	}
	revision := s.Snapshot().Revision()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := Restore(context.Background(), path, bytes.NewReader(older), RestoreOptions{Options: testOptions()})
	if err != nil {
		t.Fatal(err)
	}
	defer checkAndClose(t, s)
	wantRevoked(t, s)
	if got := s.Snapshot().Revision(); got <= revision {
		t.Errorf("the revision went from %d to %d: it only goes up", revision, got)
	}
	entries, err := s.Log(LogQuery{Kind: "store"})
	if err != nil || len(entries) != 2 || entries[0].Action != "restore" || entries[1].Action != "recover" {
		t.Errorf("the audit log has %+v, %v, want a restore after a recover", entries, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != fileMode {
		t.Errorf("the restored file: %v, %v, want mode 0600", info.Mode(), err)
	}
	if _, err := os.Stat(path + beforeSuffix); err != nil {
		t.Errorf("the store that was there is not beside: %v", err)
	}
}

// What cannot be restored changes nothing.
func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	s, path, older := backedUp(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	another := newTestStore(t)
	apply(t, another, testFile(acme(testToken("stranger"))))
	flipped := bytes.Clone(older)
	at := bytes.Index(flipped, []byte("data@acme.example"))
	flipped[at] ^= 1
	before := must(t, func() ([]byte, error) { return os.ReadFile(path) })
	for name, test := range map[string]struct {
		copy []byte
		want error
	}{
		"empty":          {nil, ErrDamaged},
		"cut off":        {older[:len(older)/2], ErrDamaged},
		"a record":       {flipped, ErrDamaged},
		"something else": {[]byte(strings.Repeat("no store ", 4096)), ErrForeign},
		"another store":  {backupOf(t, another), ErrForeign},
	} {
		if _, err := Restore(context.Background(), path, bytes.NewReader(test.copy), RestoreOptions{Options: testOptions()}); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
		if after := must(t, func() ([]byte, error) { return os.ReadFile(path) }); !bytes.Equal(after, before) {
			t.Errorf("%s: the store was changed", name)
		}
	}
	files, err := os.ReadDir(strings.TrimSuffix(path, "/scopegate.db"))
	if err != nil || len(files) != 2 {
		t.Errorf("left behind: %v, %v, want the store and its log", files, err)
	}
}

// On a machine that has nothing but the copy, it has to be said that what was revoked
// since is lost.
func TestRestoreElsewhere(t *testing.T) {
	t.Parallel()
	_, _, older := backedUp(t)
	elsewhere := newPath(t)
	if _, err := Restore(context.Background(), elsewhere, bytes.NewReader(older), RestoreOptions{Options: testOptions()}); !errors.Is(err, ErrNoLog) ||
		!strings.Contains(err.Error(), "--accept-loss") {
		t.Errorf("without a log: got %v, want ErrNoLog that says how to go on", err)
	}
	if _, err := os.Stat(elsewhere); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a refused restore made a store: %v", err)
	}
	s, err := Restore(context.Background(), elsewhere, bytes.NewReader(older), RestoreOptions{Options: testOptions(), AcceptLoss: true})
	if err != nil {
		t.Fatal(err)
	}
	defer checkAndClose(t, s)
	if got := stateOf(s, "secret of kept"); got != scopes.Active {
		t.Errorf("a token of the copy: got state %d, want Active", got)
	}
}

// Replacing an open store leaves no moment without one to decide with, and makes
// backups while changes are made.
func TestReplace(t *testing.T) {
	t.Parallel()
	s, _, older := backedUp(t)
	var current atomic.Pointer[Store]
	current.Store(s)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				now := current.Load()
				snapshot := now.Snapshot()
				if snapshot == nil {
					if now == current.Load() {
						t.Error("there was no snapshot to decide with")
					}
					continue
				}
				if got := snapshot.Grant(scopes.DigestOf("secret of gone")).State; got != scopes.Unknown {
					t.Errorf("a deleted token was granted state %d", got)
				}
			}
		})
	}
	err := s.Replace(context.Background(), tester, bytes.NewReader(older), func(next *Store) { current.Store(next) })
	close(stop)
	readers.Wait()
	if err != nil {
		t.Fatal(err)
	}
	next := current.Load()
	defer checkAndClose(t, next)
	wantRevoked(t, next)
	if _, err := s.Deactivate(context.Background(), tester, "acme/kept"); !errors.Is(err, ErrClosed) {
		t.Errorf("the replaced store: got %v, want ErrClosed", err)
	}
	mustDo(t, next.Deactivate, "acme/kept")

	if err := next.Replace(context.Background(), tester, bytes.NewReader(older[:100]), func(*Store) { t.Error("used") }); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrForeign) {
		t.Errorf("a damaged copy: got %v", err)
	}
	if got := stateOf(next, "secret of kept"); got != scopes.Deactivated {
		t.Errorf("after a refused restore: got state %d, want Deactivated", got)
	}
}

// Somebody puts an older log in the place of the one that is in use: a restore into
// the running server goes by what that one knows.
func TestReplaceGoesByTheOpenStore(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"renamed", "overwritten", "pending too"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			path := newPath(t)
			s := openStore(t, path, testOptions())
			apply(t, s, testFile(acme(testToken("kept"), testToken("off"), testToken("gone"), testToken("rotated"))))
			older := backupOf(t, s)
			log := must(t, func() ([]byte, error) { return os.ReadFile(path + logSuffix) })
			mustDo(t, s.Deactivate, "acme/off")
			mustDo(t, s.Delete, "acme/gone")
			if how == "pending too" {
				id := must(t, func() (Token, error) { return s.Token("acme/rotated") }).ID
				s.revision++
				s.pending.Store(&map[string]*revocation{id: {
					id: id, ref: "acme/rotated", dead: []scopes.Digest{scopes.DigestOf("secret of rotated")},
				}})
			} else {
				must(t, func() (Issued, error) { return s.Rotate(context.Background(), tester, "acme/rotated", 0) })
			}
			name := path + logSuffix
			if how != "overwritten" {
				name += ".copy"
			}
			if err := os.WriteFile(name, log, fileMode); err != nil {
				t.Fatal(err)
			}
			if how != "overwritten" {
				if err := os.Rename(name, path+logSuffix); err != nil {
					t.Fatal(err)
				}
			}
			var next *Store
			if err := s.Replace(context.Background(), tester, bytes.NewReader(older), func(s *Store) { next = s }); err != nil {
				t.Fatal(err)
			}
			defer checkAndClose(t, next)
			wantRevoked(t, next)
		})
	}
}
