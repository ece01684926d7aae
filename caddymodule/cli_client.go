package caddymodule

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"

	"github.com/caddyserver/caddy/v2"
)

// client speaks to the management routes. They are at a server or in this very
// process; which of the two only the transport knows, so that each command is
// written once and does the same either way.
type client struct {
	http    http.Client
	base    string      // of every URL
	header  http.Header // of every request; nil for none
	address string      // of the server, for people; "" in this process

	revision string // of the store after the last change; "" if none was made
	pending  string // how many revocations the other nodes have yet to get; "" if none was made
}

// get asks for what is at a path.
func (c *client) get(ctx context.Context, path string, answer any) error {
	return c.call(ctx, http.MethodGet, path, nil, "", nil, answer)
}

// post does what a path says, and takes no body.
func (c *client) post(ctx context.Context, path string, answer any) error {
	return c.call(ctx, http.MethodPost, path, nil, "", nil, answer)
}

// sendJSON sends a value as JSON.
func (c *client) sendJSON(ctx context.Context, method, path string, query url.Values, value, answer any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return c.call(ctx, method, path, query, "application/json", body, answer)
}

// call sends a request and decodes the JSON of its answer, or, into a *[]byte, takes
// the answer as it is. One that is an error becomes a [*refusal]. The body's type is "" where there is no body.
func (c *client) call(ctx context.Context, method, path string, query url.Values, bodyType string, body []byte, answer any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.upload(ctx, method, path, bodyType, bytes.NewReader(body), answer)
}

// upload is call with a body that is read as it is sent.
func (c *client) upload(ctx context.Context, method, path, bodyType string, body io.Reader, answer any) error {
	response, err := c.do(ctx, method, path, bodyType, body)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if whole, ok := answer.(*[]byte); ok {
		*whole, err = io.ReadAll(response.Body)
	} else {
		err = json.NewDecoder(response.Body).Decode(answer)
	}
	if err != nil {
		return fmt.Errorf("reading the answer of %s: %w", c.address, err)
	}
	return nil
}

// download writes what is at a path to w.
func (c *client) download(ctx context.Context, path string, w io.Writer) error {
	response, err := c.do(ctx, http.MethodGet, path, "", http.NoBody)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(w, response.Body); err != nil {
		return fmt.Errorf("reading the answer of %s: %w", c.address, err)
	}
	return nil
}

// do sends a request and returns an answer that is no error.
func (c *client) do(ctx context.Context, method, path, bodyType string, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	maps.Copy(request.Header, c.header)
	if bodyType != "" {
		request.Header.Set("Content-Type", bodyType)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.explainFailure(err)
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		return nil, c.readRefusal(response)
	}
	if revision := response.Header.Get(revisionField); revision != "" {
		c.revision, c.pending = revision, response.Header.Get(pendingField)
	}
	return response, nil
}

// explainFailure says what to do where there was no answer at all.
func (c *client) explainFailure(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return fmt.Errorf("no server answers at %s (%w)\nStart it, name another one with --address or --config, or use --store FILE while none runs",
			c.address, op.Err)
	}
	return fmt.Errorf("asking %s: %w", c.address, err)
}

// maxRefusal bounds what is read of an answer that is an error, in bytes.
const maxRefusal = 16 << 20

// readRefusal reads an answer that is an error. One without a message of ours or
// of Caddy's comes from a server that does not know the routes.
func (c *client) readRefusal(response *http.Response) error {
	told := refusal{status: response.StatusCode}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxRefusal))
	if err != nil {
		return fmt.Errorf("reading the answer of %s: %w", c.address, err)
	}
	if json.Unmarshal(body, &told) == nil && told.Message != "" {
		return &told
	}
	if told.status == http.StatusNotFound {
		return fmt.Errorf("the server at %s has no Scopegate module: it runs another build of Caddy", c.address)
	}
	return fmt.Errorf("the server at %s answers %s", c.address, response.Status)
}

// inProcess returns a transport to routes in this process.
func inProcess(routes []caddy.AdminRoute) http.RoundTripper {
	mux := http.NewServeMux()
	for _, route := range routes {
		mux.HandleFunc(route.Pattern, func(w http.ResponseWriter, r *http.Request) {
			writeFailure(w, route.Handler.ServeHTTP(w, r))
		})
	}
	return handlerTransport{mux}
}

// writeFailure writes what a handler has returned, as Caddy's admin endpoint does.
func writeFailure(w http.ResponseWriter, err error) {
	if err == nil {
		return
	}
	told := refusal{status: http.StatusInternalServerError, Message: err.Error()}
	if apiError, ok := errors.AsType[caddy.APIError](err); ok {
		told.status = apiError.HTTPStatus
	}
	_ = writeJSON(w, told.status, told) // a refusal can always be encoded
}

// handlerTransport sends requests to a handler in this process.
type handlerTransport struct{ handler http.Handler }

// RoundTrip implements [http.RoundTripper].
func (t handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r = r.Clone(r.Context())
		r.Body = http.NoBody
	}
	defer r.Body.Close()
	a := answer{status: http.StatusOK, header: make(http.Header)}
	t.handler.ServeHTTP(&a, r)
	return &http.Response{
		StatusCode:    a.status,
		Status:        http.StatusText(a.status),
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        a.header,
		Body:          io.NopCloser(&a.body),
		ContentLength: int64(a.body.Len()),
		Request:       r,
	}, nil
}

// answer keeps what a handler answers.
type answer struct {
	status int
	header http.Header
	body   bytes.Buffer
}

// Header implements [http.ResponseWriter].
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements [http.ResponseWriter].
func (a *answer) WriteHeader(status int) { a.status = status }

// Write implements [http.ResponseWriter].
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }

var (
	_ http.RoundTripper   = handlerTransport{}
	_ http.ResponseWriter = (*answer)(nil)
)
