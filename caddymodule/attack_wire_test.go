package caddymodule_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// stage is the testbed as attacks on one form see it.
type stage struct {
	*testbed
	form string
}

// on returns the address of a listener.
func (s *stage) on(p port) string { return s.sites[s.form][p] }

// rawRequest returns the bytes of an HTTP/1.1 request with a credential that may do
// almost everything, and a field that marks it; further lines of the header may
// follow. The connection is to close after it.
func rawRequest(line string, lines ...string) string {
	lines = append([]string{
		line + " HTTP/1.1", "Host: gateway.example", "Authorization: Bearer {writer}", "Marker: {id}", "Connection: close",
	}, lines...)
	return strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// anonymous returns the bytes of a request without a credential.
func anonymous(line string, lines ...string) string {
	return strings.Replace(rawRequest(line, lines...), "Authorization: Bearer {writer}\r\n", "", 1)
}

// by returns the request with another token's credential.
func by(token, raw string) string {
	return strings.Replace(raw, "{writer}", "{"+token+"}", 1)
}

var markers atomic.Int64

// marked fills in what is in braces, with a marker of its own for {id}.
func marked(raw string) (bytes, marker string) {
	marker = fmt.Sprintf("marker-%06d", markers.Add(1))
	return fill(raw, marker), marker
}

// fill puts the credentials of tokens in the place of their names in braces, and
// the marker, by which a request is recognised upstream, in that of {id}.
func fill(raw, marker string) string {
	pairs := []string{"{id}", marker}
	for _, token := range []string{"writer", "reader", "office", "victim", "expired", "inactive", "local"} {
		pairs = append(pairs, "{"+token+"}", secretOf(token))
	}
	return strings.NewReplacer(pairs...).Replace(raw)
}

// outcome is what came of bytes that a client sent over one connection.
type outcome struct {
	sent      string
	marker    string
	raw       []byte     // all that came back
	responses []answered // what was read of it, interim ones apart
	interim   []int      // statuses of the interim ones, each once
	arrived   []received // at the upstreams, with the marker
}

// head is the header of a response; body reads on.
type head struct {
	status int
	closes bool // the connection
	header http.Header
	body   io.Reader
}

// answered is a whole response.
type answered struct {
	head
	content []byte
	length  int64 // -1 for none stated
	trailer http.Header
}

// send sends bytes, reads until the gateway closes the connection, and collects
// what arrived: since the gateway takes one request of a connection after the
// other, nothing of it arrives later.
func (s *stage) send(t *testing.T, p port, raw string) *outcome {
	t.Helper()
	return s.sendOver(t, s.connect(t, p), raw)
}

func (s *stage) sendOver(t *testing.T, conn net.Conn, raw string) *outcome {
	t.Helper()
	sent, marker := marked(raw)
	o := &outcome{sent: sent, marker: marker}
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = io.WriteString(conn, sent) // a gateway that refuses need not read all of it
	}()
	var err error
	o.raw, err = io.ReadAll(conn) // a connection that is closed with bytes unread may end in a reset
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s\nthe gateway keeps the connection", excerpt(sent))
	}
	hangUp(conn)
	<-written
	o.parse(t)
	o.arrived = slices.Concat(arrivedAt(s.echo, marker), arrivedAt(s.secret, marker))
	return o
}

// dialGateway opens a connection that lasts no longer than the patience of these tests.
func dialGateway(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// connect opens a connection to a listener, with TLS where it wants that.
func (s *stage) connect(t *testing.T, p port) net.Conn {
	t.Helper()
	conn := dialGateway(t, s.on(p))
	if p == portTLS {
		return s.secure(conn, "http/1.1")
	}
	return conn
}

// secure speaks TLS on a connection, and a protocol over that.
func (b *testbed) secure(conn net.Conn, protocol string) net.Conn {
	config := b.trust.Clone()
	config.NextProtos = []string{protocol}
	return tls.Client(conn, config)
}

func arrivedAt(e *echo, marker string) []received {
	return slices.DeleteFunc(e.requests(), func(r received) bool { return !bytes.Contains(r.raw, []byte(marker)) })
}

// parse reads the responses one after the other. To which method each belongs is
// taken from the first request.
func (o *outcome) parse(t *testing.T) {
	t.Helper()
	method, _, _ := strings.Cut(o.sent, " ")
	reader := bufio.NewReader(bytes.NewReader(o.raw))
	for {
		r, err := readAnswer(reader, method)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%s\nwas answered with what is no response: %v\n%s", excerpt(o.sent), err, o.raw)
		}
		if r.status < 200 {
			if !slices.Contains(o.interim, r.status) { // how often there is a 100 is a matter of time
				o.interim = append(o.interim, r.status)
			}
			continue
		}
		o.responses = append(o.responses, r)
	}
}

