package caddymodule

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"

	"github.com/scopegate/scopegate/store"
)

// stores has the open stores by canonical path. bbolt locks its file even within
// a process, and a reload starts the new configuration before it stops the old
// one, so that both must share one handle.
var stores = caddy.NewUsagePool()

// pooled is a store in the pool, which closes it when nobody uses it any more.
type pooled struct{ *store.Store }

// Destruct implements caddy.Destructor.
func (p *pooled) Destruct() error { return p.Close() }

// acquireStore opens the store or takes the one that is open. Whoever acquired
// it, and nobody else, releases it.
func acquireStore(key, path string, logger *zap.Logger) (*pooled, error) {
	value, _, err := stores.LoadOrNew(key, func() (caddy.Destructor, error) {
		if path == defaultStorePath() {
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				return nil, fmt.Errorf("scopegate: making the folder of the store: %w", err)
			}
		}
		s, err := store.Open(path, store.Options{Logger: slogOf(logger)})
		if err != nil {
			return nil, err
		}
		return &pooled{s}, nil
	})
	if err != nil {
		return nil, err
	}
	return value.(*pooled), nil
}

func releaseStore(key string) error {
	_, err := stores.Delete(key)
	return err
}

// canonicalPath returns the same path for every way to write it. The file itself
// need not exist yet.
func canonicalPath(path string) (string, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if resolved, err := filepath.EvalSymlinks(absolute); err == nil {
		return resolved, nil
	}
	if folder, err := filepath.EvalSymlinks(filepath.Dir(absolute)); err == nil {
		return filepath.Join(folder, filepath.Base(absolute)), nil
	}
	return absolute, nil // a missing folder: opening it says so
}

// slogOf gives the store, which knows no Caddy, a logger that ends in Caddy's.
func slogOf(logger *zap.Logger) *slog.Logger {
	return slog.New(zapslog.NewHandler(logger.Core()))
}

var _ caddy.Destructor = (*pooled)(nil)
