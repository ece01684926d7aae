package openapi_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/scopes/openapi"
)

// TestDocuments reads scope files whose APIs come from documents.
func TestDocuments(t *testing.T) {
	t.Parallel()
	const accounts = `
accounts:
  acme:
    tokens:
      sync:
        description: d
        contact: {email: a@b.example}
        scopes: [{api: api, methods: [GET]}]
tests:
`
	tests := []struct{ name, api, tests, want string }{
		{"a document as it is", "openapi: swagger-2.0.yaml", `
  - {token: acme/sync, request: GET /api/pets/7, expect: allow}
  - {token: acme/sync, request: DELETE /api/pets/7, expect: method_not_granted}
  - {token: acme/sync, request: GET /pets/7, expect: no_api}
`, ""},
		{"an account in the base path", "openapi: openapi-3.1.json\n    account_param: AccountSID", `
  - {token: acme/sync, request: GET /Advertisers/acme/Catalogs, expect: allow}
  - {token: acme/sync, request: GET /Advertisers/other/Catalogs, expect: account_mismatch}
`, ""},
		{"a version in the base path", "openapi: versions.yaml\n    versions: [\"v1\"]", `
  - {token: acme/sync, request: GET /v1/orders/7, expect: allow}
  - {token: acme/sync, request: GET /v2/orders/7, expect: version_unknown}
`, ""},
		{"overlaps", "openapi: overlaps.yaml", "", "documents/overlaps.yaml:7:5: byName (GET /users/{name}) matches the same requests as byID (GET /users/{id}) in line 5, column 5"},
		{"overlaps that are left out", "openapi: {file: overlaps.yaml, skip: [byName, byEmail, putByEmail]}", `
  - {token: acme/sync, request: GET /users/7, expect: allow}
`, ""},
		{"nothing to leave out", "openapi: {file: overlaps.yaml, skip: [other]}", "", `documents/overlaps.yaml:1:1: no operation is called "other", which is to be left out`},
		{"the account nowhere", "openapi: names.yaml\n    account_param: AccountSID", "", "documents/names.yaml:1:1: no path has the parameter {AccountSID}, which names the account"},
	}
	documents := openapi.Documents(func(path string) ([]byte, error) { return os.ReadFile("testdata/" + path) })
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			src := "format: 1\napis:\n  api:\n    " + test.api + accounts
			if src += test.tests; test.tests == "" {
				src = strings.TrimSuffix(src, "tests:\n")
			}
			source := scopes.Source{Name: "documents/scopes.yaml", Data: []byte(src)}
			file, err := scopes.ReadAll([]scopes.Source{source}, scopes.Options{Now: time.Now(), Documents: documents})
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want an error with %q", err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			catalog, err := scopes.NewCatalog(file.APIs)
			if err != nil {
				t.Fatal(err)
			}
			if failed := scopes.RunTests(file, catalog); len(failed) > 0 {
				t.Error(failed)
			}
		})
	}
}
