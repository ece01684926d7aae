package caddymodule_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// identityLines are what the gateway adds to a request, and credentialLine is what
// that it removes.
var (
	identityLines  = regexp.MustCompile(`(?m)^X-Scopegate-[A-Za-z]+: .*\r\n`)
	credentialLine = regexp.MustCompile(`(?m)^Authorization: .*\r\n`)
)

// Whatever goes through arrives as with a plain reverse_proxy of the same process,
// but for the headers that the documentation names.
func attackFidelity(t *testing.T, s *stage) {
	t.Helper()
	for name, raw := range map[string]string{
		"plain":                      rawRequest("GET /raw/x"),
		"escapes":                    rawRequest("GET /raw/%c3%A9%20%25/%7e"),
		"empty query":                rawRequest("GET /raw/x?"),
		"query of a question mark":   rawRequest("GET /raw/x??"),
		"order and repetition":       rawRequest("GET /raw/x?b=2&a=1&b=1&b=2&&c&=d&e=%zz;f"),
		"raw bytes in the query":     rawRequest("GET /raw/x?\xff|\"<>"),
		"absolute-form":              rawRequest("GET http://other.example:81/raw/x?y"),
		"header order and case":      rawRequest("GET /raw/x", "Z-Last: 1", "a-first: 2", "X-CASE: 3", "x-case: 4", "X-Empty:"),
		"repeated fields":            rawRequest("GET /raw/x", "Accept: a", "Accept: b, c", "Accept: a"),
		"values with spaces":         rawRequest("GET /raw/x", "X-Spaces:   a  b\tc  "),
		"values that are not ASCII":  rawRequest("GET /raw/x", "X-Bytes: \xff\u00e9"),
		"no user agent":              rawRequest("GET /raw/x"),
		"user agent":                 rawRequest("GET /raw/x", "User-Agent: test/1"),
		"cookies":                    rawRequest("GET /raw/x", "Cookie: a=b", "Cookie: c=d"),
		"hop-by-hop fields":          rawRequest("GET /raw/x", "Connection: X-Hop", "X-Hop: a", "Keep-Alive: 5", "TE: trailers", "Proxy-Connection: close"),
		"forwarded fields":           rawRequest("GET /raw/x", "X-Forwarded-For: 203.0.113.7", "Forwarded: for=203.0.113.7", "Via: 1.0 other"),
		"conditional":                rawRequest("GET /raw/x", `If-None-Match: "a"`, "Range: bytes=0-1"),
		"HEAD":                       rawRequest("HEAD /raw/x"),
		"another method":             rawRequest("M-SEARCH /raw/x"),
		"lower-case method":          rawRequest("get /raw/x"),
		"folded field":               rawRequest("GET /raw/x", "X-Folded: a", " b"),
		"HTTP/1.0":                   strings.Replace(rawRequest("GET /raw/x"), "HTTP/1.1", "HTTP/1.0", 1),
		"body":                       rawRequest("POST /raw/x", "Content-Type: text/plain", "Content-Length: 5") + "a\r\n\x00\xff",
		"empty body":                 rawRequest("POST /raw/x", "Content-Length: 0"),
		"no body":                    rawRequest("POST /raw/x"),
		"body of a GET":              rawRequest("GET /raw/x", "Content-Length: 5") + "abcde",
		"body of a DELETE":           rawRequest("DELETE /raw/x", "Content-Length: 5") + "abcde",
		"chunks":                     rawRequest("POST /raw/x", "Transfer-Encoding: chunked") + "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
		"empty chunks":               rawRequest("POST /raw/x", "Transfer-Encoding: chunked") + "0\r\n\r\n",
		"large body":                 rawRequest("PUT /raw/x", fmt.Sprintf("Content-Length: %d", len(largeBody))) + string(largeBody),
		"large chunk":                rawRequest("PUT /raw/x", "Transfer-Encoding: chunked") + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(largeBody), largeBody),
		"trailers":                   rawRequest("POST /raw/x", "Transfer-Encoding: chunked", "Trailer: X-Checksum, X-Other") + "3\r\nabc\r\n0\r\nX-Checksum: 7\r\nX-Other: a\r\nX-Third: b\r\n\r\n",
		"100-continue":               rawRequest("POST /raw/x", "Expect: 100-continue", "Content-Length: 5") + "abcde",
		"compression is not removed": rawRequest("POST /raw/x", "Content-Encoding: gzip", "Accept-Encoding: gzip, br", "Content-Length: 5") + "abcde",
	} {
		t.Run("request: "+name, func(t *testing.T) {
			t.Parallel()
			want := s.sendOver(t, dialGateway(t, s.bare), raw)
			got := s.send(t, portPlain, raw)
			if !slices.Equal(got.interim, want.interim) || !slices.Equal(got.statuses(), want.statuses()) {
				t.Errorf("%s\ngot responses %v %v, want %v %v as plain reverse_proxy", excerpt(raw), got.interim, got.statuses(), want.interim, want.statuses())
			}
			if len(want.arrived) != 1 || len(got.arrived) != 1 {
				t.Fatalf("%s\n%d arrived, %d through plain reverse_proxy, want one of each", excerpt(raw), len(got.arrived), len(want.arrived))
			}
			plain := bytes.ReplaceAll(credentialLine.ReplaceAll(want.arrived[0].raw, nil), []byte(want.marker), nil)
			gated := bytes.ReplaceAll(identityLines.ReplaceAll(got.arrived[0].raw, nil), []byte(got.marker), nil)
			if plain, gated = s.sameHost(plain, gated); !bytes.Equal(joinChunks(t, got.arrived[0], gated), joinChunks(t, want.arrived[0], plain)) {
				t.Errorf("%s\narrived as\n%s\nand through plain reverse_proxy as\n%s", excerpt(raw), excerpt(string(gated)), excerpt(string(plain)))
			}
		})
	}
	t.Run("responses", func(t *testing.T) { faithfulResponses(t, s) })
	t.Run("events", func(t *testing.T) {
		t.Parallel()
		s.flushes(t)
	})
}

