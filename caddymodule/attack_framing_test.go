package caddymodule_test

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
)

// inner is a request that is hidden in another one's body, and must stay there.
const inner = "GET /raw/hidden HTTP/1.1\r\nHost: gateway.example\r\nAuthorization: Bearer {writer}\r\nMarker: {id}\r\n\r\n"

// hiddenChunk returns the inner request as one chunk.
func hiddenChunk() string {
	filled, _ := marked(inner) // every marker is as long
	return fmt.Sprintf("%x\r\n%s\r\n", len(filled), inner)
}

// The target's form changes neither the check nor the upstream.
func attackTargetForms(t *testing.T, s *stage) {
	t.Helper()
	for name, line := range map[string]string{
		"asterisk-form":                   "GET *",
		"asterisk-form with a path":       "GET */raw/x",
		"authority-form":                  "GET gateway.example:80",
		"authority-form with CONNECT":     "CONNECT gateway.example:80",
		"user information":                "GET http://user@gateway.example/raw/x",
		"user name and password":          "GET http://user:password@gateway.example/raw/x",
		"user information, no path":       "GET http://user@gateway.example",
		"empty user information":          "GET http://@gateway.example/raw/x",
		"another scheme":                  "GET ftp://gateway.example/raw/x",
		"file":                            "GET file:///raw/x",
		"no scheme":                       "GET gateway.example/raw/x",
		"scheme without slashes":          "GET http:/raw/x",
		"scheme with one slash more":      "GET http:///raw/x",
		"opaque":                          "GET http:raw",
		"network-path reference":          "GET //gateway.example/raw/x",
		"not granted":                     "GET http://gateway.example/secret/x",
		"dot segments":                    "GET http://gateway.example/raw/../secret/x",
		"encoded dot segments":            "GET http://gateway.example/raw/%2e%2e/secret/x",
		"upstream's address, not its API": "GET http://{secret}/secret/x",
		"fragment":                        "GET http://gateway.example/raw/x#y",
		"host with an escape":             "GET http://gateway%2eexample/raw/x",
		"host with a backslash":           `GET http://gateway.example\@other.example/raw/x`,
		"port that is none":               "GET http://gateway.example:x/raw/x",
		"no target":                       "GET",
		"no path":                         "GET ?a=b",
		"relative":                        "GET raw/x",
		"relative with dots":              "GET ../raw/x",
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			t.Parallel()
			s.send(t, portPlain, rawRequest(strings.ReplaceAll(line, "{secret}", s.secret.addr))).refused(t)
		})
	}
	for _, test := range []struct{ name, line, target, host string }{
		{"own host", "GET http://gateway.example/raw/x?y", "/raw/x?y", "gateway.example"},
		{"another host", "GET http://other.example/raw/x", "/raw/x", "other.example"},
		{"https", "GET https://other.example:8443/raw/%20", "/raw/%20", "other.example:8443"},
		{"upper case", "GET HTTP://OTHER.example/raw/x", "/raw/x", "OTHER.example"},
		{"the address of another upstream", "GET http://{secret}/raw/x", "/raw/x", "{secret}"},
		{"a metadata service", "GET http://169.254.169.254/raw/x", "/raw/x", "169.254.169.254"},
	} {
		t.Run("passes: "+test.name, func(t *testing.T) {
			t.Parallel()
			fill := strings.NewReplacer("{secret}", s.secret.addr)
			got := s.send(t, portPlain, rawRequest(fill.Replace(test.line))).forwardedAs(t, "GET", test.target)
			if want := fill.Replace(test.host); got.request.Host != want {
				t.Errorf("Host arrived as %q, want %q", got.request.Host, want)
			}
		})
	}
	t.Run("host of the target wins", func(t *testing.T) {
		t.Parallel()
		raw := strings.Replace(rawRequest("GET http://other.example/hosted/x"), "gateway.example", "api.example.com", 1)
		s.send(t, portPlain, raw).denied(t)
		got := s.send(t, portPlain, rawRequest("GET http://api.example.com/hosted/x")).forwarded(t)
		if got.request.Host != "api.example.com" {
			t.Errorf("Host arrived as %q", got.request.Host)
		}
	})
	t.Run("OPTIONS * is answered by the server itself", func(t *testing.T) {
		t.Parallel()
		s.send(t, portPlain, rawRequest("OPTIONS *")).nothingArrived(t)
	})
	t.Run("a rewrite behind the decision", func(t *testing.T) {
		t.Parallel()
		if s.form != "scopegate" {
			return
		}
		o := s.send(t, portRewriting, rawRequest("GET /raw/x"))
		if got := o.statuses(); len(got) != 1 || got[0] != 500 {
			t.Errorf("got responses %v, want one 500", got)
		}
		o.nothingArrived(t)
		s.logs.wait(t, "changed since the decision")
	})
}

