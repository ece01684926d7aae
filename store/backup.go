package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Backup writes a consistent copy of the store to w, while it is used. The copy is a
// store file as of one revision: what [Restore] and [Store.Replace] read. It has the
// digests of credentials, so it is kept as the store is.
func (s *Store) Backup(w io.Writer) (revision uint64, err error) {
	err = s.view(func(r reader) error {
		revision = r.state.revision
		_, err := r.tx.WriteTo(w)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("store: backing up %s: %w", s.path, err)
	}
	return revision, nil
}

// RestoreOptions say how a store file is restored.
type RestoreOptions struct {
	Options
	// AcceptLoss goes on without a revocations log beside the store: what was revoked
	// after the copy was made is valid again.
	AcceptLoss bool
}

// beforeSuffix is what the name of a store gets that a restored copy has replaced.
const beforeSuffix = ".before-restore"

// Restore puts a copy that [Store.Backup] made in the place of the store at path, or
// where none is, and opens it. Nobody else may have it open. What was revoked since
// the copy was made stays revoked, by the revocations log beside the store; without
// one the error wraps [ErrNoLog], unless the loss is accepted. A copy that is
// damaged, newer or of another store changes nothing. The store that was there stays
// beside the new one, its name ending in ".before-restore".
func Restore(ctx context.Context, path string, copied io.Reader, o RestoreOptions) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	r := &restoration{path: path, options: o}
	defer r.close()
	if err := r.prepare(copied); err != nil {
		return nil, fmt.Errorf("store: restoring %s: %w", path, err)
	}
	if err := r.lockOld(); err != nil {
		return nil, fmt.Errorf("store: restoring %s: %w", path, err)
	}
	return r.swap(ctx, Actor{Name: "restore"})
}

// Replace puts a copy that [Store.Backup] made in the place of the store, which is
// closed, and returns the one that was opened: with it use is called, while the old
// one still answers, so that there is always one to decide with. As [Restore] does,
// it keeps up what was revoked since, and at an error it leaves the store as it is.
func (s *Store) Replace(ctx context.Context, actor Actor, copied io.Reader, use func(*Store)) error {
	if err := s.writable(); err != nil {
		return err
	}
	r := &restoration{path: s.path, options: RestoreOptions{Options: s.options()}}
	defer r.close()
	if err := r.prepare(copied); err != nil {
		return fmt.Errorf("store: restoring %s: %w", s.path, err)
	}
	if err := s.lock(ctx); err != nil {
		return err
	}
	var next *Store
	err := s.replaceLog()
	if err != nil {
		err = fmt.Errorf("store: restoring %s: %w", s.path, err)
	} else {
		next, err = r.swap(ctx, actor)
	}
	if err == nil {
		use(next)
	}
	s.unlock()
	if err != nil {
		return err
	}
	return s.Close()
}

// options returns what the store was opened with.
func (s *Store) options() Options {
	return Options{Now: s.now, Random: s.random, Logger: s.bare, Cluster: s.cluster}
}

// restoration is one store file on its way to its place.
type restoration struct {
	path    string
	options RestoreOptions
	file    string   // the copy, checked, beside the store; "" once it is in its place
	id      string   // of the store that it is a copy of
	old     *bolt.DB // held so that nobody else opens it
}

func (r *restoration) close() {
	if r.file != "" {
		_ = os.Remove(r.file)
	}
	if r.old != nil {
		_ = r.old.Close() // it was opened for its lock only
	}
}

// prepare writes the copy beside the store and checks all of it.
func (r *restoration) prepare(copied io.Reader) error {
	file, err := os.CreateTemp(filepath.Dir(r.path), filepath.Base(r.path)+".*") // mode 0600
	if err != nil {
		return err
	}
	r.file = file.Name()
	_, err = io.Copy(file, copied)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	found, err := checkCopy(r.file)
	if err != nil {
		return err
	}
	r.id = found.id
	return r.checkLog()
}

// checkLog makes sure that the revocations log beside the store is the copy's, or
// that going on without one is accepted.
func (r *restoration) checkLog() error {
	path := r.path + logSuffix
	log, err := readLog(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if r.options.AcceptLoss {
			return nil
		}
		return fmt.Errorf("%w: there is no %s, which keeps revoked what was revoked after the copy was made. "+
			"Put it there; or, if it is lost for good, restore with --accept-loss, and revoke again what must not come back", ErrNoLog, path)
	case err != nil:
		return fmt.Errorf("reading the revocations log: %w", err)
	case log.storeID != r.id && !log.accept:
		return fmt.Errorf("%w: it is a copy of another store than the one that %s belongs to", ErrForeign, path)
	}
	return nil
}