// sameHost is for requests that two listeners got: what they say of them is the same.
func (s *stage) sameHost(plain, gated []byte) ([]byte, []byte) {
	return bytes.ReplaceAll(plain, []byte(s.bare), nil), bytes.ReplaceAll(gated, []byte(s.on(portPlain)), nil)
}

// joinChunks returns a raw request with its chunks joined, whose sizes are those of
// the reads on the way.
func joinChunks(t *testing.T, r received, raw []byte) []byte {
	t.Helper()
	if r.request == nil || len(r.request.TransferEncoding) == 0 {
		return raw
	}
	header, _, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	joined := append(bytes.Clone(header), "\r\n\r\n"...)
	joined = append(joined, r.body...)
	for _, name := range []string{"X-Checksum", "X-Other", "X-Third"} {
		joined = append(joined, fmt.Sprintf("%s=%q", name, r.request.Trailer[name])...)
	}
	return joined
}

// faithfulResponses come back as through a plain reverse_proxy.
func faithfulResponses(t *testing.T, s *stage) {
	t.Helper()
	for _, line := range []string{
		"GET /web/plain", "HEAD /web/plain", "GET /web/large", "HEAD /web/large", "GET /web/gzip", "GET /web/not-modified", "GET /web/no-content",
		"GET /web/error", "GET /web/redirect", "GET /web/hints", "GET /web/trailers", "GET /web/socket", "GET /web/nothing", "OPTIONS /web/plain",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			raw := rawRequest(line, "Accept-Encoding: gzip", `If-None-Match: "7"`)
			want := s.sendOver(t, dialGateway(t, s.bareWeb), raw)
			got := s.send(t, portPlain, raw)
			date := regexp.MustCompile(`(?m)^Date: .*\r\n`)
			if !slices.Equal(got.interim, want.interim) || len(got.responses) != 1 || len(want.responses) != 1 {
				t.Fatalf("got responses %v %v, want %v %v as plain reverse_proxy", got.interim, got.statuses(), want.interim, want.statuses())
			}
			gotHead, _, _ := bytes.Cut(got.raw, []byte("\r\n\r\n"))
			wantHead, _, _ := bytes.Cut(want.raw, []byte("\r\n\r\n"))
			if a, b := date.ReplaceAll(gotHead, nil), date.ReplaceAll(wantHead, nil); !bytes.Equal(a, b) {
				t.Errorf("got\n%s\nwant, as plain reverse_proxy,\n%s", a, b)
			}
			a, b := got.responses[0], want.responses[0]
			if !bytes.Equal(a.content, b.content) || fmt.Sprint(a.trailer) != fmt.Sprint(b.trailer) || a.length != b.length {
				t.Errorf("got %d bytes, length %d, trailers %v, want %d, %d, %v as plain reverse_proxy",
					len(a.content), a.length, a.trailer, len(b.content), b.length, b.trailer)
			}
		})
	}
	t.Run("100-continue before the body", func(t *testing.T) {
		t.Parallel()
		sent, _ := marked(rawRequest("POST /raw/x", "Expect: 100-continue", "Content-Length: 5"))
		conn := s.connect(t, portPlain)
		defer hangUp(conn)
		if _, err := io.WriteString(conn, sent); err != nil {
			t.Fatal(err)
		}
		reader := bufio.NewReader(conn)
		r, err := readHead(reader)
		if err != nil || r.status != http.StatusContinue {
			t.Fatalf("got %v, %v while the body is to come, want 100", r, err)
		}
		if _, err := io.WriteString(conn, "abcde"); err != nil {
			t.Fatal(err)
		}
		for r.status == http.StatusContinue { // the upstream's own comes through too
			if r, err = readHead(reader); err != nil {
				t.Fatal(err)
			}
		}
		if r.status != http.StatusOK {
			t.Errorf("got %d, want 200", r.status)
		}
	})
}

// flushes reads events one by one: each is there before the next is made.
func (s *stage) flushes(t *testing.T) {
	t.Helper()
	sent, _ := marked(rawRequest("GET /web/events"))
	conn := s.connect(t, portPlain)
	defer hangUp(conn)
	if _, err := io.WriteString(conn, sent); err != nil {
		t.Fatal(err)
	}
	r, err := readHead(bufio.NewReader(conn))
	if err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(r.body)
	for range 3 {
		line, err := reader.ReadString('\n')
		if err != nil || line != "data: event\n" {
			t.Fatalf("got %q, %v, want an event", line, err)
		}
		if _, err := reader.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		s.web.next <- struct{}{}
	}
}
