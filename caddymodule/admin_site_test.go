package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// adminSite is a gateway whose site serves the management routes, and whose second
// site, at the address, is an ordinary one.
func adminSite(options, ordinary string) string {
	return `{
	admin {$ADMIN}
	scopegate {
		store {$STORE}
		scopes {$SCOPES}
	}
	servers {
		timeouts {
			read_body_idle -1s
			read_body 10m
		}
	}
}

http://{$GATEWAY} {
	log {
		output file {$DIR}/access.log
	}
	scopegate_admin {
` + options + `
	}
}

http://` + ordinary + ` {
	scopegate {
		credentials bearer basic
	}
	respond "reached"
}
`
}

// roleFile has the tokens that administer, in the account ops, and those that are
// administered, in acme. The credential of each is secretOf its name.
func roleFile() string {
	token := func(name, keys string) string {
		return fmt.Sprintf("      %s: {description: d, contact: {email: a@b.example}, credential: %q, %s}\n", name, digestOf(secretOf(name)), keys)
	}
	bare := func(name, keys string) string {
		return fmt.Sprintf("      %s: {description: d, contact: {email: a@b.example}, %s}\n", name, keys)
	}
	const (
		read    = `scopes: [{api: orders, version: "v1", methods: [GET]}]`
		more    = `scopes: [{api: orders, version: "v1", methods: [GET, DELETE]}]`
		manages = `{api: scopegate, methods: ["*"]}`
	)
	return `format: 1
apis:
  orders:
    versions: ["v1", "v2"]
    deprecated: {"v1": 2098-01-01}
    operations:
      list: GET|POST /orders/{version}
      one: GET|PUT|DELETE /orders/{version}/{id}
  partners:
    account_param: account
    operations: {actions: "GET /partners/{account}/actions"}
accounts:
  ops:
    max_active_tokens: 100
    tokens:
` + token("viewer", `scopes: [{api: scopegate, methods: [GET]}]`) +
		token("helpdesk", `scopes: [{api: scopegate, methods: [GET]}, {api: scopegate, methods: [POST], operations: [tokens/deactivate]}]`) +
		token("admin", `scopes: [{api: orders, version: "v1", methods: [GET]}, {api: partners, methods: [GET]}, `+manages+`]`) +
		token("deputy", `scopes: [{api: orders, version: "v1", methods: [GET]}, {api: scopegate, methods: ["*"], operations: [apply, tokens/update, tokens/issue, tokens/rotate]}]`) +
		token("brief", `expires: 2099-01-01, sources: [127.0.0.0/8], scopes: [{api: orders, version: "v1", methods: [GET]}, `+manages+`]`) +
		token("slow1", `scopes: [`+manages+`]`) + token("slow2", `scopes: [`+manages+`]`) + token("slow3", `scopes: [`+manages+`]`) +
		token("slow4", `scopes: [`+manages+`]`) + token("slow5", `scopes: [`+manages+`]`) + token("own", `scopes: [`+manages+`]`) +
		token("legacy", `access: read_write`) +
		`  acme:
    max_active_tokens: 100
    tokens:
` + token("client", read) + bare("less", read) + bare("spare", read) + bare("again", more) + bare("more", more) + bare("fresh", more) + bare("off", "state: inactive, "+more) +
		token("rotated", more) + token("ours", read) + bare("switched", read) + token("victim", read) + bare("gone", read) + bare("old", "access: read_only")
}

// manage sends a request to the management routes of a gateway's site, by the
// token with a name.
func (g *gateway) manage(t *testing.T, by, method, target, contentType, body string, lines ...string) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, g.url(target), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if by != "" {
		request.Header.Set("Authorization", "Bearer "+secretOf(by))
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		request.Header.Add(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, string(answer)}
}

const (
	deniedBody = `{"type":"about:blank","title":"Access Denied","status":403}`
	yamlType   = "application/yaml"
	jsonType   = "application/json"
)

