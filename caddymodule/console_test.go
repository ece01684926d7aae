package caddymodule_test

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// browser is who uses the page of a gateway's management site, as a browser would, but that
// it keeps the cookie without TLS.
type browser struct {
	gateway *gateway
	cookie  string
	form    string // the form token of the last page
}

var noRedirect = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

var formField = regexp.MustCompile(`name="form" value="([^"]+)"`)

// get asks for a page.
func (b *browser) get(t *testing.T, path string, lines ...string) reply {
	t.Helper()
	return b.send(t, http.MethodGet, path, nil, lines...)
}

// post sends a form, with the form token of the last page unless it has one.
func (b *browser) post(t *testing.T, path string, form url.Values, lines ...string) reply {
	t.Helper()
	if form == nil {
		form = url.Values{}
	}
	if !form.Has("form") {
		form.Set("form", b.form)
	}
	return b.send(t, http.MethodPost, path, form, lines...)
}

func (b *browser) send(t *testing.T, method, path string, form url.Values, lines ...string) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, b.gateway.url(path), strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "text/html")
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if b.cookie != "" {
		request.Header.Set("Cookie", b.cookie)
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		request.Header.Set(name, value)
	}
	response, err := noRedirect.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range response.Cookies() {
		b.cookie = c.Name + "=" + c.Value
	}
	if found := formField.FindSubmatch(page); found != nil {
		b.form = string(found[1])
	}
	return reply{response.StatusCode, response.Header, string(page)}
}

// signIn signs in by the token with a name, and shows the overview.
func signIn(t *testing.T, g *gateway, by string) *browser {
	t.Helper()
	b := &browser{gateway: g}
	if got := b.post(t, "/console/sign-in", url.Values{"credential": {secretOf(by)}}); got.status != http.StatusSeeOther {
		t.Fatalf("signing in by %s is answered %d %s", by, got.status, got.body)
	}
	if got := b.get(t, "/console/"); got.status != http.StatusOK || !strings.Contains(got.body, "ops/"+by) {
		t.Fatalf("the overview is answered %d %s", got.status, got.body)
	}
	return b
}

func TestConsoleSession(t *testing.T) {
	t.Parallel()
	g := startGateway(t, adminSite("", freeAddr(t)), roleFile())
	nobody := &browser{gateway: g}
	if got := nobody.get(t, "/"); got.status != http.StatusSeeOther || got.header.Get("Location") != "/console/" {
		t.Errorf("/ is answered %d to %q", got.status, got.header.Get("Location"))
	}
	if got := nobody.get(t, "/console/tokens?search=x"); got.header.Get("Location") != "/console/sign-in?to=%2Fconsole%2Ftokens%3Fsearch%3Dx" {
		t.Errorf("a page without a session leads to %q", got.header.Get("Location"))
	}
	for name, credential := range map[string]string{
		"unknown": "sgt_nobody_has_this", "empty": "", "of another API": secretOf("client"), "legacy": secretOf("legacy"), "inactive": secretOf("off"),
	} {
		got := nobody.post(t, "/console/sign-in", url.Values{"credential": {credential}})
		if got.status != http.StatusForbidden || got.header.Get("Set-Cookie") != "" || credential != "" && strings.Contains(got.body, credential) {
			t.Errorf("%s: signing in is answered %d, %v", name, got.status, got.header)
		}
	}
	b := signIn(t, g, "own")
	stolen := *b
	if got := b.get(t, "/console/"); got.header.Get("Cache-Control") != "no-store" || !strings.Contains(got.header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("a page has the header %v", got.header)
	}
	if got := b.post(t, "/console/sign-out", nil); got.status != http.StatusSeeOther {
		t.Errorf("signing out is answered %d", got.status)
	}
	if got := stolen.get(t, "/console/"); got.status != http.StatusSeeOther {
		t.Errorf("a session that was ended is answered %d", got.status)
	}
	b = signIn(t, g, "own")
	if got := g.scopegate(t, "token", "deactivate", "ops/own"); got.code != 0 {
		t.Fatal(got)
	}
	if got := b.get(t, "/console/"); got.status != http.StatusSeeOther {
		t.Errorf("a session of a token that was deactivated is answered %d", got.status)
	}
}

// A form is done only if it is of the session, and of this site.
func TestConsoleForms(t *testing.T) {
	t.Parallel()
	g := startGateway(t, adminSite("", freeAddr(t)), roleFile())
	b, other := signIn(t, g, "admin"), signIn(t, g, "viewer")
	for name, got := range map[string]reply{
		"no form token":         b.post(t, "/console/sign-out", url.Values{"form": {""}}),
		"a foreign form token":  b.post(t, "/console/sign-out", url.Values{"form": {other.form}}),
		"another site's origin": b.post(t, "/console/sign-out", nil, "Origin: https://evil.example"),
		"another site":          b.post(t, "/console/sign-out", nil, "Sec-Fetch-Site: cross-site"),
		"in the address":        b.post(t, "/console/sign-out?form="+b.form, url.Values{"form": {""}}),
	} {
		if got.status != http.StatusForbidden {
			t.Errorf("%s: it is answered %d", name, got.status)
		}
	}
	if got := b.get(t, "/console/"); got.status != http.StatusOK {
		t.Errorf("afterwards, the session is answered %d", got.status)
	}
}

// The session is for the page alone: the management routes do not take the cookie.
func TestConsoleCookieOpensNoRoute(t *testing.T) {
	t.Parallel()
	g := startGateway(t, adminSite("", freeAddr(t)), roleFile())
	b := signIn(t, g, "admin")
	if got := b.get(t, "/scopegate/tokens"); got.status != http.StatusForbidden {
		t.Errorf("a route is answered %d", got.status)
	}
	if got := b.get(t, "/console/", "Authorization: Bearer "+secretOf("viewer")); !strings.Contains(got.body, "ops/admin") {
		t.Errorf("a credential in the request counts: %d", got.status)
	}
}

func TestConsoleOff(t *testing.T) {
	t.Parallel()
	g := startGateway(t, adminSite("\t\tconsole off", freeAddr(t)), roleFile())
	for _, path := range []string{"/", "/console/", "/console/sign-in"} {
		if got := (&browser{gateway: g}).get(t, path); got.status != http.StatusForbidden {
			t.Errorf("%s is answered %d", path, got.status)
		}
	}
}
