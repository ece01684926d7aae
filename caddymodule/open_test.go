package caddymodule_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store/redislog/redistest"
)

// openCaddyfile serves the same over TLS, with HTTP/1, 2 and 3, and without.
const openCaddyfile = `{
	admin {$ADMIN}
	grace_period 100ms
	scopegate {
		store {$STORE}
		scopes {$SCOPES}
	}
}

https://gateway.example:%s {
	tls {$DIR}/certificate.pem {$DIR}/key.pem
	scopegate_proxy
}

http://{$GATEWAY} {
	scopegate_proxy
}
`

// openScopes has a token that will be revoked and one that will not.
func openScopes(upstream, more string) string {
	return fmt.Sprintf(`format: 1
apis:
  raw: {upstream: [%q], versions: ["v1", "v2"], version_from: [header API-Version], operations: {all: "* /raw/**"}}
accounts:
  acme:
    tokens:
      revoked: {description: d, contact: {email: a@b.example}, scopes: [{api: raw, version: ["v1", "v2"], methods: ["*"]}], credential: %q%s}
      kept: {description: d, contact: {email: a@b.example}, scopes: [{api: raw, version: ["v1", "v2"], methods: ["*"]}], credential: %q}
`, upstream, scopes.DigestOf(secretOf("revoked")), more, scopes.DigestOf(secretOf("kept")))
}

// patient is an upstream whose answers have no end.
type patient struct {
	*httptest.Server
	mu   sync.Mutex
	left map[string]chan struct{} // by what the request calls itself: closed when the upstream is rid of it
	tick chan struct{}            // closed to have all send something more
}

func startPatient(t *testing.T) *patient {
	t.Helper()
	p := &patient{left: make(map[string]chan struct{}), tick: make(chan struct{})}
	p.Server = httptest.NewServer(p)
	t.Cleanup(func() {
		p.CloseClientConnections()
		p.Close()
	})
	return p
}

// done returns the channel of a request.
func (p *patient) done(name string) chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left[name] == nil {
		p.left[name] = make(chan struct{})
	}
	return p.left[name]
}

func (p *patient) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer close(p.done(r.URL.Query().Get("name")))
	switch r.URL.Path {
	case "/raw/events":
		w.Header().Set("Content-Type", "text/event-stream")
		p.tell(w, "data: begun\n\n")
		select {
		case <-r.Context().Done():
			return
		case <-p.tick:
		}
		p.tell(w, "data: more\n\n")
		<-r.Context().Done()
	case "/raw/download":
		trickle(w)
	case "/raw/upload":
		_, _ = io.Copy(io.Discard, r.Body)
	case "/raw/socket":
		p.talk(w)
	}
}

// trickle writes on and on, until it cannot.
func trickle(to io.Writer) {
	pace := time.NewTicker(10 * time.Millisecond)
	defer pace.Stop()
	for chunk := make([]byte, 4<<10); ; <-pace.C {
		if _, err := to.Write(chunk); err != nil {
			return
		}
	}
}

func (*patient) tell(w http.ResponseWriter, text string) {
	_, _ = io.WriteString(w, text)
	_ = http.NewResponseController(w).Flush()
}

// talk switches protocols and then returns each line.
func (*patient) talk(w http.ResponseWriter) {
	conn, lines, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer hangUp(conn)
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		if _, err := io.WriteString(conn, line); err != nil {
			return
		}
	}
}

// openStream is a request whose answer has begun, or of which the upstream has got
// something.
type openStream struct {
	name   string
	closed chan error  // has how it ended, once it has
	lines  chan string // of an event stream
}

// secureSite is where a gateway listens with TLS, and how a client trusts it.
type secureSite struct {
	port  string
	trust *tls.Config
}

// openers are the clients of a gateway by protocol.
func openers(t *testing.T, g *gateway, secure secureSite) map[string]*http.Client {
	t.Helper()
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+secure.port)
	}
	one, two := secure.trust.Clone(), secure.trust.Clone()
	one.NextProtos, two.NextProtos = []string{"http/1.1"}, []string{"h2"}
	three := &http3.Transport{TLSClientConfig: secure.trust.Clone()}
	t.Cleanup(func() { _ = three.Close() })
	return map[string]*http.Client{
		"HTTP/1":          {Transport: &http.Transport{DialContext: plainDial(g)}},
		"HTTP/1 over TLS": {Transport: &http.Transport{DialContext: dial, TLSClientConfig: one}},
		"HTTP/2":          {Transport: &http.Transport{DialContext: dial, TLSClientConfig: two, ForceAttemptHTTP2: true}},
		"HTTP/3":          {Transport: three},
	}
}

func plainDial(g *gateway) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, g.addr)
	}
}

