package caddymodule_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha1" //nolint:gosec // RFC 6455 wants it
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// listen runs serve for each connection to a new listener, until the test ends. It
// returns the listener's address.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	var mu sync.Mutex
	open := make(map[net.Conn]bool)
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[conn] = true
			mu.Unlock()
			serving.Go(func() {
				serve(conn)
				hangUp(conn)
				mu.Lock()
				delete(open, conn)
				mu.Unlock()
			})
		}
	})
	t.Cleanup(func() {
		hangUp(listener)
		mu.Lock()
		for conn := range open {
			hangUp(conn)
		}
		mu.Unlock()
		serving.Wait()
	})
	return listener.Addr().String()
}

// tally counts the requests that reached an upstream.
type tally struct {
	mu    sync.Mutex // guards lines
	lines []string   // the first line of each request, and its marker
}

func (t *tally) add(r *http.Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, r.Method+" "+r.RequestURI+" "+r.Header.Get("Marker"))
}

// count returns how many requests with a marker came, whose first line contains text.
func (t *tally) count(marker, text string) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, line := range t.lines {
		if strings.Contains(line, marker) && strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// hasty is an upstream that answers as soon as it has a request's header. The last
// segment of the path is the status, or "close" for no answer at all. It goes on to
// read, so that it gets whatever a gateway forwards.
type hasty struct {
	tally
	addr string
}

func startHasty(t *testing.T) *hasty {
	t.Helper()
	h := new(hasty)
	h.addr = listen(t, func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		for {
			r, err := http.ReadRequest(reader)
			if err != nil {
				return
			}
			h.add(r)
			answer := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
			if answer == "close" {
				return
			}
			if _, err := io.WriteString(conn, "HTTP/1.1 "+answer+" Early\r\nContent-Length: 5\r\n\r\nearly"); err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return
			}
		}
	})
	return h
}

// careless is an upstream that reads each request to its end and then closes the
// connection instead of answering, unless the last segment of the path is a status.
type careless struct {
	tally
	addr string
}

func startCareless(t *testing.T) *careless {
	t.Helper()
	c := new(careless)
	c.addr = listen(t, func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		for {
			r, err := http.ReadRequest(reader)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body) // all that comes
			c.add(r)
			if !strings.HasSuffix(r.URL.Path, "/200") {
				return
			}
			if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); err != nil {
				return
			}
		}
	})
	return c
}

// web is an upstream that uses what HTTP has to offer.
type web struct {
	addr string
	next chan struct{} // lets the event stream send its next event
}

// largeBody is longer than any buffer on the way.
var largeBody = bytes.Repeat([]byte("0123456789abcdef"), 1<<16)

func startWeb(t *testing.T) *web {
	t.Helper()
	w := &web{next: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("/web/plain", func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["X-Repeated"] = []string{"one", "two"}
		w.Header().Set("X-Scopegate-Like", "of the upstream")
		w.Header().Set("Connection", "X-Dropped")
		w.Header().Set("X-Dropped", "by the proxy")
		_, _ = io.WriteString(w, "plain")
	})
	mux.HandleFunc("/web/large", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(largeBody) })
	mux.HandleFunc("/web/gzip", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		zipped := gzip.NewWriter(w)
		_, _ = zipped.Write(largeBody)
		_ = zipped.Close()
	})
	mux.HandleFunc("/web/not-modified", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Etag", `"7"`)
		w.WriteHeader(http.StatusNotModified)
	})
	mux.HandleFunc("/web/no-content", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/web/error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "of the upstream", http.StatusTeapot) })
	mux.HandleFunc("/web/redirect", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere?a=%2F", http.StatusFound)
	})
	mux.HandleFunc("/web/hints", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, "hinted")
	})
	mux.HandleFunc("/web/trailers", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Checksum")
		_, _ = w.Write(largeBody)
		w.Header().Set("X-Checksum", "7")
	})
	mux.HandleFunc("/web/events", w.events)
	mux.HandleFunc("/web/socket", serveSocket)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	w.addr = server.Listener.Addr().String()
	return w
}

// events sends one event, and each further one when it is told to.
func (w *web) events(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Content-Type", "text/event-stream")
	for range 3 {
		_, _ = io.WriteString(rw, "data: event\n\n")
		if err := http.NewResponseController(rw).Flush(); err != nil {
			return
		}
		select {
		case <-w.next:
		case <-r.Context().Done():
			return
		}
	}
}

// serveSocket is the least of a WebSocket server (RFC 6455): it sends each short
// message back in upper case.
func serveSocket(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		w.Header().Set("Upgrade", "websocket")
		w.WriteHeader(http.StatusUpgradeRequired)
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer hangUp(conn)
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Account: "+
		r.Header.Get("X-Scopegate-Account")+"\r\nSec-WebSocket-Accept: "+socketAccept(r.Header.Get("Sec-WebSocket-Key"))+"\r\n\r\n")
	for {
		message, err := readFrame(buffered.Reader)
		if err != nil {
			return
		}
		message = bytes.ToUpper(message)
		if _, err := conn.Write(append([]byte{0x81, byte(len(message))}, message...)); err != nil {
			return
		}
	}
}

func socketAccept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // RFC 6455 wants it
	return base64.StdEncoding.EncodeToString(sum[:])
}

// readFrame reads a short frame of a WebSocket and removes its mask, if it has one.
func readFrame(reader *bufio.Reader) ([]byte, error) {
	var header [2]byte
	if _, err := io.ReadFull(reader, header[:]); err != nil {
		return nil, err
	}
	var mask [4]byte
	if header[1]&0x80 != 0 {
		if _, err := io.ReadFull(reader, mask[:]); err != nil {
			return nil, err
		}
	}
	message := make([]byte, header[1]&0x7f)
	if _, err := io.ReadFull(reader, message); err != nil {
		return nil, err
	}
	for i := range message {
		message[i] ^= mask[i%4]
	}
	return message, nil
}
