package caddymodule_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// echo is an upstream that keeps every request that reaches it, byte for byte as
// it stood on the wire, and answers it with 200.
type echo struct {
	addr string // "127.0.0.1:port"

	serving sync.WaitGroup
	mu      sync.Mutex // guards what follows
	got     []received
	conns   map[net.Conn]bool
	closed  bool
}

// received is one request as an upstream got it.
type received struct {
	raw     []byte        // all of it, body and trailers included
	request *http.Request // as net/http reads it, with its trailers; the body is in body
	body    []byte        // without its transfer coding
	err     error         // why raw is no request, or not all of one; request may be nil then
}

// requestLine returns the raw first line, without its end.
func (r received) requestLine() string {
	line, _, _ := strings.Cut(string(r.raw), "\r\n")
	return line
}

// startEcho starts an upstream that ends with the test.
func startEcho(t *testing.T) *echo {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &echo{
		addr:  listener.Addr().String(),
		conns: make(map[net.Conn]bool),
	}
	e.serving.Go(func() { e.accept(listener) })
	t.Cleanup(func() {
		_ = listener.Close()
		e.closeAll()
		e.serving.Wait()
	})
	return e
}

// url is the upstream as a scope file names it.
func (e *echo) url() string { return "http://" + e.addr }

// requests returns all that was received until now, in order.
func (e *echo) requests() []received {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.got)
}

// take returns what was received until now and forgets it.
func (e *echo) take() []received {
	e.mu.Lock()
	defer e.mu.Unlock()
	got := e.got
	e.got = nil
	return got
}

func (e *echo) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		if !e.add(conn) {
			_ = conn.Close()
			return
		}
		e.serving.Go(func() {
			defer e.remove(conn)
			e.serve(conn)
		})
	}
}

// serve reads one request after the other. All that is read of the connection is
// kept, so that a request's bytes are those that were not parsed before it and
// are not still waiting to be parsed after it.
func (e *echo) serve(conn net.Conn) {
	var wire bytes.Buffer
	reader := bufio.NewReader(io.TeeReader(conn, &wire))
	for {
		r := readRequest(reader, conn)
		r.raw = bytes.Clone(wire.Next(wire.Len() - reader.Buffered()))
		if r.err != nil && len(r.raw) == 0 {
			return // the connection ended between two requests
		}
		e.record(r)
		if r.err != nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
			return
		}
		if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\n"+
			answerBody(r.request)); err != nil || r.request.Close {
			return
		}
	}
}

func readRequest(reader *bufio.Reader, conn net.Conn) received {
	request, err := http.ReadRequest(reader)
	if err != nil {
		return received{err: err}
	}
	if strings.EqualFold(request.Header.Get("Expect"), "100-continue") {
		_, _ = io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
	}
	body, err := io.ReadAll(request.Body)
	return received{request: request, body: body, err: err}
}

func answerBody(r *http.Request) string {
	if r.Method == http.MethodHead {
		return ""
	}
	return "echo"
}

func (e *echo) record(r received) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.got = append(e.got, r)
}

// add reports false if the upstream has ended.
func (e *echo) add(conn net.Conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.conns[conn] = true
	return !e.closed
}

func (e *echo) remove(conn net.Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.conns, conn)
	_ = conn.Close()
}

func (e *echo) closeAll() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	for conn := range e.conns {
		_ = conn.Close()
	}
}