// TestAdminSite administers a gateway over HTTP.
func TestAdminSite(t *testing.T) {
	t.Parallel()
	ordinary := freeAddr(t)
	g := startGateway(t, adminSite("", ordinary), roleFile())
	for _, c := range []struct {
		name string
		run  func(*testing.T, *gateway)
	}{
		{"roles", testAdminRoles},
		{"the first token", testAdminFirst},
		{"one body for every denial", testAdminDenials},
		{"authority", testAdminAuthority},
		{"uploads", testAdminUploads},
		{"spellings", testAdminSpellings},
		{"other origins", testAdminOrigins},
		{"what is told", testAdminIsTold},
		{"late bodies", testAdminLateBodies},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, g) })
	}
	t.Run("ordinary site", func(t *testing.T) {
		for _, target := range []string{"/scopegate/status", "/scopegate/tokens", "/scopegate/openapi.json"} {
			if got := ask(t, http.MethodGet, "http://"+ordinary+target, secretOf("admin")); got.status != http.StatusForbidden || got.body != deniedBody {
				t.Errorf("%s: got %d %s, want the denial", target, got.status, got.body)
			}
		}
	})
	t.Run("no credential in the log", func(t *testing.T) {
		for _, file := range []string{readFile(t, g.dir+"/access.log"), g.logs.String()} {
			if strings.Contains(file, "the-secret-of-") || strings.Contains(file, "sgt_") {
				t.Error("a credential is in a log")
			}
		}
	})
}

// testAdminRoles: what each role may do, and what it may not.
func testAdminRoles(t *testing.T, g *gateway) {
	t.Helper()
	const victim = "/scopegate/tokens/acme/switched"
	question := `{"token":"acme/client","method":"GET","url":"/orders/v1"}`
	for _, c := range []struct {
		by, method, target, contentType, body string
		status                                int
		want                                  string
	}{
		{"viewer", "GET", "/scopegate/status", "", "", 200, `"revision":`},
		{"viewer", "HEAD", "/scopegate/status", "", "", 200, ""},
		{"viewer", "GET", "/scopegate/tokens", "", "", 200, `"token":"acme/victim"`},
		{"viewer", "GET", "/scopegate/tokens?account=ops", "", "", 200, `"token":"ops/viewer"`},
		{"viewer", "GET", "/scopegate/tokens/acme/victim", "", "", 200, `"name":"victim"`},
		{"viewer", "GET", "/scopegate/tokens/acme/unknown", "", "", 404, `{"error":"token \"acme/unknown\": not found"}`},
		{"viewer", "GET", "/scopegate/accounts", "", "", 200, `"name":"acme"`},
		{"viewer", "POST", victim + "/deactivate", "", "", 403, deniedBody},
		{"viewer", "DELETE", victim, "", "", 403, deniedBody},
		{"viewer", "POST", "/scopegate/explain", jsonType, question, 403, deniedBody},
		{"viewer", "POST", "/scopegate/plan", yamlType, roleFile(), 403, deniedBody},
		{"viewer", "POST", "/scopegate/apply", yamlType, roleFile(), 403, deniedBody},
		{"helpdesk", "GET", victim, "", "", 200, `"state":"active"`},
		{"helpdesk", "POST", victim + "/deactivate", "", "", 200, `"state":"inactive","held":true`},
		{"helpdesk", "POST", victim + "/activate", "", "", 403, deniedBody},
		{"helpdesk", "POST", victim + "/issue", "", "", 403, deniedBody},
		{"helpdesk", "DELETE", victim, "", "", 403, deniedBody},
		{"admin", "POST", victim + "/activate", "", "", 200, `"state":"active","held":false`},
		{"admin", "POST", "/scopegate/explain", jsonType, question, 200, `{"decision":"allow","token":"acme/client"`},
		{"admin", "POST", "/scopegate/plan", yamlType, roleFile(), 200, `"differs":false`},
		{"admin", "POST", "/scopegate/plan", "text/plain", roleFile(), 415, `expected application/yaml`},
		{"admin", "POST", "/scopegate/plan", yamlType, "format: 2\n", 422, `"problems":[`},
		{"admin", "POST", "/scopegate/apply", yamlType, roleFile(), 200, `"differs":false`},
		{"admin", "POST", "/scopegate/tokens/acme/less/issue", "", "", 200, `"credential":"sgt_`},
		{"admin", "DELETE", "/scopegate/tokens/acme/gone", "", "", 200, `"state":"deleted"`},
		{"admin", "POST", "/scopegate/tokens/acme/gone/issue", "", "", 410, `for ever`},
		{"legacy", "GET", "/scopegate/status", "", "", 403, deniedBody},
		{"client", "GET", "/scopegate/status", "", "", 403, deniedBody},
		{"nobody", "GET", "/scopegate/status", "", "", 403, deniedBody},
		{"", "GET", "/scopegate/status", "", "", 403, deniedBody},
	} {
		t.Run(c.by+" "+c.method+" "+c.target, func(t *testing.T) {
			got := g.manage(t, c.by, c.method, c.target, c.contentType, c.body)
			if got.status != c.status || !strings.Contains(got.body, c.want) {
				t.Errorf("got %d %s\nwant %d …%s…", got.status, got.body, c.status, c.want)
			}
			if got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("got Cache-Control %q, want no-store", got.header.Get("Cache-Control"))
			}
		})
	}
}

