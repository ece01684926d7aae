package proxy

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// FuzzJudge holds, for whatever a server makes a request of, that nothing panics,
// and that what goes through goes with the target and the method that were decided
// on, and with no identity but ours.
func FuzzJudge(f *testing.F) {
	bearer := "Authorization: Bearer " + secretOf("reader") + "\n"
	for _, raw := range []string{
		"GET /orders/v1/7 HTTP/1.1\nHost: h\n" + bearer,
		"GET http://h/orders/v1?a HTTP/1.1\nHost: h\n" + bearer + "X-Scopegate-Token: x\nConnection: X-Scopegate-Token, close\n",
		"GET /actions?IrVersion=14 HTTP/1.1\nHost: h\n" + bearer + "IR-Version: 14\nx_scopegate_account: x\nConnection: ir-version\n",
		"POST /actions HTTP/1.1\nHost: h\n" + bearer + "X-HTTP-Method-Override: POST\nTransfer-Encoding: chunked\nTrailer: X-Scopegate-Token\n",
		"HEAD /%6frders/v1 HTTP/1.0\n" + bearer,
		"GET /orders/v1/.. HTTP/1.1\nHost: h\n" + bearer,
		"GET /orders/v1 HTTP/1.1\nHost: h\nUpgrade: websocket\nConnection: Upgrade\n" + bearer,
		"OPTIONS /orders/v1 HTTP/1.1\nHost: h\nOrigin: https://a\nAccess-Control-Request-Method: GET\n",
		"CONNECT h:1 HTTP/1.1\nHost: h:1\n" + bearer,
	} {
		f.Add(raw, false)
		f.Add(raw, true)
	}
	m := newMemory(f)
	f.Fuzz(func(t *testing.T, raw string, shadow bool) {
		raw = strings.ReplaceAll(raw, "\n", "\r\n") + "\r\n"
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			return // the server's answer is 400
		}
		g := m.gateway()
		g.Shadow, g.PreflightOrigins = shadow, []string{"*"}
		v := g.Judge(r)
		recorder := httptest.NewRecorder()
		if !v.Through {
			g.Refuse(recorder, r, v)
			if recorder.Code < http.StatusBadRequest && !v.Preflight() {
				t.Errorf("%q was refused with %d", raw, recorder.Code)
			}
			return
		}
		g.Forward(recorder, r, v)
		if !v.Unchanged(r) || v.Target != r.URL.RequestURI() || v.Method != r.Method {
			t.Errorf("%q: decided on %s %s, goes on as %s %s", raw, v.Method, v.Target, r.Method, r.URL.RequestURI())
		}
		var names []string
		for name := range r.Header {
			if isIdentity(name) {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		want := []string{accountField, apiField, idField, versionField}
		if !v.Decision.Allowed() {
			want = nil
		}
		slices.Sort(want)
		if !slices.Equal(names, want) {
			t.Errorf("%q goes on with %q, want %q", raw, names, want)
		}
		if hasProtectedOption(strings.Join(r.Header["Connection"], ","), v.API) {
			t.Errorf("%q goes on with Connection %q", raw, r.Header["Connection"])
		}
	})
}
