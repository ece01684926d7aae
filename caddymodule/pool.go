package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/scopegate/scopegate/limits"
	"github.com/scopegate/scopegate/store"
	"github.com/scopegate/scopegate/usage"
)

// stores has the open stores by canonical path. bbolt locks its file even within
// a process, and a reload starts the new configuration before it stops the old
// one, so that both must share one handle.
var stores = caddy.NewUsagePool()

// mendInterval is how often a store that has failed is tried to be opened again.
const mendInterval = 2 * time.Second

// pooled is a store in the pool. It is closed when nobody uses it any more, and
// opened again when it has failed, such as after a disk error or because its file
// was replaced.
type pooled struct {
	current   atomic.Pointer[store.Store]
	opening   sync.Mutex // is held while another store takes the place of current, and guards cluster
	path      string
	logger    *slog.Logger
	cluster   cluster
	limiter   *limits.Limiter
	nodes     atomic.Int64  // how many there are
	usage     *usage.Ledger // nil: its file cannot be opened
	messenger messenger
	cancel    context.CancelFunc
	running   sync.WaitGroup
}

// openPooled opens a store and sees to it until Destruct.
func openPooled(path string, logger *slog.Logger, wanted *peers) (*pooled, error) {
	p := &pooled{path: path, logger: logger}
	if err := p.cluster.connect(wanted, logger); err != nil {
		return nil, err
	}
	s, err := store.Open(path, p.options())
	if err != nil {
		return nil, errors.Join(err, p.cluster.close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.current.Store(s)
	p.startUsage(ctx)
	p.startLimits(ctx)
	p.running.Go(func() { p.attend(ctx) })
	p.running.Go(func() { p.review(ctx) })
	return p, nil
}

// Store returns the store as it was last opened.
func (p *pooled) Store() *store.Store { return p.current.Load() }

// Destruct implements caddy.Destructor. Requests that are still open are ended: nobody
// knows any more whether they are allowed.
func (p *pooled) Destruct() error {
	p.cancel()
	p.running.Wait()
	err := errors.Join(p.messenger.close(), p.closeLimits(), p.Store().Close(), p.cluster.close(), p.closeUsage())
	endRequests(p.logger)
	return err
}

func (p *pooled) options() store.Options {
	return store.Options{Logger: p.logger, Now: steadyNow, Cluster: p.cluster.options()}
}

// attend looks after the store until ctx ends.
func (p *pooled) attend(ctx context.Context) {
	ticker := time.NewTicker(mendInterval)
	defer ticker.Stop()
	told := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if p.Store().Err() == nil {
			continue
		}
		err := p.mend()
		if err == nil {
			told = ""
			p.logger.Info("the store is open again")
		} else if told != err.Error() {
			told = err.Error()
			p.logger.Error("the store cannot be opened again; every request is refused until it can", "error", err)
		}
	}
}

// mend closes the store that failed and opens it again.
func (p *pooled) mend() error {
	p.opening.Lock()
	defer p.opening.Unlock()
	if err := p.Store().Close(); err != nil {
		p.logger.Warn("closing the store that failed", "error", err)
	}
	s, err := store.Open(p.path, p.options())
	if err != nil {
		return err
	}
	p.current.Store(s)
	return nil
}

// replace puts a copy in the place of the store, and returns the one that was opened.
func (p *pooled) replace(ctx context.Context, actor store.Actor, copied io.Reader) (*store.Store, error) {
	p.opening.Lock()
	defer p.opening.Unlock()
	err := p.Store().Replace(ctx, actor, copied, func(next *store.Store) { p.current.Store(next) })
	return p.Store(), err
}

// shareStore takes the store that this process has open under a key; nil if there
// is none. Whoever gets one, and nobody else, releases it.
func shareStore(key string) *pooled {
	value, _, err := stores.LoadOrNew(key, func() (caddy.Destructor, error) { return nil, store.ErrClosed })
	if err != nil {
		return nil
	}
	return value.(*pooled) //nolint:forcetypeassert // nothing else is in the pool
}

// openStore opens the store, or takes the one that is open. Whoever gets it, and
// nobody else, releases it.
func openStore(key, path string, logger *zap.Logger, wanted *peers) (*pooled, error) {
	value, _, err := stores.LoadOrNew(key, func() (caddy.Destructor, error) {
		if path == defaultStorePath() {
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				return nil, fmt.Errorf("scopegate: making the folder of the store: %w", err)
			}
		}
		return openPooled(path, newStoreLog(logger), wanted)
	})
	if err != nil {
		return nil, err
	}
	return value.(*pooled), nil //nolint:forcetypeassert // nothing else is in the pool
}

func releaseStore(key string) error {
	_, err := stores.Delete(key)
	return err
}

// canonicalPath returns the same path for every way to write it, whether the file
// and its folder exist already or will be made.
func canonicalPath(path string) (string, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return resolveLinks(absolute), nil
}

// resolveLinks resolves the links in as much of an absolute path as exists.
func resolveLinks(path string) string {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		return resolved
	}
	parent := filepath.Dir(path)
	if parent == path {
		return path
	}
	return filepath.Join(resolveLinks(parent), filepath.Base(path))
}

var _ caddy.Destructor = (*pooled)(nil)
