package proxy_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/scopegate/scopegate/proxy"
	"github.com/scopegate/scopegate/scopes"
)

// fixed is a source with one token.
type fixed struct {
	catalog *scopes.Catalog
	digest  scopes.Digest
	grant   scopes.Grant
}

func (f *fixed) Snapshot(time.Time) proxy.Snapshot { return f }
func (f *fixed) Catalog() *scopes.Catalog          { return f.catalog }
func (*fixed) Expect(*scopes.Digest)               {}

func (f *fixed) GrantInto(g *scopes.Grant, d scopes.Digest) {
	if d == f.digest {
		*g = f.grant
	}
}

// readOrders is a source whose only token may read orders in v1.
func readOrders(credential string) *fixed {
	file, err := scopes.Read("scopes.yaml", []byte(`
format: 1
apis:
  orders:
    versions: ["v1"]
    upstream: [http://127.0.0.1:9000]
    operations: {one: "GET|PUT /orders/{version}/{id}"}
accounts:
  acme:
    tokens:
      reader:
        description: Reads orders.
        contact: {email: it@acme.example}
        scopes: [{api: orders, version: "v1", methods: [GET]}]
`), time.Now())
	if err != nil {
		panic(err)
	}
	catalog, err := scopes.NewCatalog(file.APIs)
	if err != nil {
		panic(err)
	}
	account := &file.Accounts[0]
	grant := scopes.GrantOf(account, &account.Tokens[0], catalog)
	grant.ID = "tok_1"
	return &fixed{catalog, scopes.DigestOf(credential), grant}
}

// A middleware judges each request, then forwards or refuses it.
func ExampleGateway() {
	gateway := &proxy.Gateway{Source: readOrders("a-credential-of-acme")}
	upstream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Header.Get("X-Scopegate-Account"), "reads", r.URL.Path)
		w.WriteHeader(http.StatusNoContent)
	})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		verdict := gateway.Judge(r)
		if !verdict.Through {
			gateway.Refuse(w, r, verdict)
			return
		}
		forwarded := gateway.Forward(w, r, verdict)
		upstream.ServeHTTP(forwarded, r)
		proxy.Returned(w, forwarded)
	})

	for _, method := range []string{http.MethodGet, http.MethodPut} {
		r := httptest.NewRequest(method, "/orders/v1/7", http.NoBody)
		r.Header.Set("Authorization", "Bearer a-credential-of-acme")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(r.Method, w.Code)
	}
	// Output:
	// acme reads /orders/v1/7
	// GET 204
	// PUT 403
}

// A verdict says why.
func ExampleGateway_Judge() {
	gateway := &proxy.Gateway{Source: readOrders("a-credential-of-acme")}
	r := httptest.NewRequest(http.MethodPut, "/orders/v1/7", http.NoBody)
	r.Header.Set("Authorization", "Bearer a-credential-of-acme")
	verdict := gateway.Judge(r)
	fmt.Println(verdict.Decision.Reason, verdict.Decision.API.Name, verdict.Decision.Version)
	// Output: method_not_granted orders v1
}
