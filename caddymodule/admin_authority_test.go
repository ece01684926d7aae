package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
)

// give is what an administrator's token tries to give, to itself or to others, and
// what it is told: "" where it may.
type give struct {
	name, by, method, target, contentType, body string
	lacks                                       string // in the refusal
}

// testAdminAuthority: no route lets a token give what it does not have itself.
func testAdminAuthority(t *testing.T, g *gateway) {
	t.Helper()
	for _, c := range gives() {
		t.Run(c.name, func(t *testing.T) {
			got := g.manage(t, c.by, c.method, c.target, c.contentType, c.body)
			if c.lacks == "" {
				if got.status != http.StatusOK {
					t.Errorf("got %d %s, want it done", got.status, got.body)
				}
				return
			}
			if got.status != http.StatusForbidden || !strings.Contains(got.body, c.lacks) || !strings.HasPrefix(got.body, `{"error":"`) {
				t.Errorf("got %d %s, want a refusal with %q", got.status, got.body, c.lacks)
			}
			if strings.Contains(got.body, "sgt_") {
				t.Errorf("the refusal has a credential: %s", got.body)
			}
		})
	}
}

// replaced returns an apply of the scope file with one thing in the place of another,
// which the file must have.
func replaced(name, by, old, now, lacks string) give {
	before, after, found := strings.Cut(roleFile(), old)
	file := before + now + after
	if !found {
		file = "the file does not have it"
	}
	return give{name, by, "POST", "/scopegate/apply?allow_widen=true", yamlType, file, lacks}
}

// upload is a body of several parts: the scope file, and the credentials that the
// client has made for new tokens.
func upload(t *testing.T, file, credentials string) (contentType, body string) {
	t.Helper()
	var sent strings.Builder
	form := multipart.NewWriter(&sent)
	part, err := form.CreateFormFile("file", "scopes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(part, file); err != nil {
		t.Fatal(err)
	}
	if err := form.WriteField("credentials", credentials); err != nil {
		t.Fatal(err)
	}
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	return form.FormDataContentType(), sent.String()
}

// testAdminUploads: a credential that comes with a scope file gives all that its
// token may do.
func testAdminUploads(t *testing.T, g *gateway) {
	t.Helper()
	const victim = "      old: {"
	for _, c := range []struct {
		methods string
		status  int
		want    string
	}{
		{"GET, DELETE", http.StatusForbidden, "has no orders:v1:DELETE"},
		{"GET", http.StatusOK, `"name":"acme/sent"`},
	} {
		made := `      sent: {description: d, contact: {email: a@b.example}, scopes: [{api: orders, version: "v1", methods: [` + c.methods + "]}]}\n"
		var now struct{ Revision uint64 }
		if err := json.Unmarshal([]byte(g.manage(t, "viewer", "GET", "/scopegate/status", "", "").body), &now); err != nil {
			t.Fatal(err)
		}
		contentType, body := upload(t, strings.Replace(roleFile(), victim, made+victim, 1),
			`{"acme/sent": {"digest": "`+digestOf("made-by-the-client")+`", "last_four": "ient"}}`)
		got := g.manage(t, "admin", "POST", fmt.Sprintf("/scopegate/apply?allow_widen=true&revision=%d", now.Revision), contentType, body)
		if got.status != c.status || !strings.Contains(got.body, c.want) {
			t.Errorf("%s: got %d %s, want %d …%s…", c.methods, got.status, got.body, c.status, c.want)
		}
	}
}

// gives are the attempts through scope files, and then those one by one.
func gives() []give { return append(givesByFile(), givesByHand()...) }

