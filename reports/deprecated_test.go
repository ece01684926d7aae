package reports_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/scopegate/scopegate/reports"
	"github.com/scopegate/scopegate/scopes"
)

// Whoever has used a deprecated version is told, the most first, and with detail whoever
// may use it.
func TestReportDeprecated(t *testing.T) {
	t.Parallel()
	api := orders()
	api.Deprecated = []scopes.Deprecation{
		{Version: "v1", Sunset: now.Add(day), Since: now.Add(-day), Link: "https://a.example"}, {Version: "v2", Sunset: now},
	}
	only := func(version string) scopes.Scope {
		return scopes.Scope{API: "orders", Versions: []string{version}, Methods: scopes.MethodOf("GET")}
	}
	legacy := newToken("legacy")
	legacy.Access = scopes.ReadOnly
	off := newToken("off", everything())
	off.Inactive = true
	estate := &reports.Estate{Now: now, Catalog: catalogOf(t, api), Tokens: []reports.Token{
		legacy, newToken("moved", only("v2")), off, newToken("other", only("v3")), newToken("reader", only("v1")), newToken("silent", everything()),
	}}
	source := counting()
	source.add(use("reader", "v1", "list", "GET"), 3, 2*day)
	source.add(use("reader", "v1", "one", "GET"), 4, day)
	source.add(use("moved", "v1", "one", "GET"), 9, 3*day)
	source.add(use("off", "v1", "one", "GET"), 5, day)
	source.add(use("legacy", "v2", "one", "GET"), 1, day)
	source.add(use("silent", "v1", "one", "GET"), 8, 40*day)
	denied := use("silent", "v1", "one", "PUT")
	denied.Reason = "method_not_granted"
	source.add(denied, 7, day)
	u := source.collect(t, 30*day)

	for _, test := range []struct {
		detail bool
		want   []string
	}{
		{false, []string{
			"orders:v2 passed true granted 3 used 1 requests 1: legacy 1 true 1d",
			"orders:v1 passed false granted 3 used 2 requests 16: moved 9 false 3d, reader 7 true 1d",
		}},
		{true, []string{
			"orders:v2 passed true granted 3 used 1 requests 1: legacy 1 true 1d, moved 0 true -, silent 0 true -",
			"orders:v1 passed false granted 3 used 2 requests 16: moved 9 false 3d, reader 7 true 1d, legacy 0 true -, silent 0 true -",
		}},
	} {
		report := reports.ReportDeprecated(estate, u, test.detail)
		var got []string
		for i := range report.Versions {
			got = append(got, textOf(&report.Versions[i]))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("detail %t: got %q, want %q", test.detail, got, test.want)
		}
		if v := report.Versions[1]; !v.Sunset.Equal(now.Add(day)) || !v.Since.Equal(now.Add(-day)) || v.Link != "https://a.example" {
			t.Errorf("got %+v", v)
		}
		if got := report.Versions[1].Tokens[0].Contact; got != "moved@acme.example" {
			t.Errorf("got contact %q", got)
		}
	}
}

func textOf(v *reports.DeprecatedVersion) string {
	text := fmt.Sprintf("%s:%s passed %t granted %d used %d requests %d: ", v.API, v.Version, v.Passed, v.Granted, v.Used, v.Requests)
	for i, token := range v.Tokens {
		if i > 0 {
			text += ", "
		}
		last := "-"
		if !token.Last.IsZero() {
			last = fmt.Sprintf("%dd", now.Sub(token.Last)/(24*time.Hour))
		}
		text += fmt.Sprintf("%s %d %t %s", token.ID[len("tok_"):], token.Requests, token.Granted, last)
	}
	return text
}