// open sends a request and waits until it is under way.
func open(t *testing.T, client *http.Client, protocol, base, kind, token string) *openStream {
	t.Helper()
	s := &openStream{name: strings.ReplaceAll(protocol+"-"+kind+"-"+token, " ", "_"), closed: make(chan error, 1), lines: make(chan string, 1)}
	method, body := http.MethodGet, io.Reader(nil)
	if kind == "upload" {
		reader, writer := io.Pipe()
		method, body = http.MethodPost, reader
		t.Cleanup(func() { _ = writer.Close() })
		go trickle(writer)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, base+"/raw/"+kind+"?name="+s.name, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+secretOf(token))
	request.Header.Set("API-Version", "v1")
	if protocol == "HTTP/3" { // it dials what the URL names
		request.Host = "gateway.example"
	}
	if kind == "upload" {
		go func() {
			response, err := client.Do(request)
			if err == nil {
				err = fmt.Errorf("answered %s", response.Status)
				_ = response.Body.Close()
			}
			s.closed <- err
		}()
		return s
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	if want := protocol[:len("HTTP/1")]; response.StatusCode != http.StatusOK || !strings.HasPrefix(response.Proto, want) {
		t.Fatalf("%s: got %s %s, want %s 200", s.name, response.Proto, response.Status, want)
	}
	go s.read(response.Body, kind)
	if kind == "events" {
		s.await(t, "data: begun")
	}
	return s
}

func (s *openStream) read(body io.Reader, kind string) {
	if kind != "events" {
		_, err := io.Copy(io.Discard, body)
		s.closed <- err
		return
	}
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		if lines.Text() != "" {
			s.lines <- lines.Text()
		}
	}
	s.closed <- lines.Err()
}

// await waits for a line of an event stream.
func (s *openStream) await(t *testing.T, want string) {
	t.Helper()
	select {
	case line := <-s.lines:
		if line != want {
			t.Errorf("%s: got %q, want %q", s.name, line, want)
		}
	case err := <-s.closed:
		t.Fatalf("%s: closed, want %q: %v", s.name, want, err)
	case <-time.After(patience):
		t.Fatalf("%s: nothing came, want %q", s.name, want)
	}
}