// givesByHand go through the routes for one token or account.
func givesByHand() []give {
	const (
		about    = `"description":"d","contact":{"email":"a@b.example"},`
		readV1   = `"scopes":[{"api":"orders","version":"v1","methods":["GET"]}]`
		deleteV1 = `"scopes":[{"api":"orders","version":"v1","methods":["GET","DELETE"]}]`
	)
	sends := func(name, by, method, target, body, lacks string) give {
		return give{name, by, method, target, jsonType, body, lacks}
	}
	creates := func(name, by, ref, keys, lacks string) give {
		return sends(name, by, "POST", "/scopegate/tokens", `{"token":"`+ref+`",`+about+keys+`}`, lacks)
	}
	changes := func(name, by, ref, keys, lacks string) give {
		return sends(name, by, "PATCH", "/scopegate/tokens/"+ref+"?allow_widen=true", "{"+keys+"}", lacks)
	}
	return []give{
		creates("create by hand", "admin", "acme/by-hand", deleteV1, "has no orders:v1:DELETE"),
		creates("create by hand, and issue", "admin", "acme/by-hand", deleteV1+`,"issue":true`, "gives it no credential here"),
		creates("create by hand, with a known credential", "admin", "acme/by-hand", deleteV1+`,"credential":"`+digestOf("known-to-the-attacker")+`"`, "gives it no credential here"),
		creates("create a legacy token by hand", "admin", "acme/by-hand", `"access":"read_write"`, "has no access: read_write"),
		creates("create an administrator by hand", "brief", "ops/other", `"expires":"2098-01-01","sources":["127.0.0.1"],"scopes":[{"api":"partners","methods":["GET"]}]`, "has no partners::GET"),
		creates("create in an account that comes to be", "admin", "initrode/first", deleteV1, "makes no account here"),
		creates("create by hand what it has, and issue", "admin", "acme/by-hand", readV1+`,"issue":true`, "gives it no credential here"),
		creates("create by hand what it has", "admin", "acme/by-hand", readV1, ""),
		changes("widen by hand", "admin", "acme/less", deleteV1, "has no orders:v1:DELETE"),
		changes("widen itself by hand", "deputy", "ops/deputy", `"scopes":[{"api":"scopegate","methods":["*"]}]`, "has no scopegate::*"),
		changes("extend its own expiry by hand", "brief", "ops/brief", `"expires":null`, "expires at 2099-01-01"),
		changes("remove its own sources by hand", "brief", "ops/brief", `"sources":null`, "may be used from 127.0.0.0/8"),
		changes("extend the expiry of a more powerful token", "brief", "acme/rotated", `"expires":"2098-01-01","sources":["127.0.0.1"]`, ""),
		changes("and then for longer", "brief", "acme/rotated", `"expires":"2098-01-02"`, "has no orders:v1:DELETE"),
		changes("make a token legacy by hand", "admin", "acme/less", `"scopes":null,"access":"read_only"`, "has no access: read_only"),
		changes("make a legacy token wider by hand", "admin", "acme/old", `"access":"read_write"`, "has no access: read_write"),
		changes("describe a more powerful token", "admin", "acme/rotated", `"description":"other"`, ""),
		sends("rotate a more powerful token", "admin", "POST", "/scopegate/tokens/acme/rotated/rotate", "{}", "has no orders:v1:DELETE"),
		sends("rotate it with an overlap", "admin", "POST", "/scopegate/tokens/acme/rotated/rotate", `{"overlap":"7d"}`, "has no orders:v1:DELETE"),
		sends("rotate itself", "own", "POST", "/scopegate/tokens/ops/own/rotate", "{}", ""),
		sends("import by hand", "admin", "POST", "/scopegate/tokens/acme/more/import", `{"digest":"`+digestOf("known-to-the-attacker")+`"}`, "has no orders:v1:DELETE"),
		sends("create an account with ids", "admin", "POST", "/scopegate/accounts", `{"name":"initech","ids":["IRab12cd34"]}`, "ids of account initech"),
		sends("create an account", "admin", "POST", "/scopegate/accounts", `{"name":"initech"}`, ""),
		{"delete an account", "admin", "DELETE", "/scopegate/accounts/initech", "", "", ""},
		{"delete a more powerful token", "admin", "DELETE", "/scopegate/tokens/acme/again", "", "", ""},
		creates("and create it again", "admin", "acme/again", deleteV1, "has no orders:v1:DELETE"),
		creates("and create it again, for a scope file to give it more", "admin", "acme/again", readV1, "had the name acme/again"),
	}
}