// A message that two parsers could end at different places is refused, or has one
// reading, and what is left over is never a request of its own.
func attackFraming(t *testing.T, s *stage) {
	t.Helper()
	hidden := hiddenChunk()
	post := func(lines ...string) string { return rawRequest("POST /raw/x", lines...) }
	for name, raw := range map[string]string{
		"two lengths":                    post("Content-Length: 5", "Content-Length: 6") + "abcde" + inner,
		"two lengths in one field":       post("Content-Length: 5, 6") + "abcde" + inner,
		"the same length in one field":   post("Content-Length: 5, 5") + "abcde" + inner,
		"negative length":                post("Content-Length: -5") + "abcde" + inner,
		"length with a plus":             post("Content-Length: +5") + "abcde" + inner,
		"hexadecimal length":             post("Content-Length: 0x5") + "abcde" + inner,
		"length with a letter":           post("Content-Length: 5a") + "abcde" + inner,
		"length with an underscore":      post("Content-Length: 1_0") + "abcdefghij" + inner,
		"length that overflows":          post("Content-Length: 18446744073709551621") + "abcde" + inner,
		"empty length":                   post("Content-Length:") + inner,
		"space before the colon":         post("Content-Length : 5") + "abcde" + inner,
		"tab before the colon":           post("Content-Length\t: 5") + "abcde" + inner,
		"space before the colon, TE":     post("Transfer-Encoding : chunked") + hidden + "0\r\n\r\n",
		"NUL in a name":                  post("Content-Length\x00: 5") + "abcde" + inner,
		"vertical tab in a name":         post("\x0bTransfer-Encoding: chunked") + hidden + "0\r\n\r\n",
		"no name":                        post(": 5"),
		"no colon":                       post("Content-Length 5"),
		"CR in a value":                  post("X: a\rContent-Length: 5") + "abcde",
		"NUL in a value":                 post("X: a\x00b"),
		"space before the first field":   "POST /raw/x HTTP/1.1\r\n Host: gateway.example\r\nContent-Length: 5\r\n\r\nabcde",
		"no host":                        strings.Replace(rawRequest("GET /raw/x"), "Host: gateway.example\r\n", "", 1),
		"two hosts":                      rawRequest("GET /raw/x", "Host: other.example"),
		"two hosts, the same":            rawRequest("GET /raw/x", "Host: gateway.example"),
		"host with a space":              strings.Replace(rawRequest("GET /raw/x"), "gateway.example", "gateway example", 1),
		"host with a slash":              strings.Replace(rawRequest("GET /raw/x"), "gateway.example", "gateway.example/x", 1),
		"HTTP/1.2":                       strings.Replace(rawRequest("GET /raw/x"), "HTTP/1.1", "HTTP/1.2x", 1),
		"HTTP/2.0":                       strings.Replace(rawRequest("GET /raw/x"), "HTTP/1.1", "HTTP/2.0", 1),
		"HTTP/3.0":                       strings.Replace(rawRequest("GET /raw/x"), "HTTP/1.1", "HTTP/3.0", 1),
		"no version":                     strings.Replace(rawRequest("GET /raw/x"), " HTTP/1.1", "", 1),
		"lower-case version":             strings.Replace(rawRequest("GET /raw/x"), "HTTP/1.1", "http/1.1", 1),
		"more behind the version":        strings.Replace(rawRequest("GET /raw/x"), "HTTP/1.1", "HTTP/1.1 x", 1),
		"TE: gzip":                       post("Transfer-Encoding: gzip") + inner,
		"TE: identity":                   post("Transfer-Encoding: identity", "Content-Length: 5") + "abcde",
		"TE: gzip, chunked":              post("Transfer-Encoding: gzip, chunked") + hidden + "0\r\n\r\n",
		"TE: chunked, gzip":              post("Transfer-Encoding: chunked, gzip") + hidden + "0\r\n\r\n",
		"TE: chunked, identity":          post("Transfer-Encoding: chunked, identity") + hidden + "0\r\n\r\n",
		"TE: chunked twice":              post("Transfer-Encoding: chunked, chunked") + hidden + "0\r\n\r\n",
		"TE: two fields":                 post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + hidden + "0\r\n\r\n",
		"TE: two fields, second unknown": post("Transfer-Encoding: chunked", "Transfer-Encoding: x") + hidden + "0\r\n\r\n",
		"TE: xchunked":                   post("Transfer-Encoding: xchunked") + hidden + "0\r\n\r\n",
		"TE: quoted":                     post(`Transfer-Encoding: "chunked"`) + hidden + "0\r\n\r\n",
		"TE: with a parameter":           post("Transfer-Encoding: chunked;a=b") + hidden + "0\r\n\r\n",
		"TE: empty":                      post("Transfer-Encoding:", "Content-Length: 5") + "abcde",
		"TE: vertical tab":               post("Transfer-Encoding: \x0bchunked") + hidden + "0\r\n\r\n",
		"TE: chunked with a comma":       post("Transfer-Encoding: ,chunked") + hidden + "0\r\n\r\n",
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			t.Parallel()
			s.send(t, portLax, raw).refused(t)
		})
	}
	for _, test := range []struct{ name, raw, body string }{
		{"length", post("Content-Length: 5") + "abcde", "abcde"},
		{"the same length twice", post("Content-Length: 5", "Content-Length: 5") + "abcde", "abcde"},
		{"length with zeros", post("Content-Length: 0005") + "abcde", "abcde"},
		{"chunked", post("Transfer-Encoding: chunked") + "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "abcde"},
		{"chunked, upper case", post("Transfer-Encoding: CHUNKED") + "5\r\nabcde\r\n0\r\n\r\n", "abcde"},
		{"chunked, spaces around", post("Transfer-Encoding:   chunked  ") + "5\r\nabcde\r\n0\r\n\r\n", "abcde"},
		{"chunked, size with zeros", post("Transfer-Encoding: chunked") + "0005\r\nabcde\r\n000\r\n\r\n", "abcde"},
		{"chunk extensions", post("Transfer-Encoding: chunked") + "5;a=b\r\nabcde\r\n0;c\r\n\r\n", "abcde"},
		{"chunk extension that looks like a size", post("Transfer-Encoding: chunked") + "5;\r\nabcde\r\n0;5\r\n\r\n", "abcde"},
		{"length and chunked", post("Content-Length: 3", "Transfer-Encoding: chunked") + "5\r\nabcde\r\n0\r\n\r\n", "abcde"},
		{"chunked and length", post("Transfer-Encoding: chunked", "Content-Length: 300") + "5\r\nabcde\r\n0\r\n\r\n", "abcde"},
		{"a request in the body", post("Transfer-Encoding: chunked") + hidden + "0\r\n\r\n", inner},
		{"folded field", post("X-Folded: a", " b", "Content-Length: 5") + "abcde", "abcde"},
		{"GET with a body", rawRequest("GET /raw/x", "Content-Length: 5") + "abcde", "abcde"},
		{"bare LF", strings.ReplaceAll(post("Content-Length: 5"), "\r\n", "\n") + "abcde", "abcde"},
		{"HTTP/1.0", strings.Replace(post("Content-Length: 5"), "HTTP/1.1", "HTTP/1.0", 1) + "abcde", "abcde"},
		{"empty lines before it", "\r\n" + post("Content-Length: 5") + "abcde", "abcde"},
	} {
		t.Run("one reading: "+test.name, func(t *testing.T) {
			t.Parallel()
			o := s.send(t, portLax, test.raw)
			if len(o.responses) == 1 && o.responses[0].status == 400 {
				o.nothingArrived(t)
				return
			}
			got := o.forwarded(t)
			if want := fill(test.body, o.marker); string(got.body) != want {
				t.Errorf("%s\nthe body arrived as %q, want %q", excerpt(o.sent), got.body, want)
			}
			if got.request.ContentLength >= 0 && len(got.request.TransferEncoding) > 0 {
				t.Errorf("it arrived with both a length and chunks:\n%s", got.raw)
			}
		})
	}
	t.Run("never complete", func(t *testing.T) { incompleteBodies(t, s) })
	t.Run("left over", func(t *testing.T) { leftOvers(t, s) })
}

