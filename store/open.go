package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

const (
	fileMode    = 0o600
	lockTimeout = 2 * time.Second
)

// Open opens the store at path, or creates it where there is no file; a missing
// folder is an error. It waits at most 2 s for another process to close it. Its
// errors wrap [ErrLocked], [ErrDamaged], [ErrForeign], [ErrNewer] or [ErrNoLog],
// and say what to do.
func Open(path string, o Options) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	s := newStore(path, o)
	if err := s.open(); err != nil {
		if errors.Is(err, fs.ErrPermission) {
			err = fmt.Errorf("%w; the user that runs the gateway must be able to read and write it, and its folder", err)
		}
		return nil, fmt.Errorf("store: opening %s: %w", path, err)
	}
	return s, nil
}

// open opens the store. In a cluster a file that is damaged is no loss: it is put aside,
// and the other nodes fill the new one before it decides anything.
func (s *Store) open() error {
	err := s.openFound()
	if s.cluster == nil || !errors.Is(err, ErrDamaged) {
		return err
	}
	aside := fmt.Sprintf(".damaged-%d", s.now().Unix())
	s.log.Error("the store is damaged; it is put aside, and made anew from what the other nodes have", "error", err, "aside", s.path+aside)
	for _, path := range []string{s.path, s.path + logSuffix} {
		if err := os.Rename(path, path+aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return s.openFound()
}

func (s *Store) openFound() error {
	_, err := os.Stat(s.path)
	if errors.Is(err, fs.ErrNotExist) && !s.readOnly {
		err = s.create()
	}
	if err != nil {
		return err
	}
	whole, err := s.openFile()
	if err != nil {
		return err
	}
	if err := s.start(whole); err != nil {
		return errors.Join(err, s.Close())
	}
	return nil
}

// openFile checks the file, and has bbolt lock and map it. It reports whether both
// of its metas are whole.
func (s *Store) openFile() (whole bool, err error) {
	whole, err = s.mapFile(mapBytes)
	if errors.Is(err, syscall.ENOMEM) { // the process may not have so much address space
		whole, err = s.mapFile(0)
	}
	switch {
	case err == nil:
		s.db.MmapFlags = 0 // it is read once; growing later needs no second time
		s.db.AllocSize = growBytes
		return whole, nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return false, fmt.Errorf("%w: stop that one first, or talk to the server that has it through its admin endpoint", ErrLocked)
	case cannotWrite(err) && !s.readOnly:
		s.log.Warn("the store cannot be written, and is opened for reading only", "error", err)
		s.readOnly = true
		return s.openFile()
	}
	if s.file != nil {
		_ = s.file.Close()
	}
	return false, err
}

// growBytes is how much a file grows at least.
const growBytes = 1 << 20

// mapFile opens the file with so many bytes of address space at least.
func (s *Store) mapFile(size int) (whole bool, err error) {
	err = s.guard(func() error {
		db, err := bolt.Open(s.path, fileMode, &bolt.Options{
			Timeout: lockTimeout, FreelistType: bolt.FreelistMapType, ReadOnly: s.readOnly,
			MmapFlags: mapFlags, InitialMmapSize: size, NoStatistics: true,
			OpenFile: func(path string, flag int, _ fs.FileMode) (*os.File, error) {
				file, err := os.OpenFile(path, flag&^os.O_CREATE, 0)
				if err != nil {
					return nil, err
				}
				s.file = file
				whole, err = checkFile(file)
				return file, err
			},
		})
		s.db = db
		return err
	})
	return whole, err
}

// cannotWrite reports whether a file may perhaps be read, though not written.
func cannotWrite(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)
}

// start reads the open file and builds the index, after it has settled what the
// revocations log knows and the file does not.
func (s *Store) start(whole bool) error {
	if err := s.protect(); err != nil {
		return err
	}
	if err := s.migrate(migrations); err != nil {
		return err
	}
	var state state
	err := s.view(func(r reader) error {
		state = r.state
		return nil
	})
	if err != nil {
		return err
	}
	s.opened = state.revision
	lost, err := s.openJournal(state, whole)
	if err != nil {
		return err
	}
	if err := s.openReplica(); err != nil {
		return err
	}
	if err := s.loadIndex(); err != nil {
		return err
	}
	if s.replica.Load() != nil {
		s.replica.Load().start()
		return nil
	}
	if lost == "" || s.readOnly {
		return nil
	}
	return s.recover(lost)
}

// openReplica makes the store one of several nodes, if it is to be one.
func (s *Store) openReplica() error {
	if s.cluster == nil {
		return nil
	}
	if s.readOnly {
		return fmt.Errorf("%w: a node of a cluster writes what the others change", ErrReadOnly)
	}
	r, err := newReplica(s, s.cluster)
	if err != nil {
		return err
	}
	if err := r.open(); err != nil {
		return err
	}
	s.replica.Store(r)
	return nil
}

// protect sees to it that only the owner has access to the file, and tells where
// others could put another in its place.
func (s *Store) protect() error {
	if s.readOnly {
		return nil
	}
	folder := filepath.Dir(s.path)
	info, err := os.Stat(folder)
	if err != nil {
		return err
	}
	const others = 0o022
	if runtime.GOOS != "windows" && info.Mode().Perm()&others != 0 && info.Mode()&fs.ModeSticky == 0 {
		s.log.Warn("others can replace the store, for they can write to its folder: take that from them, as with chmod go-w",
			"folder", folder, "mode", info.Mode().Perm())
	}
	return s.protectFile(s.file, "store")
}

func (s *Store) protectFile(file *os.File, what string) error {
	was, err := tighten(file)
	if was != 0 {
		s.log.Warn("others had access to the "+what+"; its mode is now 0600", "mode", was)
	}
	return err
}

// loadIndex publishes the first snapshot.
func (s *Store) loadIndex() error {
	var l *loader
	err := s.view(func(r reader) (err error) {
		l, err = s.newLoader(r)
		return err
	})
	if err != nil {
		return err
	}
	if err := l.loadAll(s); err != nil {
		return err
	}
	snapshot := l.finish()
	if pending := s.pending.Load(); pending != nil {
		if snapshot, err = snapshot.without(*pending); err != nil {
			return err
		}
	}
	snapshot.revision = s.revision
	s.snapshot.Store(snapshot)
	return nil
}

// recover writes what is pending into the file, and says so in the audit log. The
// store is of use without that too, so that a full disk does not keep it closed.
func (s *Store) recover(lost string) error {
	err := s.commit(context.Background(), Actor{Name: "scopegate"}, nil, func(c *change) error {
		c.record("recover", "store", "", []string{lost})
		return nil
	})
	if err != nil && s.failure.Load() == nil {
		s.log.Error("the revocations log could not be written into the store; it is in force, and the next change will", "error", err)
		return nil
	}
	return err
}
