package proxy

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// answer is a response that is always the same: the client learns nothing from it.
type answer struct {
	status int
	body   []byte
	header http.Header
}

func newAnswer(status int, title string, header http.Header) *answer {
	body := `{"type":"about:blank","title":"` + title + `","status":` + strconv.Itoa(status) + "}"
	a := &answer{status: status, body: []byte(body), header: http.Header{
		"Content-Type":   {"application/problem+json"}, // RFC 9457
		"Cache-Control":  {"no-store"},
		"Content-Length": {strconv.Itoa(len(body))},
	}}
	maps.Copy(a.header, header)
	return a
}

var (
	accessDenied    = newAnswer(http.StatusForbidden, "Access Denied", nil)
	unauthorized    = newAnswer(http.StatusUnauthorized, "Unauthorized", http.Header{"Www-Authenticate": {"Bearer"}})
	basicChallenge  = newAnswer(http.StatusUnauthorized, "Unauthorized", http.Header{"Www-Authenticate": {`Basic realm="scopegate"`}})
	tooEarly        = newAnswer(http.StatusTooEarly, "Too Early", nil) // RFC 8470
	tooManyRequests = newAnswer(http.StatusTooManyRequests, "Too Many Requests", http.Header{"Retry-After": {"1"}})
	unavailable     = newAnswer(http.StatusServiceUnavailable, "Service Unavailable", http.Header{"Retry-After": {"1"}})
)

// answers has the answer to each reason. Only where a reason is about the node or
// the rate does the client see a difference.
var answers = func() (table [scopes.NumReasons]*answer) {
	for i := range table {
		table[i] = accessDenied
	}
	table[scopes.Stale] = unavailable
	table[scopes.RateLimited] = tooManyRequests
	return table
}()

// answerTo returns the answer to a denial.
func (g *Gateway) answerTo(v *Verdict) *answer {
	reason := v.Decision.Reason
	if v.unverified && reason == scopes.SourceNotAllowed {
		return tooEarly
	}
	if g.Challenge && (reason == scopes.NoCredential || reason == scopes.UnknownToken) {
		if g.accepts(Basic) && !g.accepts(Bearer) {
			return basicChallenge
		}
		return unauthorized
	}
	if int(reason) < len(answers) {
		return answers[reason]
	}
	return accessDenied
}

// Status returns the status that a denial is answered with.
func (g *Gateway) Status(v *Verdict) int { return g.answerTo(v).status }

// Refuse answers a request that does not go through: a denial, or a CORS
// preflight. On HTTP/1 the connection closes if the request has a body, which
// nobody will read, so that the answer is sent at once and nothing of the body
// is taken for a request.
func (g *Gateway) Refuse(w http.ResponseWriter, r *http.Request, v *Verdict) {
	closeUnread(w, r)
	if v.preflight != 0 {
		answerPreflight(w, r, v.preflight)
		return
	}
	a := g.answerTo(v)
	h := w.Header()
	for name, values := range a.header {
		if name == retryField && h[name] != nil {
			continue // Limit knows it exactly
		}
		h[name] = slices.Clip(values)
	}
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.body) // the client is gone: nobody to tell
	}
}

// HandOver prepares a request that does not go through for another handler, which
// answers it with its own page: as after Refuse, the connection closes if the
// request has a body, and an upstream that makes the page gets neither that body
// nor a switch of protocols, is not told by the client who is asking, and gets no
// credentials unless they are to be kept.
func (g *Gateway) HandOver(w http.ResponseWriter, r *http.Request) {
	closeUnread(w, r)
	removeReserved(r.Header)
	for _, name := range [...]string{"Upgrade", "Http2-Settings", "Content-Length", "Expect"} {
		delete(r.Header, name)
	}
	filterConnection(r.Header, func(option string) bool {
		return isIdentity(option) || strings.EqualFold(option, "Upgrade") || strings.EqualFold(option, "HTTP2-Settings")
	})
	r.Body, r.ContentLength, r.TransferEncoding, r.Trailer = http.NoBody, 0, nil, nil
	if g.KeepCredentials {
		return
	}
	for _, place := range g.places() {
		delete(r.Header, place.field())
	}
}

// linger is how long the server goes on to read what a refused client still sends
// of its body: long enough for a client that reads the answer only then, and too
// short to hold connections with bodies that never come.
const linger = 5 * time.Second

// closeUnread makes the response the last one of an HTTP/1 connection if the
// request has a body, or may have one. It is for answers given without reading it.
func closeUnread(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor != 1 || !hasBody(r) && !endUnsure(r) {
		return
	}
	closeEarly(w, false)
	// A writer without deadlines belongs to no connection that could be held.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(linger))
}