// lockOld makes sure that no other process has the store open.
func (r *restoration) lockOld() error {
	old, err := bolt.Open(r.path, fileMode, &bolt.Options{
		Timeout: lockTimeout, ReadOnly: false, PreLoadFreelist: false,
		OpenFile: func(path string, flag int, _ fs.FileMode) (*os.File, error) {
			file, err := os.OpenFile(path, flag&^os.O_CREATE, 0)
			if err == nil {
				_, err = checkFile(file) // mapping a damaged file is a fault
			}
			return file, err
		},
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("%w: stop that one first, or restore through the server that has it", ErrLocked)
	case err == nil:
		r.old = old
	}
	return nil // a store that is damaged or missing is what a restore is for
}

// swap puts the copy in its place and opens it, or leaves everything as it was.
func (r *restoration) swap(ctx context.Context, actor Actor) (*Store, error) {
	if _, err := os.Stat(r.path + logSuffix); errors.Is(err, fs.ErrNotExist) {
		if err := writeFileSynced(r.path+logSuffix, acceptLoss+"\n"); err != nil {
			return nil, err
		}
	}
	before := r.path + beforeSuffix
	hadOld, err := keepBefore(r.path, before)
	if err != nil {
		return nil, err
	}
	err = replaceFile(r.file, r.path)
	var s *Store
	if err == nil {
		s, err = Open(r.path, r.options.Options)
	}
	if err != nil {
		if hadOld {
			err = errors.Join(err, replaceFile(before, r.path))
		}
		return nil, err
	}
	r.file = ""
	err = s.change(ctx, actor, func(c *change) error {
		c.record("restore", "store", "", []string{fmt.Sprintf("a copy of revision %d was restored", s.opened)})
		return nil
	})
	if err != nil {
		s.log.Error("the audit log does not have that the store was restored", "error", err)
	}
	return s, nil
}

// keepBefore gives a store a second name, and reports whether there was one. The
// first stays: a process that dies now must not leave a path without a store, for
// the next start would make an empty one.
func keepBefore(path, before string) (hadOld bool, err error) {
	if err := os.Remove(before); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	switch err := os.Link(path, before); {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil: // not every file system has links
		return true, os.Rename(path, before)
	}
	return true, nil
}

func writeFileSynced(path, content string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if err != nil {
		return err
	}
	_, err = file.WriteString(content)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// Verify checks a copy that [Store.Backup] made: the file as a whole and each record
// in it. It returns the revision of the store that it was made of.
func Verify(path string) (revision uint64, err error) {
	state, err := checkCopy(path)
	if err != nil {
		return 0, fmt.Errorf("store: checking %s: %w", path, err)
	}
	return state.revision, nil
}

// checkCopy checks a file as an open does, and all records in it besides, and returns
// what the store knows of itself.
func checkCopy(path string) (found state, err error) {
	s := newStore(path, Options{ReadOnly: true})
	if _, err := s.openFile(); err != nil {
		return state{}, err
	}
	defer func() { err = errors.Join(err, s.db.Close()) }()
	if err := s.migrate(migrations); err != nil && !errors.Is(err, ErrReadOnly) { // older is fine
		return state{}, err
	}
	err = s.view(func(r reader) error {
		found = r.state
		return r.checkRecords()
	})
	return found, err
}

// checkRecords reads every record, and fails at the first that cannot be read.
func (r reader) checkRecords() error {
	for _, check := range []struct {
		kind   string
		bucket []byte
		read   func(key, value []byte) error
	}{
		{"API", bucketAPIs, func(k, v []byte) error { _, _, err := decodeAPI(k, v); return err }},
		{"account", bucketAccounts, func(k, v []byte) error { _, err := decodeAccount(k, v); return err }},
		{"token", bucketTokens, func(k, v []byte) error { _, err := decodeRecord(k, v); return err }},
		{"audit entry", bucketAudit, func(k, v []byte) error { _, err := decodeEntry(k, v); return err }},
	} {
		bucket := r.bucket(check.bucket)
		if bucket == nil {
			return errNotOurs
		}
		err := bucket.ForEach(func(key, value []byte) error {
			if err := check.read(key, value); err != nil {
				return fmt.Errorf("%w: the record of %s %q: %w; take another copy", ErrDamaged, check.kind, key, err)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
