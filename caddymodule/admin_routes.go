package caddymodule

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/scopegate/scopegate/notify"
	"github.com/scopegate/scopegate/store"
	"github.com/scopegate/scopegate/usage"
)

// management is what the management routes do. The command line uses it too, on a
// store that it opened itself, so that both do the same.
type management struct {
	// store returns the store to manage. Its error goes to the client.
	store func() (*store.Store, error)
	// usage returns what has counted the uses of the store's tokens, nil if nothing ever did.
	// Its error goes to the client.
	usage func() (*usage.Ledger, error)
	// actor says who sent a request.
	actor func(*http.Request) store.Actor
	// messages returns what tells people of the tokens; nil if nobody is told. It is nil itself
	// where no server runs.
	messages func() (*notify.Notifier, error)
}

// verb answers one request: what it returns becomes the JSON of the answer.
type verb func(*http.Request) (any, error)

// resource is the verbs of one pattern by method. GET answers HEAD too.
type resource map[string]verb

// routes returns all routes, for any mux that reads patterns as net/http does.
//
// Behind /tokens/ two segments are account and name, or an id and an action. The
// method tells which: actions are POST, and names have no POST.
func (m *management) routes() []caddy.AdminRoute {
	const get, post, patch, del = http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete
	return m.tellAll(slices.Concat(m.reportRoutes(), []caddy.AdminRoute{
		{Pattern: "/scopegate/", Handler: resource{}},
		{Pattern: "/scopegate/status", Handler: resource{get: m.status}},
		{Pattern: "/scopegate/openapi.json", Handler: resource{get: m.openapi}},
		{Pattern: "/scopegate/plan", Handler: resource{post: m.plan}},
		{Pattern: "/scopegate/apply", Handler: resource{post: m.apply}},
		{Pattern: "/scopegate/drift", Handler: resource{post: m.drift}},
		{Pattern: "/scopegate/export", Handler: resource{get: m.export}},
		{Pattern: "/scopegate/explain", Handler: resource{post: m.explain}},
		{Pattern: "/scopegate/log", Handler: resource{get: m.log}},
		{Pattern: "/scopegate/apis", Handler: resource{get: m.apis}},
		{Pattern: "/scopegate/apis/{api}", Handler: resource{get: m.api}},
		{Pattern: "/scopegate/accounts", Handler: resource{get: m.accounts, post: m.createAccount}},
		{Pattern: "/scopegate/accounts/{account}", Handler: resource{get: m.account, del: m.deleteAccount}},
		{Pattern: "/scopegate/tokens", Handler: resource{get: m.tokens, post: m.createToken}},
		{Pattern: "/scopegate/tokens/{first}", Handler: resource{get: m.token, patch: m.updateToken, del: m.deleteToken}},
		{
			Pattern: "/scopegate/tokens/{first}/{second}",
			Handler: resource{get: m.token, patch: m.updateToken, del: m.deleteToken, post: m.actOnID},
		},
		{Pattern: "/scopegate/tokens/{first}/{second}/{action}", Handler: resource{post: m.actOnName}},
	}))
}

// ServeHTTP implements [caddy.AdminHandler].
func (res resource) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	if err := res.serve(w, r); err != nil {
		return fail(w, err)
	}
	return nil
}

