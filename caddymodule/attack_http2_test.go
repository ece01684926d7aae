package caddymodule_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2 is a client of HTTP/2 that sends whatever it is told to.
type h2 struct {
	*http2.Framer
	conn    net.Conn
	buffer  bytes.Buffer
	encoder *hpack.Encoder
	next    uint32
	results map[uint32]*h2Result
}

// h2Result is what came back on a stream.
type h2Result struct {
	status string // of the final response; "" for none
	body   []byte
	reset  bool // the stream ended in an error
	ended  bool
}

type h2Fields [][2]string

// h2Request returns the fields of a request like those of [rawRequest].
func h2Request(method, path string) h2Fields {
	return h2Fields{
		{":method", method},
		{":scheme", "https"},
		{":authority", "gateway.example"},
		{":path", path},
		{"authorization", "Bearer {writer}"},
		{"marker", "{id}"},
	}
}

// with returns the fields with another value for one, or without it if that is "-".
func (f h2Fields) with(name, value string) h2Fields {
	f = slices.Clone(f)
	for i := range f {
		if f[i][0] == name {
			f[i][1] = value
		}
	}
	return slices.DeleteFunc(f, func(field [2]string) bool { return field[1] == "-" })
}

// openH2 opens a connection with HTTP/2: over TLS, or with prior knowledge.
func (s *stage) openH2(t *testing.T, p port) *h2 {
	t.Helper()
	conn := dialGateway(t, s.on(p))
	if p == portTLS {
		conn = s.secure(conn, "h2")
	}
	t.Cleanup(func() { hangUp(conn) })
	c := &h2{conn: conn, Framer: http2.NewFramer(conn, conn), next: 1, results: make(map[uint32]*h2Result)}
	c.encoder = hpack.NewEncoder(&c.buffer)
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.AllowIllegalWrites = true
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := c.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return c
}

// headers sends a block of fields, on a new stream if id is 0.
func (c *h2) headers(t *testing.T, id uint32, fields h2Fields, marker string, end bool) uint32 {
	t.Helper()
	if id == 0 {
		id = c.next
		c.next += 2
		c.results[id] = new(h2Result)
	}
	c.buffer.Reset()
	for _, f := range fields {
		if err := c.encoder.WriteField(hpack.HeaderField{Name: f[0], Value: fill(f[1], marker)}); err != nil {
			t.Fatal(err)
		}
	}
	err := c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.buffer.Bytes(), EndHeaders: true, EndStream: end})
	if err != nil && !c.closed(err) {
		t.Fatal(err)
	}
	return id
}

// await reads until a stream has ended, or the connection has, and returns what
// came of it.
func (c *h2) await(t *testing.T, id uint32) *h2Result {
	t.Helper()
	result := c.results[id]
	for !result.ended {
		frame, err := c.ReadFrame()
		if err != nil {
			if !c.closed(err) {
				t.Fatalf("reading from stream %d: %v", id, err)
			}
			result.reset, result.ended = true, true
			break
		}
		c.take(t, frame)
	}
	return result
}

func (c *h2) take(t *testing.T, frame http2.Frame) {
	t.Helper()
	result := c.results[frame.Header().StreamID]
	if result == nil {
		result = new(h2Result) // of no request
	}
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			_ = c.WriteSettingsAck() // a connection that is gone is seen when reading
		}
	case *http2.MetaHeadersFrame:
		if status := f.PseudoValue("status"); status >= "200" {
			result.status = status
		}
		result.ended = f.StreamEnded()
	case *http2.DataFrame:
		result.body = append(result.body, f.Data()...)
		result.ended = f.StreamEnded()
	case *http2.RSTStreamFrame:
		result.reset = result.reset || f.ErrCode != http2.ErrCodeNo
		result.ended = true
	}
}

// closed reports whether an error says that the other side has ended the connection.
func (c *h2) closed(err error) bool {
	var network *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &network) && !network.Timeout()
}

// sendH2 sends one request without a body and returns what came of it, with what
// arrived.
func (s *stage) sendH2(t *testing.T, p port, fields h2Fields) (result *h2Result, arrived []received) {
	t.Helper()
	_, marker := marked("")
	c := s.openH2(t, p)
	result = c.await(t, c.headers(t, 0, fields, marker, true))
	return result, slices.Concat(arrivedAt(s.echo, marker), arrivedAt(s.secret, marker))
}

