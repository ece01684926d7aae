package caddymodule

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/scopegate/scopegate/console"
	"github.com/scopegate/scopegate/scopes"
)

// consoleOff is the value of AdminHandler.Console that serves no page.
const consoleOff = "off"

// provisionConsole makes the page of the management site.
func (a *AdminHandler) provisionConsole(ctx caddy.Context) error {
	if a.Console == consoleOff {
		return nil
	}
	sessions, err := consoleSessions(a.app.peers)
	if err != nil {
		return err
	}
	a.gate.gateway.Session = sessionCredential
	a.console = console.New(consoleRoutes{a}, sessions, slog.New(ctx.Slogger().Handler()))
	return nil
}

// ownSessions are those of a single node. They are the process's, so that a reload ends
// none.
var ownSessions = sync.OnceValues(func() (*console.Sessions, error) {
	key := make([]byte, console.KeyBytes)
	_, _ = rand.Read(key) // it never fails
	return console.NewSessions(key, time.Now)
})

// sharedSessions are those of nodes that know the same secret: each accepts the cookies of
// the others.
var sharedSessions sync.Map // secret's key → *console.Sessions

func consoleSessions(nodes *peers) (*console.Sessions, error) {
	if nodes == nil {
		return ownSessions()
	}
	key, err := hkdf.Key(sha256.New, []byte(nodes.secret), nil, "scopegate "+nodes.namespace+" console sessions", console.KeyBytes)
	if err != nil {
		return nil, err
	}
	made, err := console.NewSessions(key, time.Now)
	if err != nil {
		return nil, err
	}
	sessions, _ := sharedSessions.LoadOrStore([console.KeyBytes]byte(key), made)
	return sessions.(*console.Sessions), nil //nolint:forcetypeassert // nothing else is in it
}

// sessionKey is the context's key of the credential that a request of the page is sent
// with. Nothing that a client sends gets there.
type sessionKey struct{}

func sessionCredential(r *http.Request) (scopes.Digest, bool) {
	digest, ok := r.Context().Value(sessionKey{}).(scopes.Digest)
	return digest, ok
}

// consoleRoutes are the management routes of a site, as its page asks them.
type consoleRoutes struct{ admin *AdminHandler }

// As implements [console.Routes].
func (c consoleRoutes) As(r *http.Request, credential scopes.Digest) console.Client {
	vars, _ := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	return &consoleClient{c.admin, r, maps.Clone(vars), credential}
}

// consoleClient asks the management routes with one credential, on behalf of one client.
type consoleClient struct {
	admin      *AdminHandler
	outer      *http.Request
	vars       map[string]any // of outer, which may be over
	credential scopes.Digest
}

// Holder implements [console.Client].
func (c *consoleClient) Holder() (token string, standing console.Standing) {
	standing = console.Refused
	for _, s := range c.admin.serving {
		r, err := c.request(s.operation.Methods.Names()[0], samplePath.Replace(s.operation.Path), nil)
		if err != nil {
			continue
		}
		v := c.admin.gate.gateway.Judge(r)
		if v.Decision.Allowed() {
			c.tellHolder(tokenName(v))
			return tokenName(v), console.Accepted
		}
		if v.Decision.Reason == scopes.Stale {
			standing = console.Undecided
		}
	}
	c.tellRefused()
	return "", standing
}

// tellHolder has the access log say by whom a page was asked for.
func (c *consoleClient) tellHolder(token string) {
	if extra, ok := c.outer.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok && c.admin.gate.logged {
		extra.Add(zap.String("scopegate_session", token))
	}
}

// tellRefused makes known that nobody is let in, as any denial is: whoever tries
// credentials here is counted, and is in the access log with the reason. What is told is
// the denial of the first request of the first page.
func (c *consoleClient) tellRefused() {
	r, err := c.request(http.MethodGet, "/scopegate/status", nil)
	if err != nil {
		return
	}
	gate, start := c.admin.gate, time.Now()
	v := gate.gateway.Judge(r)
	if v.Decision.Allowed() {
		return // it has changed meanwhile
	}
	decided := time.Now()
	gate.metrics.count(v, decided.Sub(start))
	gate.countUse(v, decided)
	gate.announce(c.outer, v)
}

// samplePath makes a path of a template: what its parameters are makes no difference.
var samplePath = strings.NewReplacer("{", "", "}", "")

// May implements [console.Client].
func (c *consoleClient) May(method, target string) bool {
	r, err := c.request(method, target, nil)
	return err == nil && c.admin.gate.gateway.Judge(r).Decision.Allowed()
}

// Do implements [console.Client].
func (c *consoleClient) Do(method, target string, body []byte) console.Answer {
	r, err := c.request(method, target, body)
	if err != nil {
		return console.Answer{Status: http.StatusBadRequest}
	}
	var w recorder
	if err := c.admin.decideAndAnswer(&w, r); err != nil {
		c.admin.logger.Error("a request of the console failed: " + err.Error())
		return console.Answer{Status: http.StatusInternalServerError}
	}
	return console.Answer{Status: w.status, Header: w.header, Body: w.body.Bytes()}
}

// request makes a request as the client of the page would send it with its credential:
// from the same address, but with nothing else of what its browser sent.
func (c *consoleClient) request(method, target string, body []byte) (*http.Request, error) {
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, err
	}
	r := &http.Request{
		Method: method, URL: u, RequestURI: target, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: c.addressFields(), Host: c.outer.Host, RemoteAddr: c.outer.RemoteAddr, TLS: c.outer.TLS,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	ctx := c.outer.Context()
	ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, maps.Clone(c.vars)) // what is decided on it is its own
	ctx = context.WithValue(ctx, caddy.ReplacerCtxKey, caddy.NewReplacer())
	ctx = context.WithValue(ctx, caddyhttp.ExtraLogFieldsCtxKey, new(caddyhttp.ExtraLogFields))
	return r.WithContext(context.WithValue(ctx, sessionKey{}, c.credential)), nil
}

// addressFields returns the fields of the client's request that tell its address.
func (c *consoleClient) addressFields() http.Header {
	h := make(http.Header)
	server, ok := c.outer.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return h
	}
	for _, name := range server.ClientIPHeaders {
		if values := c.outer.Header.Values(name); len(values) > 0 {
			h[http.CanonicalHeaderKey(name)] = values
		}
	}
	return h
}

// recorder keeps an answer. The zero value is ready.
type recorder struct {
	status int
	header http.Header
	body   bytes.Buffer
}

// Header implements [http.ResponseWriter].
func (w *recorder) Header() http.Header {
	if w.header == nil {
		w.header = make(http.Header)
	}
	return w.header
}

// WriteHeader implements [http.ResponseWriter].
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

// Write implements [http.ResponseWriter].
func (w *recorder) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

// SetReadDeadline is what ends a request that would be denied now. There is nothing to
// end: whoever waits for this answer decides anew the next time.
func (*recorder) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline is as SetReadDeadline.
func (*recorder) SetWriteDeadline(time.Time) error { return nil }

var _ console.Routes = consoleRoutes{}
