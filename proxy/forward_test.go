package proxy

import (
	"bufio"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/scopegate/scopegate/scopes"
)

func TestForwardHeaders(t *testing.T) {
	t.Parallel()
	var (
		bearer   = "\nAuthorization: Bearer " + secretOf("reader")
		identity = http.Header{
			"X-Scopegate-Token": {"tok_reader"}, "X-Scopegate-Account": {"acme"}, "X-Scopegate-Api": {"orders"}, "X-Scopegate-Version": {"v1"},
		}
		with = func(more http.Header) http.Header {
			h := maps.Clone(identity)
			maps.Copy(h, more)
			return h
		}
	)
	tests := []struct {
		name      string
		configure func(*Gateway)
		raw       string
		want      http.Header
	}{
		{"allowed", nil, "GET /orders/v1" + bearer, identity},
		{"other fields stay", nil, "GET /orders/v1" + bearer + "\nAccept: a\nAccept: b\nCookie: c=d\nX-Scope: e", with(http.Header{
			"Accept": {"a", "b"}, "Cookie": {"c=d"}, "X-Scope": {"e"},
		})},
		{
			"credential kept", func(g *Gateway) { g.KeepCredentials = true }, "GET /orders/v1" + bearer,
			with(http.Header{"Authorization": {"Bearer " + secretOf("reader")}}),
		},
		{
			"only the place that held the credential is cleared", func(g *Gateway) { g.Places = []Place{{Kind: Header, Name: "X-Api-Key"}} },
			"GET /orders/v1\nX-Api-Key: " + secretOf("reader") + "\nAuthorization: Bearer for-the-upstream",
			with(http.Header{"Authorization": {"Bearer for-the-upstream"}}),
		},
		{
			"spoofed", nil,
			"GET /orders/v1" + bearer + "\nX-Scopegate-Token: tok_x\nx-scopegate-account: x\nX_Scopegate_Api: x\nX.Scopegate.Version: x\nX-Scopegate-Role: x\nX~Scopegate~Token: x",
			identity,
		},
		{"equal override", nil, "GET /orders/v1" + bearer + "\nX-HTTP-Method-Override: GET\nX_Http_Method: GET", identity},
		{
			"version filled in", nil, "GET /actions" + bearer,
			with(http.Header{"X-Scopegate-Api": {"actions"}, "X-Scopegate-Version": {"14"}, "Ir-Version": {"14"}}),
		},
		{
			"version stated in the query", nil, "GET /actions?IrVersion=14" + bearer,
			with(http.Header{"X-Scopegate-Api": {"actions"}, "X-Scopegate-Version": {"14"}}),
		},
		{
			"Connection", nil, "GET /orders/v1" + bearer + "\nConnection: close, X-Scopegate-Token\nConnection: x-scopegate-account",
			with(http.Header{"Connection": {"close"}}),
		},
		{
			"shadow of a denial", func(g *Gateway) { g.Shadow = true }, "DELETE /orders/v1/7" + bearer + "\nX-Scopegate-Token: tok_x",
			http.Header{"Authorization": {"Bearer " + secretOf("reader")}},
		},
		{
			"shadow of an allow", func(g *Gateway) { g.Shadow = true }, "GET /orders/v1" + bearer,
			with(http.Header{"Authorization": {"Bearer " + secretOf("reader")}}),
		},
		{
			"Connection in shadow", func(g *Gateway) { g.Shadow = true }, "GET /actions\nIR-Version: 13\nConnection: IR-Version",
			http.Header{"Ir-Version": {"13"}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newMemory(t).gateway()
			if test.configure != nil {
				test.configure(g)
			}
			target, headers, _ := strings.Cut(test.raw, "\n")
			r := parse(t, target+" HTTP/1.1\nHost: h\n"+headers)
			v := g.Judge(r)
			if !v.Through {
				t.Fatalf("%q is refused: %v", test.raw, v.Decision.Reason)
			}
			g.Forward(httptest.NewRecorder(), r, v)
			if !maps.EqualFunc(r.Header, test.want, slices.Equal) {
				t.Errorf("%q:\n got %q\nwant %q", test.raw, r.Header, test.want)
			}
		})
	}
}

// Appending to one of the fields must not change another.
func TestIdentityFieldsShareNothing(t *testing.T) {
	t.Parallel()
	g := newMemory(t).gateway()
	r := parse(t, "GET /actions HTTP/1.1\nHost: h\nAuthorization: Bearer "+secretOf("reader"))
	g.Forward(httptest.NewRecorder(), r, g.Judge(r))
	for name := range r.Header {
		r.Header.Add(name, "more")
	}
	want := http.Header{
		"X-Scopegate-Token": {"tok_reader", "more"}, "X-Scopegate-Account": {"acme", "more"}, "X-Scopegate-Api": {"actions", "more"},
		"X-Scopegate-Version": {"14", "more"}, "Ir-Version": {"14", "more"},
	}
	if !maps.EqualFunc(r.Header, want, slices.Equal) {
		t.Errorf("got %q, want %q", r.Header, want)
	}
}

