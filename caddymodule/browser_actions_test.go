package caddymodule_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
)

// submit is the button of the form that a page is about.
const submit = "main form[method=post] button:not([type=button], .default, [formaction])"

// testBrowserActions does what an administrator can do to a token, by clicking.
func testBrowserActions(t *testing.T, b *chromium, g *company) {
	t.Helper()
	p := b.open(t, g.gateway)
	p.allowClipboard(t)
	p.signIn(t, "admin")

	p.visit(t, "/console/tokens/initech/inventory/issue", http.StatusOK)
	if status := p.click(t, submit); status != http.StatusOK {
		t.Fatalf("issuing: got %d", status)
	}
	p.wantGood(t, "the credential")
	first := p.text(t, "#credential")
	if !g.accepts(t, first) {
		t.Errorf("the credential that is shown is not accepted: %.8s…", first)
	}
	if strings.Contains(p.path(t), "sgt_") {
		t.Error("the credential is in the address")
	}
	get(t, p, "copying", chromedp.Click(chromedp.CSS("button[data-copy]")))
	get(t, p, "waiting for the button to say that it has copied", chromedp.PollFunction[bool](`() => document.querySelector("button[data-copy]").textContent == "Copied"`))
	if got := get(t, p, "the clipboard", chromedp.Evaluate[string]("navigator.clipboard.readText()", chromedp.EvalAwaitPromise)); got != first {
		t.Errorf("the button copies %.8s…, want the credential", got)
	}
	if status := p.leads(t, "loading the page again", chromedp.Reload()); status != http.StatusConflict {
		t.Errorf("the page of a credential, loaded again: got %d, want 409", status)
	}
	p.wantGood(t, "the credential, again")
	if strings.Contains(p.text(t, "body"), "sgt_") {
		t.Error("the page of a credential, loaded again, shows one")
	}

	p.visit(t, "/console/tokens/initech/inventory/rotate", http.StatusOK)
	get(t, p, "choosing an overlap", chromedp.Click(chromedp.CSS(`input[name=overlap][value="7d"]`)))
	p.click(t, submit)
	second := p.text(t, "#credential")
	if second == first || !g.accepts(t, first) || !g.accepts(t, second) {
		t.Error("during the overlap, one of the two credentials is refused")
	}
	p.visit(t, "/console/tokens/initech/inventory/retire", http.StatusOK)
	p.wantGood(t, "retire")
	p.click(t, submit)
	if g.accepts(t, first) || !g.accepts(t, second) {
		t.Error("after retiring, the old credential is accepted, or the new one is not")
	}
	p.visit(t, "/console/tokens/initech/inventory/deactivate", http.StatusOK)
	p.click(t, submit)
	if g.accepts(t, second) {
		t.Error("after deactivating, the token is accepted")
	}
	p.visit(t, "/console/tokens/initech/inventory/activate", http.StatusOK)
	p.click(t, submit)
	if !g.accepts(t, second) {
		t.Error("after activating, the token is not accepted")
	}
	p.visit(t, "/console/tokens/initech/inventory/delete", http.StatusOK)
	p.fill(t, "#confirm", "initech/inventory")
	p.click(t, submit)
	if g.accepts(t, second) {
		t.Error("after deleting, the token is accepted")
	}
}

// testBrowserCreate creates an account, a token in it, and deletes them again.
func testBrowserCreate(t *testing.T, b *chromium, g *company) {
	t.Helper()
	p := b.open(t, g.gateway)
	p.signIn(t, "admin")
	p.visit(t, "/console/create-account", http.StatusOK)
	p.fill(t, "#f-name", "umbrella")
	p.fill(t, "#f-title", "Umbrella")
	if status := p.click(t, submit); status != http.StatusOK {
		t.Fatalf("creating an account: got %d", status)
	}
	p.wants(t, "h1", "umbrella")
	p.beginToken(t, "umbrella", "reader")
	p.wantGood(t, "create a token, refused")
	p.finishToken(t)
	p.visit(t, "/console/tokens/umbrella/reader/issue", http.StatusOK)
	p.click(t, submit)
	if !g.accepts(t, p.text(t, "#credential")) {
		t.Error("the credential of the token that was created is not accepted")
	}
	p.visit(t, "/console/tokens/umbrella/reader/delete", http.StatusOK)
	p.fill(t, "#confirm", "umbrella/reader")
	p.click(t, submit)
	p.visit(t, "/console/accounts/umbrella/delete", http.StatusOK)
	if status := p.click(t, submit); status != http.StatusOK {
		t.Errorf("deleting the account: got %d", status)
	}
	p.wants(t, "[role=status]", "deleted")
}