// testAdminFirst: the first administrator's token is made on the machine.
func testAdminFirst(t *testing.T, g *gateway) {
	t.Helper()
	made := g.scopegate(t, "token", "create", "ops/first", "--description", "The platform team manages the gateway.", "--contact", "platform@acme.example",
		"--source", "127.0.0.0/8", "--scope", "scopegate::*", "--scope", "orders:v1,v2:*", "--issue", "--json")
	var token struct{ Credential string }
	if err := json.Unmarshal([]byte(made.stdout), &token); err != nil || token.Credential == "" {
		t.Fatalf("token create: %+v (%v)", made, err)
	}
	if got := ask(t, http.MethodGet, g.url("/scopegate/accounts/ops"), token.Credential); got.status != http.StatusOK {
		t.Errorf("got %d %s, want the account", got.status, got.body)
	}
}

// testAdminDenials: a client learns nothing from a denial, and what is no operation
// is denied like the rest.
func testAdminDenials(t *testing.T, g *gateway) {
	t.Helper()
	for _, target := range []string{
		"/", "/scopegate", "/scopegate/", "/scopegate/nothing", "/scopegate/tokens/", "/scopegate/tokens/acme", "/scopegate/backup", "/scopegate/restore",
		"/config/", "/load", "/metrics", "/debug/pprof/", "/id/x", "/orders/v1",
	} {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "OPTIONS"} {
			got := g.manage(t, "admin", method, target, "", "")
			if got.status != http.StatusForbidden || got.body != deniedBody || got.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s %s: got %d %v %s, want the denial", method, target, got.status, got.header, got.body)
			}
		}
	}
}

