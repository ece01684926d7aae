package caddymodule_test

import (
	"bufio"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// witness is an upstream that keeps what it was asked, and by which name.
type witness struct {
	*httptest.Server

	mu   sync.Mutex // guards what follows
	seen []asked
}

// asked is what an upstream saw of a request.
type asked struct{ serverName, host, target, account string }

// newWitness returns an upstream that is to be started, and that ends with the test.
func newWitness(t *testing.T) *witness {
	t.Helper()
	w := new(witness)
	w.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen := asked{"", r.Host, r.RequestURI, r.Header.Get("X-Scopegate-Account")}
		if r.TLS != nil {
			seen.serverName = r.TLS.ServerName
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.seen = append(w.seen, seen)
	}))
	w.EnableHTTP2 = true
	w.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that are meant to fail
	t.Cleanup(w.Close)
	return w
}

// certificate writes the certificate of an upstream with https to a file. It is for
// 127.0.0.1 and example.com.
func (w *witness) certificate(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "upstream.pem")
	block := pem.Block{Type: "CERTIFICATE", Bytes: w.Certificate().Raw}
	writeFile(t, name, string(pem.EncodeToMemory(&block)))
	return name
}

func (w *witness) take() []asked {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.seen
	w.seen = nil
	return seen
}

// proxyWith is [proxyCaddyfile] with options of scopegate_proxy.
func proxyWith(options ...string) string {
	return strings.Replace(proxyCaddyfile, "\tscopegate_proxy\n",
		"\tscopegate_proxy {\n\t\t"+strings.Join(options, "\n\t\t")+"\n\t}\n", 1)
}

// transportWith is [proxyCaddyfile] with options of the transport.
func transportWith(options ...string) string {
	return proxyWith("transport http {", "\t"+strings.Join(options, "\n\t\t\t"), "}")
}

// twoVersions is [ordersFile] with an upstream for each version; acme/reader may
// read both.
func twoVersions(v1, v2 string) string {
	file := strings.Replace(ordersFile("X"), `["X"]`, fmt.Sprintf(`{v1: ["%s"], v2: ["%s"]}`, v1, v2), 1)
	return strings.ReplaceAll(file, `version: "v1"`, `version: ["v1", "v2"]`)
}

// Each version has an upstream of its own, one with http and one with https: the
// scheme of the chosen one decides how it is spoken to. Host is passed through.
func TestUpstreamSchemes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ option, serverName string }{
		{"", ""}, // a client does not name an address
		{"tls_server_name example.com", "example.com"},
		{"keepalive off", ""},
		{"versions 1.1", ""},
		{"read_timeout 10s", ""},
		{"proxy_protocol v1", ""},
		{"proxy_protocol v2", ""},
	} {
		t.Run(test.option, func(t *testing.T) {
			t.Parallel()
			plain, encrypted := newWitness(t), newWitness(t)
			if strings.HasPrefix(test.option, "proxy_protocol") {
				plain.Listener = proxyListener{plain.Listener}
				encrypted.Listener = proxyListener{encrypted.Listener}
			}
			plain.Start()
			encrypted.StartTLS()
			g := startGateway(t, transportWith("tls_trust_pool file "+encrypted.certificate(t), test.option),
				twoVersions(plain.URL, encrypted.URL))
			for range 2 {
				wantStatus(t, g, "/orders/v1/7?a=%20", readerSecret, http.StatusOK)
				wantStatus(t, g, "/orders/v2/7?b=%20", readerSecret, http.StatusOK)
			}
			want := asked{"", g.addr, "/orders/v1/7?a=%20", "acme"}
			if got := plain.take(); !slices.Equal(got, []asked{want, want}) {
				t.Errorf("upstream with http: got %+v, want twice %+v", got, want)
			}
			want = asked{test.serverName, g.addr, "/orders/v2/7?b=%20", "acme"}
			if got := encrypted.take(); !slices.Equal(got, []asked{want, want}) {
				t.Errorf("upstream with https: got %+v, want twice %+v", got, want)
			}
		})
	}
}

// An upstream that has a name is asked by it, and must prove it.
func TestUpstreamCertificate(t *testing.T) {
	t.Parallel()
	for _, option := range []string{"", "proxy_protocol v1", "proxy_protocol v2"} {
		t.Run(option, func(t *testing.T) {
			t.Parallel()
			upstream := newWitness(t)
			if option != "" {
				upstream.Listener = proxyListener{upstream.Listener}
			}
			upstream.StartTLS()
			byName := strings.Replace(upstream.URL, "127.0.0.1", "localhost", 1)
			g := startGateway(t, transportWith("tls_trust_pool file "+upstream.certificate(t), option), ordersFile(byName))
			wantStatus(t, g, "/orders/v1/7", readerSecret, http.StatusBadGateway)
			g.logs.wait(t, "certificate is valid for example.com", "not localhost")
			if got := upstream.take(); len(got) > 0 {
				t.Errorf("the upstream got %+v, want nothing", got)
			}
		})
	}
}

