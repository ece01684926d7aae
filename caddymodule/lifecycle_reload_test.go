package caddymodule_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scopegate/scopegate/store"
)

// However often the configuration is replaced, every request is decided on, and
// rightly, and nothing is left behind.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	upstream := startEcho(t)
	file := ordersFile(upstream.url(), tokenLine("extra", extraSecret, "GET"))
	g := startGateway(t, proxyCaddyfile, file)
	reloads := 40
	if os.Getenv("SCOPEGATE_SOAK") != "" {
		reloads = 1000
	}
	reload := func(n int) {
		replaceFile(t, g.scopes, file+fmt.Sprintf("# %d\n", n)) // so that it is applied, which takes a moment
		// Connections to the upstream are not kept for long, so that what is left then can be counted.
		g.mustLoad(t, proxyWith("header_down X-Generation "+strconv.Itoa(n), "transport http {", "\tkeepalive 100ms", "}"))
	}
	reload(0)
	before := g.usage(t)

	load := startLoad(t, g)
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for n := 1; n <= reloads; n++ {
		reload(n)
		if n == reloads/2 {
			if got := g.scopegate(t, "token", "deactivate", "acme/extra"); got.code != 0 {
				t.Fatalf("token deactivate: %+v", got)
			}
			load.revoked.Store(true)
		}
		<-ticker.C
	}
	load.stop(t)
	t.Logf("%d requests during %d reloads, %d of them sent again on a new connection", load.requests.Load(), reloads, load.resent.Load())
	if got := ask(t, http.MethodGet, g.url("/orders/v1/7"), readerSecret).header.Get("X-Generation"); got != strconv.Itoa(reloads) {
		t.Errorf("got generation %q, want %d", got, reloads)
	}
	g.wantUsage(t, before)
}

// usage is what a process has open.
type usage struct{ goroutines, files float64 }

func (g *gateway) usage(t *testing.T) usage {
	t.Helper()
	metrics := g.metrics(t)
	return usage{metrics["go_goroutines"], metrics["process_open_fds"]}
}

// wantUsage returns once the process has no more open than before. Connections
// that are about to be closed need a moment.
func (g *gateway) wantUsage(t *testing.T, before usage) {
	t.Helper()
	const slack = 8 // of connections that come and go, those of this very question among them
	poll(t, fmt.Sprintf("no more than %+v to be open", before), func() bool {
		now := g.usage(t)
		return now.goroutines <= before.goroutines+slack && now.files <= before.files+slack
	})
}

// load sends requests to a gateway, each of which has one right answer.
type load struct {
	client   *http.Client
	requests atomic.Int64
	resent   atomic.Int64 // requests that were sent again: see [unread]
	revoked  atomic.Bool  // acme/extra was deactivated
	stopped  atomic.Bool
	clients  sync.WaitGroup
	failed   chan error // one for each client
}

// startLoad lets some clients send one request after the other.
func startLoad(t *testing.T, g *gateway) *load {
	t.Helper()
	const clients = 4
	l := &load{client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}, failed: make(chan error, clients)}
	for n := range clients {
		l.clients.Go(func() {
			for !l.stopped.Load() {
				if err := l.round(g, n%2 == 0); err != nil {
					l.failed <- err
					return
				}
			}
		})
	}
	t.Cleanup(func() { l.stopped.Store(true); l.clients.Wait(); l.client.CloseIdleConnections() })
	return l
}

// stop ends the clients, and fails the test if one got a wrong answer.
func (l *load) stop(t *testing.T) {
	t.Helper()
	l.stopped.Store(true)
	l.clients.Wait()
	l.client.CloseIdleConnections()
	close(l.failed)
	for err := range l.failed {
		t.Error(err)
	}
	if l.requests.Load() == 0 {
		t.Error("no request was sent")
	}
}

// round sends one of each kind of request, with methods that net/http sends again
// if a connection that was used before turns out to be closed; on one connection,
// or on a new one each.
func (l *load) round(g *gateway, keepAlive bool) error {
	revoked := l.revoked.Load()
	for _, r := range []struct {
		method, target, secret string
		want                   int
	}{
		{http.MethodGet, "/orders/v1/7", readerSecret, http.StatusOK},
		{http.MethodOptions, "/orders/v1/7", readerSecret, http.StatusForbidden},
		{http.MethodGet, "/orders/v2/7", readerSecret, http.StatusForbidden},
		{http.MethodGet, "/orders/v1/7", "unknown-0123456789abcdef", http.StatusForbidden},
		{http.MethodHead, "/orders/v1/7", writerSecret, http.StatusOK},
		{http.MethodGet, "/orders/v1/7", extraSecret, http.StatusForbidden},
	} {
		if r.secret == extraSecret && !revoked {
			continue // on its way to being revoked
		}
		got, err := l.send(r.method, g.url(r.target), r.secret, keepAlive)
		if err != nil {
			return err
		}
		if got != r.want {
			return fmt.Errorf("%s %s with %s: got %d, want %d", r.method, r.target, r.secret, got, r.want)
		}
	}
	return nil
}

