package caddymodule_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// createFile has an account that is nearly full, an administrator of part of the APIs, and
// markup wherever a scope file takes text.
func createFile() string {
	text := roleFile()
	text = strings.Replace(text, "  partners:\n", "  partners:\n    title: "+markup+"\n", 1)
	return text + fmt.Sprintf("  full:\n    title: %s\n    max_active_tokens: 1\n    tokens:\n      only: {description: %s, contact: {name: %s, email: a@b.example}, scopes: [{api: partners, methods: [GET]}]}\n", markup, markup, markup)
}

// markup is text that would be markup, if it got into a page as it is.
const markup = `'"><script>alert(1)</script><img src=x onerror=alert(2)>'`

var checkedGrant = regexp.MustCompile(`name="grant" value="([^"]+)"[^>]* checked`)

// checkedIn returns the grants that are checked in a form.
func checkedIn(page reply) []string {
	var checked []string
	for _, found := range checkedGrant.FindAllStringSubmatch(page.body, -1) {
		checked = append(checked, html.UnescapeString(found[1]))
	}
	return checked
}

// newToken is what a form to create a token is filled with.
func newToken(name string, more ...string) url.Values {
	form := url.Values{
		"do": {"create"}, "account": {"acme"}, "name": {name}, "description": {"Copies “orders” & more."}, "email": {"data@acme.example"},
		"choice": {"orders/v1"}, "grant": {"orders/v1 GET list", "orders/v1 GET one"},
	}
	for pair := range slices.Chunk(more, 2) {
		form.Set(pair[0], pair[1])
	}
	return form
}

// TestConsoleCreateToken chooses scopes step by step, and creates a token with them.
func TestConsoleCreateToken(t *testing.T) {
	t.Parallel()
	g := startGateway(t, adminSite("", freeAddr(t)), createFile())
	b := signIn(t, g, "admin")
	const path = "/console/create-token"
	if page := b.get(t, path+"?account=acme"); page.status != http.StatusOK || !strings.Contains(page.body, `value="acme"`) || len(checkedIn(page)) != 0 {
		t.Fatalf("the form is answered %d %s", page.status, page.body)
	}
	added := b.post(t, path, newToken("made", "do", "add", "offer", "partners/"))
	if got := strings.Join(checkedIn(added), "; "); got != "orders/v1 GET list; orders/v1 GET one; partners/ GET actions" {
		t.Errorf("with an API added, the form has %q: %d", got, added.status)
	}
	for _, kept := range []string{`value="made"`, `value="data@acme.example"`, `value="Copies “orders” &amp; more."`} {
		if !strings.Contains(added.body, kept) {
			t.Errorf("with an API added, the form lacks %s", kept)
		}
	}
	fresh := b.post(t, path, url.Values{"do": {"add"}, "offer": {"orders/v2"}})
	if got := strings.Join(checkedIn(fresh), "; "); got != "orders/v2 GET list; orders/v2 GET one" {
		t.Errorf("of an API that is added, %q is checked", got)
	}
	removed := b.post(t, path, newToken("made", "do", "remove orders/v1"))
	if len(checkedIn(removed)) != 0 || !strings.Contains(removed.body, `value="made"`) {
		t.Errorf("with the API removed, the form is %s", removed.body)
	}

	form := newToken("made", "environment", "test", "expires", "2098-04-01", "sources", "127.0.0.0/8, 10.0.0.0/8", "contact", "Data team", "rotate_every", "90d")
	made := b.post(t, path, form)
	if made.status != http.StatusSeeOther || made.header.Get("Location") != "/console/tokens/acme/made/issue?done=token-created" {
		t.Fatalf("creating is answered %d %v %s", made.status, made.header, made.body)
	}
	state := g.stateOf(t, "made")
	for _, part := range []string{
		`"scopes":[{"api":"orders","versions":["v1"],"methods":["GET"],"operations":["list","one"]}]`, `"environment":"test"`, `"expires":"2098-04-01T00:00:00Z"`,
		`"sources":["127.0.0.0/8","10.0.0.0/8"]`, `"contact":{"name":"Data team","email":"data@acme.example"}`, `"rotate_every":"90d"`, `"credentials":[]`,
	} {
		if !strings.Contains(state, part) {
			t.Errorf("the token lacks %s: %s", part, state)
		}
	}
	if page := b.get(t, made.header.Get("Location")); !strings.Contains(page.body, "The token is created") || !strings.Contains(page.body, "Issue the credential") {
		t.Errorf("then, the page is %s", page.body)
	}
	again := b.post(t, path, form)
	if again.status != http.StatusConflict || !strings.Contains(again.body, "a token of this name already") || !strings.Contains(again.body, `href="/console/tokens/acme/made"`) {
		t.Errorf("sent again, it is answered %d %s", again.status, again.body)
	}
}