// attackHTTP2 sends frames by hand, over TLS and with prior knowledge.
func attackHTTP2(t *testing.T, s *stage) {
	t.Helper()
	for _, p := range []port{portTLS, portPlain} {
		t.Run("malformed ("+string(p)+")", func(t *testing.T) { malformedH2(t, s, p) })
		t.Run("well-formed ("+string(p)+")", func(t *testing.T) { wellFormedH2(t, s, p) })
		t.Run("bodies ("+string(p)+")", func(t *testing.T) { bodiesOfH2(t, s, p) })
		t.Run("each stream is judged alone ("+string(p)+")", func(t *testing.T) {
			t.Parallel()
			streamsOfH2(t, s, p)
		})
	}
}

// malformedH2 are requests that end in an error of the stream or a refusal.
func malformedH2(t *testing.T, s *stage, p port) {
	t.Helper()
	get := h2Request("GET", "/raw/x")
	for name, fields := range map[string]h2Fields{
		"no method":                         get.with(":method", "-"),
		"no path":                           get.with(":path", "-"),
		"no scheme":                         get.with(":scheme", "-"),
		"empty method":                      get.with(":method", ""),
		"empty path":                        get.with(":path", ""),
		"another scheme":                    get.with(":scheme", "ftp"),
		"method twice":                      append(h2Fields{{":method", "GET"}}, get...),
		"path twice":                        append(h2Fields{{":path", "/secret/x"}}, get...),
		"path twice, the second":            slices.Insert(slices.Clone(get), 4, [2]string{":path", "/secret/x"}),
		"authority twice":                   append(h2Fields{{":authority", "other.example"}}, get...),
		"scheme twice":                      append(h2Fields{{":scheme", "http"}}, get...),
		"pseudo-header behind a field":      append(slices.Clone(get), [2]string{":path", "/secret/x"}),
		"unknown pseudo-header":             append(h2Fields{{":target", "/secret/x"}}, get...),
		"pseudo-header of responses":        append(h2Fields{{":status", "200"}}, get...),
		"pseudo-header in upper case":       append(h2Fields{{":METHOD", "GET"}}, get...),
		"path without a slash":              get.with(":path", "raw/x"),
		"path in absolute-form":             get.with(":path", "http://gateway.example/raw/x"),
		"path in absolute-form, not ours":   get.with(":path", "https://other.example/raw/x"),
		"asterisk":                          get.with(":path", "*"),
		"path with a space":                 get.with(":path", "/raw/x HTTP/1.1"),
		"query with a space":                get.with(":path", "/raw/x?y HTTP/1.1"),
		"path with a line break":            get.with(":path", "/raw/x HTTP/1.1\r\nX-Scopegate-Account: spoofed"),
		"path with NUL":                     get.with(":path", "/raw/x\x00"),
		"path with a fragment":              get.with(":path", "/raw/x#y"),
		"path with raw UTF-8":               get.with(":path", "/raw/\u00e9"),
		"path with dots":                    get.with(":path", "/raw/../secret/x"),
		"path with encoded dots":            get.with(":path", "/raw/%2e%2e/secret/x"),
		"path with two slashes":             get.with(":path", "//raw/x"),
		"path with a backslash":             get.with(":path", `/raw\x`),
		"path with a semicolon":             get.with(":path", "/raw/..;/secret/x"),
		"not granted":                       get.with(":path", "/secret/x"),
		"method with a space":               get.with(":method", "GET /secret/x HTTP/1.1"),
		"method with a line break":          get.with(":method", "GET /secret/x HTTP/1.1\r\nX: y\r\n\r\n"),
		"method in quotes":                  get.with(":method", `"GET"`),
		"authority with a line break":       get.with(":authority", "gateway.example\r\nX-Scopegate-Account: spoofed"),
		"authority with a user":             get.with(":authority", "user@gateway.example"),
		"authority with a path":             get.with(":authority", "gateway.example/secret"),
		"authority with a space":            get.with(":authority", "gateway example"),
		"no authority, no host":             get.with(":authority", "-"),
		"authority and another host":        append(slices.Clone(get), [2]string{"host", "other.example"}),
		"host of an API, not authority":     append(h2Request("GET", "/hosted/x"), [2]string{"host", "api.example.com"}),
		"two hosts":                         append(get.with(":authority", "-"), [2]string{"host", "gateway.example"}, [2]string{"host", "other.example"}),
		"field in upper case":               append(slices.Clone(get), [2]string{"X-Upper", "a"}),
		"identity in upper case":            append(slices.Clone(get), [2]string{"X-Scopegate-Account", "spoofed"}),
		"field with a space":                append(slices.Clone(get), [2]string{"x y", "a"}),
		"field with a colon":                append(slices.Clone(get), [2]string{"x:y", "a"}),
		"field with a line break":           append(slices.Clone(get), [2]string{"x: a\r\nx-scopegate-account", "spoofed"}),
		"field without a name":              append(slices.Clone(get), [2]string{"", "a"}),
		"value with a line break":           append(slices.Clone(get), [2]string{"x", "a\r\nX-Scopegate-Account: spoofed"}),
		"value with a line feed":            append(slices.Clone(get), [2]string{"x", "a\nX-Scopegate-Account: spoofed"}),
		"value with NUL":                    append(slices.Clone(get), [2]string{"x", "a\x00"}),
		"connection":                        append(slices.Clone(get), [2]string{"connection", "x-scopegate-token"}),
		"keep-alive":                        append(slices.Clone(get), [2]string{"keep-alive", "timeout=5"}),
		"proxy-connection":                  append(slices.Clone(get), [2]string{"proxy-connection", "close"}),
		"transfer-encoding":                 append(slices.Clone(get), [2]string{"transfer-encoding", "chunked"}),
		"upgrade":                           append(slices.Clone(get), [2]string{"upgrade", "websocket"}),
		"upgrade to h2c":                    append(slices.Clone(get), [2]string{"upgrade", "h2c"}),
		"te":                                append(slices.Clone(get), [2]string{"te", "gzip"}),
		"length of a body that never comes": append(slices.Clone(get), [2]string{"content-length", "5"}),
		"length that is none":               append(slices.Clone(get), [2]string{"content-length", "five"}),
		"two credentials":                   append(slices.Clone(get), [2]string{"authorization", "Bearer {writer}"}),
		"override":                          append(slices.Clone(get), [2]string{"x-http-method-override", "DELETE"}),
		"two versions":                      append(h2Request("GET", "/actions?IrVersion=13"), [2]string{"ir-version", "14"}),
		"CONNECT":                           {{":method", "CONNECT"}, {":authority", "gateway.example:80"}, {"authorization", "Bearer {writer}"}, {"marker", "{id}"}},
		"CONNECT with a path":               get.with(":method", "CONNECT"),
		"extended CONNECT":                  append(h2Fields{{":protocol", "websocket"}}, get.with(":method", "CONNECT")...),
		"extended CONNECT to something":     append(h2Fields{{":protocol", "connect-udp"}}, get.with(":method", "CONNECT")...),
		"protocol without CONNECT":          append(h2Fields{{":protocol", "websocket"}}, get...),
		"TRACE":                             get.with(":method", "TRACE"),
		"TRACE in lower case":               get.with(":method", "trace"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, arrived := s.sendH2(t, p, fields)
			if !result.reset && (result.status < "400" || result.status > "499") {
				t.Errorf("%q\ngot status %q, want an error of the stream or a refusal", fields, result.status)
			}
			for _, r := range arrived {
				t.Errorf("%q\narrived as\n%s", fields, r.raw)
			}
		})
	}
}

