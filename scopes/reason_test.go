package scopes_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// contractOrder is the order of the reasons as the contract states it.
var contractOrder = strings.Fields(`stale malformed_request no_credential unknown_token inactive expired source_not_allowed no_api
	version_conflict version_unknown account_mismatch api_not_granted version_not_granted method_not_granted
	operation_not_granted rate_limited allow`)

func TestReasons(t *testing.T) {
	t.Parallel()
	if scopes.NumReasons != len(contractOrder) {
		t.Fatalf("%d reasons, want %d", scopes.NumReasons, len(contractOrder))
	}
	for i, code := range contractOrder {
		reason := scopes.Reason(i)
		if reason.String() != code {
			t.Errorf("reason %d is %q, want %q", i, reason, code)
		}
		if got, ok := scopes.ParseReason(code); !ok || got != reason {
			t.Errorf("ParseReason(%q) is %s, %t", code, got, ok)
		}
	}
	for _, code := range []string{"", "Allow", "allowed", "deny", "reason(17)"} {
		if got, ok := scopes.ParseReason(code); ok || got == scopes.Allowed {
			t.Errorf("ParseReason(%q) is %s, %t, want none", code, got, ok)
		}
	}
	if got := scopes.Reason(17).String(); got != "reason(17)" {
		t.Errorf("reason 17 is %q", got)
	}
}

