package caddymodule_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store"
)

// testBrowserPolicy: what is not the page's own does not run, wherever it came from.
func testBrowserPolicy(t *testing.T, b *chromium, g *company) {
	t.Helper()
	p := b.open(t, g.gateway)
	p.signIn(t, "viewer")
	eval[any](t, p, canary+`("called")`)
	if got := p.complaints(); len(got) != 1 {
		t.Fatalf("got %q, want that the call was heard: no other test proves anything", got)
	}
	for name, html := range map[string]string{
		"handler":   `<img src="/console/none" onerror="` + canary + `('handler')">`,
		"script":    `<script>` + canary + `('script')</script>`,
		"elsewhere": `<script src="https://elsewhere.example/x.js"></script>`,
		"image":     `<img src="https://elsewhere.example/x.png">`,
		"style":     `<p style="color: red">x</p>`,
		"frame":     `<iframe src="/console/"></iframe>`,
		"link":      `<a id="attack" href="javascript:` + canary + `('link')">x</a>`,
		"form":      `<form action="https://elsewhere.example/"><button id="attack">x</button></form>`,
	} {
		p.visit(t, "/console/", http.StatusOK)
		eval[any](t, p, `(() => {
			const range = document.createRange(); // unlike innerHTML, it makes scripts that run
			document.querySelector("main").append(range.createContextualFragment(`+quoteScript(html)+`));
			document.querySelector("#attack")?.click();
		})()`)
		var got []string
		poll(t, name+" is stopped by the policy", func() bool {
			got = append(got, p.complaints()...)
			return strings.Contains(strings.Join(got, "\n"), "the policy stopped")
		})
		for _, complaint := range got {
			if strings.Contains(complaint, "script: "+name) {
				t.Errorf("%s ran: %s", name, complaint)
			}
		}
	}
	p.visit(t, "/console/", http.StatusOK)
	p.complaints() // those of what was stopped
}

// quoteScript quotes a text for script.
func quoteScript(text string) string {
	return "`" + strings.NewReplacer("`", "\\`", "$", "\\$").Replace(text) + "`"
}

// payload is a text that runs script wherever it is not shown as a text.
func payload(where string) string {
	return `"'></title></textarea></script><img src=x onerror=` + canary + `('` + where + `')>{{.}}` + "${" + canary + "(1)}"
}

// attackFile has a payload in every text that it may have one in.
func attackFile(time.Time) string {
	quote := func(where string) string { return "'" + strings.ReplaceAll(payload(where), "'", "''") + "'" }
	return `format: 1
apis:
  orders:
    title: ` + quote("API title") + `
    versions: ["v1"]
    upstream: [http://127.0.0.1:9000]
    operations:
      list: GET /orders/{version}
      one: GET /orders/{version}/<img src=x onerror=` + canary + `('template')>/{id}
accounts:
  acme:
    title: ` + quote("account title") + `
    ids: ["<img-src=x>"]
    tokens:
      victim:
        description: ` + quote("description") + `
        contact: {name: ` + quote("contact name") + `, email: "'onfocus=` + canary + `'@acme.example"}
        credential: ` + digestOf("victim") + `
        scopes:
          - {api: orders, methods: [GET]}
  ops:
    tokens:
` + opsTokens(`[{api: scopegate, methods: ["*"]}, {api: orders, methods: ["*"]}]`, "admin")
}

// testBrowserAttacks: no text that anybody can bring into a page is more than a text there.
func testBrowserAttacks(t *testing.T, b *chromium) {
	t.Helper()
	g := newGateway(t, consoleSite(freeAddr(t)), "")
	past := makePast(t, g, 2, attackFile)
	past.count(t, &used{"acme/victim", "orders", "list", "v1", "GET", scopes.Allowed, 1, 200}, 3)
	for _, change := range []func() (store.Token, error){
		func() (store.Token, error) {
			return past.store.Deactivate(t.Context(), store.Actor{Name: payload("actor")}, "acme/victim")
		},
		func() (store.Token, error) {
			return past.store.Activate(t.Context(), store.Actor{Name: payload("actor")}, "acme/victim")
		},
	} {
		token, err := change()
		past.must(t, token, err)
	}
	past.close(t)
	g.start(t)
	p := b.open(t, g)
	p.visit(t, "/console/sign-in?to="+url.QueryEscape(payload("to")), http.StatusOK)
	p.visit(t, "/console/sign-in?to="+url.QueryEscape("javascript:"+canary+"('to')"), http.StatusOK)
	p.signIn(t, "admin")
	p.wants(t, "h1", "Overview")
	seen := p.crawl(t, "/console/")
	query := url.QueryEscape(payload("query"))
	for _, page := range []string{
		"accounts?search=", "apis?search=", "audit?name=", "audit?actor=", "audit?since=", "audit?kind=", "audit?after=", "?done=", "?window=",
		"create-token?account=", "create-token?api=", "explain?method=GET&url=", "explain?token=", "explain?from=", "explain?header=",
	} {
		p.shows(t, "/console/"+page+query)
	}
	for _, segment := range []string{"", "accounts/", "apis/", "tokens/acme/", "tokens/acme/victim/"} {
		p.shows(t, "/console/"+segment+url.PathEscape(payload("path")))
	}
	for _, where := range []string{"API title", "account title", "description", "contact name", "actor"} {
		if !strings.Contains(seen, "('"+where+"')") {
			t.Errorf("no page shows the payload in the %s: nothing is proven by that nothing ran", where)
		}
	}
}

// crawl visits a page and all that it and those lead to, each kind with some parameters of
// its query, and returns what is to be read there.
func (p *tab) crawl(t *testing.T, start string) string {
	t.Helper()
	var seen strings.Builder
	done := map[string]bool{}
	for left := []string{start}; len(left) > 0; left = left[1:] {
		path := left[0]
		if done[path] || len(done) > 100 {
			continue
		}
		done[path] = true
		if status := p.shows(t, path); status != http.StatusOK {
			t.Errorf("a page has a link to %s, which is answered %d", path, status)
		}
		seen.WriteString(eval[string](t, p, `document.body.textContent + " " + [...document.querySelectorAll("[title], [aria-label], [value], [placeholder]")].map((e) => e.outerHTML).join(" ")`))
		left = append(left, eval[[]string](t, p, `[...document.querySelectorAll("main a[href], nav a[href]")].map((a) => a.href)
			.filter((h) => h.startsWith(location.origin + "/console/")).map((h) => h.slice(location.origin.length).replace(/#.*/, ""))`)...)
	}
	return seen.String()
}

// shows opens a page, and returns its status. It fails the test if a payload became an
// element there.
func (p *tab) shows(t *testing.T, path string) int {
	t.Helper()
	response := get(t, p, "visiting "+path, chromedp.NavigateResponse(p.site+path))
	if response == nil || response.Status >= http.StatusInternalServerError {
		t.Fatalf("visiting %s: got %v, want a page", path, response)
	}
	if eval[bool](t, p, `!!document.querySelector("[src='x'], [onerror], [onfocus]")`) {
		t.Errorf("%s: a payload became an element or an attribute", path)
	}
	return int(response.Status)
}