// wellFormedH2 are requests that arrive as HTTP/1.1.
func wellFormedH2(t *testing.T, s *stage, p port) {
	t.Helper()
	for _, test := range []struct {
		name   string
		fields h2Fields
		line   string
		host   string
		header map[string]string // "" for none
	}{
		{"plain", h2Request("GET", "/raw/x"), "GET /raw/x", "gateway.example", nil},
		{"escapes and empty query", h2Request("GET", "/raw/%c3%A9%20?"), "GET /raw/%c3%A9%20?", "gateway.example", nil},
		{"HEAD", h2Request("HEAD", "/raw/x"), "HEAD /raw/x", "gateway.example", nil},
		{"another method", h2Request("M-SEARCH", "/raw/x"), "M-SEARCH /raw/x", "gateway.example", nil},
		{"authority and the same host", append(h2Request("GET", "/raw/x"), [2]string{"host", "gateway.example"}), "GET /raw/x", "gateway.example", nil},
		{"host without authority", append(h2Request("GET", "/raw/x").with(":authority", "-"), [2]string{"host", "other.example"}), "GET /raw/x", "other.example", nil},
		{
			"host of an API", h2Request("GET", "/hosted/x").with(":authority", "api.example.com"), "GET /hosted/x", "api.example.com", nil,
		},
		{
			"spoofed identity", append(h2Request("GET", "/actions"),
				[2]string{"ir-version", "13"}, [2]string{"x-scopegate-account", "spoofed"}, [2]string{"x_scopegate_token", "spoofed"}, [2]string{"x-scopegate-role", "spoofed"}),
			"GET /actions", "gateway.example",
			map[string]string{"X-Scopegate-Account": "acme", "X-Scopegate-Version": "13", "X-Scopegate-Role": "", "X_scopegate_token": ""},
		},
		{
			"crumbs of a cookie", append(h2Request("GET", "/raw/x"), [2]string{"cookie", "a=b"}, [2]string{"cookie", "c=d"}),
			"GET /raw/x", "gateway.example",
			map[string]string{"Cookie": "a=b; c=d", "Authorization": ""},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			result, arrived := s.sendH2(t, p, test.fields)
			if result.status != "200" || len(arrived) != 1 {
				t.Fatalf("%q\ngot status %q, %d arrived, want 200 and one", test.fields, result.status, len(arrived))
			}
			if got := arrived[0].requestLine(); got != test.line+" HTTP/1.1" {
				t.Errorf("%q\narrived as %q, want %q", test.fields, got, test.line)
			}
			if got := arrived[0].request.Host; got != test.host {
				t.Errorf("%q\narrived with Host %q, want %q", test.fields, got, test.host)
			}
			for name, want := range test.header {
				if got := strings.Join(arrived[0].request.Header[name], ","); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
			if bytes.Contains(arrived[0].raw, []byte("spoofed")) {
				t.Errorf("%q\narrived as\n%s", test.fields, arrived[0].raw)
			}
		})
	}
}