// openSocket switches to a WebSocket and exchanges a line over it.
func openSocket(t *testing.T, g *gateway, token string) (*openStream, net.Conn) {
	t.Helper()
	s := &openStream{name: "socket-" + token, closed: make(chan error, 1), lines: make(chan string, 1)}
	conn := dialGateway(t, g.addr)
	t.Cleanup(func() { hangUp(conn) })
	fmt.Fprintf(conn, "GET /raw/socket?name=%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nAPI-Version: v1\r\n"+
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", s.name, g.addr, secretOf(token))
	reader := bufio.NewReader(conn)
	head, err := readHead(reader)
	if err != nil || head.status != http.StatusSwitchingProtocols {
		t.Fatalf("%s: got %d, %v, want 101", s.name, head.status, err)
	}
	go func() {
		lines := bufio.NewScanner(reader)
		for lines.Scan() {
			s.lines <- lines.Text()
		}
		s.closed <- lines.Err()
	}()
	_, _ = io.WriteString(conn, "hello\n")
	s.await(t, "hello")
	return s, conn
}

// openAll opens a stream of each kind with a token over each protocol.
func openAll(t *testing.T, g *gateway, secure secureSite, token string) []*openStream {
	t.Helper()
	var all []*openStream
	for protocol, client := range openers(t, g, secure) {
		base := "https://gateway.example:" + secure.port
		switch protocol {
		case "HTTP/1":
			base = g.url("")
		case "HTTP/3":
			base = "https://127.0.0.1:" + secure.port
		}
		for _, kind := range []string{"events", "download", "upload"} {
			all = append(all, open(t, client, protocol, base, kind, token))
		}
	}
	return all
}

// startOpen starts a gateway before an upstream whose answers have no end.
func startOpen(t *testing.T, more string) (g *gateway, upstream *patient, secure secureSite) {
	t.Helper()
	upstream = startPatient(t)
	_, port, err := net.SplitHostPort(freeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	g = newGateway(t, fmt.Sprintf(openCaddyfile, port), openScopes(upstream.URL, more))
	trust := writeCertificate(t, g.dir)
	g.start(t)
	return g, upstream, secureSite{port, trust}
}

// mustEnd waits until streams are closed for the client and for the upstream.
func mustEnd(t *testing.T, upstream *patient, streams ...*openStream) {
	t.Helper()
	begun := time.Now()
	for _, s := range streams {
		select {
		case err := <-s.closed:
			if strings.Contains(s.name, "events") && err == nil {
				t.Errorf("%s: closed as if it was complete", s.name)
			}
		case <-time.After(patience):
			t.Errorf("%s: still open for the client", s.name)
		}
		select {
		case <-upstream.done(s.name):
		case <-time.After(patience):
			t.Errorf("%s: still open for the upstream", s.name)
		}
	}
	t.Logf("%d streams ended within %v", len(streams), time.Since(begun).Round(time.Millisecond))
}

// mustGoOn sees to it that streams are open and pass on what comes.
func mustGoOn(t *testing.T, upstream *patient, streams ...*openStream) {
	t.Helper()
	close(upstream.tick)
	for _, s := range streams {
		if strings.Contains(s.name, "events") {
			s.await(t, "data: more")
		}
		select {
		case err := <-s.closed:
			t.Errorf("%s: closed: %v", s.name, err)
		default:
		}
	}
}

// What was opened with a token ends when the token is revoked, whatever it is and
// over which protocol; what others have opened goes on.
func TestOpenRequestsOfARevokedToken(t *testing.T) {
	t.Parallel()
	for ended, args := range map[string][]string{
		`caddy_scopegate_requests_ended_total{reason="inactive"}`:            {"token", "deactivate", "acme/revoked"},
		`caddy_scopegate_requests_ended_total{reason="version_not_granted"}`: {"token", "update", "acme/revoked", "--scope", "raw:v2:*"},
	} {
		t.Run(args[1], func(t *testing.T) {
			t.Parallel()
			g, upstream, secure := startOpen(t, "")
			revoked, kept := openAll(t, g, secure, "revoked"), openAll(t, g, secure, "kept")
			socket, _ := openSocket(t, g, "revoked")
			otherSocket, conn := openSocket(t, g, "kept")
			mustRun(t, g, args...)
			mustEnd(t, upstream, append(revoked, socket)...)
			mustGoOn(t, upstream, kept...)
			_, _ = io.WriteString(conn, "still\n")
			otherSocket.await(t, "still")
			if got, want := g.metrics(t)[ended], float64(len(revoked)+1); got != want {
				t.Errorf("%s is %v, want %v", ended, got, want)
			}
		})
	}
}

// A token that expires takes what it has opened along.
func TestOpenRequestsOfAnExpiredToken(t *testing.T) {
	t.Parallel()
	g, upstream, secure := startOpen(t, ", expires: "+time.Now().Add(5*time.Second).UTC().Format(time.RFC3339))
	expired := openAll(t, g, secure, "revoked")
	kept := openAll(t, g, secure, "kept")
	mustEnd(t, upstream, expired...)
	mustGoOn(t, upstream, kept...)
}

// A reload goes on with the store, and with what is open; without a store nobody
// knows what is allowed.
func TestOpenRequestsAndReloads(t *testing.T) {
	t.Parallel()
	upstream := startPatient(t)
	g := startGateway(t, proxyCaddyfile, openScopes(upstream.URL, ""))
	client := &http.Client{Transport: &http.Transport{DialContext: plainDial(g)}}
	stream := open(t, client, "HTTP/1", g.url(""), "events", "kept")
	writeFile(t, g.caddyfile, strings.Replace(proxyCaddyfile, "scopegate_proxy", "respond /here 204\n\tscopegate_proxy", 1))
	g.reload(t)
	mustGoOn(t, upstream, stream)
	writeFile(t, g.caddyfile, "{\n\tadmin {$ADMIN}\n\tgrace_period 100ms\n}\n\nhttp://{$GATEWAY} {\n\trespond 204\n}\n")
	g.reload(t)
	mustEnd(t, upstream, stream)
}

// A revocation on another node ends what is open here, and so does a node that may not
// decide any more, for it would not get to know of one.
func TestOpenRequestsInACluster(t *testing.T) {
	t.Parallel()
	redis, upstream := redistest.Start(t), startPatient(t)
	here := startGateway(t, clusterCaddyfile(redis.URL(), "here"), "")
	there := startGateway(t, clusterCaddyfile(redis.URL(), "there"), "")
	awaitStatus(t, here, secretOf("revoked"), http.StatusForbidden) // it may decide
	writeFile(t, here.scopes, openScopes(upstream.URL, ""))
	mustRun(t, here, "apply", here.scopes, "--allow-widen", "--wait", "30s")
	client := &http.Client{Transport: &http.Transport{DialContext: plainDial(here)}}
	revoked := open(t, client, "HTTP/1", here.url(""), "events", "revoked")
	kept := open(t, client, "HTTP/1", here.url(""), "events", "kept")
	mustRun(t, there, "token", "deactivate", "acme/revoked")
	mustEnd(t, upstream, revoked)
	mustGoOn(t, upstream, kept)
	redis.Kill()
	mustEnd(t, upstream, kept)
}