func (l *load) send(method, url, secret string, keepAlive bool) (int, error) {
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+secret)
	request.Close = !keepAlive
	response, err := l.client.Do(request)
	for unread(err) {
		l.resent.Add(1)
		response, err = l.client.Do(request)
	}
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	l.requests.Add(1)
	_, err = io.Copy(io.Discard, response.Body) // so that the connection is used again
	return response.StatusCode, err
}

// A configuration that is rejected leaves the running one as it was.
func TestRejectedReload(t *testing.T) {
	t.Parallel()
	upstream := startEcho(t)
	g := startGateway(t, proxyCaddyfile, ordersFile(upstream.url()))
	occupied, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = occupied.Close() }) // nobody connected
	locked := filepath.Join(g.dir, "locked.db")
	holdStore(t, locked)
	writeFile(t, filepath.Join(g.dir, "bad.yaml"), "format: 1\napi: {}\n")
	g.mustLoad(t, proxyCaddyfile)
	before := g.usage(t)
	const times = 3 // apps start in a random order
	for _, test := range []struct {
		name, caddyfile, says string
		times                 int
	}{
		{
			"another app does not start", proxyCaddyfile + "\nhttp://" + occupied.Addr().String() + " {\n\trespond ok\n}\n",
			"address already in use", times,
		},
		{
			"another handler is not provisioned", strings.Replace(proxyCaddyfile, "\tscopegate_proxy\n", "\tscopegate_proxy\n\theader X-A ( b\n", 1),
			"error parsing regexp", times,
		},
		{
			"its own handler is not provisioned", strings.Replace(proxyCaddyfile, "\tscopegate_proxy\n", "\tlog\n\tscopegate_proxy {\n\t\tcredentials header X-Key\n\t}\n", 1),
			"X-Key", times,
		},
		{
			"another store in no folder", strings.Replace(proxyCaddyfile, "{$STORE}", "{$DIR}/missing/scopegate.db", 1),
			"there is no folder", times,
		},
		{
			"another store that is locked", strings.Replace(proxyCaddyfile, "{$STORE}", locked, 1),
			"in use by another process", 1, // it waits for the lock
		},
		{
			"another scope file that is bad", strings.Replace(proxyCaddyfile, "{$SCOPES}", "{$DIR}/bad.yaml", 1),
			"bad.yaml:2:1: ", times,
		},
		{
			"another store and a bad scope file",
			strings.Replace(strings.Replace(proxyCaddyfile, "{$STORE}", "{$DIR}/other.db", 1), "{$SCOPES}", "{$DIR}/bad.yaml", 1),
			"bad.yaml:2:1: ", times,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			for range test.times {
				got := g.load(t, test.caddyfile)
				if got.status == http.StatusOK || !strings.Contains(got.body, test.says) {
					t.Fatalf("got %d %s, want an error with %q", got.status, got.body, test.says)
				}
				wantStatus(t, g, "/orders/v1/7", readerSecret, http.StatusOK)
				wantStatus(t, g, "/orders/v2/7", readerSecret, http.StatusForbidden)
			}
			wantManaged(t, g)
			g.wantUsage(t, before)
		})
	}
	g.mustLoad(t, proxyWith("header_down X-Generation last"))
	wantStatus(t, g, "/orders/v1/7", readerSecret, http.StatusOK)
	g.wantUsage(t, before)
}

// wantManaged fails the test unless the management routes and the metrics tell of
// the gateway's own store, and change it.
func wantManaged(t *testing.T, g *gateway) {
	t.Helper()
	for _, change := range []struct {
		command string
		status  int
	}{
		{"deactivate", http.StatusForbidden},
		{"activate", http.StatusOK},
	} {
		got := ask(t, http.MethodPost, g.adminURL("/scopegate/tokens/acme/reader/"+change.command), "", "Content-Type: application/json")
		if got.status != http.StatusOK {
			t.Errorf("%s: got %d %s, want 200", change.command, got.status, got.body)
		}
		wantStatus(t, g, "/orders/v1/7", readerSecret, change.status)
	}
	if got := g.metrics(t)[`caddy_scopegate_tokens{state="active"}`]; got != 2 {
		t.Errorf("got %v active tokens in the metrics, want 2", got)
	}
}