// What is wrong with a token to create is shown where it belongs, and what was typed stays.
func TestConsoleCreateTokenRefused(t *testing.T) {
	t.Parallel()
	g := startGateway(t, adminSite("", freeAddr(t)), createFile())
	admin, brief := signIn(t, g, "admin"), signIn(t, g, "brief")
	for _, c := range []struct {
		name   string
		by     *browser
		form   url.Values
		status int
		field  string // which has the problem, or "" for one over the form
		want   string
	}{
		{"no description", admin, newToken("x", "description", ""), 422, "description", "This is needed."},
		{"a name that is none", admin, newToken("no name"), 422, "name", "Letters, digits"},
		{"no address", admin, newToken("x", "email", "nobody"), 422, "email", "expected an email address"},
		{"no date", admin, newToken("x", "expires", "soon"), 422, "expires", "expires is a date"},
		{"no network", admin, newToken("x", "sources", "here"), 422, "sources", "expected an address"},
		{"no environment", admin, newToken("x", "environment", "moon"), 422, "environment", "environment is"},
		{"no scopes", admin, newToken("x", "grant", ""), 422, "", "at least one operation"},
		{"no such account", admin, newToken("x", "account", "nobody"), 403, "account", "no such account"},
		{"a full account", admin, newToken("x", "account", "full"), 409, "account", "limit of active tokens"},
		{"beyond the authority", admin, newToken("x", "grant", "orders/v1 POST list"), 403, "", "beyond the authority"},
		{"it outlives its maker", brief, newToken("x", "sources", "127.0.0.1"), 403, "", "let it expire no later"},
		{"from elsewhere", brief, newToken("x", "expires", "2098-01-01"), 403, "", "give it sources within these"},
	} {
		got := c.by.post(t, "/console/create-token", c.form)
		body := html.UnescapeString(got.body)
		if got.status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: got %d %s\nwant %d …%s…", c.name, got.status, got.body, c.status, c.want)
		}
		if at := strings.Index(body, `id="f-`+c.field+`-problem"`); c.field != "" && (at < 0 || !strings.Contains(body[at:at+len(c.want)+300], c.want)) {
			t.Errorf("%s: the field %s does not have the problem", c.name, c.field)
		}
		if c.form.Get("name") != "" && !strings.Contains(got.body, `value="`+c.form.Get("name")+`"`) || c.form.Get("grant") == "orders/v1 GET list" && len(checkedIn(got)) != 2 {
			t.Errorf("%s: what was typed is gone: %s", c.name, got.body)
		}
	}
	if got := g.manage(t, "viewer", "GET", "/scopegate/tokens/acme/x", "", ""); got.status != http.StatusNotFound {
		t.Errorf("one was created: %s", got.body)
	}
}

// TestConsoleAccounts creates, shows and deletes an account.
func TestConsoleAccounts(t *testing.T) {
	t.Parallel()
	g := startGateway(t, adminSite("", freeAddr(t)), createFile())
	b := signIn(t, g, "admin")
	const path = "/console/create-account"
	for name, c := range map[string]struct {
		form   url.Values
		status int
		want   string
	}{
		"no name":   {url.Values{"title": {"x"}}, 422, `id="f-name-problem"`},
		"bad name":  {url.Values{"name": {"<b>"}}, 422, `id="f-name-problem"`},
		"bad limit": {url.Values{"name": {"fresh"}, "max": {"-1"}}, 422, `id="f-max-problem"`},
		"high":      {url.Values{"name": {"fresh"}, "max": {"999999999"}}, 422, `id="f-max-problem"`},
		"it exists": {url.Values{"name": {"acme"}}, 409, "exists already"},
	} {
		if got := b.post(t, path, c.form); got.status != c.status || !strings.Contains(got.body, c.want) {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
		}
	}
	made := b.post(t, path, url.Values{"name": {"fresh"}, "title": {markup}, "max": {"3"}})
	if made.status != http.StatusSeeOther || made.header.Get("Location") != "/console/accounts/fresh?done=account-created" {
		t.Fatalf("creating is answered %d %v", made.status, made.header)
	}
	if page := b.get(t, made.header.Get("Location")); !strings.Contains(page.body, "The account is created") || !strings.Contains(page.body, "0 of 3") {
		t.Errorf("its page is %d %s", page.status, page.body)
	}
	if page := b.get(t, "/console/accounts?search=fre"); !strings.Contains(page.body, "/console/accounts/fresh") || strings.Contains(page.body, "/console/accounts/acme") {
		t.Errorf("searched, the accounts are %d %s", page.status, page.body)
	}
	if page := b.get(t, "/console/accounts/acme/delete"); page.status != http.StatusOK || strings.Contains(page.body, "data-once") {
		t.Errorf("an account with tokens has the button to delete it: %d", page.status)
	}
	if got := b.post(t, "/console/accounts/acme/delete", nil); got.status != http.StatusConflict {
		t.Errorf("deleting an account with tokens is answered %d", got.status)
	}
	if page := b.get(t, "/console/accounts/fresh/delete"); !strings.Contains(page.body, "data-once") {
		t.Errorf("the page to delete it is %d %s", page.status, page.body)
	}
	if got := b.post(t, "/console/accounts/fresh/delete", nil); got.header.Get("Location") != "/console/accounts?done=account-deleted" {
		t.Errorf("deleting it is answered %d %v", got.status, got.header)
	}
	if got := b.get(t, "/console/accounts/fresh"); got.status != http.StatusNotFound {
		t.Errorf("then, its page is answered %d", got.status)
	}
}
