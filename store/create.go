package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	bolt "go.etcd.io/bbolt"
)

// create makes a new store at the path. The file gets its name once it is whole,
// so that a crash leaves no half of a store behind.
func (s *Store) create() error {
	folder := filepath.Dir(s.path)
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return fmt.Errorf("there is no folder %s; make it first, for only the user that runs the gateway: %w", folder, fs.ErrNotExist)
	}
	id, err := s.newStoreID()
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(folder, filepath.Base(s.path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	if err := errors.Join(temporary.Close(), initialise(temporary.Name(), id)); err != nil {
		return err
	}
	if err := nameNew(temporary.Name(), s.path); err != nil {
		if errors.Is(err, fs.ErrExist) { // another process was faster, and has its store open
			return nil
		}
		return err
	}
	s.log.Info("there was no store: created an empty one")
	return nil
}

// nameNew gives a finished temporary file its name. The error wraps fs.ErrExist if
// there is another file of that name.
func nameNew(temporary, path string) error {
	err := os.Link(temporary, path)
	if err != nil && !errors.Is(err, fs.ErrExist) { // not every file system has links
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// newStoreID returns the id that a new store gets. Where a revocations log is
// left of one that is gone, the new store takes its place, so that what was
// revoked there stays so.
func (s *Store) newStoreID() (string, error) {
	log, err := readLog(s.path + logSuffix)
	switch {
	case err == nil && log.storeID != "" && log.damaged == 0:
		s.log.Warn("the store is missing, but its revocations log is there: what was revoked stays revoked")
		return log.storeID, nil
	case err == nil && !log.accept:
		return "", fmt.Errorf("%w: the store is missing, and its revocations log %s cannot be read; restore both, or remove the log to begin anew",
			ErrDamaged, s.path+logSuffix)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	id, err := newID(s.random)
	if err != nil {
		return "", err
	}
	id = "store_" + strings.TrimPrefix(id, idPrefix)
	name := nameNew
	if log != nil && log.accept {
		name = replaceFile
	}
	if err := writeLog(s.path+logSuffix, id, nil, name); !errors.Is(err, fs.ErrExist) {
		return id, err
	}
	return s.newStoreID() // another process was faster: its log is there now
}

// initialise makes an empty store of an empty file.
func initialise(path, id string) error {
	db, err := bolt.Open(path, fileMode, &bolt.Options{Timeout: lockTimeout})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		meta := tx.Bucket(bucketMeta)
		state := state{id: id}
		return errors.Join(
			meta.Put(keyFormat, binary.BigEndian.AppendUint32(nil, format)),
			meta.Put(keyState, state.encode()))
	})
	return errors.Join(err, db.Close())
}

// migration changes the layout of a store from one format to the next.
type migration func(*bolt.Tx) error

// migrations lead from format 1 on to the current one: the first from 1 to 2.
var migrations = []migration{}

// migrate brings an older store up to the format that the migrations lead to, in
// one transaction, and refuses a newer one.
func (s *Store) migrate(migrations []migration) error {
	newest := uint32(1 + len(migrations)) //nolint:gosec // a handful
	from, err := s.format()
	switch {
	case err != nil:
		return err
	case from == newest:
		return nil
	case from > newest:
		return fmt.Errorf("%w: it has format %d, and this version of Scopegate reads up to %d; run the version that wrote it, or a newer one",
			ErrNewer, from, newest)
	case s.readOnly:
		return fmt.Errorf("%w: it has the older format %d; open it for writing once", ErrReadOnly, from)
	}
	s.log.Info("bringing the store up to a newer format", "from", from, "to", newest)
	return s.guard(func() error {
		return s.db.Update(func(tx *bolt.Tx) error {
			for _, step := range migrations[from-1:] {
				if err := step(tx); err != nil {
					return fmt.Errorf("bringing the store from format %d to %d: %w", from, newest, err)
				}
			}
			return tx.Bucket(bucketMeta).Put(keyFormat, binary.BigEndian.AppendUint32(nil, newest))
		})
	})
}

// format returns the format of the open file.
func (s *Store) format() (found uint32, err error) {
	err = s.guard(func() error {
		return s.db.View(func(tx *bolt.Tx) error {
			meta := tx.Bucket(bucketMeta)
			if meta == nil {
				return errNotOurs
			}
			value := meta.Get(keyFormat)
			if len(value) != 4 || binary.BigEndian.Uint32(value) == 0 {
				return damaged("store", "format", errFields)
			}
			found = binary.BigEndian.Uint32(value)
			return nil
		})
	})
	return found, err
}
