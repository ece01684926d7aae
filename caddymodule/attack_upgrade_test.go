package caddymodule_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// After a switch of protocols the gateway is a blind tunnel: only to a WebSocket,
// on GET, and judged as GET.
func attackUpgrades(t *testing.T, s *stage) {
	t.Helper()
	upgrade := func(line string, lines ...string) string {
		raw := rawRequest(line, append([]string{"Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"}, lines...)...)
		return strings.Replace(raw, "Connection: close\r\n", "", 1)
	}
	const settings = "HTTP2-Settings: AAMAAABkAAQAAP__"
	for name, raw := range map[string]string{
		"h2c":                              upgrade("GET /raw/x", "Connection: HTTP2-Settings", "Upgrade: h2c", settings),
		"h2c, upper case":                  upgrade("GET /raw/x", "Upgrade: H2C", settings),
		"h2c without Connection":           rawRequest("GET /raw/x", "Upgrade: h2c"),
		"h2c on POST":                      upgrade("POST /raw/x", "Upgrade: h2c", settings, "Content-Length: 0"),
		"HTTP/2.0":                         upgrade("GET /raw/x", "Upgrade: HTTP/2.0"),
		"TLS":                              upgrade("GET /raw/x", "Upgrade: TLS/1.2"),
		"anything":                         upgrade("GET /raw/x", "Upgrade: anything"),
		"empty":                            upgrade("GET /raw/x", "Upgrade:"),
		"websocket or h2c":                 upgrade("GET /web/socket", "Upgrade: websocket, h2c"),
		"h2c or websocket":                 upgrade("GET /web/socket", "Upgrade: h2c, websocket"),
		"websocket, then h2c":              upgrade("GET /web/socket", "Upgrade: websocket", "Upgrade: h2c"),
		"websocket twice":                  upgrade("GET /web/socket", "Upgrade: websocket", "Upgrade: websocket"),
		"websocket with a version":         upgrade("GET /web/socket", "Upgrade: websocket/13"),
		"websocket with a letter like one": upgrade("GET /web/socket", "Upgrade: web\u017focket"),
		"websocket on HTTP/1.0":            strings.Replace(upgrade("GET /web/socket", "Upgrade: websocket"), "HTTP/1.1", "HTTP/1.0", 1),
		"websocket on POST":                upgrade("POST /web/socket", "Upgrade: websocket", "Content-Length: 0"),
		"websocket on HEAD":                upgrade("HEAD /web/socket", "Upgrade: websocket"),
		"websocket on get":                 upgrade("get /web/socket", "Upgrade: websocket"),
		"websocket with a body":            upgrade("GET /web/socket", "Upgrade: websocket", "Content-Length: 3") + "abc",
		"websocket with chunks":            upgrade("GET /web/socket", "Upgrade: websocket", "Transfer-Encoding: chunked") + "0\r\n\r\n",
		"websocket without the scope":      by("reader", upgrade("GET /web/socket", "Upgrade: websocket")),
		"websocket without a credential":   strings.Replace(upgrade("GET /web/socket", "Upgrade: websocket"), "Authorization: Bearer {writer}\r\n", "", 1),
		"websocket with an override":       upgrade("GET /web/socket", "Upgrade: websocket", "X-HTTP-Method: CONNECT"),
	} {
		for _, p := range []port{portPlain, portShadow} {
			if p == portShadow && strings.Contains(name, "without") && strings.Contains(name, "websocket") {
				continue // shadow lets what is not malformed through
			}
			t.Run(fmt.Sprintf("refused: %s (%s)", name, p), func(t *testing.T) {
				t.Parallel()
				sent, marker := marked(raw)
				conn := s.connect(t, p)
				defer hangUp(conn)
				if _, err := io.WriteString(conn, sent); err != nil {
					t.Fatal(err)
				}
				r, err := readHead(bufio.NewReader(conn))
				if err != nil {
					t.Fatalf("%s\nno response: %v", sent, err)
				}
				if r.status != http.StatusForbidden {
					t.Errorf("%s\ngot %d, want 403", sent, r.status)
				}
				if arrived := arrivedAt(s.echo, marker); len(arrived) > 0 {
					t.Errorf("%s\narrived", sent)
				}
			})
		}
	}
	for _, p := range []port{portPlain, portTLS, portIdle} {
		t.Run("a WebSocket from end to end ("+string(p)+")", func(t *testing.T) {
			t.Parallel()
			s.talk(t, p, upgrade("GET /web/socket", "Upgrade: WebSocket", "Connection: X-Scopegate-Account"))
		})
	}
	t.Run("an upstream that does not switch leaves no tunnel", func(t *testing.T) {
		t.Parallel()
		o := s.send(t, portPlain, upgrade("GET /web/plain", "Upgrade: websocket")+rawRequest("GET /secret/x"))
		if got := o.statuses(); len(got) != 2 || got[0] != 200 || got[1] != 403 {
			t.Errorf("got responses %v, want 200 and, to what comes behind, 403", got)
		}
	})
	t.Run("Upgrade that Connection does not name is no switch", func(t *testing.T) {
		t.Parallel()
		got := s.send(t, portPlain, rawRequest("GET /raw/x", "Upgrade: websocket")).forwarded(t)
		wantField(t, got, "Upgrade")
	})
}