func TestUpstreamOfAnUnknownAuthority(t *testing.T) {
	t.Parallel()
	upstream := newWitness(t)
	upstream.StartTLS()
	g := startGateway(t, proxyCaddyfile, ordersFile(upstream.URL))
	wantStatus(t, g, "/orders/v1/7", readerSecret, http.StatusBadGateway)
	g.logs.wait(t, "certificate signed by unknown authority")
	if got := upstream.take(); len(got) > 0 {
		t.Errorf("the upstream got %+v, want nothing", got)
	}
}

// proxyListener accepts connections that begin with a header of the PROXY
// protocol, which it takes off.
type proxyListener struct{ net.Listener }

// Accept implements net.Listener.
func (l proxyListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	reader := bufio.NewReader(conn)
	const signature2 = "\r\n\r\n\x00\r\nQUIT\n"
	start, _ := reader.Peek(16) // shorter ones have no header
	switch {
	case strings.HasPrefix(string(start), "PROXY "):
		_, err = reader.ReadString('\n')
	case strings.HasPrefix(string(start), signature2):
		_, err = reader.Discard(16 + int(start[14])<<8 + int(start[15]))
	default:
		err = fmt.Errorf("no header of the PROXY protocol: %q", start)
	}
	return &readConn{Conn: conn, reader: reader, err: err}, nil
}

// readConn is a connection of which something was read.
type readConn struct {
	net.Conn
	reader *bufio.Reader
	err    error // of what was read
}

// Read implements net.Conn.
func (c *readConn) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	return c.reader.Read(p)
}

// What scopegate does not know goes to reverse_proxy: here, the choice among
// several upstreams.
func TestUpstreamChoice(t *testing.T) {
	t.Parallel()
	first, second := startEcho(t), startEcho(t)
	file := strings.Replace(ordersFile("X"), `["X"]`, fmt.Sprintf(`["%s", "%s"]`, first.url(), second.url()), 1)
	g := startGateway(t, proxyCaddyfile, file)
	for _, test := range []struct {
		policy        string
		first, second int // how many of six requests they get
	}{
		{"round_robin", 3, 3},
		{"first", 6, 0},
		{"header X-Tenant", 6, 0}, // or the other way round: one of them gets them all
	} {
		t.Run(test.policy, func(t *testing.T) {
			g.mustLoad(t, proxyWith("lb_policy "+test.policy))
			for range 6 {
				if got := ask(t, http.MethodGet, g.url("/orders/v1/7"), readerSecret, "X-Tenant: acme"); got.status != http.StatusOK {
					t.Errorf("got %d, want 200", got.status)
				}
			}
			gotFirst, gotSecond := len(first.take()), len(second.take())
			if strings.HasPrefix(test.policy, "header") && gotSecond > gotFirst {
				gotFirst, gotSecond = gotSecond, gotFirst
			}
			if gotFirst != test.first || gotSecond != test.second {
				t.Errorf("got %d and %d requests, want %d and %d", gotFirst, gotSecond, test.first, test.second)
			}
		})
	}
}

// A dead upstream is passed over, for as long as lb_try_duration allows.
func TestUpstreamRetries(t *testing.T) {
	t.Parallel()
	alive, dead := startEcho(t), "http://"+freeAddr(t)
	file := strings.Replace(ordersFile("X"), `["X"]`, fmt.Sprintf(`["%s", "%s"]`, dead, alive.url()), 1)
	g := startGateway(t, proxyWith("lb_policy first", "lb_try_duration 10s", "lb_try_interval 1ms", "fail_duration 30s"), file)
	for range 4 {
		wantStatus(t, g, "/orders/v1/7", readerSecret, http.StatusOK)
	}
	if got := ask(t, http.MethodPost, g.url("/orders/v1"), writerSecret); got.status != http.StatusOK {
		t.Errorf("POST: got %d, want 200", got.status)
	}
	if got := alive.take(); len(got) != 5 {
		t.Errorf("the living upstream got %d requests, want 5", len(got))
	}
}

func TestUpstreamDown(t *testing.T) {
	t.Parallel()
	alive, dead := startEcho(t), freeAddr(t)
	g := startGateway(t, proxyCaddyfile, twoVersions("http://"+dead, alive.url()))
	wantStatus(t, g, "/orders/v1/7", readerSecret, http.StatusBadGateway)
	wantStatus(t, g, "/orders/v2/7", readerSecret, http.StatusOK)
	g.logs.wait(t, "connection refused", dead)
}

