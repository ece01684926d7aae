package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store"
)

// managedFile has a token for each test that changes one.
const managedFile = `format: 1
apis:
  orders:
    versions: ["v1"]
    operations:
      list: GET|PUT /orders/{version}
accounts:
  acme:
    ids: [IRab12cd34]
    tokens:
      sync:
        description: Reads orders.
        contact: {email: data@acme.example}
        scopes: [{api: orders, version: "v1", methods: [GET]}]
      gone:
        description: Is deleted by a test.
        contact: {email: data@acme.example}
        scopes: [{api: orders, version: "v1", methods: [GET]}]
      switched:
        description: Is switched off and on by a test.
        contact: {email: data@acme.example}
        scopes: [{api: orders, version: "v1", methods: [GET]}]
      secret:
        description: Gets a credential from a test.
        contact: {email: data@acme.example}
        scopes: [{api: orders, version: "v1", methods: [GET]}]
`

// TestAdminRoutes sends requests to the management routes of one server.
func TestAdminRoutes(t *testing.T) {
	t.Parallel()
	g := startGateway(t, proxyCaddyfile, managedFile)
	t.Run("answers", func(t *testing.T) {
		testAdminAnswers(t, g)
	})
	t.Run("credential", func(t *testing.T) {
		testAdminCredential(t, g)
	})
	t.Run("switch", func(t *testing.T) {
		testAdminSwitch(t, g)
	})
	t.Run("delete", func(t *testing.T) {
		testAdminDelete(t, g)
	})
	t.Run("rejected reload", func(t *testing.T) {
		testAdminAfterRejectedReload(t, g)
	})
	t.Run("audit log", func(t *testing.T) {
		testAdminActors(t, g)
	})
}

// documentedFile is a scope file whose API is in the document orders.yaml.
const documentedFile = "format: 1\napis:\n  documented: {openapi: orders.yaml}\n"

const ordersDocument = "openapi: 3.0.0\npaths: {/documented: {get: {operationId: list}}}\n"