func (res resource) serve(w http.ResponseWriter, r *http.Request) error {
	if len(res) == 0 {
		return failf(http.StatusNotFound, "there is nothing at %s", r.URL.Path)
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	answer, ok := res[method]
	if !ok {
		w.Header().Set("Allow", res.allow())
		return failf(http.StatusMethodNotAllowed, "%s is not possible at %s", r.Method, r.URL.Path)
	}
	value, err := answer(r)
	if err != nil {
		return err
	}
	if t, ok := value.(telling); ok {
		t.tell(w.Header())
		value = t.answer()
	}
	if d, ok := value.(document); ok {
		return d.write(w)
	}
	return writeJSON(w, http.StatusOK, value)
}

// telling is an answer that tells more in its header.
type telling interface {
	tell(http.Header)
	answer() any
}

// document is an answer that is no JSON.
type document struct {
	mediaType string
	body      []byte
}

func (d document) write(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", d.mediaType)
	_, _ = w.Write(d.body) // a client that has gone needs no answer
	return nil
}

// allow lists the methods for the header Allow (RFC 9110, section 10.2.1).
func (res resource) allow() string {
	methods := slices.Collect(maps.Keys(res))
	if _, ok := res[http.MethodGet]; ok {
		methods = append(methods, http.MethodHead)
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}

func writeJSON(w http.ResponseWriter, status int, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that has gone needs no answer
	return nil
}

// parameters reads the query. One that is not known, or stands twice, is an error.
func parameters(r *http.Request, known ...string) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, failf(http.StatusBadRequest, "the query cannot be read: %v", err)
	}
	for name, all := range values {
		if !slices.Contains(known, name) {
			return nil, failf(http.StatusBadRequest, "unknown parameter %q; expected %s", name, orNone(known))
		}
		if len(all) > 1 {
			return nil, failf(http.StatusBadRequest, "the parameter %q stands twice", name)
		}
	}
	return values, nil
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// switched reads a parameter that is on or off. Without a value it is on.
func switched(values url.Values, name string) (bool, error) {
	if !values.Has(name) {
		return false, nil
	}
	if values.Get(name) == "" {
		return true, nil
	}
	on, err := strconv.ParseBool(values.Get(name))
	if err != nil {
		return false, failf(http.StatusBadRequest, "the parameter %s is true or false, not %q", name, values.Get(name))
	}
	return on, nil
}

// partBytes is how much of a body is read at once.
const partBytes = 256 << 10

// readInParts reads all there is. [io.ReadAll] copies it in one go, which in a large
// body holds up all goroutines if the garbage collector has to wait for it: it cannot
// interrupt a copy.
func readInParts(from io.Reader) ([]byte, error) {
	var parts [][]byte
	for {
		part := make([]byte, partBytes)
		n, err := io.ReadFull(from, part)
		parts = append(parts, part[:n])
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return joinParts(parts), nil
		case err != nil:
			return nil, err
		}
	}
}

// joinParts returns what parts have, whose last one alone may be short.
func joinParts(parts [][]byte) []byte {
	whole := make([]byte, 0, len(parts)*partBytes)
	for i, part := range parts {
		whole = append(whole, part...)
		parts[i] = nil
		runtime.Gosched() // or the loop is hardly ever anywhere else than in a copy
	}
	return whole
}

// readBody reads a body of at most limit bytes.
func readBody(r *http.Request, limit int64) ([]byte, error) {
	body, err := readInParts(http.MaxBytesReader(nil, r.Body, limit))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, failf(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", limit)
	}
	if err != nil {
		return nil, failf(http.StatusBadRequest, "the body cannot be read: %v", err)
	}
	return body, nil
}

// readJSON reads a body that is one JSON value of at most limit bytes, without keys
// that are not known.
func readJSON(r *http.Request, limit int64, value any) error {
	if err := hasMediaType(r, "application/json"); err != nil {
		return err
	}
	body, err := readBody(r, limit)
	if err != nil {
		return err
	}
	return decodeJSON(bytes.NewReader(body), value)
}

// decodeJSON decodes one value without keys that are not known.
func decodeJSON(from io.Reader, value any) error {
	decoder := json.NewDecoder(from)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(value); err != nil {
		return failf(http.StatusBadRequest, "the body is not the JSON that was expected: %v", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return failf(http.StatusBadRequest, "something stands behind the JSON in the body")
	}
	return nil
}

// noBody refuses a body where it would be ignored.
func noBody(r *http.Request) error {
	if _, err := readBody(r, 0); err != nil {
		return failf(http.StatusBadRequest, "%s %s takes no body", r.Method, r.URL.Path)
	}
	return nil
}
