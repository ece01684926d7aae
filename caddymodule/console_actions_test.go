package caddymodule_test

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

var (
	beforeField = regexp.MustCompile(`name="before" value="([^"]+)"`)
	shownSecret = regexp.MustCompile(`<code id="credential">(sgt_[0-9A-Za-z]{49})</code>`)
)

// act opens the page of an action on a token of acme, and sends its form.
func (b *browser) act(t *testing.T, token, action string, form url.Values) reply {
	t.Helper()
	path := "/console/tokens/acme/" + token + "/" + action
	page := b.get(t, path)
	if page.status != http.StatusOK {
		t.Fatalf("%s is answered %d %s", path, page.status, page.body)
	}
	return b.post(t, path, withBefore(form, page.body))
}

// withBefore returns a form with the hidden field of its page.
func withBefore(form url.Values, page string) url.Values {
	sent := url.Values{}
	maps.Copy(sent, form)
	if found := beforeField.FindStringSubmatch(page); found != nil {
		sent.Set("before", found[1])
	}
	return sent
}

// stateOf returns the token as the management routes tell it.
func (g *gateway) stateOf(t *testing.T, token string) string {
	t.Helper()
	return g.manage(t, "viewer", "GET", "/scopegate/tokens/acme/"+token, "", "").body
}

// TestConsoleActions does every action on a token, as an administrator does.
func TestConsoleActions(t *testing.T) {
	t.Parallel()
	g := startGateway(t, adminSite("", freeAddr(t)), roleFile())
	b := signIn(t, g, "admin")
	for _, c := range []struct {
		action, token, done string
		form                url.Values
		state               string // in the token, afterwards
	}{
		{"deactivate", "victim", "deactivated", nil, `"state":"inactive","held":true`},
		{"activate", "victim", "activated", nil, `"state":"active"`},
		{"delete", "gone", "token-deleted", url.Values{"confirm": {"acme/gone"}}, `"state":"deleted"`},
	} {
		got := b.act(t, c.token, c.action, c.form)
		if got.status != http.StatusSeeOther || !strings.HasSuffix(got.header.Get("Location"), "?done="+c.done) {
			t.Errorf("%s: got %d to %q", c.action, got.status, got.header.Get("Location"))
		}
		if state := g.stateOf(t, c.token); !strings.Contains(state, c.state) {
			t.Errorf("%s: the token is %s", c.action, state)
		}
		if page := b.get(t, "/console/tokens/acme/"+c.token+"/"+c.action); page.status != http.StatusOK || strings.Contains(page.body, `name="before"`) {
			t.Errorf("%s: afterwards, its page still has the form: %d", c.action, page.status)
		}
	}
	for _, wrong := range []string{"", "gone", "acme/spare "} {
		if got := b.act(t, "spare", "delete", url.Values{"confirm": {wrong}}); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, "Nothing was deleted") {
			t.Errorf("deleting, confirmed by %q: got %d", wrong, got.status)
		}
	}
	if state := g.stateOf(t, "spare"); !strings.Contains(state, `"state":"active"`) {
		t.Errorf("without its name, the token is deleted: %s", state)
	}
	for path, status := range map[string]int{
		"acme/victim/explode": http.StatusNotFound, "acme/unknown/issue": http.StatusNotFound, "acme/a%2fb/issue": http.StatusNotFound, "%2e%2e/victim/issue": http.StatusNotFound,
		"acme/old/rotate": http.StatusOK,
	} {
		if got := b.get(t, "/console/tokens/"+path); got.status != status {
			t.Errorf("%s: got %d, want %d", path, got.status, status)
		}
	}
}

// TestConsoleCredential: a credential is shown once, works, and is in no address; a form
// that is sent again makes no other, and says what there is to know.
func TestConsoleCredential(t *testing.T) {
	t.Parallel()
	ordinary := freeAddr(t)
	g := startGateway(t, adminSite("", ordinary), roleFile())
	b := signIn(t, g, "admin")
	uses := func(credential string) int {
		return ask(t, http.MethodGet, "http://"+ordinary+"/orders/v1", credential).status
	}
	const path = "/console/tokens/acme/less/"

	form := withBefore(nil, b.get(t, path+"issue").body)
	issued := b.post(t, path+"issue", form)
	first := secretIn(t, issued)
	if uses(first) != http.StatusOK {
		t.Error("the credential is not accepted")
	}
	again := b.post(t, path+"issue", form)
	if again.status != http.StatusConflict || strings.Contains(again.body, "sgt_") || !strings.Contains(again.body, first[len(first)-4:]) {
		t.Errorf("the form, sent again: got %d %s", again.status, again.body)
	}
	if page := b.get(t, path+"issue"); strings.Contains(page.body, "sgt_") || !strings.Contains(page.body, path+"rotate") {
		t.Errorf("afterwards, its page is %s", page.body)
	}

	form = withBefore(url.Values{"overlap": {"7d"}}, b.get(t, path+"rotate").body)
	second := secretIn(t, b.post(t, path+"rotate", form))
	if uses(first) != http.StatusOK || uses(second) != http.StatusOK {
		t.Error("during the overlap, one of the two is refused")
	}
	if got := b.post(t, path+"rotate", form); got.status != http.StatusConflict || uses(second) != http.StatusOK {
		t.Errorf("the form, sent again: got %d", got.status)
	}
	if got := b.act(t, "less", "retire", nil); got.status != http.StatusSeeOther || uses(first) != http.StatusForbidden || uses(second) != http.StatusOK {
		t.Errorf("retiring: got %d", got.status)
	}
	form = withBefore(url.Values{"overlap": {""}}, b.get(t, path+"rotate").body)
	third := secretIn(t, b.post(t, path+"rotate", form))
	if got := b.post(t, path+"rotate", form); got.status != http.StatusConflict || uses(second) != http.StatusForbidden || uses(third) != http.StatusOK {
		t.Errorf("without an overlap, sent again: got %d", got.status)
	}
	if log := readFile(t, g.dir+"/access.log") + g.logs.String(); strings.Contains(log, "sgt_") {
		t.Error("a credential is in a log")
	}
}

