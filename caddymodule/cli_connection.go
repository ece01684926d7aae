package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/scopegate/scopegate/store"
)

// connection says where a command finds the management routes: at a server, or in
// this process, on a store file.
type connection struct {
	address, config, adapter string // as for Caddy's own commands
	store                    string // a store file, instead of a server

	wait time.Duration // for all nodes to have a change; 0 for not at all
	cmd  *cobra.Command
}

func (c *connection) flags(cmd *cobra.Command) {
	c.cmd = cmd
	flags := cmd.Flags()
	flags.StringVar(&c.address, "address", "", "Address of the running server's admin endpoint, if --config is not used")
	flags.StringVarP(&c.config, "config", "c", "", "Configuration file that names the admin endpoint, if --address is not used")
	flags.StringVarP(&c.adapter, "adapter", "a", "", "Name of the config adapter, if --config is used")
	flags.StringVar(&c.store, "store", "", "Store file to open, when no server runs")
	cmd.MarkFlagsMutuallyExclusive("store", "address")
	cmd.MarkFlagsMutuallyExclusive("store", "config")
}

// waitFlag gives a command that changes something the flag --wait.
func (c *connection) waitFlag(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&c.wait, "wait", 0, "Return when every node that is alive has the change, or fail after this time, such as 30s")
	cmd.MarkFlagsMutuallyExclusive("store", "wait")
}

// follow tells what the other nodes have yet to get, and waits for them if it is to.
func (c *connection) follow(to *client) error {
	if to.revision == "" || c.store != "" {
		return nil
	}
	if to.pending != "" && to.pending != "0" {
		notef(c.cmd, "In force here, pending elsewhere: the other nodes get it as soon as Redis can be reached.")
	}
	if c.wait == 0 {
		return nil
	}
	var done waited
	query := url.Values{"revision": {to.revision}, "timeout": {c.wait.String()}}
	if err := to.call(c.cmd.Context(), http.MethodGet, "/scopegate/wait", query, "", nil, &done); err != nil {
		return fmt.Errorf("the change is made here, and not yet on every node: %w", err)
	}
	return nil
}

// storeUse is what a command does with a store file.
type storeUse int

const (
	reads   storeUse = iota // opens an existing store for reading
	changes                 // opens an existing store
	creates                 // opens a store, or makes one
)

// with runs do with a client for the routes.
func (c *connection) with(use storeUse, do func(*client) error) error {
	if c.store != "" {
		return c.withStore(use, do)
	}
	address, err := caddycmd.DetermineAdminAPIAddress(c.address, nil, c.config, c.adapter)
	if err != nil {
		return fmt.Errorf("finding the admin endpoint: %w", err)
	}
	remote, err := dialer(address)
	if err != nil {
		return err
	}
	if err := do(remote); err != nil || use == reads {
		return err
	}
	return c.follow(remote)
}

// withStore opens the store file and runs do with a client for routes that serve it.
func (c *connection) withStore(use storeUse, do func(*client) error) error {
	return c.withOpen(use, func(s *store.Store) (err error) {
		counted := usageFile{path: c.store + usageSuffix}
		defer func() { err = errors.Join(err, counted.close()) }()
		m := management{
			store: func() (*store.Store, error) { return s, nil },
			usage: counted.open,
			actor: func(*http.Request) store.Actor { return store.Actor{Name: "store file, user " + currentUser()} },
		}
		return do(&client{http: http.Client{Transport: inProcess(m.routes())}, base: "http://localhost"})
	})
}

// withOpen opens the store file and runs do with it.
func (c *connection) withOpen(use storeUse, do func(*store.Store) error) (err error) {
	if _, err := os.Stat(c.store); err != nil && use != creates {
		return fmt.Errorf("opening the store: %w", err)
	}
	s, err := store.Open(c.store, store.Options{ReadOnly: use == reads})
	if errors.Is(err, store.ErrLocked) {
		return fmt.Errorf("%w\nA running server has it: leave out --store to talk to that server", err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return do(s)
}

// currentUser returns the name of the user that runs this process, for the audit log.
func currentUser() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return fmt.Sprintf("%d", os.Getuid())
}

// dialTimeout bounds how long a command tries to reach a server on this machine.
const dialTimeout = 5 * time.Second

// dialer returns a client for the admin endpoint at an address in Caddy's notation.
//
// It is not [caddycmd.AdminAPIRequest], which turns every error into text: here it
// must be told apart whether there is no server, or which answer it gave.
func dialer(address string) (*client, error) {
	parsed, err := caddy.ParseNetworkAddress(address)
	if err != nil || parsed.PortRangeSize() > 1 || parsed.IsFdNetwork() {
		return nil, fmt.Errorf("%q is no address of an admin endpoint, such as localhost:2019 or unix//run/caddy.sock", address)
	}
	remote := &client{address: address, header: http.Header{userHeader: {currentUser()}}}
	network, target := parsed.Network, parsed.JoinHostPort(0)
	if parsed.IsUnixNetwork() {
		target, _, _ = strings.Cut(target, "|") // what follows are permissions
		remote.base = "http://127.0.0.1"        // any name that Caddy lets pass
	} else {
		remote.base = "http://" + target
		remote.header.Set("Origin", remote.base)
	}
	dial := net.Dialer{Timeout: dialTimeout}
	remote.http.Transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dial.DialContext(ctx, network, target)
		},
	}
	return remote, nil
}
