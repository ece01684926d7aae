package caddymodule_test

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// often returns how often to do what the long variants of the tests do more often.
func often(normally, soaking int) int {
	if os.Getenv("SCOPEGATE_SOAK") != "" {
		return soaking
	}
	return normally
}

// loadedGateway is a gateway of its own, so that what it needs can be measured.
func loadedGateway(t *testing.T) (*gateway, *echo) {
	t.Helper()
	upstream := startEcho(t)
	return startGateway(t, proxyCaddyfile, fmt.Sprintf(`format: 1
apis:
  raw: {upstream: [%q], operations: {all: "* /raw/**"}}
accounts:
  acme:
    tokens:
      writer: {description: d, contact: {email: a@b.example}, scopes: [{api: raw, methods: ["*"]}], credential: %q}
`, upstream.url(), scopes.DigestOf(secretOf("writer")))), upstream
}

// Random credentials grow nothing: what is unknown is not remembered. What the
// race detector remembers would count, so that the long variant runs without it.
func TestRandomCredentials(t *testing.T) {
	t.Parallel()
	credentials := 20_000
	if !raceDetector {
		credentials = often(credentials, 1_000_000)
	}
	g, upstream := loadedGateway(t)
	flood(t, g, 2_000) // connections, buffers and pools are there now
	before := residentBytes(t, g)
	flood(t, g, credentials)
	grown := residentBytes(t, g) - before
	t.Logf("the process grew by %d KiB", grown>>10)
	if grown >= 64<<20 {
		t.Errorf("the process grew by %d MiB, want less than 64", grown>>20)
	}
	if n := len(upstream.requests()); n != 0 {
		t.Errorf("%d requests arrived", n)
	}
}

// flood sends n requests with random credentials, and holds that each is denied.
func flood(t *testing.T, g *gateway, n int) {
	t.Helper()
	const connections, batch = 4, 100
	var senders sync.WaitGroup
	for range connections {
		senders.Go(func() {
			if err := sendRandom(g.addr, n/connections/batch, batch); err != nil {
				t.Error(err)
			}
		})
	}
	senders.Wait()
}

// sendRandom sends batches of requests over one connection.
func sendRandom(addr string, batches, batch int) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	reader := bufio.NewReader(conn)
	for range batches {
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		var requests strings.Builder
		for range batch {
			random := make([]byte, 24)
			_, _ = rand.Read(random) // never fails
			fmt.Fprintf(&requests, "GET /raw/x HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", addr, hex.EncodeToString(random))
		}
		if _, err := io.WriteString(conn, requests.String()); err != nil {
			return err
		}
		for range batch {
			r, err := readAnswer(reader, http.MethodGet)
			if err != nil {
				return err
			}
			if r.status != http.StatusForbidden {
				return fmt.Errorf("a random credential was answered with %d, want 403", r.status)
			}
		}
	}
	return nil
}

// residentBytes returns how much memory the process has.
func residentBytes(t *testing.T, g *gateway) int {
	t.Helper()
	return statusBytes(t, g, "VmRSS:")
}

// peakBytes returns how much memory the process has had at most.
func peakBytes(t *testing.T, g *gateway) int {
	t.Helper()
	return statusBytes(t, g, "VmHWM:")
}

func statusBytes(t *testing.T, g *gateway, key string) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if kibibytes, ok := strings.CutPrefix(line, key); ok {
			n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(kibibytes), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatalf("the process has no %s", key)
	return 0
}

// That a credential was unknown is not remembered either.
func TestUnknownThenKnown(t *testing.T) {
	t.Parallel()
	upstream := startEcho(t)
	file := fmt.Sprintf(`format: 1
apis:
  raw: {upstream: [%q], operations: {all: "* /raw/**"}}
accounts:
  acme:
    tokens:
      early: {description: d, contact: {email: a@b.example}, scopes: [{api: raw, methods: ["*"]}], credential: %q}
`, upstream.url(), scopes.DigestOf(secretOf("early")))
	g := startGateway(t, strings.Replace(proxyCaddyfile, "scopes {$SCOPES}", "", 1), "")
	for range often(500, 100_000) {
		if got := statusOf(t, g, secretOf("early")); got != http.StatusForbidden {
			t.Fatalf("got %d before the token was made, want 403", got)
		}
	}
	writeFile(t, g.scopes, file)
	if out := g.scopegate(t, "apply", g.scopes, "--allow-widen"); out.code != 0 {
		t.Fatalf("exit %d\n%s%s", out.code, out.stdout, out.stderr)
	}
	if got := statusOf(t, g, secretOf("early")); got != http.StatusOK {
		t.Errorf("got %d at once, want 200", got)
	}
}

// slowClient is a client that has sent a part of a request and holds the rest back.
type slowClient struct {
	conn net.Conn
	rest string
	want int
}

// Many clients that send their headers or bodies slowly keep no other one waiting,
// and what they send in the end is decided on like anything else.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	g, upstream := loadedGateway(t)
	clients := make([]slowClient, often(2_000, 10_000))
	for i := range clients {
		clients[i] = startSlowly(t, g, i)
	}
	for range 50 {
		for secret, want := range map[string]int{secretOf("writer"): http.StatusOK, secretOf("nobody"): http.StatusForbidden} {
			if got := statusOf(t, g, secret); got != want {
				t.Errorf("while others are slow: got %d, want %d", got, want)
			}
		}
	}
	allowed := 50
	for i, c := range clients {
		if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c.conn, c.rest); err != nil && c.want == http.StatusOK {
			t.Fatal(err) // a refused one may be closed by now
		}
		r, err := readAnswer(bufio.NewReader(c.conn), http.MethodPost)
		if err != nil || r.status != c.want {
			t.Errorf("slow client %d: got %v, %v, want %d", i, r, err, c.want)
		}
		if c.want == http.StatusOK {
			allowed++
		}
		hangUp(c.conn)
	}
	if n := len(upstream.requests()); n != allowed {
		t.Errorf("%d requests arrived, want %d", n, allowed)
	}
}

// startSlowly sends a part of a request: of its header or its body, with a
// credential that is known or one that is not.
func startSlowly(t *testing.T, g *gateway, i int) slowClient {
	t.Helper()
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hangUp(conn) })
	c := slowClient{conn: conn, want: http.StatusOK}
	secret := secretOf("writer")
	if i%2 == 1 {
		secret, c.want = secretOf("nobody"), http.StatusForbidden
	}
	header := fmt.Sprintf("POST /raw/x HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Length: 5\r\n\r\n", g.addr, secret)
	raw := header + "abcde"
	cut := len(header) / 2
	if i%4 < 2 {
		cut = len(raw) - 2
	}
	if _, err := io.WriteString(conn, raw[:cut]); err != nil {
		t.Fatal(err)
	}
	c.rest = raw[cut:]
	return c
}

// statusOf asks once, on a connection of its own.
func statusOf(t *testing.T, g *gateway, secret string) int {
	t.Helper()
	answer := sendRaw(t, g.addr, "GET /raw/x HTTP/1.1\r\nHost: "+g.addr+"\r\nConnection: close\r\nAuthorization: Bearer "+secret+"\r\n\r\n")
	_, rest, _ := strings.Cut(answer, " ")
	status, _ := strconv.Atoi(rest[:min(3, len(rest))]) // 0 for no answer
	return status
}
