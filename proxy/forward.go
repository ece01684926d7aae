package proxy

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/scopegate/scopegate/scopes"
)

// The fields that tell the upstream what was decided.
const (
	idField      = "X-Scopegate-Token"
	accountField = "X-Scopegate-Account"
	apiField     = "X-Scopegate-Api"
	versionField = "X-Scopegate-Version"
)

// Forward prepares a request that goes through, in place, and returns the writer
// to answer it with:
//
//   - whatever the client sent under X-Scopegate-*, in any spelling and as a
//     trailer too, is removed, and so are method overrides that repeat the method,
//     X-Original-URL and X-Rewrite-URL, by which some upstreams would route, and
//     trailers under the name of a header in which the API reads its version;
//   - if the request is allowed, X-Scopegate-Token, -Account, -Api and -Version
//     say what was decided, a version that was filled in is set, and the
//     credential is removed unless it is to be kept;
//   - Connection names none of these any more, so that no later hop drops them;
//   - on HTTP/1, a response that starts before the request's body was read to its
//     end closes the connection, and so does any to a request whose end another
//     hop may see elsewhere, so that the rest is never taken for a request.
func (g *Gateway) Forward(w http.ResponseWriter, r *http.Request, v *Verdict) http.ResponseWriter {
	removeReserved(r.Header)
	cleanConnection(r.Header, v.API)
	if v.Decision.Allowed() {
		if v.place != nil && !g.KeepCredentials && !g.Shadow {
			delete(r.Header, v.place.field())
		}
		identify(r.Header, v)
	}
	return guardBody(w, r, v.API)
}

// removeReserved removes what the upstream must not get from the client.
func removeReserved(h http.Header) {
	for name := range h {
		if isReserved(name) {
			delete(h, name)
		}
	}
}

// identify tells the upstream who asks and what was decided.
func identify(h http.Header, v *Verdict) {
	d := &v.Decision
	v.told = [...]string{v.Grant.ID, v.Grant.Account, d.API.Name, d.Version}
	values := v.told[:]
	h[idField] = values[0:1:1]
	h[accountField] = values[1:2:2]
	h[apiField] = values[2:3:3]
	if d.Version != "" {
		h[versionField] = values[3:4:4]
		if d.SetHeader != "" {
			h[d.SetHeader] = values[3:4:4]
		}
	}
}

// cleanConnection removes from Connection the names of fields that the upstream
// must see: the identity fields, and those in which the API reads its version.
func cleanConnection(h http.Header, api *scopes.API) {
	if slices.ContainsFunc(h["Connection"], func(v string) bool { return hasProtectedOption(v, api) }) {
		filterConnection(h, func(option string) bool { return isProtected(option, api) })
	}
}

// filterConnection removes options from Connection.
func filterConnection(h http.Header, removed func(option string) bool) {
	values := h["Connection"]
	kept := make([]string, 0, len(values))
	for _, value := range values {
		for option := range strings.SplitSeq(value, ",") {
			if option = strings.TrimSpace(option); option != "" && !removed(option) {
				kept = append(kept, option)
			}
		}
	}
	if len(kept) == 0 {
		delete(h, "Connection")
		return
	}
	h["Connection"] = kept
}

func hasProtectedOption(value string, api *scopes.API) bool {
	for option := range strings.SplitSeq(value, ",") {
		if isProtected(strings.TrimSpace(option), api) {
			return true
		}
	}
	return false
}

func isProtected(field string, api *scopes.API) bool {
	return isIdentity(field) || api != nil && slices.ContainsFunc(api.VersionFrom, func(p scopes.VersionPlace) bool {
		return p.Kind == scopes.InHeader && len(p.Name) == len(field) && hasFoldedPrefix(field, p.Name)
	})
}

// Guard prepares a request that is answered here, without a decision, and returns the
// writer to answer it with: as with Forward, the connection closes where the rest of it
// could be taken for another request, by this server or by one before it.
func Guard(w http.ResponseWriter, r *http.Request) http.ResponseWriter { return guardBody(w, r, nil) }

