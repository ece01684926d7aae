package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// deadlines is a writer that takes note of its deadlines.
type deadlines struct {
	*httptest.ResponseRecorder
	read, write time.Time
}

func newDeadlines() *deadlines { return &deadlines{ResponseRecorder: httptest.NewRecorder()} }

func (d *deadlines) SetReadDeadline(at time.Time) error  { d.read = at; return nil }
func (d *deadlines) SetWriteDeadline(at time.Time) error { d.write = at; return nil }

// entered is a request that was let through.
type entered struct {
	verdict *Verdict
	server  *deadlines
	writer  http.ResponseWriter
	request *http.Request
}

func enter(t *testing.T, g *Gateway, raw string) entered {
	t.Helper()
	r := parse(t, raw)
	e := entered{verdict: g.Judge(r), server: newDeadlines()}
	if !e.verdict.Through {
		t.Fatalf("%q: %s", raw, e.verdict.Decision.Reason)
	}
	e.writer, e.request = g.Enter(g.Forward(e.server, r, e.verdict), r, e.verdict)
	return e
}

// What changes ends the requests that it concerns, and no others.
func TestReview(t *testing.T) {
	t.Parallel()
	const reader = " HTTP/1.1\nHost: h\nAuthorization: Bearer the-secret-of-reader"
	forget := func(m *memory, _ *Gateway) { delete(m.grants, scopes.DigestOf(secretOf("reader"))) }
	for _, test := range []struct {
		name, raw string
		change    func(*memory, *Gateway)
		want      string // the reason; "" if it goes on
	}{
		{"nothing changed", "GET /orders/v1/7" + reader, func(*memory, *Gateway) {}, ""},
		{"deleted", "GET /orders/v1/7" + reader, forget, "unknown_token"},
		{"inactive", "GET /orders/v1/7" + reader, func(m *memory, _ *Gateway) {
			m.grants[scopes.DigestOf(secretOf("reader"))] = m.grants[scopes.DigestOf(secretOf("off"))]
		}, "inactive"},
		{"other sources, and nobody has looked at this one's", "GET /orders/v1/7" + reader, func(m *memory, _ *Gateway) {
			m.grants[scopes.DigestOf(secretOf("reader"))] = m.grants[scopes.DigestOf(secretOf("office"))]
		}, "source_not_allowed"},
		{"no state", "GET /orders/v1/7" + reader, func(_ *memory, g *Gateway) { g.Source = closed{} }, "stale"},
		{"a version in a header", "GET /actions" + reader + "\nIR-Version: 14", func(*memory, *Gateway) {}, ""},
		{"a version in the query", "GET /actions?IrVersion=14" + reader, func(*memory, *Gateway) {}, ""},
		{"a version of the token's", "GET /actions" + reader, func(*memory, *Gateway) {}, ""},
		{"a WebSocket", "GET /orders/v1/7" + reader + "\nConnection: Upgrade\nUpgrade: websocket", forget, "unknown_token"},
		{"an upload", "POST /actions" + reader + "\nContent-Length: 5\n\nhello", forget, "unknown_token"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := newMemory(t)
			g := m.gateway()
			g.Requests = new(OpenRequests)
			e := enter(t, g, test.raw)
			defer g.Leave(e.verdict)
			clear(e.request.Header) // it is the next handlers'
			test.change(m, g)
			ended := g.Requests.Review()
			if test.want == "" {
				if len(ended) > 0 || !e.server.write.IsZero() {
					t.Errorf("it was ended: %+v", ended)
				}
				return
			}
			if len(ended) != 1 || ended[0].Reason.String() != test.want || ended[0].Token != "tok_reader" || ended[0].Account != "acme" || ended[0].Err != nil {
				t.Errorf("got %+v, want %s", ended, test.want)
			}
			e.mustBeOver(t)
			e.server.read, e.server.write = time.Time{}, time.Time{} // as who takes the connection over does
			if again := g.Requests.Review(); len(again) > 0 {
				t.Errorf("told twice: %+v", again)
			}
			e.mustBeOver(t)
		})
	}
}

func (e *entered) mustBeOver(t *testing.T) {
	t.Helper()
	if !e.server.read.Equal(longAgo) || !e.server.write.Equal(longAgo) {
		t.Errorf("the deadlines are %v and %v", e.server.read, e.server.write)
	}
	_, written := e.writer.Write([]byte("x"))
	_, copied := e.writer.(io.ReaderFrom).ReadFrom(strings.NewReader("x"))
	if flushed := http.NewResponseController(e.writer).Flush(); !errors.Is(written, errEnded) || !errors.Is(copied, errEnded) || !errors.Is(flushed, errEnded) {
		t.Errorf("got %v, %v and %v", written, copied, flushed)
	}
	if e.server.Body.Len() > 0 {
		t.Errorf("it wrote %q", e.server.Body)
	}
}

