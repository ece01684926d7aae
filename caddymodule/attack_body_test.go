package caddymodule_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// aligned is the length to which a request and those hidden in its body are
// padded, so that wherever a reader stops, its next byte is likely the first of one.
const aligned = 256

// padded lengthens a request's header with a field. Markers and credentials are
// filled in later, which does not change their number.
func padded(raw string) string {
	const field = "Padding: \r\n\r\n"
	length := len(fill(raw, "marker-000000")) - len("\r\n") + len(field)
	padding := strings.Repeat("x", aligned-length%aligned)
	return strings.TrimSuffix(raw, "\r\n") + strings.Replace(field, ": ", ": "+padding, 1)
}

// smuggling is a POST to a target, with a body of 1.5 MiB that is full of
// requests. It does not ask for the connection to be closed.
func smuggling(target string, chunked bool, lines ...string) string {
	const requests = 6144
	one := padded(inner)
	body := strings.Repeat(one, requests)
	length := len(fill(one, "marker-000000")) * requests
	framing := fmt.Sprintf("Content-Length: %d", length)
	if chunked {
		framing = "Transfer-Encoding: chunked"
		size := fmt.Sprintf("%x;", length)
		body = size + strings.Repeat("x", aligned-len(size)-len("\r\n")) + "\r\n" + body + "\r\n0\r\n\r\n"
	}
	raw := rawRequest("POST "+target, append(lines, framing)...)
	return padded(strings.Replace(raw, "Connection: close\r\n", "", 1)) + body
}

// An upstream may answer before it has read a request. Then the rest of the
// request's body is on the connection, and must not be taken for requests.
func attackEarlyAnswers(t *testing.T, s *stage) {
	t.Helper()
	for _, test := range []struct {
		target string
		status int
	}{
		{"/hasty/401", 401}, {"/hasty/200", 200}, {"/hasty/500", 500}, {"/hasty/304", 304}, {"/hasty/close", 502}, {"/secret/x", 403}, {"/raw/..", 403},
	} {
		for _, chunked := range []bool{false, true} {
			for _, p := range []port{portPlain, portIdle, portPages, portRetrying} {
				t.Run(fmt.Sprintf("%s, chunked %v (%s)", test.target, chunked, p), func(t *testing.T) {
					t.Parallel()
					s.smuggleAtOnce(t, p, smuggling(test.target, chunked))
					if test.status != http.StatusBadGateway { // the proxy would wait for the client
						s.smuggleLater(t, p, smuggling(test.target, chunked), test.status)
					}
				})
			}
		}
	}
	t.Run("100-continue", func(t *testing.T) {
		t.Parallel()
		s.smuggleAtOnce(t, portIdle, smuggling("/hasty/401", false, "Expect: 100-continue"))
		s.smuggleAtOnce(t, portIdle, smuggling("/secret/x", true, "Expect: 100-continue"))
	})
	t.Run("nobody answers", func(t *testing.T) {
		t.Parallel()
		if s.form == "scopegate" {
			s.smuggleAtOnce(t, portSilent, smuggling("/raw/x", false))
			s.smuggleLater(t, portSilent, smuggling("/raw/x", true), 200)
		}
	})
}

// smuggleAtOnce sends a request with others in its body, and one behind it.
func (s *stage) smuggleAtOnce(t *testing.T, p port, raw string) {
	t.Helper()
	o := s.send(t, p, raw+rawRequest("GET /raw/behind"))
	if got := o.statuses(); len(got) > 2 {
		t.Errorf("%s\ngot %d responses, want one, and one to what is behind it", excerpt(o.sent), len(got))
	}
	noneHidden(t, o.sent, o.arrived)
}

// smuggleLater sends a request with others in its body, but waits for the response
// when half of it is sent. That must end the connection.
func (s *stage) smuggleLater(t *testing.T, p port, raw string, status int) {
	t.Helper()
	conn := s.connect(t, p)
	defer hangUp(conn)
	sent, marker := marked(raw)
	half := len(sent) / 2 / aligned * aligned
	if _, err := io.WriteString(conn, sent[:half]); err != nil && status != http.StatusForbidden {
		t.Fatal(err) // a refusal may come before
	}
	reader := bufio.NewReader(conn)
	r, err := readHead(reader)
	if err != nil {
		t.Fatalf("%s\nno response to half of it: %v", excerpt(sent), err)
	}
	if r.status != status || !r.closes {
		t.Errorf("%s\ngot %d, closes %v, want %d that closes", excerpt(sent), r.status, r.closes, status)
	}
	_, _ = io.WriteString(conn, sent[half:]) // for whoever still reads
	rest, _ := io.ReadAll(reader)            // it may end in a reset
	if strings.Contains(string(rest), "HTTP/1.1 ") {
		t.Errorf("%s\na second response came", excerpt(sent))
	}
	noneHidden(t, sent, arrivedAt(s.echo, marker))
}