func TestCleanConnection(t *testing.T) {
	t.Parallel()
	api := &scopes.API{VersionFrom: []scopes.VersionPlace{
		{Kind: scopes.InHeader, Name: "Ir-Version"}, {Kind: scopes.InQuery, Name: "Irversion"},
	}}
	tests := []struct {
		name      string
		got, want []string
	}{
		{"none", nil, nil},
		{"nothing to remove stays as it is", []string{"keep-alive,  Upgrade", "a"}, []string{"keep-alive,  Upgrade", "a"}},
		{"token", []string{"X-Scopegate-Token"}, nil},
		{"any identity field", []string{"X-Scopegate-Other"}, nil},
		{"case", []string{"x-sCOPEGATE-token"}, nil},
		{"underscores", []string{"X_Scopegate_Token"}, nil},
		{"among others", []string{"close, X-Scopegate-Api, TE"}, []string{"close", "TE"}},
		{"odd spacing", []string{" ,\tX-Scopegate-Api\t,,close , "}, []string{"close"}},
		{"several fields", []string{"Upgrade", "X-Scopegate-Account", "X-Scopegate-Version,Upgrade"}, []string{"Upgrade", "Upgrade"}},
		{"version", []string{"IR-Version"}, nil},
		{"version in another spelling", []string{"ir_version"}, nil},
		{"query parameter's name", []string{"Irversion"}, []string{"Irversion"}},
		{"longer names", []string{"Ir-Version-2, X-Scopegate"}, []string{"Ir-Version-2, X-Scopegate"}},
		{"quoted is another name", []string{`"X-Scopegate-Token"`}, []string{`"X-Scopegate-Token"`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{}
			if test.got != nil {
				h["Connection"] = slices.Clone(test.got)
			}
			cleanConnection(h, api)
			if !slices.Equal(h["Connection"], test.want) {
				t.Errorf("%q: got %q, want %q", test.got, h["Connection"], test.want)
			}
		})
	}
	t.Run("without an API", func(t *testing.T) {
		t.Parallel()
		h := http.Header{"Connection": {"IR-Version, X-Scopegate-Token"}}
		cleanConnection(h, nil)
		if want := []string{"IR-Version"}; !slices.Equal(h["Connection"], want) {
			t.Errorf("got %q, want %q", h["Connection"], want)
		}
	})
}

// answering is what a next handler may do to start a response.
var answering = map[string]func(http.ResponseWriter) error{
	"WriteHeader": func(w http.ResponseWriter) error {
		w.WriteHeader(http.StatusOK)
		return nil
	},
	"Write": func(w http.ResponseWriter) error {
		_, err := w.Write([]byte("ok"))
		return err
	},
	"ReadFrom": func(w http.ResponseWriter) error {
		_, err := io.Copy(w, strings.NewReader("ok"))
		return err
	},
	"Flush": func(w http.ResponseWriter) error { return http.NewResponseController(w).Flush() },
	"after 103": func(w http.ResponseWriter) error {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusOK)
		return nil
	},
	"not at all": func(http.ResponseWriter) error { return nil },
}

func TestGuardBody(t *testing.T) {
	t.Parallel()
	const chunked = "Transfer-Encoding: chunked\n\n2\nab\n0\n"
	tests := []struct {
		name, raw string
		read      int64 // bytes of the body that are read before the response starts
		wantClose bool
	}{
		{"no body", "GET / HTTP/1.1\n", 0, false},
		{"empty body", "POST / HTTP/1.1\nContent-Length: 0\n", 0, false},
		{"nothing read", "POST / HTTP/1.1\nContent-Length: 2\n\nab", 0, true},
		{"partly read", "POST / HTTP/1.1\nContent-Length: 2\n\nab", 1, true},
		{"read to the end", "POST / HTTP/1.1\nContent-Length: 2\n\nab", 2, false},
		{"chunked, nothing read", "POST / HTTP/1.1\n" + chunked, 0, true},
		{"chunked, partly read", "POST / HTTP/1.1\n" + chunked, 1, true},
		{"chunked, read to the end", "POST / HTTP/1.1\n" + chunked, 3, true}, // a length beside it may have told another end
		{"HTTP/1.0", "POST / HTTP/1.0\nContent-Length: 2\n\nab", 1, true},
		{"HTTP/1.0, read to the end", "POST / HTTP/1.0\nContent-Length: 2\n\nab", 2, true},
		{"HTTP/1.0, a coding that Go ignores", "GET / HTTP/1.0\nConnection: keep-alive\nTransfer-Encoding: chunked\n", 0, true},
	}
	for _, test := range tests {
		for how, answer := range answering {
			t.Run(test.name+", "+how, func(t *testing.T) {
				t.Parallel()
				r := parse(t, test.raw)
				recorder := httptest.NewRecorder()
				w := guardBody(recorder, r, nil)
				if n, err := io.CopyN(io.Discard, r.Body, test.read); n < test.read && !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
				if err := answer(w); err != nil {
					t.Fatal(err)
				}
				Returned(recorder, w)
				if got := recorder.Header().Get("Connection") == "close"; got != test.wantClose {
					t.Errorf("%q, %d bytes read: closes %v, want %v", test.raw, test.read, got, test.wantClose)
				}
			})
		}
	}
}