// readAnswer reads a whole response. io.EOF says that there is no further one, any
// other error that it is broken.
func readAnswer(reader *bufio.Reader, method string) (answered, error) {
	if _, err := reader.Peek(1); err != nil {
		return answered{}, io.EOF
	}
	r, err := http.ReadResponse(reader, &http.Request{Method: method})
	if err != nil {
		return answered{}, fmt.Errorf("its header: %v", err) //nolint:errorlint // an io.EOF here is no end
	}
	defer r.Body.Close()
	content, err := io.ReadAll(r.Body)
	if err != nil {
		return answered{}, fmt.Errorf("its body: %v", err) //nolint:errorlint // likewise
	}
	return answered{head{r.StatusCode, r.Close, r.Header, nil}, content, r.ContentLength, r.Trailer}, nil
}

// readHead reads the header of a response to a request that was no HEAD.
func readHead(reader *bufio.Reader) (head, error) {
	r, err := http.ReadResponse(reader, nil) //nolint:bodyclose // it ends with the connection
	if err != nil {
		return head{}, err
	}
	return head{r.StatusCode, r.Close, r.Header, r.Body}, nil
}

// hangUp closes a connection or a listener. Nothing that is lost with it matters.
func hangUp(c io.Closer) { _ = c.Close() }

// statuses returns the statuses of the responses.
func (o *outcome) statuses() []int {
	statuses := make([]int, len(o.responses))
	for i, r := range o.responses {
		statuses[i] = r.status
	}
	return statuses
}

// refused fails the test unless there is one response, which says that it is the
// request's fault, and nothing arrived.
func (o *outcome) refused(t *testing.T) {
	t.Helper()
	unsupported := []int{http.StatusNotImplemented, http.StatusHTTPVersionNotSupported}
	if s := o.statuses(); len(s) != 1 || s[0]/100 != 4 && !slices.Contains(unsupported, s[0]) {
		t.Errorf("%s\ngot responses %v, want one refusal", excerpt(o.sent), s)
	}
	o.nothingArrived(t)
}

// denied fails the test unless the refusal is the one of every denial.
func (o *outcome) denied(t *testing.T) {
	t.Helper()
	if s := o.statuses(); !slices.Equal(s, []int{http.StatusForbidden}) {
		t.Errorf("%s\ngot responses %v, want one 403", excerpt(o.sent), s)
	}
	o.nothingArrived(t)
}

func (o *outcome) nothingArrived(t *testing.T) {
	t.Helper()
	for _, r := range o.arrived {
		t.Errorf("%s\narrived as\n%s", excerpt(o.sent), excerpt(string(r.raw)))
	}
}

// forwarded fails the test unless exactly one request arrived, whole, and was
// answered. It returns what arrived.
func (o *outcome) forwarded(t *testing.T) received {
	t.Helper()
	if s := o.statuses(); !slices.Equal(s, []int{http.StatusOK}) {
		t.Fatalf("%s\ngot responses %v, want one 200", excerpt(o.sent), s)
	}
	if len(o.arrived) != 1 || o.arrived[0].err != nil {
		t.Fatalf("%s\narrived %d times, want once and whole", excerpt(o.sent), len(o.arrived))
	}
	return o.arrived[0]
}

// forwardedAs fails the test unless the request arrived once, with this first line.
func (o *outcome) forwardedAs(t *testing.T, method, target string) received {
	t.Helper()
	got := o.forwarded(t)
	if want := method + " " + target + " HTTP/1.1"; got.requestLine() != want {
		t.Errorf("%s\narrived as %q, want %q", excerpt(o.sent), got.requestLine(), want)
	}
	return got
}

// wantField fails the test unless a field has these values, as the upstream got it.
func wantField(t *testing.T, r received, name string, want ...string) {
	t.Helper()
	if got := r.request.Header[http.CanonicalHeaderKey(name)]; !slices.Equal(got, want) {
		t.Errorf("%s of %s: got %q, want %q", name, r.requestLine(), got, want)
	}
}

// excerpt shortens what would fill the screen.
func excerpt(s string) string {
	const most = 300
	if len(s) > most {
		return fmt.Sprintf("%s… (%d bytes)", s[:most], len(s))
	}
	return s
}
