package caddymodule_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Whoever tries credentials on the page is seen: each is counted, and stands in the access
// log with the reason.
func TestRefusedSignInIsSeen(t *testing.T) {
	t.Parallel()
	g := startGateway(t, siteWith("\tscopegate_admin"), roleFile())
	b := &browser{gateway: g}
	const guesses = 3
	for i := range guesses {
		got := b.post(t, "/console/sign-in", url.Values{"credential": {fmt.Sprintf("a-guess-%016d", i)}})
		if got.status != http.StatusForbidden || b.cookie != "" {
			t.Errorf("got %d and cookie %q, want 403 and none", got.status, b.cookie)
		}
	}
	line := fmt.Sprintf(`caddy_scopegate_decisions_total{api="",decision="deny",reason="unknown_token",version=""} %d`, guesses)
	if metrics := ask(t, http.MethodGet, g.adminURL("/metrics"), "").body; !strings.Contains(metrics, line) {
		t.Errorf("the metrics have no line\n%s", line)
	}
	told, _ := accessLog(t, g, "/console/sign-in")["scopegate"].(map[string]any)
	if told["reason"] != "unknown_token" || told["decision"] != "deny" {
		t.Errorf("the access log has %v", told)
	}
}

// Who looks at a page is in the access log.
func TestHolderIsSeen(t *testing.T) {
	t.Parallel()
	g := startGateway(t, siteWith("\tscopegate_admin"), roleFile())
	b := signIn(t, g, "viewer")
	if got := b.get(t, "/console/nodes"); got.status != http.StatusOK {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	if told := accessLog(t, g, "/console/nodes")["scopegate_session"]; told != "ops/viewer" {
		t.Errorf("the access log has %v, want ops/viewer", told)
	}
}

// Where a server before this one may see the end of a request elsewhere, the page ends the
// connection, so that no request hides in another.
func TestConsoleHidesNoRequest(t *testing.T) {
	t.Parallel()
	g := startGateway(t, siteWith("\tscopegate_admin"), roleFile())
	hidden := "GET /console/sign-in?hidden HTTP/1.1\r\nHost: " + g.addr + "\r\n\r\n"
	body := "0\r\n\r\n" + hidden
	for _, line := range []string{
		"POST /console/sign-in HTTP/1.1", "GET /console/sign-in HTTP/1.1", "GET /console/ HTTP/1.1", "GET /console/assets/none HTTP/1.1",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", g.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer hangUp(conn)
			_, err = fmt.Fprintf(conn, "%s\r\nHost: %s\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n%s", line, g.addr, len(body), body)
			if err != nil {
				t.Fatal(err)
			}
			reader := bufio.NewReader(conn)
			first, err := readHead(reader)
			if err != nil || !first.closes {
				t.Errorf("got %+v, %v, want an answer that closes the connection", first, err)
			}
			if rest, _ := io.ReadAll(reader); strings.Contains(string(rest), "HTTP/1.1 ") { // it may end in a reset
				t.Errorf("the hidden request was answered too: %q", excerpt(string(rest)))
			}
		})
	}
}
