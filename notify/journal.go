package notify

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// journal is the file that remembers who is to be told what, and who was. It is held by one
// process.
type journal struct {
	path string
	db   *bolt.DB
}

// The buckets of the file, and what they hold.
var (
	bucketMeta    = []byte("meta")    // the keys below
	bucketEvents  = []byte("events")  // id → event, as long as somebody is to be told of it
	bucketPending = []byte("pending") // channel, recipient, event → since when, and its kind
	bucketOpen    = []byte("open")    // id → a message that is being delivered, by this node or another
	bucketDone    = []byte("done")    // key → when somebody was told
	bucketRoles   = []byte("roles")   // role → what is known of it: see seed.go

	keyFormat = []byte("format")
	keyEpoch  = []byte("epoch") // of what the nodes have in common
	keySeq    = []byte("seq")   // of the last that was seen of it
)

// journalFormat is the layout of the buckets.
const journalFormat = 1

// ErrDamaged says that the journal cannot be read.
var ErrDamaged = errors.New("notify: the journal is damaged")

// openJournal opens the file, or makes it, with mode 0600. One that cannot be read is put
// aside, under its name with ".damaged" and the time: who was told what is not worth a gateway
// that does not start.
func openJournal(path string, now time.Time, log *slog.Logger) (*journal, error) {
	j, err := openJournalAsItIs(path)
	if !errors.Is(err, ErrDamaged) {
		return j, err
	}
	aside := fmt.Sprintf("%s.damaged-%d", path, now.Unix())
	log.Error("the file that says who was told what cannot be read; it is put aside, and some messages may come again",
		"file", path, "aside", aside, "error", err)
	if err := os.Rename(path, aside); err != nil {
		return nil, fmt.Errorf("notify: putting the damaged journal aside: %w", err)
	}
	return openJournalAsItIs(path)
}

func openJournalAsItIs(path string) (j *journal, err error) {
	const mode, timeout = 0o600, 2 * time.Second
	j = &journal{path: path}
	err = guard(func() error {
		j.db, err = bolt.Open(path, mode, &bolt.Options{Timeout: timeout, FreelistType: bolt.FreelistMapType})
		return err
	})
	for _, damage := range []error{bolterrors.ErrInvalid, bolterrors.ErrChecksum, bolterrors.ErrVersionMismatch} {
		if errors.Is(err, damage) {
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("notify: opening %s: %w", path, err)
	}
	if err := j.update(prepareJournal); err != nil {
		return nil, errors.Join(err, j.db.Close())
	}
	return j, nil
}

func prepareJournal(tx *bolt.Tx) error {
	for _, name := range [][]byte{bucketMeta, bucketEvents, bucketPending, bucketOpen, bucketDone, bucketRoles} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	meta := tx.Bucket(bucketMeta)
	switch found := meta.Get(keyFormat); {
	case found == nil:
		return meta.Put(keyFormat, []byte{journalFormat})
	case len(found) != 1 || found[0] != journalFormat:
		return fmt.Errorf("%w: it has format %d, and this version reads %d", ErrDamaged, found, journalFormat)
	}
	return nil
}

// view reads the file.
func (j *journal) view(fn func(*bolt.Tx) error) error {
	if err := guard(func() error { return j.db.View(fn) }); err != nil {
		return fmt.Errorf("notify: reading %s: %w", j.path, err)
	}
	return nil
}

// update changes the file, all or nothing, and returns once that is on the disk.
func (j *journal) update(fn func(*bolt.Tx) error) error {
	if err := guard(func() error { return j.db.Update(fn) }); err != nil {
		return fmt.Errorf("notify: writing %s: %w", j.path, err)
	}
	return nil
}

// guard makes an error of what bbolt panics with when it reads a damaged page.
func guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, cause)
		}
	}()
	return fn()
}

const numberBytes = 8

func appendNumber(b []byte, n uint64) []byte { return binary.BigEndian.AppendUint64(b, n) }

// numberOf reads what appendNumber wrote; zero if it is too short.
func numberOf(b []byte) uint64 {
	if len(b) < numberBytes {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// appendTime appends a time to the nanosecond.
func appendTime(b []byte, t time.Time) []byte { return appendNumber(b, uint64(max(t.UnixNano(), 0))) }

func timeOf(b []byte) time.Time { return time.Unix(0, int64(numberOf(b)&(1<<63-1))) }
