package caddymodule_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// extraSecret is the credential of a token that is added to [ordersFile].
const extraSecret = "extra-0123456789abcdef"

// A file that changes is applied, however it changes.
func TestWatchApplies(t *testing.T) {
	t.Parallel()
	upstream := startEcho(t)
	before := ordersFile(upstream.url())
	after := ordersFile(upstream.url(), tokenLine("extra", extraSecret, "GET"))
	tests := []struct {
		name   string
		change func(t *testing.T, g *gateway)
	}{
		{"written in place", func(t *testing.T, g *gateway) {
			t.Helper()
			writeFile(t, g.scopes, after)
		}},
		{"renamed over", func(t *testing.T, g *gateway) {
			t.Helper()
			replaceFile(t, g.scopes, after)
		}},
		{"deleted and written", func(t *testing.T, g *gateway) {
			t.Helper()
			if err := os.Remove(g.scopes); err != nil {
				t.Fatal(err)
			}
			g.logs.wait(t, "scope file not applied", "no such file")
			writeFile(t, g.scopes, after)
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := startGateway(t, proxyCaddyfile, before)
			wantStatus(t, g, "/orders/v1/7", readerSecret, http.StatusOK)
			wantStatus(t, g, "/orders/v1/7", extraSecret, http.StatusForbidden)
			start := time.Now()
			test.change(t, g)
			pollStatus(t, g, "/orders/v1/7", extraSecret, http.StatusOK)
			t.Logf("applied after %v", time.Since(start).Round(time.Millisecond))
			if got := g.applies(t, "applied"); got != 2 {
				t.Errorf("applied %v times, want 2", got)
			}
		})
	}
}