func TestZeroValuesDeny(t *testing.T) {
	t.Parallel()
	var decision scopes.Decision
	if decision.Allowed() || decision.Reason != scopes.Stale {
		t.Errorf("the zero Decision is %s, want stale", decision.Reason)
	}
	view := faultCatalog(t).View()
	request := faultRequest(0)
	grants := map[string]struct {
		grant scopes.Grant
		want  scopes.Reason
	}{
		"the zero Grant":                      {scopes.Grant{}, scopes.UnknownToken},
		"no credential":                       {scopes.Grant{State: scopes.Anonymous}, scopes.NoCredential},
		"no credential, but all access":       {scopes.Grant{State: scopes.Anonymous, Access: scopes.ReadWrite, Account: "acme"}, scopes.NoCredential},
		"an unknown token, but all access":    {scopes.Grant{Access: scopes.ReadWrite, Account: "acme"}, scopes.UnknownToken},
		"a state from a later version":        {scopes.Grant{State: scopes.Active + 1, Access: scopes.ReadWrite, Account: "acme"}, scopes.UnknownToken},
		"an access from a later version":      {scopes.Grant{State: scopes.Active, Access: scopes.ReadWrite + 1, Account: "acme"}, scopes.MethodNotGranted},
		"an active token without scopes":      {scopes.Grant{State: scopes.Active, Account: "acme"}, scopes.APINotGranted},
		"a scope that is the zero Rule":       {scopes.Grant{State: scopes.Active, Account: "acme", Rules: scopes.RulesOf([]scopes.Rule{{}})}, scopes.VersionNotGranted},
		"an expiry before 1970":               {scopes.Grant{State: scopes.Active, Expires: -1, Access: scopes.ReadWrite, Account: "acme"}, scopes.Expired},
		"an invalid source prefix":            {scopes.Grant{State: scopes.Active, Sources: []netip.Prefix{{}}, Access: scopes.ReadWrite, Account: "acme"}, scopes.SourceNotAllowed},
		"an account that is the empty string": {scopes.Grant{State: scopes.Active, Access: scopes.ReadWrite, AccountIDs: []string{""}}, scopes.AccountMismatch},
	}
	for name, test := range grants {
		if d := view.Decide(&request, &test.grant); d.Reason != test.want {
			t.Errorf("%s: %s, want %s", name, d.Reason, test.want)
		}
	}
	full := scopes.Grant{State: scopes.Active, Access: scopes.ReadWrite, Account: "acme"}
	if d := view.Decide(&request, &full); !d.Allowed() {
		t.Errorf("a token with all access: %s, want allow", d.Reason)
	}
	if d := view.Decide(&scopes.Request{}, &full); d.Reason != scopes.MalformedRequest {
		t.Errorf("the zero Request: %s, want malformed_request", d.Reason)
	}
	empty, err := scopes.NewCatalog(nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := empty.View().Decide(&request, &full); d.Reason != scopes.NoAPI {
		t.Errorf("a catalog without APIs: %s, want no_api", d.Reason)
	}
}

// The faults that a request and its token can have, in the order in which they
// are to be told. Anonymous, unknown and inactive are states, of which there is
// one at a time.
const (
	malformed = 1 << iota
	anonymous
	unknown
	inactive
	expired
	otherSource
	otherPath
	conflict
	unknownVersion
	otherAccount
	otherAPI
	otherVersion
	otherMethod
	otherOperation
	numFaults = iota
)

// TestFirstFaultIsTheReason sends every combination of faults.
func TestFirstFaultIsTheReason(t *testing.T) {
	t.Parallel()
	catalog := faultCatalog(t)
	view := catalog.View()
	for faults := range 1 << numFaults {
		request, grant := faultRequest(faults), faultGrant(t, catalog, faults)
		want := "allow"
		for i := range numFaults {
			if faults&(1<<i) != 0 {
				want = contractOrder[1+i]
				break
			}
		}
		if d := view.Decide(&request, &grant); d.Reason.String() != want {
			t.Errorf("faults %s: %s, want %s", faultNames(faults), d.Reason, want)
		}
	}
}

func faultNames(faults int) string {
	var names []string
	for i := range numFaults {
		if faults&(1<<i) != 0 {
			names = append(names, contractOrder[1+i])
		}
	}
	return fmt.Sprint(names)
}

func faultCatalog(t *testing.T) *scopes.Catalog {
	t.Helper()
	get := scopes.MethodOf("GET")
	catalog, err := scopes.NewCatalog([]scopes.API{
		{
			Name: "orders", Versions: []string{"v1", "v2"}, AccountParam: "account",
			VersionFrom: []scopes.VersionPlace{{Kind: scopes.InHeader, Name: "Api-Version"}},
			Operations: []scopes.Operation{
				{Name: "one", Methods: get, Path: "/orders/{account}/{id}"},
				{Name: "two", Methods: get, Path: "/orders/{account}/{id}/two"},
			},
		},
		{
			Name: "other", Versions: []string{"v1", "v2"},
			Operations: []scopes.Operation{{Name: "one", Methods: get, Path: "/other/{version}"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return catalog
}

func faultRequest(faults int) scopes.Request {
	pick := func(fault int, bad, good string) string {
		if faults&fault != 0 {
			return bad
		}
		return good
	}
	version := []string{pick(unknownVersion, "v9", "v1")}
	if faults&conflict != 0 {
		version = append(version, "v2")
	}
	return scopes.Request{
		Method: "GET",
		Target: pick(otherPath, "/nowhere/", "/orders/") + pick(otherAccount, "globex", "acme") + pick(malformed, "/..;/7", "/7"),
		Host:   corpusHost,
		Header: map[string][]string{"Api-Version": version},
		Source: netip.MustParseAddr(pick(otherSource, "198.51.100.7", "203.0.113.7")),
		Now:    time.Unix(1000, 0),
	}
}

func faultGrant(t *testing.T, catalog *scopes.Catalog, faults int) scopes.Grant {
	t.Helper()
	scope := scopes.Scope{API: "orders", Versions: []string{"v1"}, Methods: scopes.MethodOf("GET"), Operations: []string{"one"}}
	if faults&otherAPI != 0 {
		scope.API, scope.Operations = "other", nil
	}
	if faults&otherVersion != 0 {
		scope.Versions = []string{"v2"}
	}
	if faults&otherMethod != 0 {
		scope.Methods = scopes.MethodOf("PUT")
	}
	if faults&otherOperation != 0 && faults&otherAPI == 0 {
		scope.Operations = []string{"two"}
	}
	token := scopes.Token{Name: "sync", Scopes: []scopes.Scope{scope}}
	account := scopes.Account{Name: "acme"}
	grant := scopes.GrantOf(&account, &token, catalog)
	grant.Expires = 1001
	grant.Sources = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
	if faults&expired != 0 {
		grant.Expires = 1000
	}
	switch {
	case faults&anonymous != 0:
		grant.State = scopes.Anonymous
	case faults&unknown != 0:
		grant.State = scopes.Unknown
	case faults&inactive != 0:
		grant.State = scopes.Deactivated
	}
	return grant
}
