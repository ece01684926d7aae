package usage

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	bolt "go.etcd.io/bbolt"
)

// stuck is an exchange that never answers.
type stuck struct{ asked chan struct{} }

func newStuck() stuck { return stuck{make(chan struct{}, 1)} }

func (s stuck) Shelves(ctx context.Context) (map[Shelf]Mark, error) {
	select {
	case s.asked <- struct{}{}:
	default:
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (stuck) Put(context.Context, *Batch) error { return io.ErrClosedPipe }

func (stuck) Get(context.Context, Shelf, func([]SharedRow) error) error { return io.ErrClosedPipe }

// written returns how many requests the file has, without writing anything down.
func written(t *testing.T, l *Ledger) (requests uint64) {
	t.Helper()
	q := always()
	if err := l.read(func(tx *bolt.Tx) error {
		for _, s := range shelvesBetween(tx, 0, lastDay) {
			eachRow(tx.Bucket(bucketRows).Bucket(s.key()), "", func(key *Key, r *row) {
				q.samples(s.Day, key, r, func(s *Sample) { requests += s.Counts.Requests })
			})
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return requests
}

// TestRunWithStuckExchange: what is counted is written down in time although no node
// answers, and the last of it when the run ends.
func TestRunWithStuckExchange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := openTest(t, t.TempDir(), Options{})
		exchange := newStuck()
		if err := l.Follow(exchange, "a secret"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { l.Run(ctx) })
		for i := range uint64(5) {
			l.Meter.Decided(listing("tok_a"), time.Now())
			<-time.After(FlushInterval + time.Second)
			if got := written(t, l); got != i+1 {
				t.Errorf("after %d intervals %d requests are written down", i+1, got)
			}
		}
		<-exchange.asked
		l.Meter.Decided(listing("tok_a"), time.Now())
		cancel()
		begin := time.Now()
		running.Wait()
		if got := written(t, l); got != 6 || time.Since(begin) > lastSync {
			t.Errorf("in the end: %d requests after %v, want 6 and not more than %v", got, time.Since(begin), lastSync)
		}
	})
}

// TestFollowOthers: who follows others does not wait for those that it followed before.
func TestFollowOthers(t *testing.T) {
	t.Parallel()
	l := openTest(t, t.TempDir(), Options{})
	exchange := newStuck()
	if err := l.Follow(exchange, ""); err == nil {
		t.Error("nodes exchange without a secret")
	}
	if err := l.Follow(exchange, "a secret"); err != nil {
		t.Fatal(err)
	}
	synced := make(chan error)
	go func() { synced <- l.Sync(context.Background()) }()
	<-exchange.asked
	if err := l.Follow(nil, ""); err != nil {
		t.Fatal(err)
	}
	if err := <-synced; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was broken off", err)
	}
	if err := l.Sync(context.Background()); err != nil {
		t.Errorf("on a single node: %v", err)
	}
}

// TestTeller: an error is told once as long as it goes on, and when it comes again.
func TestTeller(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	told := teller{slog.New(slog.NewTextHandler(&log, nil)), "it fails", ""}
	for _, err := range []error{io.EOF, io.EOF, nil, nil, io.EOF, context.Canceled, io.EOF, io.ErrNoProgress} {
		told.tell(err)
	}
	if got := strings.Count(log.String(), "it fails"); got != 3 {
		t.Errorf("told %d times, want 3:\n%s", got, log.String())
	}
}
