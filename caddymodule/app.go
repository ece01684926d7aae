package caddymodule

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/scopegate/scopegate/proxy"
	"github.com/scopegate/scopegate/store"
	"github.com/scopegate/scopegate/usage"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App is the Scopegate app: the store that all sites of a configuration decide
// on, and the scope file that it is filled from.
//
// Until the store is open and the scope file has been applied for the first
// time, every request is answered 503.
type App struct {
	// StorePath is the bbolt file. Default: scopegate/scopegate.db in Caddy's
	// data directory. Its folder must exist, unless it is the default one.
	StorePath string `json:"store,omitempty"`

	// Scopes is the scope file, which is applied at start and whenever it
	// changes. Default: none.
	Scopes *ScopeFile `json:"scopes,omitempty"`

	// Redis makes this server one of several nodes. Default: a single node.
	Redis *Redis `json:"redis,omitempty"`

	// Notify says who is told what is going to happen to tokens. Default: nobody.
	Notify *Notify `json:"notify,omitempty"`

	peers    *peers // what Redis says; nil for a single node
	logger   *zap.Logger
	metrics  *metrics
	messages *messages   // what Notify says; nil: nobody is told
	emitter  *emitter    // nil, unless somebody is told
	key      string      // under which the store stands in the pool
	opened   *pooled     // the store; nil until Provision shares or Start opens it
	ready    atomic.Bool // the store is open and the first apply is over
	watch    *watch
}

// ScopeFile says which scope file to apply and how.
type ScopeFile struct {
	Path string `json:"path"`
	// Review refuses changes that widen what a token may do: those are applied
	// by hand, with "caddy scopegate apply --allow-widen".
	Review bool `json:"review,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "scopegate",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision fills in defaults. It opens nothing: a configuration can be validated
// beside a running server that has the store. But a store that this process has
// open already is shared from here on: on a reload the first requests can come
// before Start, and they are decided on as those before them.
func (a *App) Provision(ctx caddy.Context) error {
	a.logger = ctx.Logger()
	a.metrics = processMetrics
	if err := a.resolvePaths(); err != nil {
		return err
	}
	if a.Redis != nil {
		peers, err := a.Redis.provision()
		if err != nil {
			return err
		}
		a.peers = peers
	}
	if err := a.provisionNotify(ctx); err != nil {
		return err
	}
	if err := a.metrics.register(ctx.GetMetricsRegistry()); err != nil {
		return err
	}
	if a.opened = shareStore(a.key); a.opened != nil {
		a.ready.Store(true)
	}
	return nil
}

// resolvePaths fills in the placeholders of the paths, and the default path.
func (a *App) resolvePaths() error {
	repl := caddy.NewReplacer()
	var err error
	if a.StorePath == "" {
		a.StorePath = defaultStorePath()
	} else if a.StorePath, err = repl.ReplaceOrErr(a.StorePath, true, true); err != nil {
		return fmt.Errorf("scopegate: the path of the store: %w", err)
	}
	if a.key, err = canonicalPath(a.StorePath); err != nil {
		return fmt.Errorf("scopegate: the path of the store: %w", err)
	}
	if a.Scopes == nil {
		return nil
	}
	if a.Scopes.Path == "" {
		return errors.New("scopegate: the scope file has no path; write: scopes <file>")
	}
	if a.Scopes.Path, err = repl.ReplaceOrErr(a.Scopes.Path, true, true); err != nil {
		return fmt.Errorf("scopegate: the path of the scope file: %w", err)
	}
	return nil
}

// Start opens the store, unless it is shared with the previous configuration, and
// applies the scope file.
func (a *App) Start() error {
	if a.opened == nil {
		opened, err := openStore(a.key, a.StorePath, a.logger, a.peers)
		if err != nil {
			return err
		}
		a.opened = opened
	}
	if err := a.opened.use(a, a.peers); err != nil {
		return fmt.Errorf("scopegate: %w", err)
	}
	if a.Scopes != nil {
		a.watch = newWatch(a.opened, a.Scopes, a.logger.Named("scopes"), a.metrics)
		if err := a.watch.first(); err != nil {
			return err
		}
		a.watch.start()
	}
	a.ready.Store(true)
	return nil
}

// Stop ends the watch on the scope file. Requests that are under way go on to be
// decided.
func (a *App) Stop() error {
	if a.watch != nil {
		a.watch.stop()
	}
	return nil
}

// Cleanup gives the store back, if this configuration got it. It ends the watch
// too: a configuration that is rejected after its apps have started is not stopped.
func (a *App) Cleanup() error {
	if a.opened == nil {
		return nil
	}
	return errors.Join(a.Stop(), a.opened.drop(a), releaseStore(a.key))
}

// Store returns the open store, or nil before Start has opened it.
func (a *App) Store() *store.Store {
	if !a.ready.Load() {
		return nil
	}
	return a.opened.Store()
}

// Snapshot implements [proxy.Source]. There is none while the node is stale.
func (a *App) Snapshot(now time.Time) proxy.Snapshot {
	if !a.ready.Load() {
		return nil
	}
	s := a.opened.Store()
	if s.Stale(now) && a.Redis != nil && a.Redis.OnStale != staleServe {
		return nil
	}
	if snapshot := s.Snapshot(); snapshot != nil {
		return snapshot
	}
	return nil
}

// Ledger returns what counts how tokens are used; nil if nothing does.
func (a *App) Ledger() *usage.Ledger {
	if !a.ready.Load() {
		return nil
	}
	return a.opened.usage
}

func defaultStorePath() string {
	return filepath.Join(caddy.AppDataDir(), "scopegate", "scopegate.db")
}

var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
	_ proxy.Source       = (*App)(nil)
)
