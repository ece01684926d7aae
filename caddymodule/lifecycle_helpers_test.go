package caddymodule_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The credentials of the tokens in [ordersFile].
const (
	readerSecret = "reader-0123456789abcdef"
	writerSecret = "writer-0123456789abcdef"
)

// ordersFile is a scope file with one API and two tokens: acme/reader may read
// version 1, acme/writer do everything with it. Further tokens of acme can be
// added, each a line such as tokenLine gives.
func ordersFile(upstream string, tokens ...string) string {
	return `format: 1
apis:
  orders:
    versions: ["v1", "v2"]
    upstream: ["` + upstream + `"]
    operations:
      list: GET|POST /orders/{version}
      one: GET|PUT|DELETE /orders/{version}/{id}
accounts:
  acme:
    tokens:
` + tokenLine("reader", readerSecret, "GET") + tokenLine("writer", writerSecret, `"*"`) + strings.Join(tokens, "")
}

// tokenLine is a token of a scope file's account, for the orders of version 1.
func tokenLine(name, secret, methods string) string {
	return fmt.Sprintf("      %s: {description: d, contact: {email: a@b.example}, "+
		"scopes: [{api: orders, version: \"v1\", methods: [%s]}], credential: %s}\n", name, methods, digestOf(secret))
}

// digestOf is a credential as a scope file has it.
func digestOf(secret string) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(secret)))
}

// reply is what a client got.
type reply struct {
	status int
	header http.Header
	body   string
}

// ask sends a request to a URL with a bearer credential, unless it is "", and
// header lines, and returns the answer.
func ask(t *testing.T, method, url, secret string, lines ...string) reply {
	t.Helper()
	r, err := tryToAsk(t, method, url, secret, lines...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return r
}

// tryToAsk is ask for servers that may not be there.
func tryToAsk(t *testing.T, method, url, secret string, lines ...string) (reply, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if secret != "" {
		request.Header.Set("Authorization", "Bearer "+secret)
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			request.Host = value
			continue
		}
		request.Header.Add(name, value)
	}
	request.Close = true // no test sees a connection of another, which may have another server
	response, err := http.DefaultClient.Do(request)
	for unread(err) {
		response, err = http.DefaultClient.Do(request)
	}
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, string(body)}, err
}

// unread reports whether a connection was closed before anything of a request on
// it was read. A reload closes the old listener, and the connections that wait
// there to be accepted with it, in Caddy without Scopegate as well.
func unread(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF)
}

// wantStatus fails the test unless a GET with a bearer credential is answered with
// a status.
func wantStatus(t *testing.T, g *gateway, target, secret string, want int) {
	t.Helper()
	if got := ask(t, http.MethodGet, g.url(target), secret); got.status != want {
		t.Errorf("GET %s with %q: got %d %s, want %d", target, secret, got.status, got.body, want)
	}
}

// poll returns when a condition has come true, which it tries again and again.
func poll(t *testing.T, what string, condition func() bool) {
	t.Helper()
	pollFor(t, patience, what, condition)
}

// pollFor is poll for what may take longer.
func pollFor(t *testing.T, most time.Duration, what string, condition func() bool) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(most)
	for !condition() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// pollStatus returns when a GET is answered with a status.
func pollStatus(t *testing.T, g *gateway, target, secret string, want int) {
	t.Helper()
	poll(t, fmt.Sprintf("%d to GET %s with %q", want, target, secret), func() bool {
		got, err := tryToAsk(t, http.MethodGet, g.url(target), secret)
		return err == nil && got.status == want
	})
}

// metrics returns the values that the admin endpoint tells, by name and labels as
// they stand there.
func (g *gateway) metrics(t *testing.T) map[string]float64 {
	t.Helper()
	values := make(map[string]float64)
	lines := bufio.NewScanner(strings.NewReader(ask(t, http.MethodGet, g.adminURL("/metrics"), "").body))
	for lines.Scan() {
		series, number, found := cutLast(lines.Text(), " ")
		if !found || strings.HasPrefix(series, "#") {
			continue
		}
		value, err := strconv.ParseFloat(number, 64)
		if err != nil {
			t.Fatalf("metric %s: %v", lines.Text(), err)
		}
		values[series] = value
	}
	return values
}

func cutLast(s, separator string) (before, after string, found bool) {
	at := strings.LastIndex(s, separator)
	if at < 0 {
		return s, "", false
	}
	return s[:at], s[at+len(separator):], true
}

// applies is how often the gateway says it tried to apply its scope file, with a
// result.
func (g *gateway) applies(t *testing.T, result string) float64 {
	t.Helper()
	return g.metrics(t)[`caddy_scopegate_scopes_apply_total{result="`+result+`"}`]
}

// load gives the running gateway another Caddyfile, in which {$…} stand for its
// fields, as "caddy reload --force" does.
func (g *gateway) load(t *testing.T, caddyfile string) reply {
	t.Helper()
	for name, value := range map[string]string{
		"GATEWAY": g.addr, "ADMIN": g.admin, "STORE": g.store, "SCOPES": g.scopes, "DIR": g.dir,
	} {
		caddyfile = strings.ReplaceAll(caddyfile, "{$"+name+"}", value)
	}
	return g.post(t, "text/caddyfile", caddyfile)
}

// post posts a configuration to the admin endpoint.
func (g *gateway) post(t *testing.T, contentType, config string) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.adminURL("/load"), strings.NewReader(config))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Cache-Control", "must-revalidate")
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatalf("loading a configuration: %v", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("loading a configuration: %v", err)
	}
	return reply{response.StatusCode, response.Header, string(body)}
}

// mustLoad is load of a configuration that is accepted.
func (g *gateway) mustLoad(t *testing.T, caddyfile string) {
	t.Helper()
	if got := g.load(t, caddyfile); got.status != http.StatusOK {
		t.Fatalf("loading a configuration: got %d %s, want 200", got.status, got.body)
	}
}

// loadJSON gives the running gateway another configuration, which it accepts.
func loadJSON(t *testing.T, g *gateway, config any) {
	t.Helper()
	encoded, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if got := g.post(t, "application/json", string(encoded)); got.status != http.StatusOK {
		t.Fatalf("loading a configuration: got %d %s, want 200", got.status, got.body)
	}
}

// replaceFile puts a file into the place of another at once.
func replaceFile(t *testing.T, name, content string) {
	t.Helper()
	writeFile(t, name+".new", content)
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}
