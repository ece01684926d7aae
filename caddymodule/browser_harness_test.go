package caddymodule_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// consoleSite is a gateway with a management site by TLS, and a site for the requests of
// clients, at the address.
func consoleSite(clients string) string {
	return `{
	admin {$ADMIN}
	skip_install_trust
	auto_https disable_redirects
	scopegate {
		store {$STORE}
	}
	servers {
		protocols h1 h2
		timeouts {
			read_body_idle -1s
			read_body 10m
		}
	}
}

https://{$GATEWAY} {
	tls internal
	scopegate_admin
}

http://` + clients + ` {
	scopegate
	respond "reached"
}
`
}

// chromium is a browser without a window, which runs the pages as those of people do.
type chromium struct {
	ctx context.Context //nolint:containedctx // chromedp's handle of a browser is a context
}

// startBrowser runs a browser until the test ends.
func startBrowser(t *testing.T) *chromium {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("Chromium is missing: .ci/deps.sh chromium installs it on Debian and Ubuntu; elsewhere, put it into PATH under the name chromium")
	}
	home := t.TempDir()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program),
		chromedp.UserDataDir(filepath.Join(home, "profile")),
		chromedp.Env("HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home),
		chromedp.IgnoreCertErrors, // the gateway's certificate is its own
		chromedp.DisableGPU,
		chromedp.WSURLReadTimeout(patience),
	)
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium refuses to run as root with it
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, leave := chromedp.NewContext(allocator, chromedp.WithLogf(t.Logf), chromedp.WithErrorf(t.Logf))
	t.Cleanup(func() {
		within, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if err := chromedp.Cancel(within); err != nil {
			t.Logf("ending Chromium: %v", err)
		}
		leave()
		stop()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting Chromium: %v", err)
	}
	return &chromium{ctx}
}

// tab is a window of a browser with cookies of its own. What no page may do is collected:
// see [tab.complaints].
type tab struct {
	ctx  context.Context //nolint:containedctx // chromedp's handle of a tab is a context
	site string          // "https://host:port"

	mu   sync.Mutex // guards what follows
	seen []string
}

// canary is the name of a function that pages have in a test. Nothing of theirs calls it:
// whatever an attack gets to run would.
const canary = "scopegateCanary"

// watcher tells of what a page's policy has stopped.
const watcher = `document.addEventListener("securitypolicyviolation", (e) => ` + canary +
	`("the policy stopped " + e.effectiveDirective + " " + e.blockedURI + " of " + e.sourceFile + ":" + e.lineNumber));`

// open opens a tab that shows nothing yet. What it complains of fails the test.
func (b *chromium) open(t *testing.T, g *gateway) *tab {
	t.Helper()
	g.logs.wait(t, "certificate obtained successfully") // until then the handshake fails
	ctx, leave := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	p := &tab{ctx: ctx, site: "https://" + g.addr}
	t.Cleanup(func() {
		if t.Failed() {
			p.describe(t)
		}
		leave()
		for _, complaint := range p.complaints() {
			t.Error(complaint)
		}
	})
	if err := chromedp.Listen(ctx, p.hear); err != nil {
		t.Fatalf("opening a tab: %v", err)
	}
	p.call(t, func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, runtime.AddBinding, runtime.AddBindingParams{Name: canary})
		return err
	})
	p.call(t, func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: watcher})
		return err
	})
	p.call(t, func(ctx context.Context) error { // else, only the tab in front has the focus
		_, err := chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
		return err
	})
	return p
}

// hear listens to what the browser tells of a tab.
func (p *tab) hear(event any) {
	switch e := event.(type) {
	case *runtime.EventBindingCalled:
		p.complainf("script: %s", e.Payload)
	case *runtime.EventExceptionThrown:
		p.complainf("exception: %s", e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		p.complainf("the page wrote to the browser's console")
	case *log.EventEntryAdded:
		if e.Entry.Source != log.EntrySourceNetwork { // that an answer was an error is for the test to know
			p.complainf("%s: %s", e.Entry.Source, e.Entry.Text)
		}
	case *network.EventRequestWillBeSent:
		// The pictures in the browser's own controls are data, and asked of nobody.
		if !strings.HasPrefix(e.Request.URL, p.site+"/") && e.Request.URL != "about:blank" && !strings.HasPrefix(e.Request.URL, "data:") {
			p.complainf("a request to elsewhere: %s", e.Request.URL)
		}
	}
}

func (p *tab) complainf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, fmt.Sprintf(format, args...))
}

