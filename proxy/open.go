package proxy

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// OpenRequests are the requests that were allowed and are not over: uploads and
// downloads, server-sent events, WebSockets. They were decided on when they came.
// Whoever knows that the state has changed, or that time has passed, has them
// reviewed, and those that would not be allowed any more are ended. The zero value
// has none, and is safe for concurrent use.
type OpenRequests struct {
	shards [openShards]openShard
}

// openShards keep requests that begin or end at the same time from waiting for each
// other.
const openShards = 64

// openShard is a doubly linked list of verdicts, so that to enter and to leave it
// allocates nothing.
type openShard struct {
	mu    sync.Mutex
	first *Verdict
	_     [48]byte // no two in one cache line
}

// openRequest is what a verdict has of a request while that is open. The shard's lock
// guards it, but for what the writer has.
type openRequest struct {
	shard          *openShard // nil: it is not among the open ones
	gateway        *Gateway
	writer         endingWriter
	cancel         context.CancelFunc // nil where the deadlines do it
	previous, next *Verdict
}

// Ended is a request that was ended.
type Ended struct {
	Token, Account, API string
	// Reason is why it would be denied now.
	Reason scopes.Reason
	// Err is not nil if the server has no way to end it.
	Err error
}

// Enter makes a request that goes on to the next handler one of the open ones, until
// Leave. It returns the writer and the request to go on with. In shadow, where nothing
// is refused, nothing is ended either.
//
// If the request is allowed, and leads to a version that is deprecated, the response says so:
// Deprecation (RFC 9745), Sunset (RFC 8594) and a Link, each unless the response has its own.
func (g *Gateway) Enter(w http.ResponseWriter, r *http.Request, v *Verdict) (http.ResponseWriter, *http.Request) {
	v.open.writer.ResponseWriter = w
	if api := v.Decision.API; api != nil && v.Decision.Allowed() {
		v.open.writer.deprecated = api.Deprecation(v.Decision.Version)
	}
	if g.Requests == nil || g.Shadow || !v.Decision.Allowed() || g.Management && !isSafe(v.Method) {
		return &v.open.writer, r
	}
	v.open.gateway = g
	v.open.shard = &g.Requests.shards[rand.Uint32N(openShards)] //nolint:gosec // it only spreads them
	if r.ProtoMajor == 3 {                                      // a deadline does not wake up whoever waits for the upstream
		var ctx context.Context
		ctx, v.open.cancel = context.WithCancel(r.Context())
		r = r.WithContext(ctx)
	}
	v.open.shard.enter(v)
	return &v.open.writer, r
}

