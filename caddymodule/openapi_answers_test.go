package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// apiDocument is the OpenAPI document as a server has sent it.
type apiDocument struct {
	compiler *jsonschema.Compiler
	Paths    map[string]map[string]json.RawMessage `json:"paths"`
}

// apiOperation is one of its operations, as far as tests need to know it.
type apiOperation struct {
	method, path string
	ID           string                     `json:"operationId"`
	Responses    map[string]json.RawMessage `json:"responses"`
}

const apiDocumentURL = "https://scopegate.example/openapi.json"

func parseDocument(t *testing.T, text string) *apiDocument {
	t.Helper()
	d := &apiDocument{compiler: jsonschema.NewCompiler()}
	if err := json.Unmarshal([]byte(text), d); err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource(apiDocumentURL, value); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *apiDocument) operations(t *testing.T) map[string]apiOperation {
	t.Helper()
	found := make(map[string]apiOperation)
	for path, item := range d.Paths {
		for method, raw := range item {
			if method == "parameters" {
				continue
			}
			op := apiOperation{method: method, path: path}
			if err := json.Unmarshal(raw, &op); err != nil {
				t.Fatal(err)
			}
			found[op.ID] = op
		}
	}
	return found
}

// check fails the test unless an answer is as the document says.
func (d *apiDocument) check(t *testing.T, op apiOperation, got reply) {
	t.Helper()
	status := fmt.Sprint(got.status)
	raw, ok := op.Responses[status]
	if !ok {
		t.Fatalf("got %d %s, and the document does not have this status", got.status, got.body)
	}
	var response struct {
		Ref string `json:"$ref"`
	}
	if err := json.Unmarshal(raw, &response); err != nil {
		t.Fatal(err)
	}
	pointer := "#/paths/" + strings.ReplaceAll(op.path, "/", "~1") + "/" + op.method + "/responses/" + status
	if response.Ref != "" {
		pointer = response.Ref
	}
	mediaType, _, err := mime.ParseMediaType(got.header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	schema, err := d.compiler.Compile(apiDocumentURL + pointer + "/content/" + strings.ReplaceAll(mediaType, "/", "~1") + "/schema")
	if err != nil {
		t.Fatalf("got %d %s, for which the document has no schema: %v", got.status, got.body, err)
	}
	var value any = got.body
	if strings.HasSuffix(mediaType, "json") {
		if value, err = jsonschema.UnmarshalJSON(bytes.NewReader([]byte(got.body))); err != nil {
			t.Fatal(err)
		}
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("got %d %s\nwhich is not as the document says: %v", got.status, excerpt(got.body), err)
	}
}

// posed is a request for an operation, and the status that it gets.
type posed struct {
	operation, target, contentType, body string
	status                               int
}

// posedFor are requests for every operation, in an order in which they work, for an
// account of their own.
func posedFor(account string) []posed {
	const about = `"description":"d","contact":{"email":"a@b.example"},"scopes":[{"api":"orders","version":"v1","methods":["GET"]}]`
	ref := "/scopegate/tokens/" + account + "/made"
	digest := digestOf("a-credential-of-" + account)
	return []posed{
		{"status", "/scopegate/status", "", "", 200},
		{"openapi", "/scopegate/openapi.json", "", "", 200},
		{"plan", "/scopegate/plan?prune=true", yamlType, strings.Replace(roleFile(), "methods: [GET]", "methods: [GET, POST]", 1), 200},
		{"plan", "/scopegate/plan", yamlType, "format: 1\napi: {}\n", 422},
		{"plan", "/scopegate/plan", "text/plain", roleFile(), 415},
		{"plan", "/scopegate/plan?unknown", yamlType, roleFile(), 400},
		{"apply", "/scopegate/apply", yamlType, roleFile(), 200},
		{"apply", "/scopegate/apply", yamlType, strings.Replace(roleFile(), `client: {description: d, contact: {email: a@b.example}`, `client: {description: d, contact: {email: a@b.example}, version: "v1"`, 1), 200},
		{"drift", "/scopegate/drift", yamlType, roleFile(), 200},
		{"drift", "/scopegate/drift?name=a.yaml", yamlType, "format: 1\napi: {}\n", 422},
		{"export", "/scopegate/export?owner=&account=acme", "", "", 200},
		{"export", "/scopegate/export?account=none", "", "", 404},
		{"explain", "/scopegate/explain", jsonType, `{"token":"ops/legacy","method":"GET","url":"/orders/v1","from":"192.0.2.1","headers":{"Accept":["*/*"]}}`, 200},
		{"explain", "/scopegate/explain", jsonType, `{"token":"acme/less","method":"DELETE","url":"/orders/v1/7"}`, 200},
		{"explain", "/scopegate/explain", jsonType, `{"token":"acme/unknown","method":"GET","url":"/"}`, 404},
		{"log", "/scopegate/log", "", "", 200},
		{"log", "/scopegate/log?after=0&limit=2&kind=token&wait=1s", "", "", 200},
		{"log", "/scopegate/log?limit=0", "", "", 400},
		{"apis/list", "/scopegate/apis", "", "", 200},
		{"apis/show", "/scopegate/apis/orders", "", "", 200},
		{"apis/show", "/scopegate/apis/scopegate", "", "", 200},
		{"apis/show", "/scopegate/apis/unknown", "", "", 404},
		{"accounts/list", "/scopegate/accounts", "", "", 200},
		{"accounts/create", "/scopegate/accounts", jsonType, `{"name":"` + account + `","title":"Title","max_active_tokens":30}`, 200},
		{"accounts/create", "/scopegate/accounts", jsonType, `{"name":"` + account + `"}`, 409},
		{"accounts/create", "/scopegate/accounts", jsonType, `{"name":"no name"}`, 422},
		{"accounts/show", "/scopegate/accounts/" + account, "", "", 200},
		{"accounts/show", "/scopegate/accounts/unknown", "", "", 404},
		{"tokens/create", "/scopegate/tokens", jsonType, `{"token":"` + account + `/made",` + about + `,"expires":"2099-01-01","sources":["127.0.0.1"],"rotate_every":"90d","environment":"test","version":"v1","rate":"100/s burst 200","quota":{"orders":"1000/day"},"keep":true,"shadow":[{"api":"orders","methods":["GET"]}]}`, 200},
		{"tokens/create", "/scopegate/tokens", jsonType, `{"token":"` + account + `/other",` + about + `}`, 200},
		{"tokens/create", "/scopegate/tokens", jsonType, `{"token":"` + account + `/made",` + about + `}`, 409},
		{"tokens/create", "/scopegate/tokens", jsonType, `{"token":"` + account + `/wrong","scopes":1}`, 422},
		{"tokens/create", "/scopegate/tokens", jsonType, `{`, 400},
		{"tokens/list", "/scopegate/tokens", "", "", 200},
		{"tokens/list", "/scopegate/tokens?account=" + account + "&state=active&api=orders&contact=b.example&access=scoped&expiring=5000w", "", "", 200},
		{"tokens/list", "/scopegate/tokens?search=ACME&limit=1&after=acme/client", "", "", 200},
		{"tokens/list", "/scopegate/tokens?limit=0", "", "", 400},
		{"tokens/list", "/scopegate/tokens?after=acme", "", "", 400},
		{"accounts/list", "/scopegate/accounts?search=a&limit=1&after=acme", "", "", 200},
		{"accounts/list", "/scopegate/accounts?limit=1001", "", "", 400},
		{"tokens/show", ref, "", "", 200},
		{"tokens/show", ref + "-not", "", "", 404},
		{"explain", "/scopegate/explain", jsonType, `{"token":"` + account + `/made","method":"GET","url":"/orders/v1","from":"127.0.0.1"}`, 200},
		{"tokens/update", ref, jsonType, `{"description":"other","environment":null}`, 200},
		{"tokens/update", ref, jsonType, `{"rate":null,"keep":[{"api":"orders","version":"v1","methods":["GET"]}],"shadow":null}`, 409},
		{"tokens/update", ref, jsonType, `{"rate":{"*":"50/s"},"keep":[{"api":"orders","version":"v1","methods":["GET"]}],"shadow":null}`, 200},
		{"tokens/update", ref, jsonType, `{"quota":"1000/second"}`, 422},
		{"tokens/update", ref, jsonType, `{"scopes":[{"api":"orders","version":"v1","methods":["*"]}]}`, 409},
		{"tokens/update", ref, jsonType, `{"scopes":[]}`, 422},
		{"tokens/issue", ref + "/issue", "", "", 200},
		{"tokens/issue", ref + "/issue", "", "", 409},
		{"tokens/issue", "/scopegate/tokens/" + account + "/other/issue", "", "", 200},
		{"tokens/rotate", ref + "/rotate", jsonType, `{"overlap":"7d"}`, 200},
		{"tokens/show", ref, "", "", 200},
		{"tokens/rotate", ref + "/rotate", jsonType, `{}`, 409},
		{"tokens/retire", ref + "/retire", "", "", 200},
		{"tokens/retire", ref + "/retire", "", "", 409},
		{"tokens/import", ref + "/import", jsonType, `{"digest":"` + digest + `"}`, 409},
		{"tokens/create", "/scopegate/tokens", jsonType, `{"token":"` + account + `/imported",` + about + `}`, 200},
		{"tokens/import", "/scopegate/tokens/" + account + "/imported/import", jsonType, `{"digest":"` + digest + `","last_four":"abcd"}`, 200},
		{"tokens/deactivate", ref + "/deactivate", "", "", 200},
		{"tokens/activate", ref + "/activate", "", "", 200},
		{"reports/usage", "/scopegate/reports/usage?window=1h&detail", "", "", 200},
		{"reports/usage", "/scopegate/reports/usage?token=acme/more", "", "", 200},
		{"reports/usage", "/scopegate/reports/usage?token=acme/nobody", "", "", 404},
		{"reports/usage", "/scopegate/reports/usage?window=1y", "", "", 400},
		{"reports/activity", "/scopegate/reports/activity", "", "", 200},
		{"reports/activity", "/scopegate/reports/activity?window=24h&tokens=acme/more,acme/client&token=acme/less", "", "", 200},
		{"reports/activity", "/scopegate/reports/activity?tokens=acme/nobody", "", "", 404},
		{"reports/activity", "/scopegate/reports/activity?tokens=acme", "", "", 400},
		{"reports/attention", "/scopegate/reports/attention", "", "", 200},
		{"reports/attention", "/scopegate/reports/attention?token=acme/fresh&window=30d", "", "", 200},
		{"reports/errors", "/scopegate/reports/errors", "", "", 200},
		{"reports/unused", "/scopegate/reports/unused", "", "", 200},
		{"reports/overprivileged", "/scopegate/reports/overprivileged?detail", "", "", 200},
		{"reports/rotation", "/scopegate/reports/rotation", "", "", 200},
		{"reports/legacy", "/scopegate/reports/legacy", "", "", 200},
		{"reports/contacts", "/scopegate/reports/contacts", "", "", 200},
		{"reports/shadow", "/scopegate/reports/shadow", "", "", 200},
		{"reports/deprecated", "/scopegate/reports/deprecated?detail", "", "", 200},
		{"suggest", "/scopegate/suggest", "", "", 200},
		{"accounts/delete", "/scopegate/accounts/" + account, "", "", 409},
		{"tokens/delete", ref, "", "", 200},
		{"tokens/activate", ref + "/activate", "", "", 410},
		{"tokens/delete", "/scopegate/tokens/" + account + "/other", "", "", 200},
		{"tokens/delete", "/scopegate/tokens/" + account + "/imported", "", "", 200},
		{"tokens/delete", ref + "-not", "", "", 404},
		{"accounts/delete", "/scopegate/accounts/" + account, "", "", 200},
	}
}

// TestOpenAPI sends real requests for every operation, to a site and to the admin
// endpoint, and holds the answers against the document.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	g := startGateway(t, adminSite("", freeAddr(t)), roleFile())
	document := parseDocument(t, g.manage(t, "admin", "GET", "/scopegate/openapi.json", "", "").body)
	operations := document.operations(t)
	for where, send := range map[string]func(method string, a posed) reply{
		"site": func(method string, a posed) reply {
			return g.manage(t, "admin", method, a.target, a.contentType, a.body)
		},
		"endpoint": func(method string, a posed) reply {
			return g.admit(t, method, a.target, a.contentType, a.body)
		},
	} {
		t.Run(where, func(t *testing.T) {
			left := make(map[string]bool)
			for id := range operations {
				left[id] = true
			}
			for _, a := range posedFor(where) {
				t.Run(fmt.Sprintf("%s %d %s", a.operation, a.status, a.body), func(t *testing.T) {
					op, known := operations[a.operation]
					if !known {
						t.Fatal("the document has no such operation")
					}
					got := send(strings.ToUpper(op.method), a)
					if got.status != a.status {
						t.Fatalf("got %d %s, want %d", got.status, got.body, a.status)
					}
					if got.status == http.StatusOK {
						delete(left, a.operation)
					}
					document.check(t, op, got)
				})
			}
			for id := range left {
				t.Errorf("operation %s was not answered 200", id)
			}
		})
	}
	t.Run("denied", func(t *testing.T) {
		document.check(t, operations["apply"], g.manage(t, "viewer", "POST", "/scopegate/apply", yamlType, roleFile()))
		document.check(t, operations["tokens/issue"], g.manage(t, "admin", "POST", "/scopegate/tokens/acme/more/issue", "", ""))
	})
}