func noneHidden(t *testing.T, sent string, arrived []received) {
	t.Helper()
	for _, r := range arrived {
		if r.request != nil && r.request.RequestURI == "/raw/hidden" {
			t.Fatalf("%s\na hidden request arrived", excerpt(sent))
		}
	}
}

// A refusal does not wait for a body that nobody will read.
func attackWithheldBodies(t *testing.T, s *stage) {
	t.Helper()
	for name, lines := range map[string][]string{
		"length":                     {"Content-Length: 1000000"},
		"length within buffers":      {"Content-Length: 10"},
		"chunks":                     {"Transfer-Encoding: chunked"},
		"length, 100-continue":       {"Content-Length: 1000000", "Expect: 100-continue"},
		"short, 100-continue":        {"Content-Length: 10", "Expect: 100-continue"},
		"chunks, 100-continue":       {"Transfer-Encoding: chunked", "Expect: 100-continue"},
		"100-continue, another case": {"Content-Length: 10", "Expect: 100-Continue"},
	} {
		for _, p := range []port{portPlain, portIdle, portPages, portTLS} {
			for _, target := range []string{"/secret/x", "/raw/.."} {
				t.Run(fmt.Sprintf("%s, %s (%s)", name, target, p), func(t *testing.T) {
					t.Parallel()
					raw := strings.Replace(rawRequest("POST "+target, lines...), "Connection: close\r\n", "", 1)
					conn := s.connect(t, p)
					defer hangUp(conn)
					sent, marker := marked(raw)
					if _, err := io.WriteString(conn, sent); err != nil {
						t.Fatal(err)
					}
					r, err := readHead(bufio.NewReader(conn))
					if err != nil {
						t.Fatalf("%s\nno answer while the body is withheld: %v", sent, err)
					}
					if r.status != http.StatusForbidden || !r.closes {
						t.Errorf("%s\ngot %d, closes %v, want 403 that closes, and no 100", sent, r.status, r.closes)
					}
					if arrived := arrivedAt(s.echo, marker); len(arrived) > 0 && p != portPages {
						t.Errorf("%s\narrived", sent)
					}
				})
			}
		}
	}
}

// A client that was refused cannot hold the connection by sending nothing more.
func attackLingering(t *testing.T, s *stage) {
	t.Helper()
	var conns []net.Conn
	for _, p := range []port{portPlain, portIdle, portPages} {
		for _, framing := range []string{"Content-Length: 10", "Content-Length: 1000000", "Transfer-Encoding: chunked"} {
			conn := s.connect(t, p)
			defer hangUp(conn)
			sent, _ := marked(rawRequest("POST /secret/x", framing))
			if _, err := io.WriteString(conn, sent); err != nil {
				t.Fatal(err)
			}
			conns = append(conns, conn)
		}
	}
	for _, conn := range conns { // all at once: each ends some seconds after its answer
		answer, err := io.ReadAll(conn)
		if !strings.HasPrefix(string(answer), "HTTP/1.1 403 ") || err != nil {
			t.Errorf("got\n%s\n%v, want a 403 and the end of the connection", answer, err)
		}
	}
}

// What may have had an effect is not sent twice.
func attackReplays(t *testing.T, s *stage) {
	t.Helper()
	for name, raw := range map[string]string{
		"POST":                            rawRequest("POST /careless/x", "Content-Length: 5") + "abcde",
		"POST, chunked":                   rawRequest("POST /careless/x", "Transfer-Encoding: chunked") + "5\r\nabcde\r\n0\r\n\r\n",
		"POST without body":               rawRequest("POST /careless/x", "Content-Length: 0"),
		"PUT":                             rawRequest("PUT /careless/x", "Content-Length: 5") + "abcde",
		"PATCH":                           rawRequest("PATCH /careless/x", "Content-Length: 5") + "abcde",
		"DELETE":                          rawRequest("DELETE /careless/x"),
		"POST, no answer before the body": rawRequest("POST /hasty/close", "Content-Length: 5") + "abcde",
	} {
		for _, p := range []port{portPlain, portRetrying} {
			t.Run(fmt.Sprintf("%s (%s)", name, p), func(t *testing.T) {
				t.Parallel()
				// The first may be answered, and leaves a connection that the second one reuses.
				s.send(t, p, rawRequest("GET /careless/200"))
				o := s.send(t, p, raw)
				if got := o.statuses(); len(got) != 1 || got[0] != http.StatusBadGateway {
					t.Errorf("%s\ngot responses %v, want one 502", excerpt(o.sent), got)
				}
				if n := s.careless.count(o.marker, "") + s.hasty.count(o.marker, ""); n != 1 {
					t.Errorf("%s\narrived %d times, want once", excerpt(o.sent), n)
				}
			})
		}
	}
}