// An HTTP/3 handler that waits for something else than its client is woken up.
func TestReviewCancels(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	g := m.gateway()
	g.Requests = new(OpenRequests)
	r := parse(t, "GET /orders/v1/7 HTTP/1.1\nHost: h\nAuthorization: Bearer the-secret-of-reader")
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/3.0", 3, 0
	v := g.Judge(r)
	_, r = g.Enter(newDeadlines(), r, v)
	g.Source = closed{}
	g.Requests.Review()
	if err := r.Context().Err(); !errors.Is(err, context.Canceled) {
		t.Errorf("the context's error is %v", err)
	}
	g.Leave(v)
}

// What has left is not touched any more: its writer may be another request's.
func TestLeave(t *testing.T) {
	t.Parallel()
	g := newMemory(t).gateway()
	g.Requests = new(OpenRequests)
	var all []entered
	for range 200 {
		all = append(all, enter(t, g, "GET /orders/v1/7 HTTP/1.1\nHost: h\nAuthorization: Bearer the-secret-of-reader"))
	}
	for i, e := range all {
		if i%3 != 0 {
			g.Leave(e.verdict)
		}
	}
	g.Source = closed{}
	if ended := g.Requests.Review(); len(ended) != 67 {
		t.Errorf("%d were ended, want 67", len(ended))
	}
	for i, e := range all {
		if ended := !e.server.write.IsZero(); ended != (i%3 == 0) {
			t.Errorf("request %d: ended is %v", i, ended)
		}
		if i%3 == 0 {
			g.Leave(e.verdict)
		}
	}
	for i := range g.Requests.shards {
		if g.Requests.shards[i].first != nil {
			t.Errorf("shard %d has a request", i)
		}
	}
}

// Nothing is ended where nothing is refused, and a change through the management API
// is answered.
func TestNotEntered(t *testing.T) {
	t.Parallel()
	for name, configure := range map[string]func(*Gateway){
		"shadow":     func(g *Gateway) { g.Shadow = true },
		"management": func(g *Gateway) { g.Management = true },
		"no list":    func(g *Gateway) { g.Requests = nil },
	} {
		g := newMemory(t).gateway()
		requests := new(OpenRequests)
		g.Requests = requests
		configure(g)
		v := &Verdict{Method: http.MethodPost, Decision: scopes.Decision{Reason: scopes.Allowed}, Through: true}
		w, r := newDeadlines(), parse(t, "POST /actions HTTP/1.1\nHost: h")
		writer, request := g.Enter(w, r, v)
		if v.open.shard != nil || request != r {
			t.Errorf("%s: it was entered", name)
		}
		writer.WriteHeader(http.StatusAccepted)
		if status, at := v.Answer(); status != http.StatusAccepted || at.IsZero() {
			t.Errorf("%s: the answer is %d at %v, want 202 and when", name, status, at)
		}
		g.Source = closed{}
		if ended := requests.Review(); len(ended) > 0 {
			t.Errorf("%s: ended %v", name, ended)
		}
		g.Leave(v)
	}
}

// ReadFrom copies all there is, whatever its size.
func TestEndingWriterReadFrom(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, readFromBytes - 1, readFromBytes, readFromBytes + 1, 3 * readFromBytes} {
		recorder := httptest.NewRecorder()
		w := &endingWriter{ResponseWriter: recorder}
		n, err := w.ReadFrom(strings.NewReader(strings.Repeat("x", size)))
		if n != int64(size) || err != nil || recorder.Body.Len() != size {
			t.Errorf("%d bytes: got %d, %v, wrote %d", size, n, err, recorder.Body.Len())
		}
	}
}

// BenchmarkEnter is what it costs to be able to end a request.
func BenchmarkEnter(b *testing.B) {
	g := newMemory(b).gateway()
	g.Requests = new(OpenRequests)
	r := parse(b, hot()["allow"])
	v := g.Judge(r)
	w := void{make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		g.Enter(w, r, v)
		g.Leave(v)
		v.open = openRequest{}
	}
}

// BenchmarkAnswer is what it costs to begin an answer: for a version that is deprecated, and
// for any other.
func BenchmarkAnswer(b *testing.B) {
	for name, deprecated := range map[string]*scopes.Deprecation{"plain": nil, "deprecated": &v1Leaves} {
		b.Run(name, func(b *testing.B) {
			header := make(http.Header)
			b.ReportAllocs()
			for b.Loop() {
				clear(header)
				w := endingWriter{ResponseWriter: void{header}, deprecated: deprecated}
				w.WriteHeader(http.StatusOK)
			}
		})
	}
}

// BenchmarkReview reviews 10,000 open requests.
func BenchmarkReview(b *testing.B) {
	const open = 10_000
	g := newMemory(b).gateway()
	g.Requests = new(OpenRequests)
	for range open {
		r := parse(b, hot()["allow"])
		g.Enter(void{make(http.Header)}, r, g.Judge(r))
	}
	for b.Loop() {
		if ended := g.Requests.Review(); len(ended) > 0 {
			b.Fatalf("%d were ended", len(ended))
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/open, "ns/request")
}
