package caddymodule_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// shots are the pages that docs/images has a picture of.
var shots = []struct {
	file, path    string
	width, height int64
	scheme        string
}{
	{"overview", "/console/", 1280, 1000, "light"},
	{"overview-phone", "/console/", 390, 844, "dark"},
	{"tokens", "/console/tokens", 1280, 900, "dark"},
	{"tokens-phone", "/console/tokens?search=acme", 390, 844, "light"},
	{"token", "/console/tokens/northwind/mobile-app", 1280, 1300, "light"},
	{"create-token", "/console/create-token?account=acme&api=orders", 1280, 1400, "light"},
	{"explain", "/console/explain?token=globex%2Fconnector&method=POST&url=%2Forders%2Fv1", 1280, 900, "light"},
}

// testBrowserScreenshots takes the pictures for the documentation: `make screenshots` says
// where to, in SCOPEGATE_SCREENSHOTS.
func testBrowserScreenshots(t *testing.T, b *chromium, g *company) {
	t.Helper()
	folder := os.Getenv("SCOPEGATE_SCREENSHOTS")
	if folder == "" {
		folder = t.ArtifactDir()
	}
	p := b.open(t, g.gateway)
	p.signIn(t, "typist")
	for _, shot := range shots {
		p.screen(t, shot.width, shot.height, shot.scheme)
		p.visit(t, shot.path, http.StatusOK)
		picture, err := p.picture()
		if err != nil {
			t.Fatalf("a picture of %s: %v", shot.path, err)
		}
		if err := os.WriteFile(filepath.Join(folder, shot.file+".webp"), picture, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// picture returns what is in the window, in WebP.
func (p *tab) picture() ([]byte, error) {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	result, err := chromedp.Call(ctx, cdppage.CaptureScreenshot, cdppage.CaptureScreenshotParams{
		Format: cdppage.CaptureScreenshotFormatWebp, Quality: new(int64(80)),
	})
	return result.Data, err
}