// secretIn returns the credential that a page shows, which nobody keeps.
func secretIn(t *testing.T, page reply) string {
	t.Helper()
	found := shownSecret.FindStringSubmatch(page.body)
	if page.status != http.StatusOK || found == nil || page.header.Get("Cache-Control") != "no-store" || page.header.Get("Location") != "" {
		t.Fatalf("got %d %v %s, want a credential", page.status, page.header, page.body)
	}
	if !strings.Contains(page.body, "only time") {
		t.Error("the page does not say that it is shown once")
	}
	return found[1]
}

// A viewer sees no buttons, and is refused, and told what to ask for.
func TestConsoleActionsOfAViewer(t *testing.T) {
	t.Parallel()
	g := startGateway(t, adminSite("", freeAddr(t)), roleFile())
	b := signIn(t, g, "viewer")
	for _, c := range []struct{ token, action, scope string }{
		{"less", "issue", "{api: scopegate, methods: [POST], operations: [tokens/issue]}"},
		{"client", "rotate", "{api: scopegate, methods: [POST], operations: [tokens/rotate]}"},
		{"client", "retire", "{api: scopegate, methods: [POST], operations: [tokens/retire]}"},
		{"off", "activate", "{api: scopegate, methods: [POST], operations: [tokens/activate]}"},
		{"client", "deactivate", "{api: scopegate, methods: [POST], operations: [tokens/deactivate]}"},
		{"client", "delete", "{api: scopegate, methods: [DELETE], operations: [tokens/delete]}"},
	} {
		path := "/console/tokens/acme/" + c.token + "/" + c.action
		before := g.stateOf(t, c.token)
		for method, got := range map[string]reply{
			"GET": b.get(t, path), "POST": b.post(t, path, url.Values{"confirm": {"acme/" + c.token}}),
		} {
			if got.status != http.StatusForbidden || !strings.Contains(got.body, c.scope) || strings.Contains(got.body, `name="before"`) {
				t.Errorf("%s %s: got %d %s", method, path, got.status, got.body)
			}
		}
		if after := g.stateOf(t, c.token); after != before {
			t.Errorf("%s was done: %s", path, after)
		}
	}
}

// An action is done only if its form is of the session, and of this site.
func TestConsoleActionsForged(t *testing.T) {
	t.Parallel()
	g := startGateway(t, adminSite("", freeAddr(t)), roleFile())
	b, other := signIn(t, g, "admin"), signIn(t, g, "own")
	for _, path := range []string{
		"/console/tokens/acme/spare/deactivate", "/console/tokens/acme/spare/issue", "/console/tokens/acme/spare/delete",
	} {
		sent := url.Values{"confirm": {"acme/spare"}, "before": {"none"}}
		for name, got := range map[string]reply{
			"no form token":        b.post(t, path, withBefore(url.Values{"form": {""}, "confirm": {"acme/spare"}}, "")),
			"a foreign form token": b.post(t, path, url.Values{"form": {other.form}, "confirm": {"acme/spare"}}),
			"another origin":       b.post(t, path, sent, "Origin: https://evil.example"),
			"another site":         b.post(t, path, sent, "Sec-Fetch-Site: same-site"),
		} {
			if got.status != http.StatusForbidden || strings.Contains(got.body, "sgt_") {
				t.Errorf("%s, %s: got %d", path, name, got.status)
			}
		}
		if got := b.get(t, path+"?form="+b.form+"&confirm=acme/victim"); got.status != http.StatusOK || !strings.Contains(got.body, `method="post"`) {
			t.Errorf("%s by GET: got %d", path, got.status)
		}
	}
	if state := g.stateOf(t, "spare"); !strings.Contains(state, `"state":"active"`) || !strings.Contains(state, `"credentials":[]`) {
		t.Errorf("the token was changed: %s", state)
	}
}