// incomplete is a target that no request may reach the upstream with unless the
// upstream can tell that a part of it is missing; [testbed.check] looks at the end.
const incomplete = "/raw/incomplete"

// incompleteBodies end too early, or in what is no chunk.
func incompleteBodies(t *testing.T, s *stage) {
	t.Helper()
	post := func(lines ...string) string { return rawRequest("POST "+incomplete, lines...) }
	for name, raw := range map[string]string{
		"shorter than its length":    post("Content-Length: 10") + "abcde",
		"no last chunk":              post("Transfer-Encoding: chunked") + "5\r\nabcde\r\n",
		"cut within a chunk":         post("Transfer-Encoding: chunked") + "a\r\nabcde",
		"cut within a size":          post("Transfer-Encoding: chunked") + "5\r\nabcde\r\n1",
		"cut behind the last chunk":  post("Transfer-Encoding: chunked") + "5\r\nabcde\r\n0\r\n",
		"chunk longer than its size": post("Transfer-Encoding: chunked") + "3\r\nabcde\r\n0\r\n\r\n",
		"size with a letter":         post("Transfer-Encoding: chunked") + "5x\r\nabcde\r\n0\r\n\r\n",
		"size with a sign":           post("Transfer-Encoding: chunked") + "+5\r\nabcde\r\n0\r\n\r\n",
		"negative size":              post("Transfer-Encoding: chunked") + "-5\r\nabcde\r\n0\r\n\r\n",
		"size with a prefix":         post("Transfer-Encoding: chunked") + "0x5\r\nabcde\r\n0\r\n\r\n",
		"size with an underscore":    post("Transfer-Encoding: chunked") + "0_5\r\nabcde\r\n0\r\n\r\n",
		"size that overflows":        post("Transfer-Encoding: chunked") + "10000000000000005\r\nabcde\r\n0\r\n\r\n",
		"size before spaces":         post("Transfer-Encoding: chunked") + " 5\r\nabcde\r\n0\r\n\r\n",
		"no size":                    post("Transfer-Encoding: chunked") + "\r\nabcde\r\n0\r\n\r\n",
		"chunk without its end":      post("Transfer-Encoding: chunked") + "5\r\nabcde0\r\n\r\n",
		"bare LF behind a chunk":     post("Transfer-Encoding: chunked") + "5\r\nabcde\n0\r\n\r\n",
		"bare CR behind a size":      post("Transfer-Encoding: chunked") + "5\rabcde\r\n0\r\n\r\n",
		"malformed trailer":          post("Transfer-Encoding: chunked", "Trailer: X") + "5\r\nabcde\r\n0\r\nX\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent, _ := marked(raw)
			conn := dialGateway(t, s.on(portLax))
			if _, err := io.WriteString(conn, sent); err != nil {
				t.Fatal(err)
			}
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			answer, _ := io.ReadAll(conn) // it may end in a reset
			hangUp(conn)
			if strings.HasPrefix(string(answer), "HTTP/1.1 2") {
				t.Errorf("%s\ngot\n%s\nwant an error", excerpt(sent), answer)
			}
		})
	}
}

