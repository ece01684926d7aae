package caddymodule

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

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
func openStore(key, path string, logger *zap.Logger) (*pooled, error) {
	value, _, err := stores.LoadOrNew(key, func() (caddy.Destructor, error) {
		if path == defaultStorePath() {
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				return nil, fmt.Errorf("scopegate: making the folder of the store: %w", err)
			}
		}
		s, err := store.Open(path, store.Options{Logger: newStoreLog(logger)})
		if err != nil {
			return nil, err
		}
		return &pooled{s}, nil
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