// guardBody watches the body of an HTTP/1 request. HTTP/2 and 3 frame each stream
// apart, and a request without a body leaves nothing behind.
func guardBody(w http.ResponseWriter, r *http.Request, api *scopes.API) http.ResponseWriter {
	cleanTrailer(r.Trailer, api)
	var body *watchedBody
	if hasBody(r) || len(r.Trailer) > 0 { // HTTP/2 may have trailers without a body
		body = &watchedBody{ReadCloser: r.Body, request: r, api: api, left: r.ContentLength}
		r.Body = body
	}
	switch {
	case endUnsure(r):
		return &closingWriter{ResponseWriter: w}
	case body == nil || r.ProtoMajor != 1:
		return w
	}
	return &closingWriter{ResponseWriter: w, body: body}
}

// endUnsure reports whether another hop may see the end of a request elsewhere.
// That needs a Transfer-Encoding: on HTTP/1.0 Go ignores and removes it, so that
// any request may have had one; on HTTP/1.1 it removes a Content-Length beside it
// (RFC 9112, section 6.1).
func endUnsure(r *http.Request) bool {
	return r.ProtoMajor == 1 && (r.ProtoMinor == 0 || len(r.TransferEncoding) > 0)
}

func hasBody(r *http.Request) bool {
	return r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0
}

// cleanTrailer removes the trailers that an upstream must not take for headers.
func cleanTrailer(t http.Header, api *scopes.API) {
	for name := range t {
		if isProtected(name, api) || isReserved(name) {
			delete(t, name)
		}
	}
}

// watchedBody knows whether a body was read to its end, and cleans the trailers
// that come with the end.
type watchedBody struct {
	io.ReadCloser
	request *http.Request
	api     *scopes.API // nil for none
	left    int64       // bytes that Content-Length announces and that are still to come; negative if unknown
	ended   atomic.Bool
}

// Read reads on and takes note of the end.
func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left > 0 {
		b.left -= int64(n)
	}
	if err == io.EOF || b.left == 0 {
		cleanTrailer(b.request.Trailer, b.api)
		b.ended.Store(true)
	}
	return n, err
}

// closingWriter closes the connection after a response that starts before the
// request's body has ended.
type closingWriter struct {
	http.ResponseWriter
	body    *watchedBody // nil to close in any case
	started bool
}

func (w *closingWriter) bodyEnded() bool { return w.body != nil && w.body.ended.Load() }

// WriteHeader adds "Connection: close" to a final response that comes early.
func (w *closingWriter) WriteHeader(status int) {
	if status >= http.StatusOK {
		w.start()
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write writes to the response's body.
func (w *closingWriter) Write(p []byte) (int, error) {
	w.start()
	return w.ResponseWriter.Write(p)
}

// ReadFrom lets the server copy a response without a buffer, where it can.
func (w *closingWriter) ReadFrom(from io.Reader) (int64, error) {
	w.start()
	return io.Copy(w.ResponseWriter, from)
}

// FlushError sends what was written, the header at least.
func (w *closingWriter) FlushError() error {
	w.start()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap is for http.ResponseController.
func (w *closingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *closingWriter) start() {
	if !w.started {
		w.started = true
		closeEarly(w.ResponseWriter, w.bodyEnded())
	}
}

// Returned is to be called when the next handler has returned, with the writer
// given to Forward or Guard and the one that came of it, or of Enter. If nothing was answered
// yet, whoever answers then, an error handler or the server itself, closes the
// connection unless the request's body has ended, and tells of a deprecated version.
func Returned(w, forwarded http.ResponseWriter) {
	if entered, ok := forwarded.(*endingWriter); ok {
		if entered.status == 0 {
			entered.tell(w.Header())
		}
		forwarded = entered.ResponseWriter
	}
	if guarded, ok := forwarded.(*closingWriter); ok && !guarded.started {
		closeEarly(w, guarded.bodyEnded())
	}
}

// closeEarly makes an HTTP/1 response the connection's last one unless the
// request's body has ended.
func closeEarly(w http.ResponseWriter, bodyEnded bool) {
	if !bodyEnded {
		w.Header()["Connection"] = []string{"close"}
	}
}

var _ io.ReaderFrom = (*closingWriter)(nil)
