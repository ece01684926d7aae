//go:build unix

package caddymodule_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/goleak"

	"github.com/scopegate/scopegate/caddymodule"
)

// Caddy's configuration is one of the process: the tests of this file load one into
// the process of the tests, so they are not parallel.

// inProcess is a configuration with a site that answers "ok", and its files.
type inProcess struct{ dir, store, scopes string }

func newInProcess(t *testing.T) inProcess {
	t.Helper()
	dir := t.TempDir()
	return inProcess{dir, filepath.Join(dir, "scopegate.db"), filepath.Join(dir, "scopes.yaml")}
}

// config returns the configuration, which listens on addr. It leaves no trace
// outside of its folder.
func (p inProcess) config(addr string) string {
	return fmt.Sprintf(`{
		"admin": {"disabled": true, "config": {"persist": false}},
		"logging": {"logs": {"default": {"writer": {"output": "discard"}}}},
		"storage": {"module": "file_system", "root": %q},
		"apps": {
			"scopegate": {"store": %q, "scopes": {"path": %q}},
			"http": {"servers": {"gate": {
				"listen": [%q],
				"automatic_https": {"disable": true},
				"routes": [{"handle": [{"handler": "scopegate"}, {"handler": "static_response", "body": "ok"}]}]
			}}}
		}
	}`, p.dir, p.store, p.scopes, addr)
}

// Apps start in any order, so requests can come before the store is open and the
// scope file is applied: they are to come again.
func TestNotYetOpen(t *testing.T) {
	p := newInProcess(t)
	if err := syscall.Mkfifo(p.scopes, 0o600); err != nil { // what reads it waits for it to be written
		t.Fatal(err)
	}
	var config caddy.Config
	if err := json.Unmarshal([]byte(p.config("127.0.0.1:0")), &config); err != nil {
		t.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(&config)
	if err != nil {
		t.Fatal(err)
	}
	server := appOf[*caddyhttp.App](t, ctx, "http").Servers["gate"]
	app := appOf[*caddymodule.App](t, ctx, "scopegate")
	want := func(when string, status int, retryAfter string) {
		t.Helper()
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/orders/v1/7", nil)
		r.Header.Set("Authorization", "Bearer "+readerSecret)
		server.ServeHTTP(w, r)
		if w.Code != status || w.Header().Get("Retry-After") != retryAfter {
			t.Errorf("%s: got %d, Retry-After %q; want %d, %q", when, w.Code, w.Header().Get("Retry-After"), status, retryAfter)
		}
	}

	want("before the start", http.StatusServiceUnavailable, "1")
	if app.Store() != nil {
		t.Error("before the start: there is a store already")
	}
	started := make(chan error)
	go func() { started <- app.Start() }()
	file, err := os.OpenFile(p.scopes, os.O_WRONLY, 0) // returns when the file is being read
	if err != nil {
		t.Fatal(err)
	}
	want("during the first apply", http.StatusServiceUnavailable, "1")
	if _, err := file.WriteString(ordersFile("http://127.0.0.1:1")); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	want("after the start", http.StatusOK, "")
	if err := app.Stop(); err != nil {
		t.Error(err)
	}
	want("after the end, on a connection that is still there", http.StatusOK, "")
	if err := app.Cleanup(); err != nil {
		t.Error(err)
	}
	want("after the store was closed", http.StatusServiceUnavailable, "1")
	wantClosed(t, p.store)
}

func appOf[T any](t *testing.T, ctx caddy.Context, name string) T {
	t.Helper()
	app, err := ctx.App(name)
	if err != nil {
		t.Fatal(err)
	}
	return app.(T)
}

// What a configuration starts ends with it: after a replaced one, a rejected one,
// and the last one.
func TestNothingIsLeftRunning(t *testing.T) {
	p := newInProcess(t)
	writeFile(t, p.scopes, ordersFile("http://127.0.0.1:1"))
	load := func(addr string) error { return caddy.Load([]byte(p.config(addr)), true) }
	run := func() {
		t.Helper()
		for range 3 {
			if err := load("127.0.0.1:0"); err != nil {
				t.Fatal(err)
			}
			if err := load("192.0.2.1:1"); err == nil { // an address of documentation, on no machine
				t.Fatal("a configuration that cannot listen is accepted")
			}
		}
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	run() // what Caddy starts once for a process is there then
	before := goleak.IgnoreCurrent()
	run()
	goleak.VerifyNone(t, before)
	wantClosed(t, p.store)
}

// failingLoader pulls configurations from nowhere.
type failingLoader struct{}

func init() { caddy.RegisterModule(failingLoader{}) }

// CaddyModule implements [caddy.Module].
func (failingLoader) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.config_loaders.failing", New: func() caddy.Module { return new(failingLoader) }}
}

// LoadConfig implements [caddy.ConfigLoader].
func (failingLoader) LoadConfig(caddy.Context) ([]byte, error) { return nil, errors.New("nowhere") }

// Caddy can reject a configuration after its apps have started, and then stops
// none of them.
func TestRejectedAfterStart(t *testing.T) {
	p := newInProcess(t)
	writeFile(t, p.scopes, ordersFile("http://127.0.0.1:1"))
	pulling := strings.Replace(p.config("127.0.0.1:0"), `"persist": false`,
		`"persist": false, "load": {"module": "failing"}`, 1)
	if err := caddy.Load([]byte(pulling), true); err == nil {
		t.Fatal("a configuration that cannot be pulled is accepted")
	}
	wantClosed(t, p.store)
	stacks := make([]byte, 1<<20)
	if stacks = stacks[:runtime.Stack(stacks, true)]; strings.Contains(string(stacks), "caddymodule.(*watch)") {
		t.Errorf("the scope file is still watched:\n%s", stacks)
	}
}
