package caddymodule_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// browserPage is a page, in a state, that all checks of pages look at.
type browserPage struct {
	name, path string
	status     int    // 0: 200
	viewer     int    // the status for who may only look, if another
	fill       string // what to type into the first field of its form
	act        string // a selector of what to click then, so that the page is in that state
	then       int    // the status after that
}

// browserPages are all pages of the console, on the estate.
var browserPages = []browserPage{
	{name: "overview", path: "/console/"},
	{name: "accounts", path: "/console/accounts"},
	{name: "accounts, none found", path: "/console/accounts?search=nobody"},
	{name: "account", path: "/console/accounts/acme"},
	{name: "account, unknown", path: "/console/accounts/nobody", status: http.StatusNotFound},
	{name: "create an account", path: "/console/create-account", viewer: http.StatusForbidden},
	{
		name: "create an account, refused", path: "/console/create-account", viewer: http.StatusForbidden,
		fill: "acme", act: submit, then: http.StatusConflict,
	},
	{name: "delete an account, with tokens", path: "/console/accounts/acme/delete", viewer: http.StatusForbidden},
	{name: "delete an account", path: "/console/accounts/hooli/delete", viewer: http.StatusForbidden},
	{name: "APIs", path: "/console/apis"},
	{name: "API", path: "/console/apis/orders"},
	{name: "API, built in", path: "/console/apis/scopegate"},
	{name: "nodes", path: "/console/nodes"},
	{name: "audit", path: "/console/audit"},
	{name: "audit, filtered", path: "/console/audit?name=acme%2Freturns&action=deactivate"},
	{name: "audit, wrong filter", path: "/console/audit?since=tomorrow", status: http.StatusBadRequest},
	{name: "explain", path: "/console/explain", viewer: http.StatusForbidden},
	{
		name: "explain, denied", path: "/console/explain?token=globex%2Fconnector&method=DELETE&url=%2Forders%2Fv1%2F7&header=X-Trace%3A+1",
		viewer: http.StatusForbidden,
	},
	{name: "explain, wrong", path: "/console/explain?token=nobody%2Fx&method=GET&url=%2Forders", status: http.StatusBadRequest, viewer: http.StatusForbidden},
	{name: "create a token", path: "/console/create-token?account=acme", viewer: http.StatusForbidden},
	{name: "create a token, with an API", path: "/console/create-token?account=acme&api=orders", viewer: http.StatusForbidden},
	{name: "tokens", path: "/console/tokens"},
	{name: "tokens, searched", path: "/console/tokens?search=app&state=active"},
	{name: "tokens, none found", path: "/console/tokens?search=nobody"},
	{name: "token, used", path: "/console/tokens/acme/storefront"},
	{name: "token, of little use", path: "/console/tokens/northwind/mobile-app"},
	{name: "token, due for rotation", path: "/console/tokens/acme/nightly-sync"},
	{name: "token, legacy", path: "/console/tokens/acme/old-erp"},
	{name: "token, inactive", path: "/console/tokens/acme/returns"},
	{name: "token, unknown", path: "/console/tokens/acme/nobody", status: http.StatusNotFound},
	{name: "issue", path: "/console/tokens/northwind/staging/issue", viewer: http.StatusForbidden},
	{name: "rotate", path: "/console/tokens/acme/storefront/rotate", viewer: http.StatusForbidden},
	{name: "deactivate", path: "/console/tokens/acme/storefront/deactivate", viewer: http.StatusForbidden},
	{name: "activate", path: "/console/tokens/acme/returns/activate", viewer: http.StatusForbidden},
	{name: "cannot activate", path: "/console/tokens/acme/storefront/activate", viewer: http.StatusForbidden},
	{name: "delete", path: "/console/tokens/acme/storefront/delete", viewer: http.StatusForbidden},
	{
		name: "delete, not confirmed", path: "/console/tokens/acme/storefront/delete", viewer: http.StatusForbidden,
		fill: "acme/other", act: submit, then: http.StatusUnprocessableEntity,
	},
	{name: "not found", path: "/console/nothing", status: http.StatusNotFound},
	{name: "not for a viewer", path: "/console/tokens/acme/storefront/delete", viewer: http.StatusForbidden},
}

// statusFor returns the status of a page.
func (c *browserPage) statusFor(viewer bool) int {
	switch {
	case viewer && c.viewer != 0:
		return c.viewer
	case c.status != 0:
		return c.status
	}
	return http.StatusOK
}

// show shows the page in its state.
func (c *browserPage) show(t *testing.T, p *tab, viewer bool) {
	t.Helper()
	p.visit(t, c.path, c.statusFor(viewer))
	if c.act == "" || viewer && c.viewer != 0 {
		return
	}
	if c.fill != "" {
		p.fill(t, "main form input:not([type=hidden])", c.fill)
	}
	if got := p.click(t, c.act); got != c.then {
		t.Fatalf("%s: clicking on %s: got %d, want %d", c.name, c.act, got, c.then)
	}
}

func testBrowserAdministrator(t *testing.T, b *chromium, g *company) {
	t.Helper()
	p := b.open(t, g.gateway)
	p.visit(t, "/console/sign-in", http.StatusOK)
	p.wantGood(t, "sign in")
	p.fill(t, "#credential", "sgt_unknown")
	p.click(t, "button.primary")
	p.wantGood(t, "sign in, refused")
	p.signIn(t, "admin")
	for i := range browserPages {
		browserPages[i].show(t, p, false)
		p.wantGood(t, browserPages[i].name)
	}
}

