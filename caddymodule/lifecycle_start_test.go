package caddymodule_test

import (
	"context"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/store"
)

// A store that cannot be opened ends Caddy with a message that says what to do.
func TestStartFails(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		prepare func(t *testing.T, g *gateway)
		says    string
	}{
		{"locked", func(t *testing.T, g *gateway) {
			t.Helper()
			holdStore(t, g.store)
		}, "the store is in use by another process: stop that one first"},
		{"missing folder", func(_ *testing.T, g *gateway) {
			g.store = filepath.Join(g.dir, "missing", "scopegate.db")
		}, "there is no folder"},
		{"empty", func(t *testing.T, g *gateway) {
			t.Helper()
			writeFile(t, g.store, "")
		}, "the store is damaged: it is empty, which a store never is"},
		{"something else", func(t *testing.T, g *gateway) {
			t.Helper()
			writeFile(t, g.store, strings.Repeat("format: 1\n", 1<<12))
		}, "not a Scopegate store"},
		{"a folder", func(t *testing.T, g *gateway) {
			t.Helper()
			if err := os.Mkdir(g.store, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "is a directory"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, proxyCaddyfile, ordersFile("http://127.0.0.1:1"))
			test.prepare(t, g)
			g.addr, g.admin = freeAddr(t), freeAddr(t)
			start := time.Now()
			if err := g.run(); err == nil {
				t.Fatal("Caddy serves, want an error")
			}
			took := time.Since(start)
			g.logs.wait(t, test.says, g.store)
			if took > patience/2 { // the lock is waited for, but not for long
				t.Errorf("it took %v to say so", took)
			}
		})
	}
}

// holdStore has a store open in the test's process until the test ends.
func holdStore(t *testing.T, path string) {
	t.Helper()
	s, err := store.Open(path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A store that others can read is closed to them, and that is said.
func TestStartTightensTheStore(t *testing.T) {
	t.Parallel()
	upstream := startEcho(t)
	g := startGateway(t, proxyCaddyfile, ordersFile(upstream.url()))
	g.stop(t)
	if err := os.Chmod(g.store, 0o644); err != nil {
		t.Fatal(err)
	}
	g.start(t)
	g.logs.wait(t, "others had access to the store; its mode is now 0600", g.store, `"logger":"scopegate"`)
	wantStatus(t, g, "/orders/v1/7", readerSecret, http.StatusOK)
	wantMode(t, g.store, 0o600)
}

func wantMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != want {
		t.Errorf("%s: got mode %v, want %v", path, got, want)
	}
}

// The default store is in Caddy's data directory, in a folder of its own, and is
// the same one after a reload though the way there has a link.
func TestDefaultStore(t *testing.T) {
	t.Parallel()
	upstream := startEcho(t)
	caddyfile := strings.Replace(proxyCaddyfile, "\t\tstore {$STORE}\n", "", 1)
	g := newGateway(t, caddyfile, ordersFile(upstream.url()))
	if err := os.Mkdir(filepath.Join(g.dir, "real"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", filepath.Join(g.dir, "data")); err != nil {
		t.Fatal(err)
	}
	g.start(t)
	wantStatus(t, g, "/orders/v1/7", readerSecret, http.StatusOK)
	folder := filepath.Join(g.dir, "real", "caddy", "scopegate")
	wantMode(t, folder, 0o700)
	wantMode(t, filepath.Join(folder, "scopegate.db"), 0o600)
	g.mustLoad(t, caddyfile)
	wantStatus(t, g, "/orders/v1/7", readerSecret, http.StatusOK)
}

// Validating a configuration opens and makes nothing, and does not mind a server
// that runs.
func TestValidate(t *testing.T) {
	t.Parallel()
	upstream := startEcho(t)
	g := startGateway(t, proxyCaddyfile, ordersFile(upstream.url()))
	validate := func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		out, err := g.command(ctx, "validate", "--config", g.caddyfile, "--adapter", "caddyfile").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "Valid configuration") {
			t.Errorf("caddy validate: %v\n%s", err, out)
		}
	}
	validate()
	wantStatus(t, g, "/orders/v1/7", readerSecret, http.StatusOK)

	g.stop(t)
	holdStore(t, g.store)
	validate()
	g.store = filepath.Join(g.dir, "another.db")
	validate()
	if _, err := os.Stat(g.store); !os.IsNotExist(err) {
		t.Errorf("caddy validate made %s (error %v)", g.store, err)
	}
}

// A path that a missing variable would cut short is an error.
func TestStartWithoutAVariable(t *testing.T) {
	t.Parallel()
	for option, says := range map[string]string{
		"store {env.SCOPEGATE_UNSET}/scopegate.db":                     "the path of the store: ",
		"store {$STORE}\n\t\tscopes {env.SCOPEGATE_UNSET}/scopes.yaml": "the path of the scope file: ",
	} {
		g := newGateway(t, strings.Replace(proxyCaddyfile, "store {$STORE}\n\t\tscopes {$SCOPES}", option, 1), "")
		g.addr, g.admin = freeAddr(t), freeAddr(t)
		if err := g.run(); err == nil {
			t.Fatalf("%s: Caddy serves, want an error", option)
		}
		g.logs.wait(t, says, "env.SCOPEGATE_UNSET")
	}
}