// isSafe reports whether a method changes nothing (RFC 9110, section 9.2.1). A change
// by way of the management API is answered, even if what it changed is its own token:
// the store has looked at that once more when it was made.
func isSafe(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// Leave is to be called when the next handler has returned, or panicked.
func (g *Gateway) Leave(v *Verdict) {
	if v.open.shard == nil {
		return
	}
	v.open.shard.leave(v)
	if v.open.cancel != nil {
		v.open.cancel()
	}
}

func (s *openShard) enter(v *Verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.open.next = s.first; s.first != nil {
		s.first.open.previous = v
	}
	s.first = v
}

func (s *openShard) leave(v *Verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.open.previous != nil {
		v.open.previous.open.next = v.open.next
	} else {
		s.first = v.open.next
	}
	if v.open.next != nil {
		v.open.next.open.previous = v.open.previous
	}
	if v.open.writer.ended.Load() { // whoever reads with deadlines of his own has reset ours
		_ = v.open.end()
	}
}

// Review decides on all open requests as of now, and ends those that would be denied.
// It returns those that it has not ended before.
//
// A request that was ended stays open until its handler has found out, and is ended
// again in each review: a handler may have taken the connection over in between, and
// with it reset the deadlines.
func (o *OpenRequests) Review() []Ended {
	var ended []Ended
	for i := range o.shards {
		ended = o.shards[i].review(ended)
	}
	return ended
}

func (s *openShard) review(ended []Ended) []Ended {
	s.mu.Lock() // the server must not be done with a request while it is ended
	defer s.mu.Unlock()
	for v := s.first; v != nil; v = v.open.next {
		if v.open.writer.ended.Load() {
			_ = v.open.end() // told the first time
			continue
		}
		if reason := v.open.gateway.reconsider(v); reason != scopes.Allowed {
			ended = append(ended, Ended{v.Grant.ID, v.Grant.Account, v.API.Name, reason, v.open.end()})
		}
	}
	return ended
}

// reconsider decides on a request as it was when it came, with the state and the time
// that are now. The header is the next handlers' by now, so it does not look there: the
// version is the one that was decided on. Nor does it for the client's address, if that
// did not count before.
func (g *Gateway) reconsider(v *Verdict) scopes.Reason {
	request := v.request
	request.Now, request.Header = g.now(), restated(&v.Decision)
	snapshot := g.Source.Snapshot(request.Now)
	if snapshot == nil {
		return scopes.Stale
	}
	var grant scopes.Grant
	var e scopes.Evaluation
	v.found.grant(&grant, snapshot)
	e.Begin(g.viewOf(snapshot.Catalog()), &request)
	d := e.Decide(&grant)
	return d.Reason
}

// restated returns a header with nothing but the version that was decided on, wherever
// the API reads it.
func restated(d *scopes.Decision) map[string][]string {
	if d.Version == "" {
		return nil
	}
	var header map[string][]string
	for _, place := range d.API.VersionFrom {
		if place.Kind != scopes.InHeader {
			continue
		}
		if header == nil {
			header = make(map[string][]string)
		}
		header[place.Name] = []string{d.Version}
	}
	return header
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// end ends a request: nothing is read from its client or written to it any more. On
// HTTP/1 that closes the connection, on HTTP/2 and 3 the stream, and with it the
// context by which proxies let go of their upstream.
func (o *openRequest) end() error {
	o.writer.ended.Store(true)
	if o.cancel != nil {
		o.cancel()
	}
	_ = http.NewResponseController(o.writer.ResponseWriter).SetReadDeadline(longAgo) // without it, the other one still ends all that is written
	return http.NewResponseController(innermost(o.writer.ResponseWriter)).SetWriteDeadline(longAgo)
}

// innermost returns the server's own writer, whose deadlines may be set while somebody
// else writes. That is not true of all that wraps it.
func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		outer, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = outer.Unwrap()
	}
}

// errEnded is what whoever answers a request gets that was ended.
var errEnded = errors.New("the request is no longer allowed, and was ended")

// endingWriter writes nothing any more once its request was ended: a server may set
// a new deadline for each piece that it writes. It takes note of how a request is answered,
// and has the answer tell of a deprecated version.
type endingWriter struct {
	http.ResponseWriter
	ended      atomic.Bool
	status     int // of the answer; 0 as long as there is none
	answered   time.Time
	deprecated *scopes.Deprecation // nil: the version is not deprecated
}

// Answer returns how the next handler has answered, and when: with status 0 if it has not.
// It is to be called when that has returned.
func (v *Verdict) Answer() (status int, at time.Time) {
	return v.open.writer.status, v.open.writer.answered
}

func (w *endingWriter) note(status int) {
	if w.status == 0 && (status >= http.StatusOK || status == http.StatusSwitchingProtocols) {
		w.status, w.answered = status, time.Now()
		w.tell(w.Header())
	}
}

// tell tells of a deprecated version in the header of a response.
func (w *endingWriter) tell(h http.Header) {
	if w.deprecated != nil && !w.ended.Load() {
		tellDeprecation(h, w.deprecated)
	}
}

// WriteHeader writes the header of the response.
func (w *endingWriter) WriteHeader(status int) {
	w.note(status)
	w.ResponseWriter.WriteHeader(status)
}

// Write writes to the response's body.
func (w *endingWriter) Write(p []byte) (int, error) {
	if w.ended.Load() {
		return 0, errEnded
	}
	w.note(http.StatusOK)
	return w.ResponseWriter.Write(p)
}

// readFromBytes is how much of a response is handed to the server at once.
const readFromBytes = 1 << 20

// ReadFrom lets the server copy a response without a buffer, where it can.
func (w *endingWriter) ReadFrom(from io.Reader) (total int64, err error) {
	w.note(http.StatusOK)
	for {
		if w.ended.Load() {
			return total, errEnded
		}
		n, err := io.CopyN(w.ResponseWriter, from, readFromBytes)
		total += n
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// FlushError sends what was written.
func (w *endingWriter) FlushError() error {
	if w.ended.Load() {
		return errEnded
	}
	w.note(http.StatusOK)
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap is for http.ResponseController.
func (w *endingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

var _ io.ReaderFrom = (*endingWriter)(nil)
