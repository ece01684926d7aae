package reports_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/scopegate/scopegate/reports"
	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/usage"
)

// refused is what is counted of a request that was refused.
func refused(token, reason string) usage.Key {
	k := use(token, "v1", "one", "PUT")
	k.Reason = reason
	return k
}

func estateOf(t *testing.T, tokens ...reports.Token) *reports.Estate {
	t.Helper()
	return &reports.Estate{Catalog: catalogOf(t, orders()), Tokens: tokens, Now: now}
}

func TestReportUsage(t *testing.T) {
	t.Parallel()
	source := counting()
	source.add(use("a", "v1", "list", "GET"), 10, 2*time.Hour)
	source.add(use("a", "v1", "list", "GET"), 5, 26*time.Hour)
	source.add(refused("a", "method_not_granted"), 3, time.Hour)
	source.add(use("a", "v1", "list", "GET"), 100, 30*day) // before the window
	old := use("a", "v1", "list", "GET")
	old.Credential = "another"
	source.add(old, 1, time.Hour) // with the credential before
	report := reports.ReportUsage(estateOf(t, newToken("b"), newToken("a")), source.collect(t, 7*day), true)
	if len(report.Tokens) != 2 || report.Tokens[0].Token != "acme/a" || report.Tokens[1].Requests != 0 {
		t.Fatalf("got %+v, want a, which was used, before b", report.Tokens)
	}
	a := report.Tokens[0]
	if a.Requests != 19 || a.Denied != 3 || a.Status.Success != 16 || a.P50 == 0 {
		t.Errorf("got %+v, want 19 requests, 3 denied, 16 answered", a.Traffic)
	}
	var sum uint64
	for _, n := range a.Points {
		sum += n
	}
	if sum != 19 || len(a.Points) != 8 || report.StepSeconds != 86400 {
		t.Errorf("got the points %v of %d s, want 19 requests in 8 days", a.Points, report.StepSeconds)
	}
	if len(a.Operations) != 2 || a.Operations[0].Operation != "list" || a.Operations[0].Requests != 16 || a.Operations[1].Denied != 3 {
		t.Errorf("got %+v, want list and one", a.Operations)
	}
	if brief := reports.ReportUsage(estateOf(t, newToken("a")), source.collect(t, 7*day), false); brief.Tokens[0].Operations != nil {
		t.Error("without detail it goes to the operation")
	}
}

func TestReportErrors(t *testing.T) {
	t.Parallel()
	source := counting()
	source.add(use("a", "v1", "list", "GET"), 10, day)
	source.add(refused("a", "method_not_granted"), 3, day)
	second := refused("a", "method_not_granted")
	second.Credential = "another"
	source.add(second, 4, 3*day)
	through := refused("a", "method_not_granted")
	through.Through = true
	source.add(through, 2, day)
	source.add(usage.Key{Method: "GET", Reason: "unknown_token"}, 50, day)
	source.add(refused("gone", "expired"), 1, day)
	report := reports.ReportErrors(estateOf(t, newToken("a")), source.collect(t, 7*day))
	type line struct {
		token, id, reason string
		requests          uint64
		enforced          bool
	}
	var got []line
	for _, r := range report.Refusals {
		got = append(got, line{r.Token, r.ID, r.Reason, r.Requests, r.Enforced})
	}
	want := []line{
		{"", "", "unknown_token", 50, true},
		{"acme/a", "tok_a", "method_not_granted", 7, true},
		{"acme/a", "tok_a", "method_not_granted", 2, false},
		{"", "tok_gone", "expired", 1, true},
	}
	if !slices.Equal(got, want) {
		t.Fatalf("got  %v\nwant %v", got, want)
	}
	if r := report.Refusals[1]; !r.First.Equal(now.Add(-3*day)) || !r.Last.Equal(now.Add(-day)) {
		t.Errorf("first %v and last %v, want three days and one day ago", r.First, r.Last)
	}
}

func TestReportUnused(t *testing.T) {
	t.Parallel()
	young, inactive, kept := newToken("young"), newToken("inactive"), newToken("kept")
	young.Created = now.Add(-day)
	inactive.Inactive = true
	kept.Keep.All = true
	tokens := []reports.Token{newToken("used"), newToken("denied"), newToken("idle"), young, inactive, kept}
	source := counting()
	source.add(use("used", "v1", "list", "GET"), 1, 89*day)
	source.add(refused("denied", "expired"), 1, day)
	source.add(use("idle", "v1", "list", "GET"), 1, 100*day)
	report := reports.ReportUnused(estateOf(t, tokens...), source.collect(t, 90*day))
	if len(report.Tokens) != 2 || report.Tokens[0].Token != "acme/idle" || report.Tokens[0].Kept || !report.Tokens[1].Kept || len(report.Unknown) > 0 {
		t.Errorf("got %+v, want idle, and kept as kept", report)
	}
	source.since = now.Add(-89 * day)
	report = reports.ReportUnused(estateOf(t, tokens...), source.collect(t, 90*day))
	if len(report.Tokens) != 0 || len(report.Unknown) != 2 {
		t.Errorf("counting does not cover the window: got %+v, want nothing but two that are unknown", report)
	}
}

