package scopes_test

import (
	"fmt"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

const exampleFile = `format: 1
apis:
  orders:
    versions: ["v1", "v2"]
    operations:
      list: GET /orders/{version}
      one:  GET|PUT|DELETE /orders/{version}/{id}
accounts:
  acme:
    tokens:
      nightly-sync:
        description: Copies yesterday's orders into the warehouse.
        contact: {email: data@acme.example}
        scopes: [{api: orders, version: "v1", methods: [GET]}]
tests:
  - {token: acme/nightly-sync, request: GET /orders/v1/7, expect: allow}
  - {token: acme/nightly-sync, request: PUT /orders/v1/7, expect: allow}
`

func ExampleRead() {
	now := time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)
	file, err := scopes.Read("scopes.yaml", []byte(exampleFile), now)
	if err != nil {
		fmt.Println(err)
		return
	}
	token := file.Accounts[0].Tokens[0]
	fmt.Println(token.Name, "may", token.Scopes[0].Methods, token.Scopes[0].API, token.Scopes[0].Versions)
	// Output: nightly-sync may GET orders [v1]
}

func ExampleRead_problems() {
	const file = `format: 1
apis:
  orders:
    versions: [v1, 1.10]
    operations:
      list: get /orders/{version}
accounts:
  acme:
    tokens:
      sync:
        description: Reads orders.
        contact: {email: data@acme.example}
        scopes: [{api: ordrs, methods: [GET]}]
`
	_, err := scopes.Read("scopes.yaml", []byte(file), time.Now())
	fmt.Println(err)
	// Output:
	// scopes.yaml:4:20: a version is text, and YAML reads 1.10 as a number; quote it: "1.10"
	// scopes.yaml:6:13: methods are case-sensitive and in upper case; write GET
	// scopes.yaml:13:24: there is no API "ordrs"; did you mean "orders"?
}

func ExampleRunTests() {
	file, err := scopes.Read("scopes.yaml", []byte(exampleFile), time.Now())
	if err != nil {
		fmt.Println(err)
		return
	}
	catalog, err := scopes.NewCatalog(file.APIs)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, problem := range scopes.RunTests(file, catalog) {
		fmt.Println(problem)
	}
	// Output: scopes.yaml:17:5: PUT /orders/v1/7 with acme/nightly-sync: expected allow, got method_not_granted: no scope for this API and version has method PUT here
}
