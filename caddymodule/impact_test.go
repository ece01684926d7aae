package caddymodule_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// impactOperation is one line of testdata/impact-operations.tsv, the API surface of
// a real platform, for which testdata/impact-scopes.yaml has tokens.
type impactOperation struct{ api, version, method, path string }

func readImpactOperations(t *testing.T) []impactOperation {
	t.Helper()
	var operations []impactOperation
	for line := range strings.Lines(readImpactFile(t, "impact-operations.tsv")) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if strings.HasPrefix(line, "#") || fields[0] == "api" {
			continue
		}
		_, server, _ := strings.Cut(fields[4], "://")
		_, prefix, found := strings.Cut(server, "/")
		if found {
			prefix = "/" + prefix
		}
		operations = append(operations, impactOperation{fields[0], fields[1], fields[2], prefix + fields[3]})
	}
	return operations
}

func readImpactFile(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

var pathParameter = regexp.MustCompile(`\{[^}]*\}`)

// target fills in the parameters of the path, with bytes that a proxy may be
// tempted to rewrite.
func (op *impactOperation) target(account string) string {
	path := pathParameter.ReplaceAllStringFunc(op.path, func(parameter string) string {
		if parameter == "{AccountSID}" || parameter == "{tenant_alias}" {
			return account
		}
		return "%41" + strings.Trim(parameter, "{}") + "-%C3%A9%20%25+!$&'()*,=:@~"
	})
	return path + "?b=%2F&a=&a=1;x&q=%zz"
}

// request returns the operation as a client may send it, and the header lines and
// body of it that the upstream is to get as they are.
func (op *impactOperation) request(host, target, token, version string) (raw string, kept []string, body string) {
	kept = []string{
		"Host: " + host, "X-Request: b", "X-Request: a", "Accept: */*;q=0.1, text/html", "Accept-Encoding: br;q=1.0, identity",
		"User-Agent: impact/1.0 (a b)", "Cookie: b=2; a=1",
	}
	if version != "" {
		kept = append(kept, "Irversion: "+version)
	}
	if op.method != http.MethodGet && op.method != http.MethodDelete {
		body = `{"a": "` + op.path + `"}`
		kept = append(kept, "Content-Type: application/json", fmt.Sprintf("Content-Length: %d", len(body)))
	}
	lines := append([]string{op.method + " " + target + " HTTP/1.1"}, kept...)
	lines = append(lines, "Authorization: Bearer test-credential-"+token, "X-Scopegate-Account: forged", "", body)
	return strings.Join(lines, "\r\n"), kept, body
}

// Every operation of a real platform reaches its upstream byte for byte with a
// token that has it, and does not with one that lacks the method, the version or
// the API, or with the path of another account.
func TestImpact(t *testing.T) {
	t.Parallel()
	upstream := startEcho(t)
	g := startGateway(t, proxyCaddyfile,
		strings.ReplaceAll(readImpactFile(t, "impact-scopes.yaml"), "http://127.0.0.1:9000", upstream.url()))
	operations := readImpactOperations(t)
	if len(operations) != 245 {
		t.Fatalf("got %d operations, want 245", len(operations))
	}
	want := make(map[string]float64) // decisions by reason; "" for those that are allowed
	for i, op := range operations {
		stated := op.version
		if i%2 == 1 {
			stated = "" // the gateway fills it in
		}
		checkImpactForwarded(t, g, upstream, op, stated)
		want[""]++
		for reason, c := range map[string]struct{ token, account, version string }{
			"method_not_granted":  {op.api + ".without-" + op.method, "acme", stated},
			"version_not_granted": {op.api + ".without-version", "acme", op.version},
			"api_not_granted":     {op.api + ".without-api", "acme", op.version},
			"account_mismatch":    {op.api + ".full", "IRzz98yx76", stated},
		} {
			if reason == "account_mismatch" && op.target("acme") == op.target("globex") {
				continue // its path names no account
			}
			checkImpactRefused(t, g, op, c.token, c.account, c.version, reason)
			want[reason]++
		}
	}
	if got := upstream.take(); len(got) > 0 {
		t.Errorf("the upstream got %d requests that were refused; the first is %q", len(got), got[0].raw)
	}
	if want["account_mismatch"] != 239 {
		t.Errorf("%v operations name an account in their path, want 239", want["account_mismatch"])
	}
	got := make(map[string]float64)
	for series, value := range ownMetrics(g.metrics(t)) {
		if reason := regexp.MustCompile(`^decisions_total\{.*reason="([^"]*)"`).FindStringSubmatch(series); reason != nil {
			got[reason[1]] += value
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("decisions by reason: got %v, want %v", got, want)
	}
}

// checkImpactForwarded sends an operation with the token that has it and compares
// what the upstream got.
func checkImpactForwarded(t *testing.T, g *gateway, upstream *echo, op impactOperation, stated string) {
	t.Helper()
	raw, kept, body := op.request(g.addr, op.target("IRab12cd34"), op.api+".full", stated)
	if status, answer := exchange(t, g.addr, raw); status != http.StatusOK {
		t.Errorf("%s %s: got %d %s, want 200", op.method, op.path, status, answer)
		return
	}
	arrived := upstream.take()
	if len(arrived) != 1 {
		t.Errorf("%s %s: the upstream got %d requests, want 1", op.method, op.path, len(arrived))
		return
	}
	head, gotBody, _ := strings.Cut(string(arrived[0].raw), "\r\n\r\n")
	got := strings.Split(head, "\r\n")
	if requestLine, _, _ := strings.Cut(raw, "\r\n"); got[0] != requestLine || gotBody != body {
		t.Errorf("the upstream got\n%q with %q, want\n%q with %q", got[0], gotBody, requestLine, body)
	}
	want := slices.Concat(kept, []string{
		"X-Scopegate-Account: acme", "X-Scopegate-Api: " + op.api, "X-Scopegate-Version: " + op.version,
		// what reverse_proxy adds
		"Via: 1.1 Caddy", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: " + g.addr, "X-Forwarded-Proto: http",
	})
	if stated == "" {
		want = append(want, "Irversion: "+op.version)
	}
	lines := slices.DeleteFunc(got[1:], func(line string) bool { return strings.HasPrefix(line, "X-Scopegate-Token: tok_") })
	slices.Sort(lines)
	slices.Sort(want)
	if len(lines) != len(got)-2 || !slices.Equal(lines, want) {
		t.Errorf("%s %s: the upstream got the header lines\n%q, want\n%q and the token's id", op.method, op.path, lines, want)
	}
}

// checkImpactRefused sends an operation that is to be refused.
func checkImpactRefused(t *testing.T, g *gateway, op impactOperation, token, account, version, reason string) {
	t.Helper()
	raw, _, _ := op.request(g.addr, op.target(account), token, version)
	const denied = `{"type":"about:blank","title":"Access Denied","status":403}`
	if status, answer := exchange(t, g.addr, raw); status != http.StatusForbidden || answer != denied {
		t.Errorf("%s %s with %s for %s (%s): got %d %s, want 403 %s", op.method, op.path, token, account, reason, status, answer, denied)
	}
}

// exchange sends raw bytes on a connection of their own and returns the answer.
func exchange(t *testing.T, addr, raw string) (status int, body string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }() // all was read
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, raw); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(content)
}
