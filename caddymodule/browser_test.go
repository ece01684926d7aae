package caddymodule_test

import (
	"net/http"
	"testing"
)

// TestBrowser uses the console as people do, with a browser.
func TestBrowser(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	g := startCompany(t)
	for _, c := range []struct {
		name string
		run  func(*testing.T, *chromium, *company)
	}{
		{"sign in", testBrowserSignIn},
		{"a session ends with its token", testBrowserSessionEnds},
		{"policy", testBrowserPolicy},
		{"administrator", testBrowserAdministrator},
		{"viewer", testBrowserViewer},
		{"keyboard", testBrowserKeyboard},
		{"actions", testBrowserActions},
		{"create", testBrowserCreate},
		{"explain", testBrowserExplain},
		{"without script", testBrowserWithoutScript},
		{"forged forms", testBrowserForgedForms},
		{"screenshots", testBrowserScreenshots},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, b, g)
		})
	}
	t.Run("attacks", func(t *testing.T) {
		t.Parallel()
		testBrowserAttacks(t, b)
	})
}

// testBrowserSignIn: signing in and out.
func testBrowserSignIn(t *testing.T, b *chromium, g *company) {
	t.Helper()
	p := b.open(t, g.gateway)
	p.visit(t, "/", http.StatusOK)
	if got := p.path(t); got != "/console/sign-in" {
		t.Errorf("the root leads to %s, want the page to sign in", got)
	}
	for _, wrong := range []string{"sgt_unknown", secretOf("nobody"), "storefront"} {
		p.fill(t, "#credential", wrong)
		if status := p.click(t, "button.primary"); status != http.StatusForbidden {
			t.Errorf("%q: got %d, want 403", wrong, status)
		}
		p.wants(t, "[role=alert]", "This credential is not accepted here")
		if got := eval[string](t, p, `document.querySelector("#credential").value`); got != "" {
			t.Errorf("the page gives back the credential %q", got)
		}
	}
	p.visit(t, "/console/?window=24h", http.StatusOK)
	p.signIn(t, "viewer")
	if got := p.path(t); got != "/console/?window=24h" && got != "/console/" {
		t.Errorf("signing in leads to %s, want where one was", got)
	}
	p.wants(t, ".who", "ops/viewer")
	if got := eval[string](t, p, "document.cookie"); got != "" {
		t.Errorf("script sees the cookie %q", got)
	}
	if status := p.click(t, ".who button"); status != http.StatusOK {
		t.Errorf("signing out: got %d", status)
	}
	for range 2 { // the second time after going back, which shows no page from before
		if got := p.path(t); got != "/console/sign-in" {
			t.Errorf("after signing out: got %s, want the page to sign in", got)
		}
		p.visit(t, "/console/", http.StatusOK)
	}
}

// testBrowserSessionEnds: a session is over with the next click once its token may no
// longer be used.
func testBrowserSessionEnds(t *testing.T, b *chromium, g *company) {
	t.Helper()
	p := b.open(t, g.gateway)
	p.signIn(t, "stolen")
	p.visit(t, "/console/", http.StatusOK)
	if got := g.scopegate(t, "token", "deactivate", "ops/stolen"); got.code != 0 {
		t.Fatal(got.stderr)
	}
	p.click(t, ".brand")
	if got := p.path(t); got != "/console/sign-in" {
		t.Errorf("after its token was deactivated, a session shows %s", got)
	}
	p.fill(t, "#credential", secretOf("stolen"))
	if status := p.click(t, "button.primary"); status != http.StatusForbidden {
		t.Errorf("signing in with a deactivated token: got %d, want 403", status)
	}
	if got := g.scopegate(t, "token", "activate", "ops/stolen"); got.code != 0 {
		t.Fatal(got.stderr)
	}
	p.visit(t, "/console/", http.StatusOK)
	if got := p.path(t); got != "/console/sign-in" {
		t.Errorf("the session came back with its token: it shows %s", got)
	}
}
