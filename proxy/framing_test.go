package proxy

import "testing"

func TestWellFramed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, raw string
		want      bool
	}{
		{"plain", "GET / HTTP/1.1", true},
		{"unknown method", "BREW / HTTP/1.1", true},
		{"CONNECT", "CONNECT example.com:443 HTTP/1.1", false},
		{"CONNECT to a path", "CONNECT / HTTP/1.1", false},
		{"TRACE", "TRACE / HTTP/1.1", false},
		{"trace", "trace / HTTP/1.1", false},
		{"Connect", "Connect / HTTP/1.1", false},

		{"WebSocket", "GET / HTTP/1.1\nConnection: Upgrade\nUpgrade: websocket", true},
		{"WebSocket, upper case", "GET / HTTP/1.1\nConnection: upgrade\nUpgrade: WebSocket", true},
		{"WebSocket without Connection", "GET / HTTP/1.1\nUpgrade: websocket", true},
		{"WebSocket on HTTP/1.0", "GET / HTTP/1.0\nConnection: Upgrade\nUpgrade: websocket", false},
		{"WebSocket on POST", "POST / HTTP/1.1\nConnection: Upgrade\nUpgrade: websocket", false},
		{"WebSocket on HEAD", "HEAD / HTTP/1.1\nConnection: Upgrade\nUpgrade: websocket", false},
		{"WebSocket with a body", "GET / HTTP/1.1\nConnection: Upgrade\nUpgrade: websocket\nContent-Length: 3", false},
		{"WebSocket with a chunked body", "GET / HTTP/1.1\nUpgrade: websocket\nTransfer-Encoding: chunked", false},
		{"h2c", "GET / HTTP/1.1\nConnection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABkAAQAAP__", false},
		{"h2c without Connection", "GET / HTTP/1.1\nUpgrade: h2c", false},
		{"WebSocket or h2c", "GET / HTTP/1.1\nUpgrade: websocket, h2c", false},
		{"WebSocket, then h2c", "GET / HTTP/1.1\nUpgrade: websocket\nUpgrade: h2c", false},
		{"WebSocket twice", "GET / HTTP/1.1\nUpgrade: websocket\nUpgrade: websocket", false},
		{"WebSocket with a version", "GET / HTTP/1.1\nUpgrade: websocket/13", false},
		{"WebSocket with a long s", "GET / HTTP/1.1\nUpgrade: web\u017focket", false},
		{"WebSocket with a Kelvin sign", "GET / HTTP/1.1\nUpgrade: websoc\u212aet", false},
		{"empty Upgrade", "GET / HTTP/1.1\nUpgrade:", false},
		{"TLS", "OPTIONS / HTTP/1.1\nUpgrade: TLS/1.3", false},

		{"override", "GET / HTTP/1.1\nX-HTTP-Method-Override: DELETE", false},
		{"override, equal", "GET / HTTP/1.1\nX-HTTP-Method-Override: GET", true},
		{"override, equal but for case", "GET / HTTP/1.1\nX-HTTP-Method-Override: get", false},
		{"override, empty", "GET / HTTP/1.1\nX-HTTP-Method-Override:", false},
		{"override, GET for HEAD", "HEAD / HTTP/1.1\nX-HTTP-Method-Override: GET", false},
		{"override twice, second differs", "GET / HTTP/1.1\nX-HTTP-Method: GET\nX-HTTP-Method: PUT", false},
		{"override of two values", "GET / HTTP/1.1\nX-HTTP-Method: GET, PUT", false},
		{"X-Method-Override", "GET / HTTP/1.1\nX-Method-Override: PUT", false},
		{"X-HTTP-Method", "GET / HTTP/1.1\nx-http-method: PUT", false},
		{"X-Method", "GET / HTTP/1.1\nX-METHOD: PUT", false},
		{"X-HTTP-MethodOverride", "GET / HTTP/1.1\nX-HTTP-MethodOverride: PUT", false},
		{"X-Forwarded-Method", "GET / HTTP/1.1\nX-Forwarded-Method: PUT", false},
		{"X-Forwarded-Method, equal", "GET / HTTP/1.1\nX-Forwarded-Method: GET", true},
		{"override with underscores", "GET / HTTP/1.1\nX_HTTP_Method_Override: PUT", false},
		{"override with dots", "GET / HTTP/1.1\nX.HTTP.Method.Override: PUT", false},
		{"override with other separators", "GET / HTTP/1.1\nX~HTTP!Method*Override: PUT", false},
		{"no override", "GET / HTTP/1.1\nX-Methods: PUT\nMethod-Override: PUT\nX-HTTP-Method-Overridden: PUT", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := wellFramed(parse(t, test.raw+"\nHost: example.com")); got != test.want {
				t.Errorf("%q: got %v, want %v", test.raw, got, test.want)
			}
		})
	}
}