func TestReportOverprivileged(t *testing.T) {
	t.Parallel()
	source := counting()
	source.add(use("a", "v1", "list", "GET"), 1, day)
	source.add(use("a", "v2", "one", "PUT"), 1, day)
	source.add(use("a", "v9", "one", "PUT"), 1, day) // there is no such version any more
	small := newToken("small", scopes.Scope{API: "orders", Versions: []string{"v1"}, Methods: scopes.MethodOf("GET"), Operations: []string{"list"}})
	report := reports.ReportOverprivileged(estateOf(t, small, newToken("a", everything())), source.collect(t, 90*day), true)
	a := report.Tokens[0]
	// list, and one by two methods, and log by each method that has a name, in two versions
	if want := 2 * (1 + 2 + 30); a.Token != "acme/a" || a.Granted != want || a.Used != 2 || report.Granted != want+1 || report.Used != 2 {
		t.Errorf("got %+v, want %d granted and 2 used", report, want)
	}
	var used []reports.PrivilegeOperation
	for _, o := range a.Operations {
		if len(o.Used) > 0 {
			used = append(used, o)
		}
	}
	want := []reports.PrivilegeOperation{
		{API: "orders", Version: "v1", Operation: "list", Granted: []string{"GET"}, Used: []string{"GET"}},
		{API: "orders", Version: "v2", Operation: "one", Granted: []string{"GET", "PUT"}, Used: []string{"PUT"}},
	}
	if len(a.Operations) != 6 || !reflect.DeepEqual(used, want) {
		t.Errorf("got  %+v\nwant %+v of 6", used, want)
	}
}

func TestReportRotation(t *testing.T) {
	t.Parallel()
	fresh, due, overdue, stated, inactive, bare, rotating := newToken("fresh"), newToken("due"), newToken("overdue"), newToken("stated"),
		newToken("inactive"), newToken("bare"), newToken("rotating")
	fresh.Credentials[0].Created = now.Add(-50 * day)
	due.Credentials[0].Created = now.Add(-70 * day)
	overdue.Credentials[0].Created = now.Add(-90 * day)
	stated.Credentials[0].Created, stated.RotateEvery = now.Add(-50*day), 30*day
	inactive.Inactive = true
	bare.Credentials = nil
	rotating.Credentials = []reports.Credential{
		{Tag: "old", Created: now.Add(-200 * day), Ends: now.Add(5 * day)}, {Tag: "new", Created: now.Add(-2 * day)},
	}
	source := counting()
	for tag, ago := range map[string]time.Duration{"old": 3 * time.Hour, "new": 30 * time.Hour} {
		k := use("rotating", "v1", "list", "GET")
		k.Credential = tag
		source.add(k, 1, ago)
	}
	report := reports.ReportRotation(estateOf(t, fresh, due, overdue, stated, inactive, bare, rotating), source.collect(t, 90*day))
	var got []string
	for _, r := range report.Tokens {
		got = append(got, r.Token+" "+r.State)
	}
	if want := []string{"acme/stated overdue", "acme/overdue overdue", "acme/due due", "acme/rotating rotating"}; !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	r := report.Tokens[3]
	if !r.NewFirstUsed.Equal(now.Add(-30*time.Hour)) || !r.OldLastUsed.Equal(now.Add(-3*time.Hour)) || !r.OldEnds.Equal(now.Add(5*day)) {
		t.Errorf("got %+v, want the first use of the new and the last of the old credential", r)
	}
	if !report.Tokens[0].Stated || report.Tokens[1].Stated {
		t.Error("it does not tell what a token states from the default")
	}
}

func TestReportLegacy(t *testing.T) {
	t.Parallel()
	old := newToken("old")
	old.Access = scopes.ReadOnly
	source := counting()
	source.add(use("old", "v1", "list", "GET"), 1, day)
	source.add(use("old", "v1", "one", "HEAD"), 1, day)
	report := reports.ReportLegacy(estateOf(t, newToken("scoped", everything()), old), source.collect(t, 90*day))
	want := []reports.Scope{
		{API: "orders", Versions: []string{"v1"}, Methods: []string{"GET"}, Operations: []string{"list"}},
		{API: "orders", Versions: []string{"v1"}, Methods: []string{"HEAD"}, Operations: []string{"one"}},
	}
	if len(report.Tokens) != 1 || !reflect.DeepEqual(report.Tokens[0].Scopes, want) || report.Tokens[0].Used != 2 || !report.Tokens[0].Covered {
		t.Errorf("got %+v, want %+v", report.Tokens, want)
	}
}

