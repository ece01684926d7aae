package scopes_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

const explainFile = `format: 1
apis:
  orders:
    versions: ["v1", "v2"]
    version_from: [header Api-Version]
    account_param: account
    deprecated: {"v2": {sunset: 2027-06-01, since: 2027-01-01, link: "https://a.example"}}
    operations:
      list: GET /orders/{account}
      one:  GET|PUT /orders/{account}/{id}
accounts:
  acme:
    ids: [IRab12cd34]
    tokens:
      sync:
        description: Reads orders.
        contact: {email: data@acme.example}
        version: "v1"
        expires: 2027-04-01
        sources: [203.0.113.0/24]
        scopes: [{api: orders, methods: [GET], operations: [list]}]
      old-erp:
        contact: {email: it@acme.example}
        access: read_only
      moving:
        contact: {email: it@acme.example}
        access: read_only
        version: "v1"
        shadow: [{api: orders, methods: [GET], operations: [list]}]
`

func TestExplain(t *testing.T) {
	t.Parallel()
	file, err := scopes.Read("scopes.yaml", []byte(explainFile), corpusNow)
	if err != nil {
		t.Fatal(err)
	}
	catalog, err := scopes.NewCatalog(file.APIs)
	if err != nil {
		t.Fatal(err)
	}
	grants := grantsOf(t, file, catalog)
	tests := []struct {
		name, token, method, target string
		header                      map[string][]string
		want                        string
	}{
		{
			"allowed, with a version that is filled in", "acme/sync", "GET", "/orders/acme", nil, `
allow
pass target: "/orders/acme" reads the same for every parser
pass credential: token acme/sync (tok_1)
pass state: the token is active
pass expiry: the token expires at 2027-04-01T00:00:00Z, and it is 2027-01-01T00:00:00Z
pass source: the token may be used from 203.0.113.0/24; the request comes from 203.0.113.9
pass operation: API orders, operation list: GET /orders/{account}
pass version: version "v1", filled in and told to the upstream in Api-Version
pass account: the path names account "acme"; the token's account is "acme", "IRab12cd34"
pass scopes: a scope grants API, version, method and operation`,
		},
		{
			"all that would be missing is told", "acme/sync", "PUT", "/orders/gl%6fbex/7", map[string][]string{"Api-Version": {"v2"}}, `
account_mismatch
pass target: "/orders/gl%6fbex/7" reads the same for every parser
pass credential: token acme/sync (tok_1)
pass state: the token is active
pass expiry: the token expires at 2027-04-01T00:00:00Z, and it is 2027-01-01T00:00:00Z
pass source: the token may be used from 203.0.113.0/24; the request comes from 203.0.113.9
pass operation: API orders, operation one: GET|PUT /orders/{account}/{id}
pass version: version "v2", which is deprecated: since 2027-01-01, sunset 2027-06-01, see https://a.example
FAIL account: the path names account "globex"; the token's account is "acme", "IRab12cd34"
FAIL scopes: no scope for API orders has version "v2"`,
		},
		{
			"an ambiguous target ends it", "acme/sync", "GET", "/orders/acme/..;/x", nil, `
malformed_request
FAIL target: the path has a "\" or ";"`,
		},
		{
			"no token: what is about one is left out", "?", "DELETE", "/orders/acme/7", map[string][]string{"Api-Version": {"v1"}}, `
unknown_token
pass target: "/orders/acme/7" reads the same for every parser
FAIL credential: no token has this credential
pass operation: API orders has /orders/{account}/{id} at this path, but not for DELETE
pass version: version "v1"`,
		},
		{
			"a version that the API does not have", "acme/old-erp", "GET", "/orders/acme", map[string][]string{"Api-Version": {"v3"}}, `
version_unknown
pass target: "/orders/acme" reads the same for every parser
pass credential: token acme/old-erp
pass state: the token is active
pass expiry: the token does not expire
pass source: the token may be used from everywhere
pass operation: API orders, operation list: GET /orders/{account}
FAIL version: the request states version "v3"; the API has "v1", "v2"`,
		},
		{
			"a shadow that would allow it", "acme/moving", "GET", "/orders/acme", nil, `
allow
pass target: "/orders/acme" reads the same for every parser
pass credential: token acme/moving
pass state: the token is active
pass expiry: the token does not expire
pass source: the token may be used from everywhere
pass operation: API orders, operation list: GET /orders/{account}
pass version: version "v1", filled in and told to the upstream in Api-Version
pass account: the path names account "acme"; the token's account is "acme", "IRab12cd34"
pass scopes: a legacy token with access read_only to every API
pass shadow: the shadow scopes allow it too`,
		},
		{
			"a shadow that would deny it", "acme/moving", "GET", "/orders/acme/7", nil, `
allow
pass target: "/orders/acme/7" reads the same for every parser
pass credential: token acme/moving
pass state: the token is active
pass expiry: the token does not expire
pass source: the token may be used from everywhere
pass operation: API orders, operation one: GET|PUT /orders/{account}/{id}
pass version: version "v1", filled in and told to the upstream in Api-Version
pass account: the path names account "acme"; the token's account is "acme", "IRab12cd34"
pass scopes: a legacy token with access read_only to every API
FAIL shadow: not enforced: the shadow scopes would deny it as operation_not_granted, for no scope for this API, version and method has operation one`,
		},
		{
			"a denial has no shadow", "acme/moving", "PUT", "/orders/acme/7", nil, `
method_not_granted
pass target: "/orders/acme/7" reads the same for every parser
pass credential: token acme/moving
pass state: the token is active
pass expiry: the token does not expire
pass source: the token may be used from everywhere
pass operation: API orders, operation one: GET|PUT /orders/{account}/{id}
pass version: version "v1", filled in and told to the upstream in Api-Version
pass account: the path names account "acme"; the token's account is "acme", "IRab12cd34"
FAIL scopes: a legacy token with access read_only to every API`,
		},
		{
			"nowhere", "-", "GET", "/invoices?q=1", nil, `
no_credential
pass target: "/invoices?q=1" reads the same for every parser
FAIL credential: no credential was sent
FAIL operation: no API served here has an operation for /invoices on host "gw.example.com"`,
		},
	}
	for _, test := range tests {
		request := scopes.Request{
			Method: test.method, Target: test.target, Host: corpusHost, Header: test.header,
			Source: netip.MustParseAddr("203.0.113.9"), Now: corpusNow,
		}
		grant := grants[test.token]
		if test.token == "acme/sync" {
			grant.ID = "tok_1"
		}
		decision, steps := catalog.View().Explain(&request, &grant)
		if got, want := showSteps(decision.Reason, steps), strings.TrimPrefix(test.want, "\n"); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", test.name, got, want)
		}
	}
}

func showSteps(reason scopes.Reason, steps []scopes.Step) string {
	lines := []string{reason.String()}
	for _, step := range steps {
		mark := "FAIL "
		if step.Passed {
			mark = "pass "
		}
		lines = append(lines, mark+step.Check+": "+step.Detail)
	}
	return strings.Join(lines, "\n")
}
