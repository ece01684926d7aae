package redistest

import (
	"net"
	"sync"
	"testing"
)

// Proxy passes connections to a server on, until it is cut.
type Proxy struct {
	listener net.Listener
	target   string

	mu    sync.Mutex // guards what follows
	cut   bool
	open  map[net.Conn]bool
	mute  bool // what the server answers goes nowhere
	ended sync.WaitGroup
}

// NewProxy starts a proxy to an address, and ends it with the test.
func NewProxy(tb testing.TB, target string) *Proxy {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // the test closes it
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{listener: listener, target: target, open: make(map[net.Conn]bool)}
	p.ended.Go(p.accept)
	tb.Cleanup(func() {
		_ = listener.Close()
		p.Cut()
		p.ended.Wait()
	})
	return p
}

// URL is the proxy's, for a client.
func (p *Proxy) URL() string { return "redis://" + p.listener.Addr().String() + "/0" }

// Cut ends all connections, and refuses others until Mend.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for conn := range p.open {
		_ = conn.Close()
	}
}

// Mend lets connections through again.
func (p *Proxy) Mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.mute = false, false
}

// Mute goes on taking what clients send, and keeps what the server answers from them, as a
// connection does whose other end is gone without a word.
func (p *Proxy) Mute() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mute = true
}

func (p *Proxy) isMute() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mute
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target) //nolint:noctx // the test ends it
		if err != nil || !p.keep(client, server) {
			_ = client.Close()
			if server != nil {
				_ = server.Close()
			}
			continue
		}
		p.ended.Go(func() { p.pass(server, client, false) })
		p.ended.Go(func() { p.pass(client, server, true) })
	}
}

// keep takes note of connections, unless the proxy is cut.
func (p *Proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut {
		return false
	}
	for _, conn := range conns {
		p.open[conn] = true
	}
	return true
}

// pass copies until one of both ends is closed.
func (p *Proxy) pass(to, from net.Conn, answers bool) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && (!answers || !p.isMute()) {
			if _, writing := to.Write(buf[:n]); writing != nil {
				err = writing
			}
		}
		if err != nil {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range []net.Conn{to, from} {
		_ = conn.Close()
		delete(p.open, conn)
	}
}