// testAdminAnswers: what is asked wrongly gets a status and a message that tell,
// and changes nothing.
func testAdminAnswers(t *testing.T, g *gateway) {
	t.Helper()
	const yaml, jsonType = "application/yaml", "application/json"
	const formType = "multipart/form-data; boundary=" + formBoundary
	const credential = "sgt_ThisDemoTokenIsPublicDoNotUseItAnywhereElse2aHXJP"
	for _, c := range []struct {
		name, method, path, contentType, body string
		status                                int
		want                                  string // in the answer
	}{
		{"status", "GET", "/scopegate/status", "", "", 200, `{"revision":1,"mode":"single","stale":false,"nodes":[{"id":"`},
		{"parameter of status", "GET", "/scopegate/status?x=1", "", "", 400, `unknown parameter \"x\"; expected none`},
		{"accounts", "GET", "/scopegate/accounts", "", "", 200, `[{"name":"acme","ids":["IRab12cd34"],"max_active_tokens":20,"active_tokens":4,"created":"`},
		{"tokens", "GET", "/scopegate/tokens", "", "", 200, `"token":"acme/sync"`},
		{"tokens of an account", "GET", "/scopegate/tokens?account=globex", "", "", 200, "[]\n"},
		{"token", "GET", "/scopegate/tokens/acme/sync", "", "", 200, `"scopes":[{"api":"orders","versions":["v1"],"methods":["GET"]}],"credentials":[]`},
		{"unknown token", "GET", "/scopegate/tokens/acme/none", "", "", 404, `acme/none`},
		{"unknown id", "GET", "/scopegate/tokens/tok_0123456789012345678901", "", "", 404, `not found`},
		{"no id", "GET", "/scopegate/tokens/acme", "", "", 400, `expected a token as account/name, or by its id`},
		{"credential for a name", "GET", "/scopegate/tokens/" + credential, "", "", 400, `this is a credential`},
		{"no such route", "GET", "/scopegate/nothing", "", "", 404, `there is nothing at /scopegate/nothing`},
		{"no such action", "POST", "/scopegate/tokens/acme/sync/rotten", "", "", 404, `unknown action \"rotten\"; expected activate, deactivate, import, issue, retire, rotate`},
		{"no action", "POST", "/scopegate/tokens/acme/sync", "", "", 404, `nothing can be sent to a token itself`},
		{"tokens by state", "GET", "/scopegate/tokens?state=inactive", "", "", 200, "[]\n"},
		{"tokens by a wrong state", "GET", "/scopegate/tokens?state=on", "", "", 400, `state is active, inactive or deleted, not \"on\"`},
		{"tokens that expire", "GET", "/scopegate/tokens?expiring=1", "", "", 400, `expiring: expected a time span`},
		{"account", "GET", "/scopegate/accounts/acme", "", "", 200, `{"name":"acme","ids":["IRab12cd34"],`},
		{"unknown account", "GET", "/scopegate/accounts/none", "", "", 404, `account \"none\": not found`},
		{"account with tokens", "DELETE", "/scopegate/accounts/acme", "", "", 409, `delete its tokens first`},
		{"account by another's id", "POST", "/scopegate/accounts", jsonType, `{"name":"IRab12cd34"}`, 409, `names both account acme and account IRab12cd34`},
		{"account without a name", "POST", "/scopegate/accounts", jsonType, `{}`, 422, `an account cannot be called \"\"`},
		{"account: unknown key", "POST", "/scopegate/accounts", jsonType, `{"nam":"x"}`, 400, `unknown field \"nam\"`},
		{"token without a name", "POST", "/scopegate/tokens", jsonType, `{"description":"d"}`, 400, `expected \"token\" as account/name`},
		{"token with a wrong switch", "POST", "/scopegate/tokens", jsonType, `{"token":"acme/new","issue":"yes"}`, 400, `\"issue\" is true or false`},
		{"token with a wrong key", "POST", "/scopegate/tokens", jsonType, `{"token":"acme/new","scope":[]}`, 422, `a token has no key \"scope\"; did you mean \"scopes\"?`},
		{"token without scopes", "POST", "/scopegate/tokens", jsonType, `{"token":"acme/new","description":"d","contact":{"email":"a@b.example"}}`, 422, `a token needs \"scopes\"`},
		{"token that exists", "POST", "/scopegate/tokens", jsonType, `{"token":"acme/sync","description":"d","contact":{"email":"a@b.example"},"scopes":[{"api":"orders","methods":["GET"]}]}`, 409, `acme/sync: exists already`},
		{"update: widens", "PATCH", "/scopegate/tokens/acme/sync", jsonType, `{"scopes":[{"api":"orders","methods":["*"]}]}`, 409, `widens what tokens may do`},
		{"update: state", "PATCH", "/scopegate/tokens/acme/sync", jsonType, `{"state":"inactive"}`, 400, `\"state\" is not changed here, but by activate and deactivate`},
		{"update: unset what is needed", "PATCH", "/scopegate/tokens/acme/sync", jsonType, `{"contact":null}`, 422, `needs \"contact\"`},
		{"update: nothing", "PATCH", "/scopegate/tokens/acme/sync", jsonType, `{}`, 200, `"change":{"kind":"token","name":"acme/sync","action":"update","widens":false,"narrows":false,"held":false}`},
		{"rotate without a credential", "POST", "/scopegate/tokens/acme/sync/rotate", jsonType, `{"overlap":"1d"}`, 404, `issue makes the first`},
		{"rotate: no time span", "POST", "/scopegate/tokens/acme/sync/rotate", jsonType, `{"overlap":"1"}`, 400, `overlap: expected a time span`},
		{"retire without an overlap", "POST", "/scopegate/tokens/acme/sync/retire", "", "", 409, `has no old credential`},
		{"import: the secret itself", "POST", "/scopegate/tokens/acme/sync/import", jsonType, `{"digest":"` + credential + `"}`, 400, `{"error":"the digest: expected \"sha256:\" and 64 hexadecimal digits"}`},
		{"report", "GET", "/scopegate/reports/legacy", "", "", 200, `"tokens":[]`},
		{"body for an action", "POST", "/scopegate/tokens/acme/sync/deactivate", jsonType, `{"for":"1h"}`, 400, `takes no body`},
		{"explain", "POST", "/scopegate/explain", jsonType, `{"token":"acme/sync","method":"GET","url":"/orders/v1"}`, 200, `{"decision":"allow","token":"acme/sync","api":"orders","version":"v1","operation":"list","steps":[`},
		{"explain by type", "POST", "/scopegate/explain", "text/plain", `{}`, 415, `expected application/json`},
		{"explain: unknown key", "POST", "/scopegate/explain", jsonType, `{"methd":"GET"}`, 400, `unknown field \"methd\"`},
		{"explain: two values", "POST", "/scopegate/explain", jsonType, `{} {}`, 400, `something stands behind the JSON`},
		{"explain: nothing", "POST", "/scopegate/explain", jsonType, `{}`, 400, `expected a method, and a URL`},
		{"explain: no address", "POST", "/scopegate/explain", jsonType, `{"method":"GET","url":"/","from":"::1%eth0"}`, 400, `from is a client's address`},
		{"explain: no time", "POST", "/scopegate/explain", jsonType, `{"method":"GET","url":"/","at":"soon"}`, 400, `at is a date or a time`},
		{"explain: credential for a name", "POST", "/scopegate/explain", jsonType, `{"token":"` + credential + `","method":"GET","url":"/"}`, 400, `this is a credential`},
		{"explain: too large", "POST", "/scopegate/explain", jsonType, `{"url":"` + strings.Repeat("x", 64<<10) + `"}`, 413, `larger than 65536 bytes`},
		{"plan", "POST", "/scopegate/plan", yaml, managedFile, 200, `{"revision":1,"differs":false,"changes":[]}`},
		{"plan by type", "POST", "/scopegate/plan", "application/x-www-form-urlencoded", managedFile, 415, `expected application/yaml`},
		{"plan without a type", "POST", "/scopegate/plan", "", managedFile, 415, `the Content-Type is \"\"; expected application/yaml`},
		{"plan: unknown parameter", "POST", "/scopegate/plan?allow_widen=1", yaml, managedFile, 400, `unknown parameter \"allow_widen\"; expected name, prune`},
		{"plan: parameter twice", "POST", "/scopegate/plan?prune=1&prune=0", yaml, managedFile, 400, `\"prune\" stands twice`},
		{"plan: no switch", "POST", "/scopegate/plan?prune=perhaps", yaml, managedFile, 400, `prune is true or false, not \"perhaps\"`},
		{"plan: bad query", "POST", "/scopegate/plan?prune=%zz", yaml, managedFile, 400, `the query cannot be read`},
		{"plan: bad file", "POST", "/scopegate/plan?name=a.yaml", yaml, "format: 1\napi: {}\n", 422, `{"error":"a.yaml is not valid: 1 problem","problems":[{"file":"a.yaml","line":2,"column":1,"text":"`},
		{"plan: no UTF-8", "POST", "/scopegate/plan?name=a.yaml", yaml, "format: 1\nowner: \xff\n", 422, `"problems":[{"file":"a.yaml","line":2,`},
		{"apply: widens", "POST", "/scopegate/apply", yaml, strings.Replace(managedFile, "methods: [GET]", "methods: [GET, PUT]", 1), 409, `"widens":[{"kind":"token","name":"acme/sync","action":"update","widens":true,`},
		{"apply: a revision that is gone", "POST", "/scopegate/apply?revision=0", yaml, managedFile, 409, `it was at revision 0, and is at 1 now; plan again`},
		{"apply: no revision", "POST", "/scopegate/apply?revision=x", yaml, managedFile, 400, `the parameter revision is a number, not \"x\"`},
		{"plan: a form", "POST", "/scopegate/plan", formType, form("file", "a/b.yaml", managedFile), 200, `{"revision":1,"differs":false,"changes":[]}`},
		{"plan: a form with a bad file", "POST", "/scopegate/plan", formType, form("file", "a/b.yaml", "format: 2\n"), 422, `"problems":[{"file":"a/b.yaml","line":1,`},
		{"plan: a form without a file", "POST", "/scopegate/plan", formType, form("credentials", "", "{}"), 400, `the form has no part called file`},
		{"plan: an unknown part", "POST", "/scopegate/plan", formType, form("files", "a.yaml", ""), 400, `unknown part \"files\" of the form; expected file, document or credentials`},
		{"plan: a part without a name", "POST", "/scopegate/plan", formType, form("file", "", managedFile), 400, `a part called file has no filename`},
		{"plan: a document", "POST", "/scopegate/plan", formType, form("file", "a/b.yaml", documentedFile, "document", "a/orders.yaml", ordersDocument), 200, `"differs":true`},
		{"plan: a document of another path", "POST", "/scopegate/plan", formType, form("file", "b.yaml", documentedFile, "document", "a/orders.yaml", ordersDocument), 422, `the document orders.yaml cannot be read: it was not sent`},
		{"plan: a document that was not sent", "POST", "/scopegate/plan?name=" + url.QueryEscape(g.scopes), yaml, strings.Replace(documentedFile, "orders.yaml", filepath.Base(g.scopes), 1), 422, `cannot be read: it was not sent`},
		{"plan: a document with a mistake", "POST", "/scopegate/plan", formType, form("file", "a/b.yaml", documentedFile, "document", "a/orders.yaml", "openapi: 3.0.0\npaths: []\n"), 422, `"problems":[{"file":"a/orders.yaml","line":1,"column":1,`},
		{"plan: a document twice", "POST", "/scopegate/plan", formType, form("document", "a", "", "document", "a", ""), 400, `each part called document has a filename of its own`},
		{"plan: a document without a name", "POST", "/scopegate/plan", formType, form("document", "", ""), 400, `each part called document has a filename of its own`},
		{"plan: no form", "POST", "/scopegate/plan", formType, "x", 400, `the form has no part called file`},
		{"plan: no boundary", "POST", "/scopegate/plan", "multipart/form-data", "x", 400, `the form cannot be read`},
		{"apply: secrets for digests", "POST", "/scopegate/apply?revision=1", formType, form("credentials", "", `{"acme/sync": {"digest": "`+credential+`", "last_four": "aHXJ"}}`), 400, `the form has no part called file`},
		{"apply: no digest", "POST", "/scopegate/apply?revision=1", formType, form("file", "a", managedFile, "credentials", "", `{"acme/sync": {"digest": "`+credential+`", "last_four": "aHXJ"}}`), 400, `the digest of acme/sync`},
		{"apply: no credentials", "POST", "/scopegate/apply?revision=1", formType, form("file", "a", managedFile, "credentials", "", `["`+credential+`"]`), 400, `the part credentials is JSON such as`},
		{"apply: credentials without a plan", "POST", "/scopegate/apply", formType, form("file", "a", managedFile, "credentials", "", madeFor("acme/sync")), 400, `send its revision too`},
		{"apply: credentials of nobody", "POST", "/scopegate/apply?revision=1", formType, form("file", "a", managedFile, "credentials", "", madeFor("acme/sync")), 409, `a credential was made for token acme/sync, which is not one that is created without`},
		{"a credential for a key", "POST", "/scopegate/accounts", jsonType, `{"` + credential + `":"x"}`, 400, `unknown field \"[credential]\"`},
		{"a credential for a route", "GET", "/scopegate/" + credential, "", "", 404, `there is nothing at /scopegate/[credential]`},
		{"a credential for a parameter", "GET", "/scopegate/status?" + credential, "", "", 400, `unknown parameter \"[credential]\"`},
		{"a credential for an account", "GET", "/scopegate/export?account=" + credential, "", "", 404, `account \"[credential]\": not found`},
		{"a credential for an action", "POST", "/scopegate/tokens/acme/sync/" + credential, "", "", 404, `unknown action \"[credential]\"`},
		{"a credential for a key of a file", "POST", "/scopegate/plan", yaml, strings.Replace(managedFile, "format: 1\n", "format: 1\n"+credential+": x\n", 1), 422, `[credential]`},
		{"drift", "POST", "/scopegate/drift", yaml, managedFile, 200, `{"revision":1,"differs":false,"changes":[]}`},
		{"drift: a difference", "POST", "/scopegate/drift", yaml, strings.Replace(managedFile, "methods: [GET]", "methods: [PUT]", 1), 200, `"differs":true,"changes":[{"kind":"token","name":"acme/sync","action":"differs","widens":true,"narrows":true`},
		{"drift: unknown parameter", "POST", "/scopegate/drift?prune", yaml, managedFile, 400, `unknown parameter \"prune\"; expected name`},
		{"export: no account", "GET", "/scopegate/export?account=none", "", "", 404, `account \"none\": not found`},
		{"export: a body", "GET", "/scopegate/export", jsonType, "{}", 400, `takes no body`},
		{"apply: nothing", "POST", "/scopegate/apply?prune&allow_widen=false", yaml, managedFile, 200, `{"revision":1,"differs":false,"changes":[]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			response := g.admit(t, c.method, c.path, c.contentType, c.body)
			if response.status != c.status || !strings.Contains(response.body, c.want) {
				t.Errorf("%s %s\n got %d %s\nwant %d …%s…", c.method, c.path, response.status, response.body, c.status, c.want)
			}
			if response.header.Get("Content-Type") != "application/json" || response.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s: got header %v, want JSON that is not to be stored", c.method, c.path, response.header)
			}
			if strings.Contains(response.body, credential) {
				t.Errorf("%s %s: the answer repeats a credential: %s", c.method, c.path, response.body)
			}
		})
	}
	testAdminMethods(t, g)
}

const formBoundary = "between-parts"

// form returns a form whose parts are given by name, filename and content.
func form(parts ...string) string {
	var b strings.Builder
	for ; len(parts) > 0; parts = parts[3:] {
		fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; name=%q; filename=%q\r\n\r\n%s\r\n", formBoundary, parts[0], parts[1], parts[2])
	}
	return b.String() + "--" + formBoundary + "--\r\n"
}

// madeFor returns the credentials of a form for one token.
func madeFor(token string) string {
	return fmt.Sprintf(`{%q: {"digest": %q, "last_four": "0000"}}`, token, scopes.DigestOf("secret of "+token))
}

// testAdminMethods: each route has its methods, and says which.
func testAdminMethods(t *testing.T, g *gateway) {
	t.Helper()
	for _, c := range []struct{ method, path, allow string }{
		{"POST", "/scopegate/status", "GET, HEAD"},
		{"GET", "/scopegate/plan", "POST"},
		{"GET", "/scopegate/drift", "POST"},
		{"POST", "/scopegate/export", "GET, HEAD"},
		{"PUT", "/scopegate/apply", "POST"},
		{"GET", "/scopegate/explain", "POST"},
		{"DELETE", "/scopegate/tokens", "GET, HEAD, POST"},
		{"PUT", "/scopegate/tokens/acme/sync", "DELETE, GET, HEAD, PATCH, POST"},
		{"GET", "/scopegate/tokens/acme/sync/issue", "POST"},
		{"OPTIONS", "/scopegate/tokens/acme/sync/issue", "POST"},
	} {
		response := g.admit(t, c.method, c.path, "", "")
		if response.status != http.StatusMethodNotAllowed || response.header.Get("Allow") != c.allow {
			t.Errorf("%s %s: got %d, Allow %q; want 405, %q", c.method, c.path, response.status, response.header.Get("Allow"), c.allow)
		}
	}
	exported := g.admit(t, "GET", "/scopegate/export?account=acme&owner=", "", "")
	if exported.header.Get("Content-Type") != "application/yaml" || !strings.HasPrefix(exported.body, "format: 1\n\naccounts:\n  acme:\n    ids: [IRab12cd34]\n") {
		t.Errorf("export: got %d %v %s", exported.status, exported.header, exported.body)
	}
	if head := g.admit(t, "HEAD", "/scopegate/status", "", ""); head.status != http.StatusOK || head.body != "" {
		t.Errorf("HEAD: got %d %q, want 200 without a body", head.status, head.body)
	}
}

// testAdminCredential: the one answer with a secret comes once, works at once, and
// leaves no trace.
func testAdminCredential(t *testing.T, g *gateway) {
	t.Helper()
	var made struct{ ID, Token, Credential string }
	response := g.admit(t, "POST", "/scopegate/tokens/acme/secret/issue", "", "")
	if err := json.Unmarshal([]byte(response.body), &made); err != nil || made.Token != "acme/secret" {
		t.Fatalf("issue: got %d %s", response.status, response.body)
	}
	if again := g.admit(t, "POST", "/scopegate/tokens/"+made.ID+"/issue", "", ""); again.status != http.StatusConflict {
		t.Errorf("issue again: got %d %s, want 409", again.status, again.body)
	}
	for _, path := range []string{"/scopegate/tokens", "/scopegate/tokens/" + made.ID, "/scopegate/tokens/acme/secret"} {
		shown := g.admit(t, "GET", path, "", "")
		lastFour := `"last_four":"` + made.Credential[len(made.Credential)-4:] + `"`
		if !strings.Contains(shown.body, lastFour) {
			t.Errorf("GET %s: got %s, want it to have %s", path, shown.body, lastFour)
		}
		if strings.Contains(shown.body, made.Credential) || strings.Contains(shown.body, "sha256") {
			t.Errorf("GET %s shows more than the last four characters: %s", path, shown.body)
		}
	}
	if strings.Contains(g.logs.String(), made.Credential) {
		t.Error("the credential is in the log")
	}
}

// testAdminSwitch: off and on again, by name and by id.
func testAdminSwitch(t *testing.T, g *gateway) {
	t.Helper()
	off := g.admit(t, "POST", "/scopegate/tokens/acme/switched/deactivate", "", "")
	if off.status != http.StatusOK || !strings.Contains(off.body, `"state":"inactive","held":true`) {
		t.Errorf("deactivate: got %d %s", off.status, off.body)
	}
	explained := g.admit(t, "POST", "/scopegate/explain", "application/json", `{"token":"acme/switched","method":"GET","url":"/orders/v1"}`)
	if !strings.Contains(explained.body, `{"decision":"deny","reason":"inactive"`) {
		t.Errorf("explain: got %d %s, want inactive", explained.status, explained.body)
	}
	on := g.admit(t, "POST", "/scopegate/tokens/"+off.id(t)+"/activate", "", "")
	if on.status != http.StatusOK || !strings.Contains(on.body, `"state":"active","held":false`) {
		t.Errorf("activate: got %d %s", on.status, on.body)
	}
}

// testAdminDelete: what is deleted is gone for ever.
func testAdminDelete(t *testing.T, g *gateway) {
	t.Helper()
	deleted := g.admit(t, "DELETE", "/scopegate/tokens/acme/gone", "", "")
	if deleted.status != http.StatusOK || !strings.Contains(deleted.body, `"state":"deleted"`) {
		t.Fatalf("delete: got %d %s", deleted.status, deleted.body)
	}
	for _, action := range []string{"issue", "activate", "deactivate"} {
		response := g.admit(t, "POST", "/scopegate/tokens/"+deleted.id(t)+"/"+action, "", "")
		if response.status != http.StatusGone {
			t.Errorf("%s on a deleted token: got %d %s, want 410", action, response.status, response.body)
		}
	}
	if list := g.admit(t, "GET", "/scopegate/tokens", "", ""); strings.Contains(list.body, "acme/gone") {
		t.Errorf("the list has a deleted token: %s", list.body)
	}
}

// testAdminAfterRejectedReload: the routes serve the configuration that runs, also
// after one that was rejected, which leaves them with a dead context.
func testAdminAfterRejectedReload(t *testing.T, g *gateway) {
	t.Helper()
	broken := strings.Replace(proxyCaddyfile, "scopegate_proxy", "bind 192.0.2.1\n\tscopegate_proxy", 1) // an address that nobody has
	for _, c := range []struct {
		name, caddyfile string
		status          int
	}{
		{"rejected", broken, http.StatusBadRequest},
		{"accepted", strings.Replace(proxyCaddyfile, "scopegate_proxy", "scopegate_proxy {\n\t\tapis orders\n\t}", 1), http.StatusOK},
	} {
		caddyfile := strings.NewReplacer("{$ADMIN}", g.admin, "{$GATEWAY}", g.addr, "{$STORE}", g.store, "{$SCOPES}", g.scopes).Replace(c.caddyfile)
		if reload := g.admit(t, "POST", "/load", "text/caddyfile", caddyfile); reload.status != c.status {
			t.Fatalf("%s reload: got %d %s, want %d", c.name, reload.status, reload.body, c.status)
		}
		if got := g.admit(t, "GET", "/scopegate/tokens/acme/sync", "", ""); got.status != http.StatusOK {
			t.Errorf("after the %s reload: got %d %s, want 200", c.name, got.status, got.body)
		}
	}
}

// testAdminActors: the audit log says who did it, and what is only somebody's word.
// It ends the server to read the log.
func testAdminActors(t *testing.T, g *gateway) {
	t.Helper()
	if out := g.scopegate(t, "token", "deactivate", "acme/sync"); out.code != 0 {
		t.Fatalf("deactivate: %+v", out)
	}
	g.stop(t)
	s, err := store.Open(g.store, store.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // opened for reading
	entries, err := s.Log(store.LogQuery{})
	if err != nil {
		t.Fatal(err)
	}
	actors := make(map[string]string)
	for _, e := range entries {
		if e.Kind == "token" {
			actors[e.Action+" "+e.Name] = e.Actor
		}
	}
	for change, want := range map[string]string{
		"create acme/sync":         "scope file " + g.scopes,
		"issue acme/secret":        "admin endpoint, 127.0.0.1",
		"deactivate acme/switched": "admin endpoint, 127.0.0.1",
		"deactivate acme/sync":     `admin endpoint, 127.0.0.1, says it is user "`,
	} {
		got := actors[change]
		if strings.HasSuffix(want, `"`) { // and a name that depends on who runs the test
			got, _, _ = strings.Cut(got, `"`)
			got += `"`
		}
		if got != want {
			t.Errorf("%s: got actor %q, want %q", change, got, want)
		}
	}
}

// id returns the id of the token that is in the reply.
func (r reply) id(t *testing.T) string {
	t.Helper()
	var token struct{ ID string }
	if err := json.Unmarshal([]byte(r.body), &token); err != nil || token.ID == "" {
		t.Fatalf("no token in %s", r.body)
	}
	return token.ID
}

// admit sends a request to the admin endpoint. The content type may be "".
func (g *gateway) admit(t *testing.T, method, path, contentType, body string) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, g.adminURL(path), bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
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
