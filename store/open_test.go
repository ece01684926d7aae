package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/scopegate/scopegate/scopes"
)

// newFile makes a store with tokens a, b and c, of which the last change revoked c,
// and closes it.
func newFile(tb testing.TB) string {
	tb.Helper()
	path := newPath(tb)
	s, err := Open(path, testOptions())
	if err != nil {
		tb.Fatal(err)
	}
	apply(tb, s, testFile(acme(testToken("a"), testToken("b"), testToken("c"))))
	if _, err := s.Deactivate(context.Background(), tester, "acme/b"); err != nil {
		tb.Fatal(err)
	}
	if _, err := s.Delete(context.Background(), tester, "acme/c"); err != nil {
		tb.Fatal(err)
	}
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
	return path
}

// storeFile is a closed store that a test damages.
type storeFile struct {
	tb   testing.TB
	path string
}

func (f storeFile) must(err error) {
	f.tb.Helper()
	if err != nil {
		f.tb.Fatal(err)
	}
}

func (f storeFile) truncate(size int64) {
	f.tb.Helper()
	f.must(os.Truncate(f.path, size))
}

func (f storeFile) overwrite(at int64, b []byte) {
	f.tb.Helper()
	file, err := os.OpenFile(f.path, os.O_RDWR, 0)
	f.must(err)
	_, err = file.WriteAt(b, at)
	f.must(errors.Join(err, file.Close()))
}

func (f storeFile) replace(content string) {
	f.tb.Helper()
	f.must(os.WriteFile(f.path, []byte(content), fileMode))
}

func (f storeFile) putMeta(key, value []byte) {
	f.tb.Helper()
	db, err := bolt.Open(f.path, fileMode, nil)
	f.must(err)
	err = db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Put(key, value) })
	f.must(errors.Join(err, db.Close()))
}

// newestPages returns how many pages of the file are in use.
func (f storeFile) newestPages() int64 {
	f.tb.Helper()
	file, err := os.Open(f.path)
	f.must(err)
	metas, err := readMetas(file)
	f.must(errors.Join(err, file.Close()))
	return int64(max(metas[0].pages, metas[1].pages))
}

// damageRecord flips a bit in the middle of a record, and of what is left of
// earlier copies of it, where the disk would.
func (f storeFile) damageRecord(bucket []byte, key string) {
	f.tb.Helper()
	db, err := bolt.Open(f.path, fileMode, nil)
	f.must(err)
	var value []byte
	err = db.View(func(tx *bolt.Tx) error {
		value = bytes.Clone(tx.Bucket(bucket).Get([]byte(key)))
		return nil
	})
	f.must(errors.Join(err, db.Close()))
	data, err := os.ReadFile(f.path)
	f.must(err)
	damaged := bytes.Clone(value)
	damaged[len(value)/2] ^= 1
	f.replace(string(bytes.ReplaceAll(data, value, damaged)))
}

