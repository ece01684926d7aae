package caddymodule_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// judgeCaddyfile decides and answers by itself, so that what is measured is the
// gateway.
const judgeCaddyfile = `{
	admin {$ADMIN}
	scopegate {
		store {$STORE}
		scopes {$SCOPES}
	}
}

http://{$GATEWAY} {
	scopegate
	respond 204
}
`

// estateFile is a scope file of n tokens, twenty to an account.
func estateFile(n int) string {
	var b strings.Builder
	b.WriteString("format: 1\nowner: estate\naccounts:\n")
	for i := range n {
		if i%20 == 0 {
			fmt.Fprintf(&b, "  estate-%d:\n    tokens:\n", i/20)
		}
		fmt.Fprintf(&b, `      token-%d:
        description: One of many tokens of an estate.
        contact: {name: Data team, email: data@estate.example}
        environment: production
        scopes:
          - {api: raw, methods: [GET]}
          - {api: raw, methods: [POST], operations: [all]}
        credential: %s
`, i, scopes.DigestOf(secretOf(fmt.Sprint("estate", i))))
	}
	return b.String()
}

// A large apply is fast, needs bounded memory, and hardly touches the requests that
// are served meanwhile: all are answered, and their delay is reported beside that of
// an idle gateway. SCOPEGATE_SOAK=1 applies 100,000 tokens, with less than 20 s of
// processor time, its reader's included, and a GiB of the gateway's memory: the time by
// the clock depends on what else the machine does, and is reported.
func TestApplyOfManyTokensUnderLoad(t *testing.T) {
	tokens := often(2_000, 100_000)
	g := startGateway(t, judgeCaddyfile, fmt.Sprintf(`format: 1
apis:
  raw: {operations: {all: "* /raw/**"}}
accounts:
  acme:
    tokens:
      writer: {description: d, contact: {email: a@b.example}, scopes: [{api: raw, methods: ["*"]}], credential: %q}
`, scopes.DigestOf(secretOf("writer"))))
	writeFile(t, filepath.Join(g.dir, "estate.yaml"), estateFile(tokens))

	idle := sendUntil(t, g, after(3*time.Second))
	before, used := residentBytes(t, g), processorTime(t, g)
	applied := make(chan struct{})
	var took time.Duration
	go func() {
		defer close(applied)
		begun := time.Now()
		g.applyEstate(t)
		took = time.Since(begun)
	}()
	busy := sendUntil(t, g, applied)
	used = processorTime(t, g) - used
	settled := sendUntil(t, g, after(2*time.Second))
	t.Logf("%d tokens in %.1fs, of the processor %.1fs; resident memory: %d MiB before, %d MiB at most; p99 of a request: %v idle, %v meanwhile (%.1f times), %v after; of %d, %d and %d requests",
		tokens, took.Seconds(), used.Seconds(), before>>20, peakBytes(t, g)>>20, p99(idle), p99(busy), float64(p99(busy))/float64(p99(idle)), p99(settled),
		len(idle), len(busy), len(settled))
	if got := g.ask(t, "estate"+strconv.Itoa(tokens-1)); got != http.StatusNoContent {
		t.Errorf("a token that was applied gets %d, want 204", got)
	}
	if limit := 20 * time.Second; used > limit && !raceDetector {
		t.Errorf("applying took %v of the processor, want at most %v", used, limit)
	}
	if limit := 1 << 30; peakBytes(t, g) > limit && !raceDetector {
		t.Errorf("applying took the gateway to %d MiB of memory, want at most %d", peakBytes(t, g)>>20, limit>>20)
	}
}

// applyEstate sends the file as a client does that reads it from the disk.
func (g *gateway) applyEstate(t *testing.T) {
	t.Helper()
	file, err := os.Open(filepath.Join(g.dir, "estate.yaml"))
	if err != nil {
		t.Error(err)
		return
	}
	defer file.Close() //nolint:errcheck // it is only read
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.adminURL("/scopegate/apply"), file)
	if err != nil {
		t.Error(err)
		return
	}
	request.Header.Set("Content-Type", "application/yaml")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Error(err)
		return
	}
	defer response.Body.Close()
	if answer, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("apply: got %d %.300s, %v", response.StatusCode, answer, err)
	}
}

// processorTime returns how long the process, and those that it started and that have ended,
// have run on a processor (proc(5): the 14th to 17th field, of which 100 are a second on Linux).
func processorTime(t *testing.T, g *gateway) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", g.process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // the name may have spaces
	fields := strings.Fields(rest)
	var ticks int64
	for _, field := range fields[11:15] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

func after(d time.Duration) <-chan struct{} {
	over := make(chan struct{})
	time.AfterFunc(d, func() { close(over) })
	return over
}

// sendUntil sends requests over one connection, one after the other, at a steady
// pace, and returns how long each took. Each must be allowed.
func sendUntil(t *testing.T, g *gateway, over <-chan struct{}) []time.Duration {
	t.Helper()
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp(conn)
	reader := bufio.NewReader(conn)
	request := fmt.Sprintf("GET /raw/x HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", g.addr, secretOf("writer"))
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	var took []time.Duration
	for {
		select {
		case <-over:
			return took
		case <-pace.C:
		}
		begun := time.Now()
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		r, err := readAnswer(reader, http.MethodGet)
		if err != nil || r.status != http.StatusNoContent {
			t.Fatalf("got %d, %v, want 204", r.status, err)
		}
		took = append(took, time.Since(begun))
	}
}

// ask sends one request with a token's credential and returns the status.
func (g *gateway) ask(t *testing.T, token string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url("/raw/x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+secretOf(token))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}

func p99(took []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(took))
	return sorted[len(sorted)*99/100].Round(time.Microsecond)
}

// A client that sends a file slowly, or never ends, takes no thread of the gateway's: there
// are not many of them.
func TestUploadsThatWait(t *testing.T) {
	t.Parallel()
	const uploads = 100
	g := startGateway(t, judgeCaddyfile, "format: 1\n")
	before := threadsOf(t, g)
	for range uploads {
		conn, err := net.Dial("tcp", g.admin)
		if err != nil {
			t.Fatal(err)
		}
		defer hangUp(conn)
		_, err = fmt.Fprintf(conn, "POST /scopegate/plan HTTP/1.1\r\nHost: %s\r\nContent-Type: application/yaml\r\n"+
			"Content-Length: 4000000\r\nExpect: 100-continue\r\n\r\n", g.admin)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := bufio.NewReader(conn).ReadString('\n') // comes when the body is read
		if err != nil || !strings.Contains(answer, "100 Continue") {
			t.Fatalf("got %q, %v", answer, err)
		}
		if _, err := io.WriteString(conn, "format: 1\n# and so on"); err != nil {
			t.Fatal(err)
		}
	}
	if more := threadsOf(t, g) - before; more >= uploads/2 {
		t.Errorf("%d uploads that wait take %d threads", uploads, more)
	}
}

func threadsOf(t *testing.T, g *gateway) int {
	t.Helper()
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", g.process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(threads)
}