// Kubernetes puts a new folder into the place of an old one, through two links.
func TestWatchFollowsLinks(t *testing.T) {
	t.Parallel()
	upstream := startEcho(t)
	g := newGateway(t, proxyCaddyfile, "")
	link := func(target, name string) {
		t.Helper()
		if err := os.Symlink(target, filepath.Join(g.dir, name+".new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(g.dir, name+".new"), filepath.Join(g.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	version := func(name, content string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(g.dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(g.dir, name, "scopes.yaml"), content)
	}
	version("..1", ordersFile(upstream.url()))
	version("..2", ordersFile(upstream.url(), tokenLine("extra", extraSecret, "GET")))
	link("..1", "..data")
	link(filepath.Join("..data", "scopes.yaml"), "scopes.yaml")
	g.start(t)
	wantStatus(t, g, "/orders/v1/7", readerSecret, http.StatusOK)
	wantStatus(t, g, "/orders/v1/7", extraSecret, http.StatusForbidden)
	link("..2", "..data")
	pollStatus(t, g, "/orders/v1", extraSecret, http.StatusOK)
}

// A file that cannot be applied changes nothing, says why, and is applied once it
// is repaired.
func TestWatchKeepsWhatWasInForce(t *testing.T) {
	t.Parallel()
	upstream := startEcho(t)
	good := ordersFile(upstream.url(), tokenLine("extra", extraSecret, "GET"))
	g := startGateway(t, proxyCaddyfile, ordersFile(upstream.url()))
	failed := 0.0
	for _, test := range []struct {
		name, content string
		says          []string
	}{
		{
			"misspelt", strings.Replace(good, "upstream:", "upstreams:", 1),
			[]string{"scopes.yaml:5:5: ", "upstream"},
		},
		{
			"no YAML", good + "\t]",
			[]string{"scopes.yaml:15:"},
		},
		{
			"empty", "",
			[]string{"scopes.yaml:1:1: ", "the file is empty"},
		},
		{
			"failing test", good + "tests:\n  - {token: acme/extra, request: DELETE /orders/v1/7, expect: allow}\n",
			[]string{"scopes.yaml:16:5: ", "method_not_granted"},
		},
		{
			"limit", strings.Replace(good, "  acme:\n", "  acme:\n    max_active_tokens: 1\n", 1),
			[]string{"scopes.yaml:14:7: ", "more than 1 active"},
		},
	} {
		replaceFile(t, g.scopes, test.content)
		failed++
		poll(t, "a failure to be counted: "+test.name, func() bool { return g.applies(t, "failed") == failed })
		g.logs.wait(t, append(test.says, "scope file not applied", g.scopes)...)
		wantStatus(t, g, "/orders/v1/7", readerSecret, http.StatusOK)
		wantStatus(t, g, "/orders/v1/7", extraSecret, http.StatusForbidden)
	}
	writeFile(t, g.scopes, good)
	pollStatus(t, g, "/orders/v1/7", extraSecret, http.StatusOK)
	if got := g.applies(t, "failed"); got != failed {
		t.Errorf("repaired: got %v failures counted, want %v", got, failed)
	}
}

// What hindered a file can pass without a change of its content: here tokens that
// it does not name, since nothing is pruned.
func TestWatchTriesAgain(t *testing.T) {
	t.Parallel()
	upstream := startEcho(t)
	limited := strings.Replace(ordersFile(upstream.url()), "  acme:\n", "  acme:\n    max_active_tokens: 2\n", 1)
	g := startGateway(t, proxyCaddyfile, limited)
	replaceFile(t, g.scopes, strings.Replace(limited, tokenLine("writer", writerSecret, `"*"`), tokenLine("extra", extraSecret, "GET"), 1))
	g.logs.wait(t, "scope file not applied", "acme", "limit")
	if got := g.scopegate(t, "token", "deactivate", "acme/writer"); got.code != 0 {
		t.Fatalf("token deactivate: %+v", got)
	}
	pollStatus(t, g, "/orders/v1/7", extraSecret, http.StatusOK)
}

func TestWatchLeavesTheSameContentAlone(t *testing.T) {
	t.Parallel()
	upstream := startEcho(t)
	content := ordersFile(upstream.url())
	g := startGateway(t, proxyCaddyfile, content)
	revision := g.metrics(t)["caddy_scopegate_store_revision"]
	replaceFile(t, g.scopes, content)
	poll(t, "an unchanged file to be counted", func() bool { return g.applies(t, "unchanged") == 1 })
	if got := g.applies(t, "applied"); got != 1 {
		t.Errorf("applied %v times, want once", got)
	}
	if got := g.metrics(t)["caddy_scopegate_store_revision"]; got != revision || got == 0 {
		t.Errorf("got revision %v, want %v as before", got, revision)
	}
}

// A restart applies the file only if it differs from what was applied last, so
// that it never reverts what was done by hand.
func TestRestartRevertsNothing(t *testing.T) {
	t.Parallel()
	upstream := startEcho(t)
	g := startGateway(t, proxyCaddyfile, ordersFile(upstream.url()))
	wantStatus(t, g, "/orders/v1/7", readerSecret, http.StatusOK)
	if got := g.scopegate(t, "token", "deactivate", "acme/reader"); got.code != 0 {
		t.Fatalf("token deactivate: %+v", got)
	}
	wantStatus(t, g, "/orders/v1/7", readerSecret, http.StatusForbidden)

	g.stop(t)
	g.start(t)
	wantStatus(t, g, "/orders/v1/7", readerSecret, http.StatusForbidden)
	wantStatus(t, g, "/orders/v1/7", writerSecret, http.StatusOK)
	if got := g.applies(t, "unchanged"); got != 1 {
		t.Errorf("the same file after a restart: counted as unchanged %v times, want once", got)
	}

	// A file that changes in between does not activate it either.
	g.stop(t)
	writeFile(t, g.scopes, ordersFile(upstream.url(), tokenLine("extra", extraSecret, "GET")))
	g.start(t)
	wantStatus(t, g, "/orders/v1/7", extraSecret, http.StatusOK)
	wantStatus(t, g, "/orders/v1/7", readerSecret, http.StatusForbidden)
	if got := g.scopegate(t, "token", "activate", "acme/reader"); got.code != 0 {
		t.Fatalf("token activate: %+v", got)
	}
	wantStatus(t, g, "/orders/v1/7", readerSecret, http.StatusOK)
}

func TestWatchWithReview(t *testing.T) {
	t.Parallel()
	upstream := startEcho(t)
	reviewed := strings.Replace(proxyCaddyfile, "scopes {$SCOPES}", "scopes {$SCOPES} {\n\t\t\treview\n\t\t}", 1)
	g := startGateway(t, reviewed, ordersFile(upstream.url()))
	wider := strings.Replace(ordersFile(upstream.url()), "methods: [GET]", "methods: [GET, DELETE]", 1)
	writeFile(t, g.scopes, wider)
	g.logs.wait(t, "scope file not applied", "widen", "caddy scopegate apply --allow-widen "+g.scopes)
	if got := ask(t, http.MethodDelete, g.url("/orders/v1/7"), readerSecret); got.status != http.StatusForbidden {
		t.Errorf("DELETE before the review: got %d, want 403", got.status)
	}

	// A credential of somebody else's lets him in, though nothing widens.
	writeFile(t, g.scopes, ordersFile(upstream.url(), tokenLine("mallory", "mallory-0123456789", "GET")))
	g.logs.wait(t, "scope file not applied", "token acme/mallory brings a credential")

	// One that narrows in one place and widens in another needs it too; one that only narrows does not.
	writeFile(t, g.scopes, strings.Replace(ordersFile(upstream.url()), "methods: [GET]", "methods: [POST]", 1))
	poll(t, "the second widening to be refused", func() bool { return g.applies(t, "failed") == 3 })
	writeFile(t, g.scopes, strings.Replace(ordersFile(upstream.url()), `methods: ["*"]`, "methods: [GET]", 1))
	poll(t, "PUT to be refused", func() bool {
		return ask(t, http.MethodPut, g.url("/orders/v1/7"), writerSecret).status == http.StatusForbidden
	})

	// What was reviewed is applied by hand.
	writeFile(t, g.scopes, wider)
	if got := g.scopegate(t, "apply", "--allow-widen", g.scopes); got.code != 0 {
		t.Fatalf("apply --allow-widen: %+v", got)
	}
	if got := ask(t, http.MethodDelete, g.url("/orders/v1/7"), readerSecret); got.status != http.StatusOK {
		t.Errorf("DELETE after the review: got %d, want 200", got.status)
	}
}

// Nothing was applied before: there is nothing to serve.
func TestStartWithABadFile(t *testing.T) {
	t.Parallel()
	g := newGateway(t, proxyCaddyfile, "format: 1\napi:\n  orders: {}\n")
	g.addr, g.admin = freeAddr(t), freeAddr(t)
	if err := g.run(); err == nil {
		t.Fatal("Caddy serves, want an error")
	}
	g.logs.wait(t, "the scope file cannot be applied, and none was applied before", "scopes.yaml:2:1: ", "apis")
}

func TestStartWithoutAFile(t *testing.T) {
	t.Parallel()
	g := newGateway(t, proxyCaddyfile, "")
	g.addr, g.admin = freeAddr(t), freeAddr(t)
	if err := g.run(); err == nil {
		t.Fatal("Caddy serves, want an error")
	}
	g.logs.wait(t, "the scope file cannot be applied, and none was applied before", g.scopes, "no such file")
}

// What was applied before goes on to be served.
func TestRestartWithABadFile(t *testing.T) {
	t.Parallel()
	upstream := startEcho(t)
	good := ordersFile(upstream.url())
	g := startGateway(t, proxyCaddyfile, good)
	g.stop(t)
	writeFile(t, g.scopes, strings.Replace(good, "format: 1", "format: 2", 1))
	g.start(t)
	g.logs.wait(t, "scope file not applied", "scopes.yaml:1:")
	wantStatus(t, g, "/orders/v1/7", readerSecret, http.StatusOK)
	if got := g.applies(t, "failed"); got != 1 {
		t.Errorf("got %v failures counted, want 1", got)
	}
	writeFile(t, g.scopes, good+tokenLine("extra", extraSecret, "GET"))
	pollStatus(t, g, "/orders/v1/7", extraSecret, http.StatusOK)
}

// A document that the file names is a part of it: a change of one is applied, and
// what is wrong in one changes nothing.
func TestWatchDocuments(t *testing.T) {
	t.Parallel()
	upstream := startEcho(t)
	operations := regexp.MustCompile(`(?m)^    operations:\n(      .*\n)+`)
	file := ordersFile(upstream.url())
	if !operations.MatchString(file) {
		t.Fatal("the file of orders is no longer what this test changes")
	}
	g := newGateway(t, proxyCaddyfile, "")
	if err := os.Mkdir(filepath.Join(g.dir, "documents"), 0o700); err != nil {
		t.Fatal(err)
	}
	document := filepath.Join(g.dir, "documents", "orders.yaml")
	const begin = "openapi: 3.0.0\npaths:\n  /orders/{version}/{id}: {get: {operationId: one}, put: {operationId: put}}\n"
	writeFile(t, document, begin)
	writeFile(t, g.scopes, operations.ReplaceAllString(file, "    openapi: documents/orders.yaml\n"))
	g.start(t)
	wantStatus(t, g, "/orders/v1/7", readerSecret, http.StatusOK)
	wantStatus(t, g, "/orders/v1/7/lines", readerSecret, http.StatusForbidden)

	replaceFile(t, document, begin+"  /orders/{version}/{id}/lines: {get: {operationId: lines}}\n")
	pollStatus(t, g, "/orders/v1/7/lines", readerSecret, http.StatusOK)
	replaceFile(t, document, "openapi: 3.0.0\npaths: {a: b: c}\n")
	g.logs.wait(t, "scope file not applied", document+":2:13: neither YAML nor JSON")
	if err := os.Remove(document); err != nil {
		t.Fatal(err)
	}
	g.logs.wait(t, "scope file not applied", "no such file")
	wantStatus(t, g, "/orders/v1/7/lines", readerSecret, http.StatusOK)
	writeFile(t, document, begin)
	pollStatus(t, g, "/orders/v1/7/lines", readerSecret, http.StatusForbidden)
}