// bodiesOfH2 have a length that is not theirs, trailers, or never come.
func bodiesOfH2(t *testing.T, s *stage, p port) {
	t.Helper()
	type body struct {
		name     string
		fields   h2Fields
		data     string
		trailers h2Fields
		want     string // the body that arrives; "-" for none, and an error or a refusal
	}
	trailers := h2Fields{{"x-scopegate-token", "spoofed"}, {"x_scopegate_account", "spoofed"}, {"ir-version", "spoofed"}, {"x-checksum", "7"}}
	declared := [2]string{"trailer", "x-scopegate-token, x_scopegate_account, ir-version, x-checksum"}
	post := h2Request("POST", incomplete)
	for _, test := range []body{
		{"data", h2Request("POST", "/raw/x"), "abcde", nil, "abcde"},
		{"length", append(h2Request("POST", "/raw/x"), [2]string{"content-length", "5"}), "abcde", nil, "abcde"},
		{"longer than its length", append(post, [2]string{"content-length", "4"}), "abcde", nil, "-"},
		{"shorter than its length", append(post, [2]string{"content-length", "6"}), "abcde", nil, "-"},
		{"length that is none", append(post, [2]string{"content-length", "five"}), "abcde", nil, "-"},
		{"two lengths", append(post, [2]string{"content-length", "4"}, [2]string{"content-length", "5"}), "abcde", nil, "-"},
		{"a request in it", append(h2Request("POST", "/raw/x"), [2]string{"content-length", "0005"}), "abcde", nil, "abcde"},
		{"trailers", append(h2Request("POST", "/actions"), [2]string{"ir-version", "14"}, declared), "abcde", trailers, "abcde"},
		{"trailers without data", append(h2Request("POST", "/actions"), [2]string{"ir-version", "14"}, [2]string{"content-length", "0"}, declared), "", trailers, ""},
		{"trailers that are not declared", append(h2Request("POST", "/actions"), [2]string{"ir-version", "14"}), "abcde", trailers, "abcde"},
		{"pseudo-header in trailers", append(post, declared), "abcde", h2Fields{{":path", "/secret/x"}}, "-"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, marker := marked("")
			c := s.openH2(t, p)
			id := c.headers(t, 0, test.fields, marker, false)
			if err := c.WriteData(id, test.trailers == nil, []byte(test.data)); err != nil {
				t.Fatal(err)
			}
			if test.trailers != nil {
				c.headers(t, id, test.trailers, marker, true)
			}
			result := c.await(t, id)
			arrived := arrivedAt(s.echo, marker)
			if test.want == "-" {
				if !result.reset && result.status < "400" {
					t.Errorf("%q\ngot status %q, want an error", test.fields, result.status)
				}
				return
			}
			if result.status != "200" || len(arrived) != 1 || string(arrived[0].body) != test.want {
				t.Fatalf("%q\ngot status %q, %d arrived, want 200 and one with body %q", test.fields, result.status, len(arrived), test.want)
			}
			if bytes.Contains(arrived[0].raw, []byte("spoofed")) {
				t.Errorf("%q\narrived as\n%s", test.fields, arrived[0].raw)
			}
		})
	}
	for _, path := range []string{"/secret/x", "/raw/..", "/hasty/401", "/hasty/200"} {
		t.Run("withheld: "+path, func(t *testing.T) {
			t.Parallel()
			_, marker := marked("")
			c := s.openH2(t, p)
			id := c.headers(t, 0, append(h2Request("POST", path), [2]string{"expect", "100-continue"}), marker, false)
			result := c.await(t, id)
			if want := map[bool]string{true: "403", false: path[max(0, len(path)-3):]}[!strings.HasPrefix(path, "/hasty")]; result.status != want {
				t.Errorf("got status %q, want %s", result.status, want)
			}
			// the connection goes on
			if again := c.await(t, c.headers(t, 0, h2Request("GET", "/raw/x"), marker, true)); again.status != "200" {
				t.Errorf("the next stream: got status %q, want 200", again.status)
			}
		})
	}
}

