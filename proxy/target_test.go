package proxy

import (
	"bufio"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestReadTarget(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, line string
		want       string // "" for a target that is refused
	}{
		{"root", "GET /", "/"},
		{"path", "GET /orders/v1", "/orders/v1"},
		{"trailing slash", "GET /orders/", "/orders/"},
		{"escapes stay", "GET /a%20b/%C3%A9/%61", "/a%20b/%C3%A9/%61"},
		{"lower-case escapes stay", "GET /%c3%a9", "/%c3%a9"},
		{"brackets", "GET /a[1]", "/a[1]"},
		{"sub-delimiters", "GET /a!$&'()*+,=:@~", "/a!$&'()*+,=:@~"},
		{"query", "GET /a?b=c&b=d", "/a?b=c&b=d"},
		{"empty query", "GET /a?", "/a?"},
		{"query of a question mark", "GET /a??", "/a??"},
		{"query of slashes", "GET /a?b=/../c", "/a?b=/../c"},
		{"query that is not UTF-8", "GET /a?b=\xff", "/a?b=\xff"},
		{"two slashes, refused later", "GET //a", "//a"},

		{"absolute-form", "GET http://example.com/a?b", "/a?b"},
		{"absolute-form, upper case", "GET HTTP://example.com/a", "/a"},
		{"absolute-form, https", "GET https://example.com/a", "/a"},
		{"absolute-form without a path", "GET http://example.com", "/"},
		{"absolute-form, query only", "GET http://example.com?b", "/?b"},
		{"absolute-form, empty query only", "GET http://example.com?", "/?"},
		{"absolute-form, escapes stay", "GET http://example.com/%61", "/%61"},

		{"user name", "GET http://user@example.com/a", ""},
		{"user name and password", "GET http://user:password@example.com/a", ""},
		{"user name without a path", "GET http://user@example.com", ""},
		{"empty user name", "GET http://@example.com", ""},
		{"another scheme", "GET ftp://example.com/a", ""},
		{"no authority", "GET http:///a", ""},
		{"no authority, query only", "GET http://?a", ""},
		{"opaque", "GET http:a", ""},
		{"authority-form", "CONNECT example.com:443", ""},
		{"authority-form with GET", "GET example.com:443", ""},
		{"asterisk-form", "OPTIONS *", ""},
		{"fragment", "GET /a#b", ""},
		{"fragment in absolute-form", "GET http://example.com/a#b", ""},
		{"bar", "GET /a|b", ""},
		{"bar that makes Go decode", "GET /a/..%2f..%2fb|", ""},
		{"quotation mark", `GET /a"b`, ""},
		{"angle bracket", "GET /a<b", ""},
		{"caret", "GET /a^b", ""},
		{"backtick", "GET /a`b", ""},
		{"brace", "GET /a{b}", ""},
		{"backslash", `GET /a\b`, ""},
		{"raw UTF-8", "GET /é", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := parse(t, test.line+" HTTP/1.1\nHost: example.com")
			got, ok := readTarget(r)
			if ok != (test.want != "") || ok && got != test.want {
				t.Errorf("%s: got %q, %v, want %q", test.line, got, ok, test.want)
			}
			if ok && got != r.URL.RequestURI() {
				t.Errorf("%s: decided on %q, but Go sends %q", test.line, got, r.URL.RequestURI())
			}
		})
	}
}

// HTTP/2 and 3 know the origin-form only.
func TestReadTargetOfStreams(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		line string
		want bool
	}{
		{"GET /a?b", true},
		{"GET http://example.com/a?b", false},
		{"GET https://example.com", false},
	} {
		r := parse(t, test.line+" HTTP/1.1\nHost: example.com")
		r.ProtoMajor, r.ProtoMinor = 2, 0
		if got, ok := readTarget(r); ok != test.want {
			t.Errorf("%s: got %q, %v, want %v", test.line, got, ok, test.want)
		}
	}
}

func TestUnchanged(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*http.Request)
		want   bool
	}{
		{"nothing", func(*http.Request) {}, true},
		{"scheme and host, as a proxy sets them", func(r *http.Request) { r.URL.Scheme, r.URL.Host = "http", "10.0.0.1" }, true},
		{"method", func(r *http.Request) { r.Method = http.MethodPut }, false},
		{"method's case", func(r *http.Request) { r.Method = "get" }, false},
		{"path", func(r *http.Request) { r.URL.Path = "/b" }, false},
		{"escapes", func(r *http.Request) { r.URL.RawPath = "" }, false},
		{"query", func(r *http.Request) { r.URL.RawQuery = "c" }, false},
		{"query removed", func(r *http.Request) { r.URL.RawQuery = "" }, false},
		{"opaque", func(r *http.Request) { r.URL.Opaque = "//example.com/b" }, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := parse(t, "GET /%61?b HTTP/1.1\nHost: example.com")
			v := newMemory(t).gateway().Judge(r)
			test.change(r)
			if got := v.Unchanged(r); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// FuzzReadTarget holds that what is decided on is what Go sends.
func FuzzReadTarget(f *testing.F) {
	for _, target := range []string{
		"/", "/a?", "/a??b", "/%61%2f", "/a|b", "//a", "*", "http://example.com", "http://example.com?", "http://u@h/",
		"HTTPS://example.com/a%20b?c", "http:a", "/a[b]", "/é", "/a#b", "/a;b", "h:1", "http://h#", "///", "/%zz",
	} {
		f.Add(target)
	}
	f.Fuzz(func(t *testing.T, target string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + target + " HTTP/1.1\r\nHost: example.com\r\n\r\n")))
		if err != nil || r.RequestURI != target {
			return // no server passes that on
		}
		got, ok := readTarget(r)
		if !ok {
			return
		}
		if !strings.HasPrefix(got, "/") || !strings.HasSuffix(target, strings.TrimPrefix(got, "/")) {
			t.Errorf("the target of %q was read as %q", target, got)
		}
		if sent := r.URL.RequestURI(); got != sent {
			t.Errorf("decided on %q, but Go sends %q", got, sent)
		}
	})
}

// What staysAsItIs passes, Go sends as it is.
func TestStaysAsItIs(t *testing.T) {
	t.Parallel()
	passed := 0
	for value := range 256 {
		path := "/a" + string([]byte{byte(value)}) + "b"
		if !staysAsItIs(path) {
			continue
		}
		passed++
		if got := (&url.URL{Path: path}).EscapedPath(); got != path {
			t.Errorf("%q goes upstream as %q", path, got)
		}
	}
	if passed != 26+26+10+len("/-._~") {
		t.Errorf("%d bytes pass, want letters, digits and /-._~", passed)
	}
}
