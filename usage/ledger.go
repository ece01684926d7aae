package usage

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
)

// FlushInterval is how often a ledger writes down what was counted: what a crash loses.
const FlushInterval = 10 * time.Second

// Options are what [Open] needs besides the path. The zero value is fit for use.
type Options struct {
	Now    func() time.Time // nil means time.Now
	Logger *slog.Logger     // nil: nothing is logged
}

// Ledger is a file with what was counted, and the meter whose counts it takes down. It is
// safe for concurrent use. The file is held by one process, as a store is.
type Ledger struct {
	Meter *Meter

	path string
	now  func() time.Time
	log  *slog.Logger

	lost atomic.Uint64 // requests of this run that there was no room for

	mu      sync.Mutex // guards what follows
	peers   *peers     // nil: a single node
	db      *bolt.DB   // nil: it has failed and is to be opened again
	origin  string     // of what this run counts
	pending map[slot]*row
	writing uint64        // the number of the last write that was begun
	unsure  map[slot]*row // what was pending when it failed
	retired time.Time     // when old days were last looked for
}

// slot is where in the file something pending belongs.
type slot struct {
	day Day
	key string
}

// maxPending bounds what is kept while the file cannot be written.
const maxPending = maxCells

// The buckets of the file, and what they hold.
var (
	bucketMeta    = []byte("meta")    // the keys below
	bucketShelves = []byte("shelves") // shelf → the highest number of its rows
	bucketRows    = []byte("rows")    // shelf → a bucket: key → row

	keyFormat = []byte("format")
	keySince  = []byte("since")  // Unix seconds, eight bytes: when the file was made
	keySeq    = []byte("seq")    // of the last write
	keyOrigin = []byte("origin") // of the run that has opened it last
)

// fileFormat is the layout of the buckets.
const fileFormat = 1

// ErrDamaged says that the file cannot be read. Nothing but what was counted is lost.
var ErrDamaged = errors.New("usage: the file is damaged")

// ErrClosed says that the ledger is closed.
var ErrClosed = errors.New("usage: the ledger is closed")

// Open opens a file, or makes it, with mode 0600. One that cannot be read is put aside,
// under its name with ".damaged" and the time, and a new one is made: old counts are not
// worth a gateway that does not start.
func Open(path string, o Options) (*Ledger, error) {
	l := &Ledger{
		Meter: NewMeter(), path: path, now: o.Now, log: o.Logger, pending: make(map[slot]*row),
	}
	if l.now == nil {
		l.now = time.Now
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if err := l.open(); err != nil {
		return nil, err
	}
	return l, nil
}

// open opens the file, and puts it aside if it is damaged.
func (l *Ledger) open() error {
	err := l.openAsItIs()
	if !errors.Is(err, ErrDamaged) {
		return err
	}
	aside := fmt.Sprintf("%s.damaged-%d", l.path, l.now().Unix())
	l.log.Error("the file with the usage of tokens cannot be read; it is put aside, and counting begins anew",
		"file", l.path, "aside", aside, "error", err)
	if err := os.Rename(l.path, aside); err != nil {
		return fmt.Errorf("usage: putting the damaged file aside: %w", err)
	}
	return l.openAsItIs()
}

// openAsItIs opens the file and readies it for this run.
func (l *Ledger) openAsItIs() error {
	const timeout = 2 * time.Second
	db, err := openFile(l.path, timeout)
	if err != nil {
		return err
	}
	err = guard(func() error { return db.Update(l.prepare) })
	if err != nil {
		return errors.Join(err, db.Close())
	}
	l.db = db
	return nil
}

func openFile(path string, timeout time.Duration) (db *bolt.DB, err error) {
	err = guard(func() error {
		const mode = 0o600
		db, err = bolt.Open(path, mode, &bolt.Options{Timeout: timeout, FreelistType: bolt.FreelistMapType})
		return err
	})
	if err == nil || errors.Is(err, ErrDamaged) {
		return db, err
	}
	if damage := []error{bolt.ErrInvalid, bolt.ErrChecksum, bolt.ErrVersionMismatch}; isOneOf(err, damage) { //nolint:staticcheck // they are what Open returns
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil, fmt.Errorf("usage: opening %s: %w", path, err)
}

func isOneOf(err error, these []error) bool {
	for _, one := range these {
		if errors.Is(err, one) {
			return true
		}
	}
	return false
}

// guard calls fn, and makes an error of what bbolt panics with on a damaged page.
func guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, cause)
		}
	}()
	return fn()
}

// prepare makes the buckets that are missing, and finds out as what this run counts.
func (l *Ledger) prepare(tx *bolt.Tx) error {
	for _, name := range [][]byte{bucketMeta, bucketShelves, bucketRows} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	meta := tx.Bucket(bucketMeta)
	if err := l.checkFormat(meta); err != nil {
		return err
	}
	if meta.Get(keySince) == nil {
		if err := putSince(tx, l.now()); err != nil {
			return err
		}
	}
	// Each run is an origin of its own, so that a file that was copied or restored never
	// disagrees with what other nodes have of it. That holds also if it is another file
	// that is opened again.
	if l.origin != "" && string(meta.Get(keyOrigin)) == l.origin && numberOf(meta.Get(keySeq))+1 >= l.writing {
		return nil
	}
	origin, err := newOrigin(tx)
	l.origin = origin
	return err
}

func putSince(tx *bolt.Tx, now time.Time) error {
	return tx.Bucket(bucketMeta).Put(keySince, appendNumber(uint64(max(now.Unix(), 0))))
}

func (*Ledger) checkFormat(meta *bolt.Bucket) error {
	switch found := meta.Get(keyFormat); {
	case found == nil:
		return meta.Put(keyFormat, []byte{fileFormat})
	case len(found) != 1 || found[0] != fileFormat:
		return fmt.Errorf("%w: it has format %d, and this version reads %d", ErrDamaged, found, fileFormat)
	}
	return nil
}

// newOrigin returns the origin of what is counted from now on, and makes a note of it.
func newOrigin(tx *bolt.Tx) (string, error) {
	random := make([]byte, OriginBytes/2)
	_, _ = rand.Read(random) // it never fails
	origin := hex.EncodeToString(random)
	return origin, tx.Bucket(bucketMeta).Put(keyOrigin, []byte(origin))
}

func appendNumber(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func numberOf(b []byte) uint64 {
	if len(b) != seqBytes {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// Lost returns how many requests of this run could not be counted, for there was no room.
func (l *Ledger) Lost() uint64 { return l.lost.Load() }

// Close writes down what was counted and closes the file.
func (l *Ledger) Close() error {
	err := l.Flush()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.path = ""; l.db == nil {
		return nil // it is closed, or has failed, which was told
	}
	err = errors.Join(err, l.db.Close())
	l.db = nil
	return err
}