// streamsOfH2 are open at the same time on one connection.
func streamsOfH2(t *testing.T, s *stage, p port) {
	t.Helper()
	_, marker := marked("")
	c := s.openH2(t, p)
	requests := []struct {
		fields h2Fields
		want   string
	}{
		{h2Request("POST", "/raw/0"), "200"},
		{h2Request("POST", "/secret/1"), "403"},
		{h2Request("POST", "/raw/2").with("authorization", "-"), "403"},
		{h2Request("POST", "/raw/3"), "200"},
		{h2Request("POST", "/raw/4").with("authorization", "Bearer {reader}"), "403"},
		{h2Request("POST", "/actions").with("authorization", "Bearer {reader}"), "403"},
		{append(h2Request("POST", "/actions"), [2]string{"ir-version", "13"}), "200"},
		{h2Request("POST", "/orders/v2/7"), "403"},
	}
	ids := make([]uint32, len(requests))
	for i, r := range requests {
		ids[i] = c.headers(t, 0, r.fields, marker, false)
	}
	for _, id := range ids { // the refused ones may have ended by now
		if err := c.WriteData(id, true, fmt.Appendf(nil, "body of stream %d", id)); err != nil {
			t.Fatal(err)
		}
	}
	for i, r := range requests {
		if got := c.await(t, ids[i]); got.status != r.want {
			t.Errorf("%q: got status %q, want %s", r.fields, got.status, r.want)
		}
	}
	arrived := arrivedAt(s.echo, marker)
	if len(arrived) != 3 {
		t.Errorf("%d arrived, want 3", len(arrived))
	}
	for _, r := range arrived {
		if !strings.HasPrefix(string(r.body), "body of stream ") {
			t.Errorf("%s arrived with body %q", r.requestLine(), r.body)
		}
	}
}