// leftOvers are bytes behind a message's end.
func leftOvers(t *testing.T, s *stage) {
	t.Helper()
	keep := func(raw string) string { return strings.Replace(raw, "Connection: close\r\n", "", 1) }
	length := len(fill(inner, "marker-000000"))
	for name, raw := range map[string]string{
		"the preface of HTTP/2":         "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + inner,
		"a TLS handshake":               "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + inner,
		"chunks of an HTTP/1.0 request": strings.Replace(rawRequest("POST /raw/x", "Transfer-Encoding: chunked"), "HTTP/1.1", "HTTP/1.0", 1) + hiddenChunk() + "0\r\n\r\n",
		"chunks of an HTTP/1.0 request that keeps the connection": strings.Replace(strings.Replace(rawRequest("POST /raw/x", "Transfer-Encoding: chunked"),
			"HTTP/1.1", "HTTP/1.0", 1), "Connection: close", "Connection: keep-alive", 1) + hiddenChunk() + "0\r\n\r\n",
	} {
		t.Run("no request behind "+name, func(t *testing.T) {
			t.Parallel()
			o := s.send(t, portLax, raw)
			noneHidden(t, o.sent, o.arrived)
		})
	}
	t.Run("transfer coding", func(t *testing.T) { leftOverCodings(t, s) })
	t.Run("each request of a connection is judged by itself", func(t *testing.T) {
		t.Parallel()
		o := s.send(t, portPlain, keep(rawRequest("GET /raw/x"))+keep(rawRequest("GET /secret/x"))+keep(rawRequest("GET /raw/y"))+
			keep(anonymous("GET /raw/z"))+anonymous("GET /raw/last"))
		if got, want := o.statuses(), []int{200, 403, 200, 403, 403}; !slices.Equal(got, want) {
			t.Errorf("got responses %v, want %v", got, want)
		}
		if len(o.arrived) != 2 || o.arrived[0].request.RequestURI != "/raw/x" || o.arrived[1].request.RequestURI != "/raw/y" {
			t.Errorf("%d requests arrived, want /raw/x and /raw/y", len(o.arrived))
		}
	})
	for name, raw := range map[string]string{
		"a request in the body of a refused one":   keep(anonymous("POST /raw/x", fmt.Sprintf("Content-Length: %d", length))) + inner,
		"a request in the chunks of a refused one": keep(anonymous("POST /raw/x", "Transfer-Encoding: chunked")) + hiddenChunk() + "0\r\n\r\n",
		"a request in the body of a GET":           keep(anonymous("GET /raw/x", fmt.Sprintf("Content-Length: %d", length))) + inner,
		"a request behind a refused Upgrade":       keep(rawRequest("GET /raw/x", "Connection: Upgrade", "Upgrade: h2c", fmt.Sprintf("Content-Length: %d", length))) + inner,
		"a request in the body of a CONNECT":       keep(rawRequest("CONNECT gateway.example:80", fmt.Sprintf("Content-Length: %d", length))) + inner,
	} {
		for _, p := range []port{portPlain, portIdle, portPages} {
			t.Run(fmt.Sprintf("%s (%s)", name, p), func(t *testing.T) {
				t.Parallel()
				o := s.send(t, p, raw)
				if got := o.statuses(); len(got) != 1 {
					t.Errorf("%s\ngot responses %v, want one", excerpt(o.sent), got)
				}
				noneHidden(t, o.sent, o.arrived)
			})
		}
	}
}

