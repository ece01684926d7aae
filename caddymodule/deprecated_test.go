package caddymodule_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// What a response says of a deprecated version, in the order of deprecationFields.
var deprecationFields = []string{"Deprecation", "Sunset", "Link"}

var leavesV1 = []string{"@1793491200", "Wed, 01 Jan 2098 00:00:00 GMT", `<https://a.example/v2>; rel="deprecation"`}

// deprecatedOrders is [ordersFile] with version 1 deprecated. The token both may read
// each version.
func deprecatedOrders(upstream string) string {
	both := `      both: {description: d, contact: {email: both@b.example}, scopes: [{api: orders, version: ["v1", "v2"], methods: [GET]}], credential: ` +
		digestOf(bothSecret) + "}\n"
	return strings.Replace(ordersFile(upstream, both), "    operations:\n",
		"    deprecated: {\"v1\": {sunset: 2098-01-01, since: 2026-11-01, link: https://a.example/v2}}\n    operations:\n", 1)
}

const bothSecret = "both-0123456789abcdef"

// outspoken is an upstream that says of some of its resources that they are deprecated,
// and that speaks a protocol of its own on others.
func outspoken(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/own"):
			w.Header()["Deprecation"] = []string{"@1"}
			w.Header()["Sunset"] = []string{"Thu, 01 Jan 2099 00:00:00 GMT"}
			w.Header()["Link"] = []string{`</next>; rel=next, </v3>; rel="deprecation"`}
		case r.Header.Get("Upgrade") != "":
			conn, stream, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Errorf("the upstream: %v", err)
				return
			}
			_, _ = stream.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			_ = stream.Flush()
			hangUp(conn)
		}
		_, _ = io.WriteString(w, "here")
	}))
	t.Cleanup(s.Close)
	return s
}

// said returns what an answer says of a deprecation: each field, with commas where it
// stands more than once.
func said(header http.Header) []string {
	fields := make([]string, len(deprecationFields))
	for i, name := range deprecationFields {
		fields[i] = strings.Join(header.Values(name), ", ")
	}
	return fields
}

// The answer to an allowed request tells that its version is deprecated, whoever makes
// it, and nobody else is told.
func TestDeprecatedVersion(t *testing.T) {
	t.Parallel()
	nothing := []string{"", "", ""}
	own := []string{"@1", "Thu, 01 Jan 2099 00:00:00 GMT", `</next>; rel=next, </v3>; rel="deprecation"`}
	for _, site := range []struct {
		name, directives string
		proxied          bool // by what may have fields of its own
	}{
		{"scopegate_proxy", "\tscopegate_proxy", true},
		{"scopegate and reverse_proxy", "\tscopegate\n\treverse_proxy {upstream}", true},
		{"scopegate and another handler", "\tscopegate\n\trespond here", false},
		{"on_deny error", "\tscopegate_proxy {\n\t\ton_deny error\n\t}\n\thandle_errors {\n\t\trespond \"no\"\n\t}", true},
		{"in shadow", "\tscopegate_proxy {\n\t\tshadow\n\t}", true},
	} {
		t.Run(site.name, func(t *testing.T) {
			t.Parallel()
			upstream := outspoken(t)
			directives := strings.ReplaceAll(site.directives, "{upstream}", upstream.Listener.Addr().String())
			g := startGateway(t, siteWith(directives), deprecatedOrders(upstream.URL))
			for _, test := range []struct {
				method, target, secret string
				want                   []string
			}{
				{"GET", "/orders/v1", readerSecret, leavesV1},
				{"HEAD", "/orders/v1/7", readerSecret, leavesV1},
				{"GET", "/orders/v1/own", readerSecret, own},
				{"GET", "/orders/v2/7", bothSecret, nothing},
				{"DELETE", "/orders/v1/7", readerSecret, nothing},
				{"GET", "/orders/v1/7", "unknown-0123456789abcdef", nothing},
				{"GET", "/orders/v1/7", "", nothing},
				{"GET", "/orders/v1/%2e", readerSecret, nothing},
			} {
				want := test.want
				if strings.HasSuffix(test.target, "/own") && !site.proxied {
					want = leavesV1
				}
				if got := said(ask(t, test.method, g.url(test.target), test.secret).header); !slices.Equal(got, want) {
					t.Errorf("%s %s by %q: got %q, want %q", test.method, test.target, test.secret, got, want)
				}
			}
			if site.proxied {
				if got := said(upgradeAt(t, g.addr, "/orders/v1/socket")); !slices.Equal(got, leavesV1) {
					t.Errorf("a WebSocket: got %q, want %q", got, leavesV1)
				}
			}
		})
	}
}

// upgradeAt asks for a WebSocket and returns the header of the answer, which must be one.
func upgradeAt(t *testing.T, addr, target string) http.Header {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp(conn)
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", target, addr, readerSecret)
	if err != nil {
		t.Fatal(err)
	}
	r, err := readHead(bufio.NewReader(conn))
	if err != nil || r.status != http.StatusSwitchingProtocols {
		t.Fatalf("got %d, %v, want 101", r.status, err)
	}
	return r.header
}

// Whoever may use a version is told even if nobody answers in its place.
func TestDeprecatedVersionWithoutUpstream(t *testing.T) {
	t.Parallel()
	g := startGateway(t, siteWith("\tscopegate_proxy\n\thandle_errors {\n\t\trespond \"{http.error.status_code}\"\n\t}"),
		deprecatedOrders("http://"+freeAddr(t)))
	got := ask(t, "GET", g.url("/orders/v1/7"), readerSecret)
	if got.body != "502" || !slices.Equal(said(got.header), leavesV1) {
		t.Errorf("got %q, %q, want 502 and %q", got.body, said(got.header), leavesV1)
	}
}
