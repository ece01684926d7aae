package scopes_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

// decideCase is a request to one of the 245 operations of testdata/impact-scopes.yaml,
// and the grant to decide with.
type decideCase struct {
	name    string
	request scopes.Request
	grant   scopes.Grant
	want    scopes.Reason
}

// decideCases has one case for each reason, and for each way to state the same
// in more characters. Headers are as many as a browser sends.
func decideCases(tb testing.TB) (*scopes.View, []decideCase) {
	tb.Helper()
	file, catalog := readImpactScopeFile(tb)
	grants := grantsByName(file, catalog)
	full := grants["acme/brand-catalogs.full"]
	const target = "/Advertisers/IRab12cd34/Catalogs/7/Items/1234567890"
	header := map[string][]string{
		"Accept": {"application/json"}, "Accept-Encoding": {"gzip"}, "Authorization": {"Bearer secret"},
		"Content-Type": {"application/json"}, "User-Agent": {"test/1.0"}, "X-Request-Id": {"7"},
	}
	versioned := map[string][]string{"Irversion": {"14"}}
	conflicting := map[string][]string{"Irversion": {"14", "13"}}
	for name, values := range header {
		versioned[name], conflicting[name] = values, values
	}
	request := func(method, target string, header map[string][]string) scopes.Request {
		return scopes.Request{
			Method: method, Target: target, Host: "api.example.com:443", Header: header,
			Source: netip.MustParseAddr("203.0.113.9"), Now: corpusNow,
		}
	}
	with := func(change func(*scopes.Grant)) scopes.Grant {
		g := full
		change(&g)
		return g
	}
	stated := request("GET", target, versioned)
	return catalog.View(), []decideCase{
		{"allow", stated, full, scopes.Allowed},
		{"allow/version-filled-in", request("GET", target, header), full, scopes.Allowed},
		{"allow/percent-encoded", request("GET", "/%41dvertisers/%49Rab12cd34/Cat%61logs/caf%C3%A9/%49tems/a%20b", versioned), full, scopes.Allowed},
		{"allow/long-percent-encoded", request("GET", "/Advertisers/acme/Catalogs/"+strings.Repeat("%41", 200)+"/Items/7", versioned), full, scopes.Allowed},
		{"allow/query", request("GET", target+"?q=a+b&page=2&filter=%5Bx%5D", versioned), full, scopes.Allowed},
		{"allow/head", request("HEAD", target, versioned), full, scopes.Allowed},
		{"allow/sources", stated, with(func(g *scopes.Grant) {
			g.Sources = []netip.Prefix{netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("203.0.113.0/24")}
			g.Expires = corpusNow.Unix() + 1
		}), scopes.Allowed},
		{"allow/70-scopes", request("GET", "/Mediapartners/globex/WithdrawalSettings", map[string][]string{"Irversion": {"16"}}), grants["globex/everything"], scopes.Allowed},
		{"malformed_request", request("GET", "/Advertisers/IRab12cd34/Catalogs/7/../Items", versioned), full, scopes.MalformedRequest},
		{"malformed_request/escaped", request("GET", "/Advertisers/IRab12cd34/Catalogs/7%252e%252e/Items", versioned), full, scopes.MalformedRequest},
		{"no_credential", stated, scopes.Grant{State: scopes.Anonymous}, scopes.NoCredential},
		{"unknown_token", stated, scopes.Grant{}, scopes.UnknownToken},
		{"inactive", stated, with(func(g *scopes.Grant) { g.State = scopes.Deactivated }), scopes.Inactive},
		{"expired", stated, with(func(g *scopes.Grant) { g.Expires = corpusNow.Unix() }), scopes.Expired},
		{"source_not_allowed", stated, with(func(g *scopes.Grant) { g.Sources = []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")} }), scopes.SourceNotAllowed},
		{"no_api", request("GET", "/Advertisers/IRab12cd34/Catalogs/7/Items/8/9", versioned), full, scopes.NoAPI},
		{"version_conflict", request("GET", target, conflicting), full, scopes.VersionConflict},
		{"version_unknown", request("GET", target, map[string][]string{"Irversion": {"99"}}), full, scopes.VersionUnknown},
		{"account_mismatch", request("GET", "/Advertisers/%49Rzz98yx76/Catalogs/7/Items/8", versioned), full, scopes.AccountMismatch},
		{"api_not_granted", stated, grants["acme/brand-catalogs.without-api"], scopes.APINotGranted},
		{"version_not_granted", stated, grants["acme/brand-catalogs.without-version"], scopes.VersionNotGranted},
		{"method_not_granted", stated, grants["acme/brand-catalogs.without-GET"], scopes.MethodNotGranted},
		{"method_not_granted/by-the-api", request("PATCH", target, versioned), full, scopes.MethodNotGranted},
		{"operation_not_granted", stated, scopes.Grant{State: scopes.Active, Account: "acme", AccountIDs: full.AccountIDs, Rules: scopes.RulesOf(oneOperation(tb, catalog))}, scopes.OperationNotGranted},
	}
}

// oneOperation has the rules of a scope for just one operation of brand-catalogs.
func oneOperation(tb testing.TB, catalog *scopes.Catalog) []scopes.Rule {
	tb.Helper()
	rules, missing := catalog.Rules(nil, &scopes.Token{Scopes: []scopes.Scope{{
		API: "brand-catalogs", Versions: []string{"14"}, Methods: scopes.MethodOf("GET"), Operations: []string{"get/Catalogs"},
	}}})
	if len(missing) > 0 {
		tb.Fatalf("the catalog lacks %v", missing)
	}
	return rules
}

// BenchmarkDecide decides on requests to 245 operations, one for each reason.
func BenchmarkDecide(b *testing.B) {
	view, cases := decideCases(b)
	for i := range cases {
		c := &cases[i]
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if d := view.Decide(&c.request, &c.grant); d.Reason != c.want {
					b.Fatalf("%s, want %s", d.Reason, c.want)
				}
			}
		})
	}
}