func TestOpenRefusesWhatIsNotAWholeStore(t *testing.T) {
	t.Parallel()
	page := int64(os.Getpagesize())
	tests := []struct {
		name   string
		damage func(f storeFile)
		want   error
		says   string // what the operator reads of it
	}{
		{"empty", func(f storeFile) { f.truncate(0) }, ErrDamaged, "empty"},
		{"of one byte", func(f storeFile) { f.truncate(1) }, ErrForeign, "another kind of file"},
		{"cut off in the first meta", func(f storeFile) { f.truncate(50) }, ErrDamaged, "meta pages"},
		{"cut off after a page", func(f storeFile) { f.truncate(page) }, ErrDamaged, "cut off"},
		{"cut off after two pages", func(f storeFile) { f.truncate(2 * page) }, ErrDamaged, "cut off"},
		{"cut off after four pages", func(f storeFile) { f.truncate(4 * page) }, ErrDamaged, "cut off"},
		{"cut off by a byte", func(f storeFile) {
			f.truncate(f.newestPages()*page - 1)
		}, ErrDamaged, "cut off"},
		{"zeroed at the beginning", func(f storeFile) { f.overwrite(0, make([]byte, 4*page)) }, ErrDamaged, "zeros"},
		{"zeroed behind the metas", func(f storeFile) {
			f.overwrite(2*page, make([]byte, (f.newestPages()-2)*page))
		}, ErrDamaged, "restore a backup"},
		{"both metas damaged", func(f storeFile) {
			f.overwrite(40, []byte{0xff, 0xfe})
			f.overwrite(page+40, []byte{0xff, 0xfe})
		}, ErrDamaged, "both its meta pages"},
		{"garbage", func(f storeFile) {
			f.overwrite(0, []byte(strings.Repeat("garbage ", 2000)))
		}, ErrForeign, "overwritten"},
		{"a text file", func(f storeFile) {
			f.replace("format: 1\n")
		}, ErrForeign, "name another file"},
		{"a folder", func(f storeFile) {
			f.must(errors.Join(os.Remove(f.path), os.Mkdir(f.path, 0o700)))
		}, nil, "directory"},
		{"a bbolt file of something else", func(f storeFile) {
			f.must(os.Remove(f.path))
			db, err := bolt.Open(f.path, fileMode, nil)
			f.must(errors.Join(err, db.Close()))
		}, ErrForeign, "something else"},
		{"of a newer format", func(f storeFile) {
			f.putMeta(keyFormat, binary.BigEndian.AppendUint32(nil, 1000))
		}, ErrNewer, "format 1000"},
		{"without a format", func(f storeFile) { f.putMeta(keyFormat, nil) }, ErrDamaged, "format"},
		{"with a damaged state", func(f storeFile) {
			f.putMeta(keyState, []byte("nonsense"))
		}, ErrDamaged, "checksum"},
		{"with a state of a newer version", func(f storeFile) {
			f.putMeta(keyState, seal(string(keyState), []byte{stateVersion + 1}))
		}, ErrDamaged, "newer"},
		{"with a damaged API", func(f storeFile) { f.damageRecord(bucketAPIs, "orders") }, ErrDamaged, `API "orders"`},
		{"without its log", func(f storeFile) {
			f.must(os.Remove(f.path + logSuffix))
		}, ErrNoLog, acceptLoss},
		{"with an empty log", func(f storeFile) { storeFile{f.tb, f.path + logSuffix}.truncate(0) }, ErrNoLog, "cannot be read"},
		{"with the log of another store", func(f storeFile) {
			f.must(writeLog(f.path+logSuffix, "store_other", nil, replaceFile))
		}, ErrNoLog, "another store"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := newFile(t)
			test.damage(storeFile{t, path})
			s, err := Open(path, testOptions())
			if err == nil {
				_ = s.Close()
				t.Fatalf("Open: got a store with %+v, want an error", s.Snapshot().Counts())
			}
			if test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), path) {
				t.Errorf("Open: got error %q, want %v that says %q and names the file", err, test.want, test.says)
			}
			if _, err := Open(path, testOptions()); err == nil {
				t.Error("opening it again succeeded")
			}
		})
	}
}

func TestOpenCreates(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	var log lines
	o := testOptions()
	o.Logger = log.logger()
	s := openStore(t, path, o)
	if got := s.Snapshot().Grant(scopes.DigestOf("anything")); got.State != scopes.Unknown {
		t.Errorf("an empty store grants %+v", got)
	}
	if !strings.Contains(log.String(), "created an empty one") || !strings.Contains(log.String(), path) {
		t.Errorf("the log does not say that and where a store was created: %q", log.String())
	}
	for _, name := range []string{path, path + logSuffix} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != fileMode {
			t.Errorf("%s: got %v, %v, want mode 0600", name, info, err)
		}
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 2 {
		t.Errorf("the folder has %v, %v, want the store and its log only", entries, err)
	}
}

func TestOpenWithoutItsFolder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "missing", "scopegate.db")
	if _, err := Open(path, testOptions()); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "folder") {
		t.Errorf("Open: got %v, want an error that names the missing folder", err)
	}
}

func TestOpenLocked(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	openStore(t, path, testOptions())
	start := time.Now()
	_, err := Open(path, testOptions())
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "admin endpoint") {
		t.Errorf("Open: got %v, want ErrLocked that says what to do", err)
	}
	if took := time.Since(start); took > lockTimeout+time.Second {
		t.Errorf("Open took %v", took)
	}
}

// Several open the same missing store at once: one creates it, the others find it
// in use, and its log is its own.
func TestOpenCreatesOnce(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	var opening sync.WaitGroup
	stores := make([]*Store, 4)
	for i := range stores {
		opening.Go(func() {
			s, err := Open(path, testOptions())
			if stores[i] = s; err != nil && !errors.Is(err, ErrLocked) {
				t.Errorf("Open: got %v, want a store or ErrLocked", err)
			}
		})
	}
	opening.Wait()
	opened := 0
	for _, s := range stores {
		if s != nil {
			opened++
			checkAndClose(t, s)
		}
	}
	if opened != 1 {
		t.Errorf("%d have it open, want 1", opened)
	}
	openStore(t, path, testOptions())
}

