package caddymodule

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/scopegate/scopegate/reports"
	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store"
	"github.com/scopegate/scopegate/usage"
)

// reportKind is a report that the management routes give.
type reportKind struct {
	path   string
	window time.Duration // that it looks back if none is asked for
	make   func(*reports.Estate, *reports.Usage, bool) any
}

const (
	week    = 7 * 24 * time.Hour
	month   = 30 * 24 * time.Hour
	quarter = 90 * 24 * time.Hour
)

// reportKinds are all reports. The last argument asks for detail, to the operation.
var reportKinds = []reportKind{
	{"reports/usage", week, func(e *reports.Estate, u *reports.Usage, detail bool) any { return reports.ReportUsage(e, u, detail) }},
	{"reports/errors", week, func(e *reports.Estate, u *reports.Usage, _ bool) any { return reports.ReportErrors(e, u) }},
	{"reports/unused", quarter, func(e *reports.Estate, u *reports.Usage, _ bool) any { return reports.ReportUnused(e, u) }},
	{"reports/overprivileged", quarter, func(e *reports.Estate, u *reports.Usage, detail bool) any {
		return reports.ReportOverprivileged(e, u, detail)
	}},
	{"reports/rotation", quarter, func(e *reports.Estate, u *reports.Usage, _ bool) any { return reports.ReportRotation(e, u) }},
	{"reports/legacy", quarter, func(e *reports.Estate, u *reports.Usage, _ bool) any { return reports.ReportLegacy(e, u) }},
	{"reports/contacts", week, func(e *reports.Estate, _ *reports.Usage, _ bool) any { return reports.ReportContacts(e) }},
	{"reports/shadow", month, func(e *reports.Estate, u *reports.Usage, _ bool) any { return reports.ReportShadow(e, u) }},
	{"reports/deprecated", month, func(e *reports.Estate, u *reports.Usage, detail bool) any {
		return reports.ReportDeprecated(e, u, detail)
	}},
	{"reports/attention", quarter, func(e *reports.Estate, u *reports.Usage, _ bool) any { return reports.ReportAttention(e, u) }},
	{"suggest", quarter, func(e *reports.Estate, u *reports.Usage, _ bool) any { return reports.Suggest(e, u) }},
}

func (m *management) reportRoutes() []caddy.AdminRoute {
	routes := make([]caddy.AdminRoute, len(reportKinds), len(reportKinds)+1)
	for i := range reportKinds {
		kind := &reportKinds[i]
		answer := func(r *http.Request) (any, error) { return m.report(r, kind) }
		routes[i] = caddy.AdminRoute{Pattern: "/scopegate/" + kind.path, Handler: resource{http.MethodGet: answer}}
	}
	return append(routes, caddy.AdminRoute{Pattern: "/scopegate/reports/activity", Handler: resource{http.MethodGet: m.activity}})
}

// maxWindow is how far back a report can look.
const maxWindow = 400 * 24 * time.Hour

// report makes a report of the window before now, of all tokens or of one.
func (m *management) report(r *http.Request, kind *reportKind) (any, error) {
	values, err := parameters(r, "window", "token", "detail")
	if err != nil {
		return nil, err
	}
	if err := noBody(r); err != nil {
		return nil, err
	}
	window, err := readWindow(values, kind.window)
	if err != nil {
		return nil, err
	}
	detail, err := switched(values, "detail")
	if err != nil {
		return nil, err
	}
	s, err := m.store()
	if err != nil {
		return nil, err
	}
	estate, err := estateOf(s, values.Get("token"))
	if err != nil {
		return nil, err
	}
	used, err := m.collect(r.Context(), estate, window, values.Get("token") != "")
	if err != nil {
		return nil, err
	}
	return kind.make(estate, used, detail), nil
}

// readWindow reads how far to look back.
func readWindow(values url.Values, usual time.Duration) (time.Duration, error) {
	text := values.Get("window")
	if text == "" {
		return usual, nil
	}
	window, err := scopes.ParseInterval(text)
	if err != nil || window > maxWindow {
		return 0, failf(http.StatusBadRequest, "window is how far to look back, at most 400d, such as 30d, not %q", text)
	}
	return window, nil
}

// collect reads what was counted in the window before now, on all nodes as far as they
// have told.
func (m *management) collect(ctx context.Context, estate *reports.Estate, window time.Duration, one bool) (*reports.Usage, error) {
	source, missing, err := m.counted(ctx, estate.Now)
	if err != nil {
		return nil, err
	}
	id := ""
	if one {
		id = estate.Tokens[0].ID
	}
	used, err := reports.Collect(source, estate, window, id)
	if err == nil {
		used.Missing = missing
	}
	return used, err
}

// counted returns what was counted on all nodes, and what is known to be missing of that.
func (m *management) counted(ctx context.Context, now time.Time) (source reports.Source, missing string, err error) {
	ledger, err := m.usage()
	if err != nil {
		return nil, "", err
	}
	if ledger == nil {
		return uncounted{now}, "", nil
	}
	if err := ledger.Sync(ctx); err != nil {
		missing = "the latest counts of other nodes: " + err.Error()
	}
	return ledger, missing, nil
}

// uncounted is what was counted where nothing was.
type uncounted struct{ since time.Time }

// Since implements [reports.Source]: counting has yet to begin.
func (u uncounted) Since() (time.Time, error) { return u.since, nil }

// Each implements [reports.Source].
func (uncounted) Each(usage.Query, func(*usage.Sample)) error { return nil }

// estateOf returns what there is now: all tokens, or the one with a name or id.
func estateOf(s *store.Store, ref string) (*reports.Estate, error) {
	var tokens []store.Token
	var err error
	if ref == "" {
		tokens, err = s.Tokens(store.Filter{})
	} else {
		tokens = make([]store.Token, 1)
		tokens[0], err = s.Token(ref)
	}
	if err != nil {
		return nil, err
	}
	snapshot := s.Snapshot()
	if snapshot == nil {
		return nil, unavailable(errNotOpen)
	}
	estate := &reports.Estate{Catalog: snapshot.Catalog(), Tokens: make([]reports.Token, len(tokens)), Now: time.Now()}
	for i := range tokens {
		estate.Tokens[i] = reportedToken(&tokens[i])
	}
	return estate, nil
}

func reportedToken(t *store.Token) reports.Token {
	told := reports.Token{ID: t.ID, Account: t.Account, Token: t.Token, Held: t.Held, Created: t.Created}
	told.Inactive = t.Inactive || t.Deleted
	for _, c := range t.Credentials {
		told.Credentials = append(told.Credentials, reports.Credential(c))
	}
	return told
}
