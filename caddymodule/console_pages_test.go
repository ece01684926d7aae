package caddymodule_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestConsolePages looks at the pages that only show something, as a viewer does.
func TestConsolePages(t *testing.T) {
	t.Parallel()
	g := startGateway(t, adminSite("", freeAddr(t)), createFile())
	b := signIn(t, g, "viewer")
	for path, want := range map[string]string{
		"/console/accounts":                          `href="/console/accounts/acme"`,
		"/console/accounts?search=zzz":               "No account has",
		"/console/accounts/full":                     `href="/console/tokens/full/only"`,
		"/console/apis":                              `href="/console/apis/scopegate"`,
		"/console/apis?search=ORD":                   `href="/console/apis/orders"`,
		"/console/apis/partners":                     "{account}",
		"/console/apis/scopegate":                    "tokens/deactivate",
		"/console/nodes":                             "up to date",
		"/console/audit":                             "revision 1",
		"/console/audit?kind=token&name=acme/client": "a@b.example",
		"/console/audit?actor=nobody":                "No change is like that",
	} {
		got := b.get(t, path)
		if got.status != http.StatusOK || !strings.Contains(got.body, want) {
			t.Errorf("%s: got %d %s\nwant …%s…", path, got.status, got.body, want)
		}
		for _, button := range []string{`href="/console/create-`, ">Delete<", `class="button danger"`, "<script>alert", "<img src=x"} {
			if strings.Contains(got.body, button) {
				t.Errorf("%s: a viewer sees %s", path, button)
			}
		}
	}
	for path, status := range map[string]int{
		"/console/accounts/unknown": 404, "/console/accounts/a%2fb": 404, "/console/accounts/%2e%2e": 404, "/console/apis/unknown": 404, "/console/apis/%3Cscript%3E": 404,
		"/console/audit?since=never": 400, "/console/audit?before=x": 400, "/console/nothing": 404,
	} {
		if got := b.get(t, path); got.status != status || strings.Contains(got.body, "<script>alert") {
			t.Errorf("%s: got %d, want %d", path, got.status, status)
		}
	}
	for path, operation := range map[string]string{
		"/console/create-token": "tokens/create", "/console/create-account": "accounts/create", "/console/accounts/acme/delete": "accounts/delete", "/console/explain": "[explain]",
	} {
		for method, got := range map[string]reply{"GET": b.get(t, path), "POST": b.post(t, path, url.Values{"do": {"create"}, "name": {"x"}, "url": {"/"}})} {
			if got.status != http.StatusForbidden || !strings.Contains(got.body, operation) {
				t.Errorf("%s %s: got %d %s", method, path, got.status, got.body)
			}
		}
	}
}

// The audit log is turned page by page, and nothing is left out.
func TestConsoleAuditPages(t *testing.T) {
	t.Parallel()
	g := startGateway(t, adminSite("", freeAddr(t)), createFile())
	b := signIn(t, g, "admin")
	for range 30 {
		for _, action := range []string{"deactivate", "activate"} {
			if got := g.manage(t, "admin", "POST", "/scopegate/tokens/acme/victim/"+action, "", ""); got.status != http.StatusOK {
				t.Fatal(got)
			}
		}
	}
	path, lines := "/console/audit?kind=token&name=acme/victim", 0
	for path != "" {
		page := b.get(t, path)
		if page.status != http.StatusOK {
			t.Fatalf("%s: got %d", path, page.status)
		}
		lines += strings.Count(page.body, `class="changes"`)
		_, path, _ = strings.Cut(page.body, `<a class="button quiet" href="`)
		path, _, _ = strings.Cut(strings.ReplaceAll(path, "&amp;", "&"), `"`)
	}
	if lines != 61 {
		t.Errorf("all pages have %d lines, want 61", lines)
	}
}

// TestConsoleExplain: the answer has an address of its own, and nothing secret gets there.
func TestConsoleExplain(t *testing.T) {
	t.Parallel()
	g := startGateway(t, adminSite("", freeAddr(t)), createFile())
	b := signIn(t, g, "admin")
	b.get(t, "/console/explain")
	asked := url.Values{"token": {"acme/client"}, "method": {"DELETE"}, "url": {"/orders/v1/7"}, "header": {"X-Trace: " + markup + "\r\nX-Two: b"}, "from": {"203.0.113.7"}}
	got := b.post(t, "/console/explain", asked)
	link := got.header.Get("Location")
	if got.status != http.StatusSeeOther || !strings.HasPrefix(link, "/console/explain?") {
		t.Fatalf("got %d %v %s", got.status, got.header, got.body)
	}
	page := b.get(t, link)
	for _, want := range []string{"method_not_granted", `failing deciding" aria-current="step"`, "this decides", "X-Trace: &#39;", "X-Two: b", `value="203.0.113.7"`} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the answer lacks %s: %d %s", want, page.status, page.body)
		}
	}
	if strings.Contains(page.body, "<script>alert") {
		t.Error("a header becomes markup")
	}
	allowed := b.get(t, "/console/explain?token=acme/client&method=GET&url=/orders/v1")
	if !strings.Contains(allowed.body, "Allowed.") || strings.Contains(allowed.body, "this decides") {
		t.Errorf("allowed: got %d %s", allowed.status, allowed.body)
	}
	const secret = "sgt_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklm"
	for name, form := range map[string]url.Values{
		"Authorization":           {"url": {"/orders/v1"}, "header": {"X-A: b\nauthorization: Bearer anything-secret"}},
		"a cookie":                {"url": {"/orders/v1"}, "header": {"Cookie: a=anything-secret"}},
		"a credential as token":   {"url": {"/orders/v1"}, "token": {secret}},
		"a credential in the URL": {"url": {"/orders/v1?key=" + secret}},
		"no header":               {"url": {"/orders/v1"}, "header": {"anything-secret"}},
		"no address":              {"url": {"/orders/v1"}, "from": {"here"}},
		"no URL":                  {},
		"no such token":           {"url": {"/orders/v1"}, "token": {"acme/unknown"}},
	} {
		got := b.post(t, "/console/explain", form)
		if got.status != http.StatusUnprocessableEntity || strings.Contains(got.body, secret) || name != "no header" && strings.Contains(got.body, "anything-secret") {
			t.Errorf("%s: got %d %v %s", name, got.status, got.header, got.body)
		}
	}
	if got := b.get(t, "/console/explain?url=/orders/v1&token="+secret); got.status != http.StatusBadRequest || strings.Contains(got.body, secret) {
		t.Errorf("a credential in the address: got %d %s", got.status, got.body)
	}
}