func TestReportContacts(t *testing.T) {
	t.Parallel()
	a, b, c, inactive := newToken("a"), newToken("b"), newToken("c"), newToken("inactive")
	a.Contact = scopes.Contact{Name: "Data team", Email: "Data@acme.example"}
	b.Contact = scopes.Contact{Email: "data@acme.example"}
	b.Account = "globex"
	c.Contact = scopes.Contact{}
	inactive.Inactive = true
	report := reports.ReportContacts(estateOf(t, a, b, c, inactive))
	want := reports.ContactReport{
		Contacts: []reports.Contact{{Email: "data@acme.example", Names: []string{"Data team"}, Tokens: 2, Accounts: []string{"acme", "globex"}}},
		Missing:  []reports.Subject{{ID: "tok_c", Token: "acme/c"}}, Unnamed: 1,
	}
	if !reflect.DeepEqual(report, want) {
		t.Errorf("got  %+v\nwant %+v", report, want)
	}
}

func TestReportShadow(t *testing.T) {
	t.Parallel()
	candidate := []scopes.Scope{{API: "orders", Versions: []string{"v1"}, Methods: scopes.MethodOf("GET")}}
	newShadow := func(name string) reports.Token {
		token := newToken(name, everything())
		token.Shadow = candidate
		return token
	}
	source := counting()
	source.add(use("fits", "v1", "list", "GET"), 4, day)
	source.add(use("not", "v1", "list", "GET"), 4, day)
	source.add(use("not", "v1", "one", "PUT"), 2, day)
	source.add(use("not", "v2", "one", "GET"), 1, day)
	through := refused("not", "expired")
	through.Through = true
	source.add(through, 7, day)
	estate := estateOf(t, newShadow("fits"), newShadow("not"), newShadow("idle"), newToken("plain", everything()))
	report := reports.ReportShadow(estate, source.collect(t, 30*day))
	if len(report.Tokens) != 3 {
		t.Fatalf("got %+v, want the three with shadow scopes", report.Tokens)
	}
	fits, not, idle := report.Tokens[0], report.Tokens[1], report.Tokens[2]
	if !fits.Safe || fits.Allowed != 4 || not.Safe || not.WouldDeny != 3 || idle.Safe {
		t.Errorf("got %+v, want fits to be safe", report.Tokens)
	}
	if len(not.Denials) != 2 || not.Denials[0].Reason != "method_not_granted" || not.Denials[1].Reason != "version_not_granted" {
		t.Errorf("got %+v, want a method and a version", not.Denials)
	}
	if len(report.Sites) != 1 || report.Sites[0].Requests != 7 {
		t.Errorf("got %+v, want what a site in shadow has let through", report.Sites)
	}
	source.since = now.Add(-20 * day)
	if report := reports.ReportShadow(estate, source.collect(t, 30*day)); report.Tokens[0].Safe {
		t.Error("it is safe although counting does not cover the window")
	}
}

func TestReportLimits(t *testing.T) {
	t.Parallel()
	token := newToken("a", everything())
	token.Limits = []scopes.Limit{
		{Quota: scopes.Quota{Requests: 1000, Per: scopes.PerDay}},
		{API: "orders", Rate: scopes.Rate{Requests: 2, Per: time.Second, Burst: 2}},
		{API: "other", Rate: scopes.Rate{Requests: 1, Per: time.Second, Burst: 1}, Quota: scopes.Quota{Requests: 10, Per: scopes.PerHour}},
	}
	source := counting()
	source.add(use("a", "v1", "list", "GET"), 360, 2*time.Hour)
	source.add(use("a", "v1", "one", "GET"), 240, 3*time.Hour)
	source.add(use("a", "v1", "one", "GET"), 500, 30*time.Hour)
	source.add(refused("a", "rate_limited"), 7, time.Hour)
	source.add(refused("a", "expired"), 9, time.Hour)
	report := reports.ReportUsage(estateOf(t, token), source.collect(t, 7*day, token), false)
	want := []reports.LimitUsage{
		{Quota: "1000/day", PeakRate: 500.0 / 3600, Peak: 600, Headroom: 0.4, Refused: 7},
		{API: "orders", Rate: "2/s", PeakRate: 500.0 / 3600, Headroom: 1 - 500.0/3600/2, Refused: 7},
		{API: "other", Rate: "1/s", Quota: "10/hour", Headroom: 1},
	}
	if got := report.Tokens[0].Limits; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