// An API may name no upstream: then a site of its own says where to.
func TestUpstreamUnnamed(t *testing.T) {
	t.Parallel()
	g := startGateway(t, proxyCaddyfile, strings.Replace(ordersFile("X"), `    upstream: ["X"]`+"\n", "", 1))
	wantStatus(t, g, "/orders/v1/7", readerSecret, http.StatusServiceUnavailable)
	g.logs.wait(t, "the API has no upstream for this version: name one in the scope file", `(API orders, version \"v1\")`)
}

// In shadow the target names the API, whatever the token; without one, nothing
// says where to.
func TestUpstreamInShadow(t *testing.T) {
	t.Parallel()
	first, second := startEcho(t), startEcho(t)
	g := startGateway(t, proxyWith("shadow"), twoVersions(first.url(), second.url()))
	wantStatus(t, g, "/orders/v2/7", "unknown-0123456789abcdef", http.StatusOK)
	wantStatus(t, g, "/orders/v1/7", "", http.StatusOK)
	wantStatus(t, g, "/orders/v3/7", readerSecret, http.StatusServiceUnavailable)
	wantStatus(t, g, "/nowhere", readerSecret, http.StatusServiceUnavailable)
	g.logs.wait(t, "no API matches the request, which is let through in shadow only: nothing says where to")
	if gotFirst, gotSecond := len(first.take()), len(second.take()); gotFirst != 1 || gotSecond != 1 {
		t.Errorf("the upstreams got %d and %d requests, want one each", gotFirst, gotSecond)
	}
}

// Whatever stands between the decision and the proxy: if it changes the method or
// the target, nothing is sent.
func TestUpstreamRefusesWhatWasNotDecidedOn(t *testing.T) {
	t.Parallel()
	upstream := startEcho(t)
	g := startGateway(t, proxyCaddyfile, ordersFile(upstream.url()))
	running := ask(t, http.MethodGet, g.adminURL("/config/"), "").body
	for _, test := range []struct {
		name, handler string
		status        int
	}{
		{"header", `{"handler": "headers", "request": {"set": {"X-A": ["b"]}}}`, http.StatusOK},
		{"path", `{"handler": "rewrite", "uri": "/orders/v2/7"}`, http.StatusInternalServerError},
		{"query", `{"handler": "rewrite", "uri": "?b"}`, http.StatusInternalServerError},
		{"prefix", `{"handler": "rewrite", "strip_path_prefix": "/orders"}`, http.StatusInternalServerError},
		{"method", `{"handler": "rewrite", "method": "DELETE"}`, http.StatusInternalServerError},
	} {
		t.Run(test.name, func(t *testing.T) {
			var config any
			if err := json.Unmarshal([]byte(running), &config); err != nil {
				t.Fatal(err)
			}
			putBetween(t, config, test.handler)
			loadJSON(t, g, config)
			upstream.take()
			wantStatus(t, g, "/orders/v1/7?a", readerSecret, test.status)
			if got := upstream.take(); len(got) > 0 && test.status != http.StatusOK {
				t.Errorf("the upstream got %q, want nothing", got[0].raw)
			}
		})
	}
	g.logs.wait(t, `"level":"error"`, "method or target changed since the decision")
}

// The upstream source is of no use without a decision before it.
func TestUpstreamWithoutDecision(t *testing.T) {
	t.Parallel()
	upstream := startEcho(t)
	g := startGateway(t, strings.Replace(proxyCaddyfile, "\tscopegate_proxy\n",
		"\treverse_proxy {\n\t\tdynamic scopegate\n\t\ttransport scopegate\n\t}\n", 1), ordersFile(upstream.url()))
	wantStatus(t, g, "/orders/v1/7", readerSecret, http.StatusServiceUnavailable)
	g.logs.wait(t, "put a scopegate handler before this reverse_proxy")

	g.mustLoad(t, strings.Replace(proxyCaddyfile, "\tscopegate_proxy\n",
		"\treverse_proxy {\n\t\tto "+upstream.addr+"\n\t\ttransport scopegate\n\t}\n", 1))
	wantStatus(t, g, "/orders/v1/7", readerSecret, http.StatusInternalServerError)
	if got := upstream.take(); len(got) > 0 {
		t.Errorf("the upstream got %q, want nothing", got[0].raw)
	}
}

// putBetween puts a handler between scopegate and reverse_proxy, wherever they
// stand in a configuration.
func putBetween(t *testing.T, node any, handler string) {
	t.Helper()
	switch node := node.(type) {
	case []any:
		for _, child := range node {
			putBetween(t, child, handler)
		}
	case map[string]any:
		handlers, _ := node["handle"].([]any)
		at := slices.IndexFunc(handlers, func(h any) bool { return h.(map[string]any)["handler"] == "reverse_proxy" })
		if at >= 0 {
			node["handle"] = slices.Insert(handlers, at, any(json.RawMessage(handler)))
		}
		for _, child := range node {
			putBetween(t, child, handler)
		}
	}
}
