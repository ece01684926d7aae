package caddymodule_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// hostileToken is a token of acme whose texts would be markup where a page did not escape
// them.
const hostileToken = `      hostile:
        description: "<script>alert('description')</script>"
        contact: {name: "\"><img src=x onerror=alert(1)>", email: "a@b.example"}
        scopes: [{api: orders, version: "v1", methods: [GET]}]
`

// lacking returns which texts a page does not have.
func lacking(page string, texts ...string) []string {
	return slices.DeleteFunc(texts, func(text string) bool { return strings.Contains(page, text) })
}

// await asks for a page until it has a text: reports are made behind it.
func (b *browser) await(t *testing.T, path, text string) reply {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		page := b.get(t, path)
		if page.status != http.StatusOK || time.Now().After(deadline) {
			t.Fatalf("%s is answered %d %s, want %q", path, page.status, page.body, text)
		}
		if strings.Contains(page.body, text) {
			return page
		}
	}
}

// TestConsoleTokens looks at the list: what it shows, finds, leads to and does not let
// through.
func TestConsoleTokens(t *testing.T) {
	t.Parallel()
	g := startGateway(t, adminSite("", freeAddr(t)), roleFile()+hostileToken)
	admin, viewer := signIn(t, g, "admin"), signIn(t, g, "viewer")

	page := admin.get(t, "/console/tokens")
	if missing := lacking(page.body, `href="/console/create-token"`, `href="/console/tokens/acme/client"`, "no credential", "inactive", "legacy",
		"&lt;script&gt;alert(&#39;description&#39;)&lt;/script&gt;"); page.status != http.StatusOK || len(missing) > 0 {
		t.Errorf("the list is answered %d, without %q", page.status, missing)
	}
	if strings.Contains(page.body, "<script>alert") || strings.Contains(page.body, "<img src=x") || strings.Contains(page.body, "style=") {
		t.Errorf("the list lets markup through: %s", page.body)
	}
	page = viewer.get(t, "/console/tokens")
	if missing := lacking(page.body, `href="/console/tokens/acme/client"`); len(missing) > 0 || strings.Contains(page.body, "create-token") {
		t.Errorf("the viewer's list lacks %q, or lets create", missing)
	}

	for query, want := range map[string]string{
		"search=HOSTILE": "acme/hostile", "account=ops&search=view": "ops/viewer", "state=inactive": "acme/off", "access=legacy&account=acme": "acme/old",
	} {
		page := admin.get(t, "/console/tokens?"+query)
		if page.status != http.StatusOK || strings.Count(page.body, `<td class="main">`) != 1 || len(lacking(page.body, want)) > 0 {
			t.Errorf("%s is answered %d %s, want %s alone", query, page.status, page.body, want)
		}
	}
	page = admin.get(t, "/console/tokens?search=%22%3E%3Cscript%3E")
	if missing := lacking(page.body, "No token is like that", `value="&#34;&gt;&lt;script&gt;"`); len(missing) > 0 {
		t.Errorf("a search for markup lacks %q in %s", missing, page.body)
	}
	if page := admin.get(t, "/console/tokens?state=asleep"); page.status != http.StatusBadRequest || len(lacking(page.body, "state is active, inactive or deleted")) > 0 {
		t.Errorf("a state that there is not is answered %d %s", page.status, page.body)
	}
}

// TestConsoleToken looks at one token that was used, and at what else its page tells.
func TestConsoleToken(t *testing.T) {
	t.Parallel()
	ordinary := freeAddr(t)
	g := startGateway(t, adminSite("", ordinary), roleFile()+hostileToken)
	for range 3 {
		if got := ask(t, http.MethodGet, "http://"+ordinary+"/orders/v1", secretOf("client")); got.status != http.StatusOK {
			t.Fatalf("a request is answered %d", got.status)
		}
	}
	if got := ask(t, http.MethodDelete, "http://"+ordinary+"/orders/v1/7", secretOf("client")); got.status != http.StatusForbidden {
		t.Fatalf("deleting is answered %d", got.status)
	}
	admin, viewer := signIn(t, g, "admin"), signIn(t, g, "viewer")

	page := admin.await(t, "/console/", "<code>method_not_granted</code>")
	if missing := lacking(page.body, "<dt>Requests</dt>", `class="fill-allowed"`, "Requests in the last 24 hours", "up to date"); len(missing) > 0 {
		t.Errorf("the overview lacks %q: %s", missing, page.body)
	}
	page = admin.get(t, "/console/tokens")
	if missing := lacking(page.body, `class="spark"`, "not in 30 days", "Last used"); len(missing) > 0 {
		t.Errorf("the list lacks %q: %s", missing, page.body)
	}
	page = admin.get(t, "/console/tokens/acme/client")
	if missing := lacking(page.body, `<span class="cell used">3<span class="hidden"> used`, `</span>1<span class="hidden"> denied</span>`, "granted, not used",
		"1 of 2 used (50%)", "imported, by its digest", "To be rotated every 90d, for the token states nothing else", "a@b.example",
		"/console/tokens/acme/client/rotate", "/console/tokens/acme/client/deactivate", "/console/tokens/acme/client/delete",
		"It was made within the window", `class="chart"`, "Denied in the last 30 days, by reason", "<b>create</b>"); page.status != http.StatusOK || len(missing) > 0 {
		t.Errorf("the page is answered %d, without %q: %s", page.status, missing, page.body)
	}
	if strings.Contains(page.body, "/console/tokens/acme/client/activate") || strings.Contains(page.body, "style=") {
		t.Error("the page has a button that makes no sense, or a style of its own")
	}
	page = viewer.get(t, "/console/tokens/acme/client")
	if page.status != http.StatusOK || strings.Contains(page.body, "/client/rotate") || strings.Contains(page.body, "/client/delete") || len(lacking(page.body, "cell used")) > 0 {
		t.Errorf("the viewer's page is answered %d %s", page.status, page.body)
	}
	page = admin.get(t, "/console/tokens/acme/hostile")
	if missing := lacking(page.body, "&lt;script&gt;alert(&#39;description&#39;)", "&lt;img src=x onerror", "No credential yet", "/acme/hostile/issue"); len(missing) > 0 {
		t.Errorf("the page lacks %q: %s", missing, page.body)
	}
	if strings.Contains(page.body, "<script>alert") || strings.Contains(page.body, "<img src=x") {
		t.Error("the page lets markup through")
	}
	for path, status := range map[string]int{"acme/nobody": http.StatusNotFound, "acme/a%2fb": http.StatusNotFound, "acme/off": http.StatusOK, "acme/old": http.StatusOK, "ops/admin": http.StatusOK} {
		if page := admin.get(t, "/console/tokens/"+path); page.status != status {
			t.Errorf("%s is answered %d, want %d", path, page.status, status)
		}
	}
}