// An informational response does not start the response, and the connection is
// closed only after the body's state at the time when it starts.
func TestGuardBodyInformational(t *testing.T) {
	t.Parallel()
	r := parse(t, "POST / HTTP/1.1\nContent-Length: 2\n\nab")
	recorder := httptest.NewRecorder()
	w := guardBody(recorder, r, nil)
	w.WriteHeader(http.StatusEarlyHints)
	if got := recorder.Header()["Connection"]; got != nil {
		t.Errorf("103: got Connection %q, want none", got)
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		t.Fatal(err)
	}
	w.WriteHeader(http.StatusOK)
	if got := recorder.Header()["Connection"]; got != nil {
		t.Errorf("200 after the body: got Connection %q, want none", got)
	}
}

func TestGuardBodyOfBrokenRequest(t *testing.T) {
	t.Parallel()
	broken := errors.New("the client is gone")
	r := parse(t, "POST / HTTP/1.1\nContent-Length: 2\n\nab")
	r.Body = io.NopCloser(iotest.ErrReader(broken))
	recorder := httptest.NewRecorder()
	w := guardBody(recorder, r, nil)
	if _, err := r.Body.Read(make([]byte, 2)); !errors.Is(err, broken) {
		t.Errorf("reading: got %v, want %v", err, broken)
	}
	w.WriteHeader(http.StatusBadGateway)
	if got := recorder.Header().Get("Connection"); got != "close" {
		t.Errorf("got Connection %q, want close", got)
	}
}

// HTTP/2 and 3 have a stream for each request, and no Connection.
func TestGuardBodyOfStreams(t *testing.T) {
	t.Parallel()
	for major := 2; major <= 3; major++ {
		r := parse(t, "POST / HTTP/1.1\nContent-Length: 2\n\nab")
		r.ProtoMajor, r.ProtoMinor = major, 0
		recorder := httptest.NewRecorder()
		w := guardBody(recorder, r, nil)
		w.WriteHeader(http.StatusOK)
		Returned(recorder, w)
		if got := recorder.Header()["Connection"]; got != nil {
			t.Errorf("HTTP/%d: got Connection %q, want none", major, got)
		}
	}
}

// HTTP/2 may have trailers where there is no body, or none of a length that counts.
func TestTrailersWithoutABody(t *testing.T) {
	t.Parallel()
	r := parse(t, "POST / HTTP/1.1\nContent-Length: 0")
	r.ProtoMajor, r.ProtoMinor = 2, 0
	r.Trailer = http.Header{"X-Checksum": nil, "X-Scopegate-Token": nil}
	r.Body = io.NopCloser(readFunc(func([]byte) (int, error) {
		r.Trailer["X-Checksum"], r.Trailer["X-Scopegate-Token"] = []string{"7"}, []string{"x"}
		return 0, io.EOF
	}))
	guardBody(httptest.NewRecorder(), r, nil)
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		t.Fatal(err)
	}
	if want := (http.Header{"X-Checksum": {"7"}}); !maps.EqualFunc(r.Trailer, want, slices.Equal) {
		t.Errorf("got %q, want %q", r.Trailer, want)
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

func TestTrailers(t *testing.T) {
	t.Parallel()
	const trailers = "X-Scopegate-Token: x\r\nX_Scopegate_Account: x\r\nIR-Version: 13\r\nIr_version: 13\r\nX-Http-Method-Override: PUT\r\nX-Checksum: 7\r\n"
	tests := []struct{ name, declared string }{
		{"all declared", "X-Scopegate-Token, X_Scopegate_Account, IR-Version, Ir_version, X-Http-Method-Override, X-Checksum"},
		{"one declared", "X-Checksum"},
		{"a reserved one declared", "X-Scopegate-Token, X-Checksum"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			raw := "POST /actions HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + secretOf("reader") +
				"\r\nTransfer-Encoding: chunked\r\nTrailer: " + test.declared + "\r\n\r\n1\r\na\r\n0\r\n" + trailers + "\r\n"
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
			if err != nil {
				t.Fatal(err)
			}
			g := newMemory(t).gateway()
			v := g.Judge(r)
			g.Forward(httptest.NewRecorder(), r, v)
			if want := (http.Header{"X-Checksum": nil}); !maps.EqualFunc(r.Trailer, want, slices.Equal) {
				t.Errorf("declared: got %q, want %q", r.Trailer, want)
			}
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				t.Fatal(err)
			}
			if want := (http.Header{"X-Checksum": {"7"}}); !maps.EqualFunc(r.Trailer, want, slices.Equal) {
				t.Errorf("sent: got %q, want %q", r.Trailer, want)
			}
		})
	}
}