// complaints returns, and forgets, what no page may do: run what it was not made of,
// violate its policy, ask anybody but its site, write to the console.
func (p *tab) complaints() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := p.seen
	p.seen = nil
	return seen
}

// call does something in the tab, within the patience of a test.
func (p *tab) call(t *testing.T, do func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := do(ctx); err != nil {
		t.Fatal(err)
	}
}

// get runs an action of chromedp, and returns its result.
func get[T any](t *testing.T, p *tab, what string, action chromedp.Action[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	return value
}

// eval returns what an expression of script is in the page.
func eval[T any](t *testing.T, p *tab, expression string) T {
	t.Helper()
	return get(t, p, expression, chromedp.Evaluate[T](expression))
}

// visit shows a page of the site, which is answered with a status.
func (p *tab) visit(t *testing.T, path string, status int) {
	t.Helper()
	response := get(t, p, "visiting "+path, chromedp.NavigateResponse(p.site+path))
	if response == nil || response.Status != int64(status) {
		t.Fatalf("visiting %s: got %v, want status %d", path, response, status)
	}
}

// click clicks on what a CSS selector finds, which leads to a page, and returns the status
// of that.
func (p *tab) click(t *testing.T, selector string) int {
	t.Helper()
	return p.leads(t, "clicking on "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// leads does something that leads to another page, and returns the status of that.
func (p *tab) leads(t *testing.T, what string, action chromedp.Action[chromedp.Void]) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	response, err := chromedp.RunResponse(ctx, action)
	if err != nil || response == nil {
		t.Fatalf("%s: got %v, %v, want a page", what, response, err)
	}
	return int(response.Status)
}

// fill writes into a field, in the place of what is in it.
func (p *tab) fill(t *testing.T, selector, text string) {
	t.Helper()
	get(t, p, "filling in "+selector, chromedp.Steps(chromedp.Clear(chromedp.CSS(selector)), chromedp.SendKeys(chromedp.CSS(selector), text)))
}

// path returns the path and the query of the page that is shown.
func (p *tab) path(t *testing.T) string {
	t.Helper()
	return strings.TrimPrefix(get(t, p, "the location", chromedp.Location()), p.site)
}

// text returns what people read in the first element that a selector finds.
func (p *tab) text(t *testing.T, selector string) string {
	t.Helper()
	return get(t, p, "the text of "+selector, chromedp.Text(chromedp.CSS(selector)))
}

// wants fails the test unless an element has a text in it.
func (p *tab) wants(t *testing.T, selector, text string) {
	t.Helper()
	if got := p.text(t, selector); !strings.Contains(got, text) {
		t.Errorf("%s of %s: got %q, want %q in it", selector, p.path(t), got, text)
	}
}

// signIn signs in with the credential of the token that has a name, from the page that
// asks for it, and fails the test unless that leads to a page.
func (p *tab) signIn(t *testing.T, by string) {
	t.Helper()
	if !strings.HasPrefix(p.path(t), "/console/sign-in") {
		p.visit(t, "/console/sign-in", http.StatusOK)
	}
	p.fill(t, "#credential", secretOf(by))
	if status := p.click(t, "button.primary"); status != http.StatusOK {
		t.Fatalf("signing in as %s: got %d, want 200", by, status)
	}
}

// script switches the page's own script off or on, from the next page on.
func (p *tab) script(t *testing.T, on bool) {
	t.Helper()
	p.call(t, func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on})
		return err
	})
}

// screen sets the size of the window, in CSS pixels, and whether it is dark. What is as
// narrow as a phone is one.
func (p *tab) screen(t *testing.T, width, height int64, scheme string) {
	t.Helper()
	scale := 1.5
	options := []chromedp.EmulateViewportOption{chromedp.EmulateMobile} // it has no scrollbars, which take no room then
	if width < 600 {
		scale = 2
		options = append(options, chromedp.EmulateTouch)
	}
	get(t, p, "the size of the window", chromedp.EmulateViewport(width, height, append(options, chromedp.EmulateScale(scale))...))
	p.call(t, func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
}

// describe shows the page of a test that failed.
func (p *tab) describe(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
	defer cancel()
	at, _ := chromedp.Run(ctx, chromedp.Location())
	html, _ := chromedp.Run(ctx, chromedp.Evaluate[string]("document.documentElement.outerHTML"))
	t.Logf("the page at %s:\n%s", at, strings.Join(slices.Collect(strings.Lines(html)), ""))
}