// Two sites share a store; each serves what its apis say.
func TestTwoSites(t *testing.T) {
	t.Parallel()
	upstream := startEcho(t)
	other := freeAddr(t)
	caddyfile := proxyCaddyfile + "\nhttp://" + other + " {\n\tscopegate_proxy {\n\t\tapis invoices\n\t}\n}\n"
	file := strings.Replace(ordersFile(upstream.url()), "accounts:\n",
		"  invoices:\n    versions: [\"v1\"]\n    upstream: [\""+upstream.url()+"\"]\n    operations:\n      all: GET /invoices/{version}\naccounts:\n", 1)
	file = strings.ReplaceAll(file, "scopes: [", `scopes: [{api: invoices, version: "v1", methods: [GET]}, `)
	g := startGateway(t, caddyfile, file)
	for _, test := range []struct {
		addr, target string
		want         int
	}{
		{g.addr, "/orders/v1/7", http.StatusOK},
		{g.addr, "/invoices/v1", http.StatusOK},
		{other, "/orders/v1/7", http.StatusForbidden},
		{other, "/invoices/v1", http.StatusOK},
	} {
		if got := ask(t, http.MethodGet, "http://"+test.addr+test.target, readerSecret); got.status != test.want {
			t.Errorf("GET %s at %s: got %d, want %d", test.target, test.addr, got.status, test.want)
		}
	}
	if got := g.scopegate(t, "token", "deactivate", "acme/reader"); got.code != 0 {
		t.Fatalf("token deactivate: %+v", got)
	}
	for _, url := range []string{g.url("/orders/v1/7"), "http://" + other + "/invoices/v1"} {
		if got := ask(t, http.MethodGet, url, readerSecret); got.status != http.StatusForbidden {
			t.Errorf("%s after deactivation: got %d, want 403", url, got.status)
		}
	}
}

// A reload can change to another store, with other tokens, and back. The one that
// is left is closed.
func TestReloadToAnotherStore(t *testing.T) {
	t.Parallel()
	upstream := startEcho(t)
	g := startGateway(t, proxyCaddyfile, ordersFile(upstream.url()))
	writeFile(t, filepath.Join(g.dir, "other.yaml"),
		strings.ReplaceAll(ordersFile(upstream.url()), digestOf(readerSecret), digestOf(extraSecret)))
	other := strings.NewReplacer("{$STORE}", "{$DIR}/other.db", "{$SCOPES}", "{$DIR}/other.yaml").Replace(proxyCaddyfile)

	for range 2 {
		g.mustLoad(t, other)
		wantStatus(t, g, "/orders/v1/7", extraSecret, http.StatusOK)
		wantStatus(t, g, "/orders/v1/7", readerSecret, http.StatusForbidden)
		wantClosed(t, g.store)
		g.mustLoad(t, proxyCaddyfile)
		wantStatus(t, g, "/orders/v1/7", extraSecret, http.StatusForbidden)
		wantStatus(t, g, "/orders/v1/7", readerSecret, http.StatusOK)
		wantClosed(t, filepath.Join(g.dir, "other.db"))
	}
	g.mustLoad(t, "{\n\tadmin {$ADMIN}\n}\n")
	wantClosed(t, g.store)
	g.mustLoad(t, proxyCaddyfile)
	wantStatus(t, g, "/orders/v1/7", readerSecret, http.StatusOK)
}

// wantClosed fails the test unless the store can be opened, by this process.
func wantClosed(t *testing.T, path string) {
	t.Helper()
	s, err := store.Open(path, store.Options{})
	if err != nil {
		t.Errorf("the store is still in use: %v", err)
		return
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// A reload can change to another scope file, which is applied before it is over.
func TestReloadToAnotherScopeFile(t *testing.T) {
	t.Parallel()
	upstream := startEcho(t)
	g := startGateway(t, proxyCaddyfile, ordersFile(upstream.url()))
	writeFile(t, filepath.Join(g.dir, "other.yaml"), ordersFile(upstream.url(), tokenLine("extra", extraSecret, "GET")))
	g.mustLoad(t, strings.Replace(proxyCaddyfile, "{$SCOPES}", "{$DIR}/other.yaml", 1))
	wantStatus(t, g, "/orders/v1/7", extraSecret, http.StatusOK)
	wantStatus(t, g, "/orders/v1/7", readerSecret, http.StatusOK)
}