func TestOpenTightensTheMode(t *testing.T) {
	t.Parallel()
	for what, suffix := range map[string]string{"store": "", "revocations log": logSuffix} {
		path := newFile(t)
		if err := os.Chmod(path+suffix, 0o644); err != nil {
			t.Fatal(err)
		}
		_, log := openLogged(t, path)
		info, err := os.Stat(path + suffix)
		if err != nil || info.Mode().Perm() != fileMode {
			t.Errorf("%s: got %v, %v, want mode 0600", what, info.Mode(), err)
		}
		if got := strings.Count(log.String(), "others "); got != 1 || !strings.Contains(log.String(), "others had access to the "+what) {
			t.Errorf("%s: the log: %q", what, log.String())
		}
	}
}

func TestOpenTellsOfAFolderThatOthersCanWrite(t *testing.T) {
	t.Parallel()
	for _, mode := range []fs.FileMode{0o770, 0o702} {
		path := newFile(t)
		if err := os.Chmod(filepath.Dir(path), mode); err != nil {
			t.Fatal(err)
		}
		if _, log := openLogged(t, path); !strings.Contains(log.String(), "others can replace the store") {
			t.Errorf("%v: the log: %q", mode, log.String())
		}
	}
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	o := testOptions()
	o.ReadOnly = true
	s := openStore(t, path, o)
	if got := stateOf(s, "secret of a"); got != scopes.Active {
		t.Errorf("a: got state %d, want Active", got)
	}
	if _, err := s.Delete(context.Background(), tester, "acme/a"); !errors.Is(err, ErrReadOnly) {
		t.Errorf("Delete: got %v, want ErrReadOnly", err)
	}
	if _, err := Open(newPath(t), o); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open of no file: got %v, want fs.ErrNotExist", err)
	}
}

func TestDamagedRecordIsRefusedAlone(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	s, err := Open(path, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.Token("acme/a")
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	storeFile{t, path}.damageRecord(bucketTokens, token.ID)
	var log lines
	o := testOptions()
	o.Logger = log.logger()
	s = openStore(t, path, o)
	if got := stateOf(s, "secret of a"); got != scopes.Unknown {
		t.Errorf("a damaged record is granted state %d", got)
	}
	if got := s.Snapshot().Counts(); got != (Counts{Inactive: 1, Damaged: 1}) {
		t.Errorf("counts: got %+v", got)
	}
	if !strings.Contains(log.String(), token.ID) || !strings.Contains(log.String(), "damaged") {
		t.Errorf("the log does not name the record: %q", log.String())
	}
	if _, err := s.Token("acme/a"); !errors.Is(err, ErrDamaged) {
		t.Errorf("Token: got %v, want ErrDamaged", err)
	}
	if _, err := s.Activate(context.Background(), tester, "acme/a"); !errors.Is(err, ErrDamaged) {
		t.Errorf("Activate: got %v, want ErrDamaged", err)
	}
	deleted, err := s.Delete(context.Background(), tester, "acme/a")
	if err != nil || !deleted.Deleted || deleted.ID != token.ID {
		t.Errorf("Delete: got %+v, %v, want it deleted", deleted, err)
	}
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	failing := errors.New("it went wrong")
	step := func(tx *bolt.Tx) error { return tx.Bucket(bucketSources).Put([]byte("migrated"), []byte("yes")) }
	if err := s.migrate([]migration{step, func(*bolt.Tx) error { return failing }}); !errors.Is(err, failing) {
		t.Errorf("a step that fails: got %v", err)
	}
	if format, err := s.format(); format != 1 || err != nil {
		t.Errorf("after a step that failed: got format %d, %v, want 1", format, err)
	}
	if err := s.migrate([]migration{step}); err != nil {
		t.Fatal(err)
	}
	if format, err := s.format(); format != 2 || err != nil {
		t.Errorf("got format %d, %v, want 2", format, err)
	}
	if err := s.migrate(nil); !errors.Is(err, ErrNewer) {
		t.Errorf("an older program: got %v, want ErrNewer", err)
	}
	if err := s.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketSources).Delete([]byte("migrated")) }); err != nil {
		t.Error(err)
	}
}

func ExampleOpen() {
	folder, err := os.MkdirTemp("", "scopegate-example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(folder) }()

	s, err := Open(filepath.Join(folder, "scopegate.db"), Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = s.Close() }()

	grant := s.Snapshot().Grant(scopes.DigestOf("a credential that nobody has"))
	fmt.Println(grant.State == scopes.Unknown)
	// Output: true
}