// What Go does not check of an HTTP/2 request.
func TestMethodIsToken(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]bool{
		"GET": true, "get": true, "M-SEARCH": true, "VERSION-CONTROL": true, "!#$%&'*+-.^_`|~09azAZ": true,
		"": false, "GET ": false, "GET /secret HTTP/1.1": false, "G\tT": false, "G\x00T": false, "G\x7fT": false, "G\u0395T": false,
		"G(T": false, "G)T": false, "G,T": false, "G/T": false, "G:T": false, "G;T": false, "G<T": false, "G=T": false, "G>T": false,
		"G?T": false, "G@T": false, "G[T": false, `G\T`: false, "G]T": false, "G{T": false, "G}T": false, `G"T`: false,
	} {
		r := parse(t, "GET / HTTP/1.1\nHost: h")
		r.Method, r.ProtoMajor = method, 2
		if got := wellFramed(r); got != want {
			t.Errorf("%q: got %v, want %v", method, got, want)
		}
	}
}

func TestHostIsThere(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		major, minor int
		host         string
		want         bool
	}{{1, 0, "", true}, {1, 1, "h", true}, {2, 0, "h", true}, {2, 0, "", false}, {3, 0, "", false}} {
		r := parse(t, "GET / HTTP/1.0")
		r.ProtoMajor, r.ProtoMinor, r.Host = test.major, test.minor, test.host
		if got := wellFramed(r); got != test.want {
			t.Errorf("HTTP/%d.%d with host %q: got %v, want %v", test.major, test.minor, test.host, got, test.want)
		}
	}
}

// What Go makes of lengths in HTTP/2, and what they say.
func TestLengthOfStreams(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		values []string
		length int64
		want   bool
	}{
		{[]string{"5"}, 5, true},
		{[]string{"05"}, 5, true},
		{[]string{"0"}, 0, true},
		{[]string{"5"}, 0, false}, // the stream ended at once
		{[]string{"five"}, 0, false},
		{[]string{""}, 0, false},
		{[]string{"-1"}, 0, false},
		{[]string{"5, 5"}, 0, false},
		{[]string{"5", "5"}, 5, false},
		{[]string{"5", "6"}, 5, false},
		{[]string{"18446744073709551615"}, 0, false},
	} {
		r := parse(t, "POST / HTTP/1.1\nHost: h")
		r.ProtoMajor, r.Header["Content-Length"], r.ContentLength = 2, test.values, test.length
		if got := wellFramed(r); got != test.want {
			t.Errorf("%q, read as %d: got %v, want %v", test.values, test.length, got, test.want)
		}
	}
}

func TestIdentityFields(t *testing.T) {
	t.Parallel()
	tests := []struct {
		field string
		want  bool
	}{
		{"X-Scopegate-Token", true},
		{"X-Scopegate-Anything", true},
		{"X-Scopegate-", true},
		{"x-scopegate-token", true},
		{"X_SCOPEGATE_TOKEN", true},
		{"X.Scopegate.Token", true},
		{"X-Scopegate_Token", true},
		{"X_Scopegate.Token", true},
		{"X~Scopegate+Token", true},
		{"X-Scopegate", false},
		{"XScopegate-Token", false},
		{"Y-Scopegate-Token", false},
		{"X-Scopegates-Token", false},
		{"Ax-Scopegate-Token", false},
		{"", false},
	}
	for _, test := range tests {
		t.Run(test.field, func(t *testing.T) {
			t.Parallel()
			if got := isIdentity(test.field); got != test.want {
				t.Errorf("isIdentity(%q): got %v, want %v", test.field, got, test.want)
			}
		})
	}
}

func TestHasFoldedPrefix(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, prefix string
		want         bool
	}{
		{"X-A", "x-a", true},
		{"x_a.b", "x-a", true},
		{"X A", "x-a", true},
		{"X-A", "X-A", true},
		{"X-", "x-a", false},
		{"X-B", "x-a", false},
		{"X1A", "x-a", false},
		{"X\x0dA", "x-a", true}, // no field's name has it, and it is no letter either
		{"K-A", "\u212a-a", false},
		{"", "x", false},
		{"anything", "", true},
	}
	for _, test := range tests {
		t.Run(test.name+" "+test.prefix, func(t *testing.T) {
			t.Parallel()
			if got := hasFoldedPrefix(test.name, test.prefix); got != test.want {
				t.Errorf("hasFoldedPrefix(%q, %q): got %v, want %v", test.name, test.prefix, got, test.want)
			}
		})
	}
}