// beginToken fills in the form of a token that may do what is marked at first of version 2
// of orders, which is to read, and sends it without what is required.
func (p *tab) beginToken(t *testing.T, account, name string) {
	t.Helper()
	p.visit(t, "/console/create-token?account="+account, http.StatusOK)
	p.fill(t, "#f-name", name)
	get(t, p, "choosing an API", chromedp.SetValue(chromedp.CSS("#offer"), "orders/v2"))
	if status := p.click(t, "button[value=add]"); status != http.StatusOK {
		t.Fatalf("adding an API: got %d", status)
	}
	for _, label := range get(t, p, "what is marked", chromedp.AttributesAll(chromedp.CSSAll("input[name=grant]:checked"))) {
		if !strings.HasPrefix(label["aria-label"], "GET ") {
			t.Errorf("%s is marked at first", label["aria-label"])
		}
	}
	// What is missing is told, and what was typed stays.
	get(t, p, "leaving the browser's own checks out", chromedp.SetAttributeValue(chromedp.CSS(submit+".primary"), "formnovalidate", ""))
	if status := p.click(t, submit+".primary"); status != http.StatusUnprocessableEntity {
		t.Fatalf("creating a token without a description: got %d, want 422", status)
	}
	if got := get(t, p, "the name", chromedp.Value(chromedp.CSS("#f-name"))); got != name {
		t.Errorf("the form came back with the name %q, want %q", got, name)
	}
}

// finishToken fills in the rest, and creates the token.
func (p *tab) finishToken(t *testing.T) {
	t.Helper()
	p.fill(t, "#f-description", "Reads orders.")
	p.fill(t, "#f-email", "orders@umbrella.example")
	if status := p.click(t, submit+".primary"); status != http.StatusOK {
		t.Fatalf("creating a token: got %d", status)
	}
}

// testBrowserExplain asks why a request is refused.
func testBrowserExplain(t *testing.T, b *chromium, g *company) {
	t.Helper()
	p := b.open(t, g.gateway)
	p.signIn(t, "admin")
	p.visit(t, "/console/explain", http.StatusOK)
	p.fill(t, "#f-token", "globex/connector")
	p.fill(t, "#f-url", "/orders/v2/7")
	if status := p.click(t, submit); status != http.StatusOK {
		t.Fatalf("explaining: got %d", status)
	}
	p.wants(t, "#answer", "version_not_granted")
	get(t, p, "a header field", chromedp.SendKeys(chromedp.CSS("#f-header"), "X-Test: "+payload("header")))
	p.fill(t, "#f-url", "/orders/v1/7")
	p.click(t, submit)
	p.wants(t, "#answer", "Allowed")
}

// allowClipboard lets the test read what a page has copied.
func (p *tab) allowClipboard(t *testing.T) {
	t.Helper()
	p.call(t, func(ctx context.Context) error {
		_, err := chromedp.CallBrowser(ctx, cdpbrowser.SetPermission, cdpbrowser.SetPermissionParams{
			Permission:       &cdpbrowser.PermissionDescriptor{Name: "clipboard-read"},
			Setting:          cdpbrowser.PermissionSettingGranted,
			BrowserContextID: chromedp.FromContext(p.ctx).BrowserContextID,
		})
		return err
	})
}

// testBrowserWithoutScript signs in, creates a token and switches one off in a browser that runs
// no script.
func testBrowserWithoutScript(t *testing.T, b *chromium, g *company) {
	t.Helper()
	p := b.open(t, g.gateway)
	p.script(t, false)
	p.signIn(t, "admin")
	p.wants(t, "h1", "Overview")
	p.beginToken(t, "initech", "scanner")
	p.finishToken(t)
	p.visit(t, "/console/tokens/initech/kiosk/deactivate", http.StatusOK)
	p.click(t, submit)
	if g.accepts(t, "kiosk") {
		t.Error("after deactivating without script, the token is accepted")
	}
	p.visit(t, "/console/tokens/initech/kiosk/rotate", http.StatusOK)
	p.click(t, submit)
	p.wants(t, "#credential", "sgt_")
	p.click(t, ".who button")
	p.wants(t, "label", "Credential")
}

// testBrowserForgedForms: who may only look changes nothing, whatever he sends.
func testBrowserForgedForms(t *testing.T, b *chromium, g *company) {
	t.Helper()
	p := b.open(t, g.gateway)
	p.signIn(t, "viewer")
	for _, action := range []string{"deactivate", "delete", "rotate", "issue", "retire", "activate"} {
		for name, form := range map[string]string{
			"with the session's form token": `document.querySelector("[name=form]").value`,
			"with none":                     `""`,
		} {
			p.visit(t, "/console/", http.StatusOK)
			status := p.leads(t, action, chromedp.Evaluate[chromedp.Void](`(() => {
				const form = document.createElement("form");
				form.method = "post";
				form.action = "/console/tokens/initech/label-printer/`+action+`";
				for (const [name, value] of [["form", `+form+`], ["confirm", "initech/label-printer"], ["before", ""], ["overlap", "0"]]) {
					const input = document.createElement("input");
					input.name = name;
					input.value = value;
					form.append(input);
				}
				document.body.append(form);
				form.submit();
			})()`))
			if status != http.StatusForbidden {
				t.Errorf("%s, %s: got %d, want 403", action, name, status)
			}
		}
	}
	if !g.accepts(t, "label-printer") {
		t.Error("a forged form has changed the token")
	}
}