// testAdminSpellings: what is served is what was decided on. A path that is not
// exactly an operation is refused, even if another parser would read one in it.
func testAdminSpellings(t *testing.T, g *gateway) {
	t.Helper()
	id := g.manage(t, "viewer", "GET", "/scopegate/tokens/acme/victim", "", "").id(t)
	send := func(by, line string, lines ...string) string {
		lines = append([]string{line + " HTTP/1.1", "Host: " + g.addr, "Authorization: Bearer " + secretOf(by), "Connection: close", "Content-Length: 0"}, lines...)
		return sendRaw(t, g.addr, strings.Join(lines, "\r\n")+"\r\n\r\n")
	}
	const path = "/scopegate/tokens/acme/victim/deactivate"
	for _, target := range []string{
		"//scopegate/tokens/acme/victim/deactivate", "/scopegate//tokens/acme/victim/deactivate", path + "/", path + "//", path + "/.", path + "/..", "/." + path,
		"/x/.." + path, "/scopegate/x/../tokens/acme/victim/deactivate", "/scopegate/tokens/acme/x/../victim/deactivate", "/scopegate/tokens/%2e%2e/acme/victim/deactivate",
		"/scopegate/tokens/acme%2fvictim/deactivate", "/scopegate/tokens/acme%2Fvictim%2Fdeactivate", "/scopegate/tokens/acme/victim%2fdeactivate", "/scopegate%2ftokens/acme/victim/deactivate",
		"/scopegate/tokens/acme/victim%252fdeactivate", `/scopegate/tokens/acme\victim/deactivate`, "/scopegate/tokens/acme/victim%5cdeactivate",
		"/scopegate/tokens/acme/victim;x/deactivate", path + ";x", path + "%3bx", path + "%00", path + "%0a", path + "%20", path + "%", path + "#x", path + "|",
		"/SCOPEGATE/tokens/acme/victim/deactivate", "/scopegate/Tokens/acme/victim/deactivate", "/scopegate/tokens/acme/victim/DEACTIVATE", "/scopegate/tokens/ACME/victim/deactivate",
		"/scopegate/tokens/acme/victim\uff0fdeactivate", "/scopegate/tokens/acme/victim%ef%bc%8fdeactivate", "/scopegate/tokens/acme/victi%c0%adm/deactivate",
		"/scopegate/tokens/" + id + "/deactivate", "/scopegate/tokens/" + id + "/x/deactivate", "/scopegate/tokens/acme/" + id + "/deactivate", "/scopegate/tokens/acme/victim",
		"*", "scopegate/tokens/acme/victim/deactivate", "http://" + g.addr + "//scopegate/tokens/acme/victim/deactivate", "http://x@" + g.addr + path,
	} {
		if answer := send("admin", "POST "+target); !strings.HasPrefix(answer, "HTTP/1.1 4") || strings.Contains(answer, `"id"`) {
			t.Errorf("POST %s: got\n%s\nwant a refusal", target, answer)
		}
	}
	for _, target := range refusedTargets {
		target = strings.Replace(target, "/raw", "/scopegate/tokens/acme/victim", 1)
		if answer := send("admin", "GET "+target); !strings.HasPrefix(answer, "HTTP/1.1 4") || strings.Contains(answer, `"id"`) {
			t.Errorf("GET %s: got\n%s\nwant a refusal", target, answer)
		}
	}
	for _, line := range []string{
		"GET " + path, "HEAD " + path, "post " + path, "PUT " + path, "TRACE " + path, "CONNECT " + path, "OPTIONS " + path, "GET " + path + "?_method=POST", "DELETE " + path,
	} {
		if answer := send("admin", line); !strings.HasPrefix(answer, "HTTP/1.1 4") {
			t.Errorf("%s: got\n%s\nwant a refusal", line, answer)
		}
	}
	for _, field := range []string{"X-HTTP-Method-Override: POST", "X-Method-Override: POST", "Upgrade: h2c\r\nConnection: upgrade"} {
		if answer := send("viewer", "GET /scopegate/tokens/acme/victim", field); !strings.HasPrefix(answer, "HTTP/1.1 4") {
			t.Errorf("%s: got\n%s\nwant a refusal", field, answer)
		}
	}
	for _, field := range []string{"X-Original-URL: " + path, "X-Rewrite-URL: " + path, "X-Forwarded-Uri: " + path, "X-Scopegate-Token: tok_0", "X-Forwarded-Host: " + g.admin} {
		if answer := send("viewer", "GET /scopegate/status", field); !strings.HasPrefix(answer, "HTTP/1.1 200 ") || !strings.Contains(answer, `"revision":`) {
			t.Errorf("%s: got\n%s\nwant the status", field, answer)
		}
	}
	if got := g.manage(t, "viewer", "GET", "/scopegate/tokens/acme/victim", "", ""); !strings.Contains(got.body, `"state":"active"`) {
		t.Fatalf("the victim was reached: %s", got.body)
	}
	for _, target := range []string{"/scopegate/tokens/acme/%76ictim", "/%73copegate/%74okens/a%63me/victim", "http://" + g.addr + "/scopegate/tokens/acme/victim"} {
		if answer := send("viewer", "GET "+target); !strings.HasPrefix(answer, "HTTP/1.1 200 ") || !strings.Contains(answer, id) {
			t.Errorf("GET %s: got\n%s\nwant the token, which it names", target, answer)
		}
	}
}