// leftOverCodings are requests with a Transfer-Encoding that net/http ignores, or
// for which it ignores a Content-Length: another hop may take what is behind them
// for their body, so it must not become a request, whatever the first one gets.
func leftOverCodings(t *testing.T, s *stage) {
	t.Helper()
	old := func(line string, lines ...string) string {
		raw := strings.Replace(rawRequest(line, lines...), "HTTP/1.1", "HTTP/1.0", 1)
		return strings.Replace(raw, "Connection: close", "Connection: keep-alive", 1)
	}
	keep := func(raw string) string { return strings.Replace(raw, "Connection: close\r\n", "", 1) }
	whole := fmt.Sprintf("Content-Length: %d", len("0\r\n\r\n")+len(fill(inner, "marker-000000")))
	for name, raw := range map[string]string{
		"HTTP/1.0":                                old("GET /raw/x", "Transfer-Encoding: x"),
		"HTTP/1.0, chunked":                       old("GET /raw/x", "Transfer-Encoding: chunked"),
		"HTTP/1.0 with a length":                  old("POST /raw/x", "Content-Length: 5", "Transfer-Encoding: chunked") + "0\r\n\r\n",
		"HTTP/1.1 with a length":                  keep(rawRequest("POST /raw/x", whole, "Transfer-Encoding: chunked")) + "0\r\n\r\n",
		"HTTP/1.1, length behind":                 keep(rawRequest("POST /raw/x", "Transfer-Encoding: chunked", whole)) + "0\r\n\r\n",
		"HTTP/1.1 with an answer before the body": keep(rawRequest("POST /hasty/x", "Transfer-Encoding: chunked", whole)) + "0\r\n\r\n",
	} {
		for _, p := range []port{portPlain, portIdle, portPages, portAllPages, portShadow} {
			for state, first := range map[string]string{
				"allowed": raw, "refused": strings.Replace(raw, "Bearer {writer}", "Bearer none", 1),
			} {
				t.Run(fmt.Sprintf("%s, %s (%s)", name, state, p), func(t *testing.T) {
					t.Parallel()
					o := s.send(t, p, first+strings.Replace(inner, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
					if got := o.statuses(); len(got) != 1 {
						t.Errorf("%s\ngot responses %v, want one", excerpt(o.sent), got)
					}
					noneHidden(t, o.sent, o.arrived)
				})
			}
		}
	}
}