// testBrowserViewer: who may only look sees no way to change anything.
func testBrowserViewer(t *testing.T, b *chromium, g *company) {
	t.Helper()
	p := b.open(t, g.gateway)
	p.signIn(t, "viewer")
	for i := range browserPages {
		c := &browserPages[i]
		c.show(t, p, true)
		if got := eval[[]string](t, p, `[...document.querySelectorAll("form[method=post]")].map((f) => f.getAttribute("action")).filter((a) => a != "/console/sign-out")`); len(got) > 0 {
			t.Errorf("%s: who may only look can send the forms %q", c.name, got)
		}
	}
	p.wantAccessible(t, "what a viewer may not see")
}

// wantGood fails the test unless everybody can use the page that is shown, in light and
// dark, on a desk and on a phone.
func (p *tab) wantGood(t *testing.T, name string) {
	t.Helper()
	p.screen(t, 1280, 900, "dark") // nothing but the colours differs
	p.wantAccessible(t, name+", dark", "color-contrast", "link-in-text-block")
	for _, width := range []int64{1280, 390} {
		p.screen(t, width, 900, "light")
		where := fmt.Sprintf("%s, %d wide", name, width)
		if width == 390 { // nothing but the layout differs
			p.wantAccessible(t, where, layoutRules...)
		} else {
			p.wantAccessible(t, where)
		}
		if wide := eval[int64](t, p, "document.documentElement.scrollWidth"); wide > width {
			t.Errorf("%s: the page is %d wide, and scrolls: %s", where, wide, eval[string](t, p, widest))
		}
	}
}

// layoutRules are those of axe-core whose outcome depends on the width of the window.
var layoutRules = []string{
	"aria-hidden-focus", "bypass", "empty-table-header", "heading-order", "label", "link-name", "list", "listitem", "region",
	"scrollable-region-focusable", "skip-link", "target-size", "td-headers-attr", "th-has-data-cells",
}

// widest tells what is beyond the right edge.
const widest = `[...document.querySelectorAll("main *, header *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
	.slice(0, 5).map((e) => e.tagName + "." + e.className + " " + e.textContent.trim().slice(0, 30)).join("; ")`

// Controls that Tab has to reach: of radio buttons of one name, one is enough.
const controls = `(() => {
	const radios = new Set();
	window.scopegateControls = [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']")].filter((e) => {
		if (e.disabled || e.tabIndex < 0 || !e.checkVisibility({visibilityProperty: true})) return false;
		if (e.type != "radio") return true;
		if (radios.has(e.name)) return false;
		radios.add(e.name);
		return true;
	});
	window.scopegateReached = new Set();
	document.activeElement.blur();
	return scopegateControls.length + 4 * document.querySelectorAll("input[type=date]").length; // which has parts of its own
})()`

// reached notes which control has the focus, and returns what is wrong with how it is shown.
const reached = `(() => {
	const e = document.activeElement;
	scopegateReached.add(e.type == "radio" ? e.name : e);
	if (e == document.body || e.type == "date") return ""; // of a date, a part is marked
	const style = getComputedStyle(e), box = e.getBoundingClientRect();
	if (style.outlineStyle == "none" && style.boxShadow == "none") return "no mark of the focus on " + e.outerHTML.slice(0, 80);
	if (box.bottom < 0 || box.top > innerHeight || box.right < 0 || box.left > innerWidth) return "the focus is out of sight on " + e.outerHTML.slice(0, 80);
	return "";
})()`

const missed = `scopegateControls.filter((e) => !scopegateReached.has(e.type == "radio" ? e.name : e)).map((e) => e.outerHTML.slice(0, 80))`

// testBrowserKeyboard: Tab reaches all there is, and shows where one is. With SCOPEGATE_SOAK=1
// it does so on every page, not on every fourth.
func testBrowserKeyboard(t *testing.T, b *chromium, g *company) {
	t.Helper()
	p := b.open(t, g.gateway)
	p.visit(t, "/console/sign-in", http.StatusOK)
	if got := eval[string](t, p, "document.activeElement.id"); got != "credential" {
		t.Errorf("on the page to sign in, the focus is on %q, want the field", got)
	}
	p.press(t, secretOf("typist"))
	if status := p.leads(t, "Enter", chromedp.KeyEvent(kb.Enter)); status != http.StatusOK {
		t.Fatalf("Enter in the page to sign in: got %d", status)
	}
	p.press(t, kb.Tab)
	if got := eval[string](t, p, `document.activeElement.className`); got != "skip" {
		t.Errorf("the first Tab leads to %q, want the link over the navigation", got)
	}
	p.press(t, kb.Enter)
	if got := eval[string](t, p, "document.activeElement.id"); got != "main" {
		t.Errorf("the link over the navigation leads to %q, want main", got)
	}
	for i := 0; i < len(browserPages); i += often(4, 1) {
		c := &browserPages[i]
		c.show(t, p, false)
		for range eval[int](t, p, controls) + 1 {
			p.press(t, kb.Tab)
			if fault := eval[string](t, p, reached); fault != "" {
				t.Errorf("%s: %s", c.name, fault)
			}
		}
		if left := eval[[]string](t, p, missed); len(left) > 0 {
			t.Errorf("%s: Tab does not reach %q", c.name, left)
		}
	}
}

// press presses keys.
func (p *tab) press(t *testing.T, keys string) {
	t.Helper()
	get(t, p, "typing", chromedp.KeyEvent(keys))
}
