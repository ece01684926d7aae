package scopes_test

import (
	"fmt"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// From a scope file to a decision: read the file, compile its APIs into a catalog
// and a token into a grant, and decide.
func ExampleView_Decide() {
	now := time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)
	file, err := scopes.Read("scopes.yaml", []byte(exampleFile), now)
	if err != nil {
		fmt.Println(err) // every problem, with file:line:column
		return
	}
	catalog, err := scopes.NewCatalog(file.APIs)
	if err != nil {
		fmt.Println(err)
		return
	}
	account := &file.Accounts[0]
	grant := scopes.GrantOf(account, &account.Tokens[0], catalog)
	view := catalog.View() // every API; name some to serve only those

	for _, request := range []scopes.Request{
		{Method: "GET", Target: "/orders/v1/7", Now: now},
		{Method: "DELETE", Target: "/orders/v1/7", Now: now},
		{Method: "GET", Target: "/orders/v2/7", Now: now},
		{Method: "GET", Target: "/orders/v1/%2e%2e/v2/7", Now: now},
	} {
		decision := view.Decide(&request, &grant)
		fmt.Println(request.Method, request.Target, decision.Reason)
	}
	// Output:
	// GET /orders/v1/7 allow
	// DELETE /orders/v1/7 method_not_granted
	// GET /orders/v2/7 version_not_granted
	// GET /orders/v1/%2e%2e/v2/7 malformed_request
}

// The same evaluation, telling its steps.
func ExampleView_Explain() {
	catalog, err := scopes.NewCatalog([]scopes.API{{
		Name:       "orders",
		Versions:   []string{"v1", "v2"},
		Operations: []scopes.Operation{{Name: "list", Methods: scopes.MethodOf("GET"), Path: "/orders/{version}"}},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	token := scopes.Token{Name: "sync", Scopes: []scopes.Scope{
		{API: "orders", Versions: []string{"v1"}, Methods: scopes.MethodOf("GET")},
	}}
	grant := scopes.GrantOf(&scopes.Account{Name: "acme"}, &token, catalog)
	decision, steps := catalog.View().Explain(&scopes.Request{Method: "GET", Target: "/orders/v2"}, &grant)
	for _, step := range steps {
		fmt.Println(step.Passed, step.Check+":", step.Detail)
	}
	fmt.Println(decision.Reason)
	// Output:
	// true target: "/orders/v2" reads the same for every parser
	// true credential: token acme/sync
	// true state: the token is active
	// true expiry: the token does not expire
	// true source: the token may be used from everywhere
	// true operation: API orders, operation list: GET /orders/{version}
	// true version: version "v2"
	// true account: the path names no account
	// false scopes: no scope for API orders has version "v2"
	// version_not_granted
}

// A credential is given away once, by Reveal; everything else is redacted.
func ExampleCredential() {
	credential, err := scopes.ImportCredential("sgt_ThisDemoTokenIsPublicDoNotUseItAnywhereElse2aHXJP")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(credential, credential.LastFour(), scopes.WellFormed(credential.Reveal()))
	fmt.Println(credential.Digest())
	// Output:
	// [credential] HXJP true
	// sha256:a4f94f60e0228d3cbbc6ba7aaee385dbc2ca2f150acd3afd3b50c22a60670c68
}