func givesByFile() []give {
	const (
		contact = "description: d, contact: {email: a@b.example}, "
		read    = `scopes: [{api: orders, version: "v1", methods: [GET]}]`
		victim  = "      old: {"
	)
	added := func(name, by, keys, lacks string) give {
		return replaced(name, by, victim, "      made: {"+contact+keys+"}\n"+victim, lacks)
	}
	does := func(name, by, ref, action, lacks string) give {
		return give{name, by, "POST", "/scopegate/tokens/" + ref + "/" + action, "", "", lacks}
	}
	return []give{
		does("issue for a more powerful token", "admin", "acme/more", "issue", "has no orders:v1:DELETE"),
		does("issue for a legacy token", "admin", "acme/old", "issue", "has no access: read_only"),
		does("issue for one that outlives it", "brief", "acme/spare", "issue", "expires at 2099-01-01"),
		does("activate a held token", "admin", "acme/off", "activate", "has no orders:v1:DELETE"),
		added("create with another method", "admin", `scopes: [{api: orders, version: "v1", methods: [PUT]}]`, "has no orders:v1:PUT"),
		added("create with another version", "admin", `scopes: [{api: orders, version: "v2", methods: [GET]}]`, "has no orders:v2:GET"),
		added("create inactive", "admin", `state: inactive, scopes: [{api: orders, version: "v1", methods: ["*"]}]`, "has no orders:v1:*"),
		added("create legacy", "admin", `access: read_only`, "has no access: read_only"),
		added("create an administrator without being one", "deputy", `scopes: [{api: scopegate, methods: [POST], operations: [tokens/create]}]`, "has no scopegate:"),
		added("create a viewer with all operations", "deputy", `scopes: [{api: scopegate, methods: [GET]}]`, "has no scopegate:"),
		added("create for another account of a bound API", "admin", `scopes: [{api: partners, methods: [GET]}]`, "has no partners::GET"),
		added("create what lives on", "brief", read, "expires at 2099-01-01"),
		added("create for everywhere", "brief", "expires: 2098-01-01, "+read, "may be used from 127.0.0.0/8"),
		replaced("widen a token", "admin", "less: {"+contact+read, "less: {"+contact+`scopes: [{api: orders, version: "v1", methods: [GET, DELETE]}]`, "has no orders:v1:DELETE"),
		replaced("widen itself", "deputy", "operations: [apply, ", "operations: [apply, tokens/create, ", "has no scopegate:"),
		replaced("extend its own expiry", "brief", "expires: 2099-01-01", "expires: 2099-01-02", "expires at 2099-01-01"),
		replaced("remove its own sources", "brief", "sources: [127.0.0.0/8], ", "", "may be used from 127.0.0.0/8"),
		replaced("import a known credential", "admin", "more: {", fmt.Sprintf("more: {credential: %q, ", digestOf("known-to-the-attacker")), "has no orders:v1:DELETE"),
		replaced("activate by a file", "admin", "off: {"+contact+"state: inactive", "off: {"+contact+"state: active", "has no orders:v1:DELETE"),
		replaced("make a legacy token wider", "admin", "access: read_only", "access: read_write", "has no access: read_write"),
		replaced("make a token legacy", "admin", "less: {"+contact+read, "less: {"+contact+"access: read_write", "has no access: read_write"),
		replaced("move an operation", "admin", "one: GET|PUT|DELETE /orders/{version}/{id}", "one: GET|PUT|DELETE /admin/{version}/{id}", "APIs are not changed"),
		replaced("add a method to an operation", "admin", "one: GET|PUT|DELETE", "one: GET|PUT|DELETE|PATCH", "APIs are not changed"),
		replaced("unbind an API", "admin", "    account_param: account\n", "", "APIs are not changed"),
		replaced("add an API", "admin", "accounts:\n", "  all: {operations: {all: \"* /**\"}}\naccounts:\n", "APIs are not changed"),
		replaced("take over an id", "admin", "  acme:\n", "  acme:\n    ids: [globex]\n", "ids of account acme"),
		replaced("account with ids", "admin", "  acme:\n", "  globex: {ids: [IRab12cd34]}\n  acme:\n", "ids of account globex"),
		does("deactivate a more powerful token", "helpdesk", "acme/fresh", "deactivate", ""),
		replaced("take away", "admin", "fresh: {"+contact+`scopes: [{api: orders, version: "v1", methods: [GET, DELETE]}]`, "fresh: {"+contact+`scopes: [{api: orders, version: "v1", methods: [DELETE]}]`, ""),
		added("create what it has", "admin", read, ""),
	}
}

// testAdminLateBodies: a request that was allowed is decided on once more when its
// body has come, for minutes may lie between.
func testAdminLateBodies(t *testing.T, g *gateway) {
	t.Helper()
	const tokens = "/scopegate/tokens/ops/"
	file := roleFile()
	narrowed := strings.Replace(file, "slow4: {description: d, contact: {email: a@b.example}, credential: \""+digestOf(secretOf("slow4"))+`", scopes: [{api: scopegate, methods: ["*"]}]`,
		"slow4: {description: d, contact: {email: a@b.example}, credential: \""+digestOf(secretOf("slow4"))+`", scopes: [{api: scopegate, methods: [GET]}]`, 1)
	for _, c := range []struct {
		name, by     string
		meanwhile    func()
		status, want string
	}{
		{"nothing happened", "slow1", func() {}, "HTTP/1.1 200 ", `"differs":false`},
		{"deactivated", "slow2", func() { g.admit(t, "POST", tokens+"slow2/deactivate", "", "") }, "HTTP/1.1 403 ", "no longer in force"},
		{"deleted", "slow3", func() { g.admit(t, "DELETE", tokens+"slow3", "", "") }, "HTTP/1.1 403 ", "no longer in force"},
		{"without the operation", "slow4", func() { g.admit(t, "POST", "/scopegate/apply", yamlType, narrowed) }, "HTTP/1.1 403 ", "no longer allowed"},
		{"rotated", "slow5", func() { g.admit(t, "POST", tokens+"slow5/rotate", "", "") }, "HTTP/1.1 403 ", "no longer allowed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := dialGateway(t, g.addr)
			defer hangUp(conn)
			head := fmt.Sprintf("POST /scopegate/apply?allow_widen=true HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/yaml\r\n"+
				"Content-Length: %d\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n", g.addr, secretOf(c.by), len(file))
			if _, err := io.WriteString(conn, head); err != nil {
				t.Fatal(err)
			}
			begun := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n")) // it was allowed, and its body is being read
			if _, err := io.ReadFull(conn, begun); err != nil || !strings.HasPrefix(string(begun), "HTTP/1.1 100 ") {
				t.Fatalf("got %q (error %v), want 100", begun, err)
			}
			c.meanwhile()
			if _, err := io.WriteString(conn, file); err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(conn)
			if err != nil || !strings.HasPrefix(string(answer), c.status) || !strings.Contains(string(answer), c.want) {
				t.Errorf("got %s (error %v), want %s…%s", answer, err, c.status, c.want)
			}
		})
	}
}