// attackPages sends what is refused where an upstream makes the page for it: that
// upstream gets a plain request for a page, without a tunnel or a body.
func attackPages(t *testing.T, s *stage) {
	t.Helper()
	const upgrade = "Connection: Upgrade, HTTP2-Settings"
	for name, raw := range map[string]string{
		"WebSocket":      anonymous("GET /web/socket", upgrade, "Upgrade: websocket"),
		"h2c":            anonymous("GET /raw/x", upgrade, "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"),
		"any protocol":   anonymous("GET /raw/x", upgrade, "Upgrade: anything"),
		"a body":         anonymous("GET /raw/x", "Content-Length: 5", "Expect: 100-continue") + "abcde",
		"chunks":         anonymous("GET /raw/x", "Transfer-Encoding: chunked", "Trailer: X-Checksum") + "5\r\nabcde\r\n0\r\nX-Checksum: 7\r\n\r\n",
		"overlong chunk": anonymous("GET /raw/x", "Transfer-Encoding: chunked") + hiddenChunk() + "0\r\n\r\n",
	} {
		t.Run("page after "+name, func(t *testing.T) {
			t.Parallel()
			o := s.send(t, portPages, raw)
			if len(o.responses) != 1 || len(o.arrived) != 1 || o.arrived[0].err != nil {
				t.Fatalf("%s\ngot responses %v, %d requests for a page arrived, want one", excerpt(o.sent), o.statuses(), len(o.arrived))
			}
			got := o.arrived[0]
			for _, field := range []string{"Upgrade", "Http2-Settings", "Content-Length", "Expect", "Trailer"} {
				wantField(t, got, field)
			}
			if r := got.request; len(got.body) > 0 || len(r.TransferEncoding) > 0 || len(r.Trailer) > 0 {
				t.Errorf("a body or trailers went on to the page:\n%s", got.raw)
			}
		})
	}
	for _, line := range []string{"CONNECT gateway.example:80", "CONNECT /raw/x", "connect /raw/x", "TRACE /raw/x", "Trace /raw/x"} {
		t.Run("no page after "+line, func(t *testing.T) {
			t.Parallel()
			o := s.send(t, portAllPages, rawRequest(line))
			o.denied(t)
			if len(o.responses) == 1 && o.responses[0].header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s\nis not answered directly: %q", excerpt(o.sent), o.responses[0].content)
			}
		})
	}
}

// talk opens a WebSocket, sends messages, and reads what comes back.
func (s *stage) talk(t *testing.T, p port, raw string) {
	t.Helper()
	conn := s.connect(t, p)
	defer hangUp(conn)
	sent, _ := marked(raw)
	if _, err := io.WriteString(conn, sent); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	r, err := readHead(reader)
	if err != nil {
		t.Fatal(err)
	}
	if r.status != http.StatusSwitchingProtocols || r.header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("got %d and Sec-WebSocket-Accept %q, want 101 and that of RFC 6455", r.status, r.header.Get("Sec-WebSocket-Accept"))
	}
	if got := r.header.Get("X-Account"); got != "acme" {
		t.Errorf("the upstream was told account %q, want acme", got)
	}
	for _, message := range []string{"hello", "", "GET /secret/x HTTP/1.1\r\n\r\n"} {
		frame := []byte{0x81, 0x80 | byte(len(message)), 1, 2, 3, 4}
		for i := range len(message) {
			frame = append(frame, message[i]^frame[2+i%4])
		}
		if _, err := conn.Write(frame); err != nil {
			t.Fatal(err)
		}
		got, err := readFrame(reader)
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.ToUpper(message); string(got) != want {
			t.Errorf("got message %q, want %q", got, want)
		}
	}
}

// No decision is used for another request, whatever came before it on the same
// connection or with the same credential.
func attackMemory(t *testing.T, s *stage) {
	t.Helper()
	keep := func(raw string) string { return strings.Replace(raw, "Connection: close\r\n", "", 1) }
	allowed := by("reader", rawRequest("GET /orders/v1/7"))
	for name, after := range map[string]string{
		"method":     by("reader", rawRequest("DELETE /orders/v1/7")),
		"path":       by("reader", rawRequest("GET /raw/x")),
		"version":    by("reader", rawRequest("GET /orders/v2/7")),
		"operation":  by("reader", rawRequest("POST /orders/v1")),
		"credential": anonymous("GET /orders/v1/7"),
		"token":      by("expired", rawRequest("GET /orders/v1/7")),
		"spelling":   by("reader", rawRequest("GET /orders/v1/7/..")),
	} {
		t.Run("allow, then another "+name, func(t *testing.T) {
			t.Parallel()
			o := s.send(t, portPlain, keep(allowed)+keep(after)+keep(allowed)+after)
			if got := fmt.Sprint(o.statuses()); got != "[200 403 200 403]" || len(o.arrived) != 2 {
				t.Errorf("got responses %v, %d arrived, want [200 403 200 403] and 2", got, len(o.arrived))
			}
			s.send(t, portPlain, after).denied(t) // on a connection of its own too
		})
	}
}