// BenchmarkDecideEach decides on each of the 245 operations in turn.
func BenchmarkDecideEach(b *testing.B) {
	file, catalog := readImpactScopeFile(b)
	grants := grantsByName(file, catalog)
	view := catalog.View()
	var cases []decideCase
	for _, op := range readImpactOperations(b) {
		cases = append(cases, decideCase{
			request: scopes.Request{
				Method: op.method, Target: op.target("IRab12cd34"), Host: corpusHost,
				Header: map[string][]string{impactHeader: {op.version}}, Now: corpusNow,
			},
			grant: grants["acme/"+op.api+".full"],
		})
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c := &cases[i%len(cases)]
		if d := view.Decide(&c.request, &c.grant); !d.Allowed() {
			b.Fatalf("%s %s: %s", c.request.Method, c.request.Target, d.Reason)
		}
	}
}

func BenchmarkDigestOf(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if scopes.DigestOf(demo).IsZero() {
			b.Fatal("no digest")
		}
	}
}

func BenchmarkNewCatalog(b *testing.B) {
	file, _ := readImpactScopeFile(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := scopes.NewCatalog(file.APIs); err != nil {
			b.Fatal(err)
		}
	}
}

// TestDecideDoesNotAllocate is not parallel, as allocations are counted for the
// whole program.
func TestDecideDoesNotAllocate(t *testing.T) { //nolint:paralleltest // see above
	view, cases := decideCases(t)
	for i := range cases {
		c := &cases[i]
		allocations := testing.AllocsPerRun(100, func() {
			if d := view.Decide(&c.request, &c.grant); d.Reason != c.want {
				t.Fatalf("%s: %s, want %s", c.name, d.Reason, c.want)
			}
		})
		if allocations != 0 {
			t.Errorf("%s: %v allocations, want none", c.name, allocations)
		}
	}
}

// TestCorpusDoesNotAllocate decides on the whole corpus, but for what the comment
// on Decide names.
func TestCorpusDoesNotAllocate(t *testing.T) {
	for _, c := range readCorpus(t) {
		if encodedUnknownVersion(&c) {
			continue
		}
		if n := testing.AllocsPerRun(10, func() { c.view.Decide(&c.request, &c.grant) }); n != 0 {
			t.Errorf("%s: %s: %v allocations, want none", c.place, c.line, n)
		}
	}
}

// encodedUnknownVersion reports whether a case states a version percent-encoded
// that is unknown, or in the query.
func encodedUnknownVersion(c *corpusCase) bool {
	path, query, _ := strings.Cut(c.request.Target, "?")
	unknown := strings.HasPrefix(c.want, scopes.VersionUnknown.String()) || strings.HasPrefix(c.want, scopes.VersionConflict.String())
	return unknown && strings.Contains(path, "%") || strings.ContainsAny(query, "%+")
}

func TestDigestOfDoesNotAllocate(t *testing.T) {
	long := strings.Repeat("c", scopes.MaxCredentialBytes)
	if n := testing.AllocsPerRun(100, func() { scopes.DigestOf(demo); scopes.DigestOf(long) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