// testAdminOrigins: no page in an administrator's browser acts for him, and none
// but the site's own reads an answer.
func testAdminOrigins(t *testing.T, g *gateway) {
	t.Helper()
	const path = "/scopegate/tokens/acme/victim/deactivate"
	for _, lines := range [][]string{
		{"Sec-Fetch-Site: cross-site"}, {"Sec-Fetch-Site: same-site"}, {"Origin: https://evil.example"}, {"Origin: null"}, {"Origin: http://" + g.admin},
	} {
		got := g.manage(t, "admin", "POST", path, "", "", lines...)
		if got.status != http.StatusForbidden || !strings.Contains(got.body, "another origin") {
			t.Errorf("%v: got %d %s, want a refusal", lines, got.status, got.body)
		}
		if got := g.manage(t, "admin", "GET", "/scopegate/status", "", "", lines...); got.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%v: got %v, want no CORS", lines, got.header)
		}
	}
	preflight := g.manage(t, "admin", "OPTIONS", path, "", "", "Origin: https://app.example", "Access-Control-Request-Method: POST")
	if preflight.status != http.StatusForbidden || preflight.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("preflight: got %d %v, want the denial", preflight.status, preflight.header)
	}
	cookie := g.manage(t, "", "GET", "/scopegate/status", "", "", "Cookie: token="+secretOf("admin")+"; Authorization="+secretOf("admin"))
	if cookie.status != http.StatusForbidden {
		t.Errorf("a credential in a cookie: got %d, want the denial", cookie.status)
	}
	query := g.manage(t, "", "GET", "/scopegate/status?access_token=x", "", "")
	if query.status != http.StatusForbidden {
		t.Errorf("a credential in the query: got %d, want the denial", query.status)
	}
}

// testAdminIsTold: decisions are counted and in the access log, and the audit log
// says which token made a change.
func testAdminIsTold(t *testing.T, g *gateway) {
	t.Helper()
	counted := ownMetrics(g.metrics(t))
	for _, series := range []string{
		`decisions_total{api="scopegate",decision="allow",reason="",version=""}`,
		`decisions_total{api="scopegate",decision="deny",reason="method_not_granted",version=""}`,
		`decisions_total{api="scopegate",decision="deny",reason="operation_not_granted",version=""}`,
	} {
		if counted[series] == 0 {
			t.Errorf("%s: got 0, want some", series)
		}
	}
	got := g.manage(t, "helpdesk", "GET", "/scopegate/tokens?account=acme", "", "")
	if got.status != http.StatusOK {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	logged, err := json.Marshal(accessLog(t, g, "/scopegate/tokens?account=acme")["scopegate"])
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"account":"ops","api":"scopegate","decision":"allow","operation":"tokens/list","reason":"","token":"ops/helpdesk","version":""}`
	if string(logged) != want {
		t.Errorf("the access log has %s, want %s", logged, want)
	}
	id := g.manage(t, "viewer", "GET", "/scopegate/tokens/ops/helpdesk", "", "").id(t)
	audit := g.manage(t, "viewer", "GET", "/scopegate/log?action=deactivate&name=acme/switched", "", "")
	if actor := `"actor":"token ops/helpdesk (` + id + `), from 127.0.0.1"`; !strings.Contains(audit.body, actor) {
		t.Errorf("the audit log has %s, want %s", audit.body, actor)
	}
}
