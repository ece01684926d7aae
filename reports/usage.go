package reports

import (
	"cmp"
	"slices"
	"time"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/usage"
)

// Basis is the window that a report rests on. What was counted is known by the hour, so
// that the hour counts whole in which it begins.
type Basis struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Since is when counting began. If that is after From, the window is not covered.
	Since time.Time `json:"counting_since"`
	// Lost is how many requests of the window could not be counted.
	Lost uint64 `json:"lost_requests,omitempty"`
	// Missing is what else is not in it, in words; "" for nothing that is known of.
	Missing string `json:"missing,omitempty"`
}

// Covers reports whether all that happened since a moment was counted.
func (b *Basis) Covers(since time.Time) bool {
	return !b.Since.After(since) && b.Lost == 0 && b.Missing == ""
}

// Usage is what was counted in a window.
type Usage struct {
	Basis
	Step   time.Duration // of the points
	tokens map[string]*tokenUsage
}

// tokenUsage is what was counted of one token; of none, if its requests had no known
// credential.
type tokenUsage struct {
	rows    map[usage.Key]*Total
	points  []uint64 // requests in each step of the window
	limited *limited // nil for a token without limits
	lastDay recent
}

// recent is what was counted within the last day.
type recent struct{ requests, denied, failed uint64 }

func (r *recent) add(s *usage.Sample) {
	const serverError = 5
	r.requests += s.Counts.Requests
	r.failed += s.Counts.Status[serverError]
	if !s.Key.Allowed() {
		r.denied += s.Counts.Requests
	}
}

// failing returns how many requests were denied or answered with 5xx.
func (r *recent) failing() uint64 { return r.denied + r.failed }

// Total is what was counted of one key.
type Total struct {
	usage.Counts
	First, Last time.Time // zero if only answers were counted
}

// maxPoints bounds the points of a window.
const maxPoints = 35

// Source yields what was counted.
type Source interface {
	Since() (time.Time, error)
	Each(q usage.Query, fn func(*usage.Sample)) error
}

// Collect reads the window before the moment of an estate: of all tokens, or of one by its
// id.
func Collect(source Source, e *Estate, window time.Duration, token string) (*Usage, error) {
	since, err := source.Since()
	if err != nil {
		return nil, err
	}
	from, to := e.Now.Add(-window).UTC(), e.Now.UTC()
	u := &Usage{Basis: Basis{From: from, To: to, Since: since}, tokens: make(map[string]*tokenUsage)}
	const day = 24 * time.Hour
	for u.Step = time.Hour; window > maxPoints*u.Step; {
		u.Step = max(2*u.Step, day)
	}
	for i := range e.Tokens {
		if t := &e.Tokens[i]; len(t.Limits) > 0 {
			u.of(t.ID).limited = newLimited(t.Limits)
		}
	}
	query := usage.Query{From: from, To: to}
	if token != "" {
		query.Tokens = []string{token}
	}
	err = source.Each(query, u.add)
	return u, err
}

// of returns what is collected of a token.
func (u *Usage) of(id string) *tokenUsage {
	t := u.tokens[id]
	if t == nil {
		t = &tokenUsage{rows: make(map[usage.Key]*Total), points: make([]uint64, u.To.Sub(u.From)/u.Step+1)}
		u.tokens[id] = t
	}
	return t
}

func (u *Usage) add(s *usage.Sample) {
	if s.Key.Reason == usage.ReasonLost {
		u.Lost += s.Counts.Requests
		return
	}
	t := u.of(s.Key.Token)
	t.limited.add(s)
	if !s.Whole && !s.At.Before(u.To.Add(-24*time.Hour).Truncate(time.Hour)) {
		t.lastDay.add(s)
	}
	total := t.rows[*s.Key]
	if total == nil {
		total = new(Total)
		t.rows[*s.Key] = total
	}
	total.add(s.Counts, s.First, s.Last)
	if at := int(s.At.Sub(u.From) / u.Step); len(t.points) > 0 {
		t.points[min(max(at, 0), len(t.points)-1)] += s.Counts.Requests
	}
}

func (t *Total) add(counts *usage.Counts, first, last time.Time) {
	t.Add(counts)
	if !first.IsZero() && (t.First.IsZero() || first.Before(t.First)) {
		t.First = first
	}
	if last.After(t.Last) {
		t.Last = last
	}
}

// counted returns what was counted of a token, in the order of the keys.
func (u *Usage) counted(id string) []counted {
	t := u.tokens[id]
	if t == nil {
		return nil
	}
	all := make([]counted, 0, len(t.rows))
	for key, total := range t.rows {
		all = append(all, counted{key, total})
	}
	slices.SortFunc(all, func(a, b counted) int { return a.key.Compare(&b.key) })
	return all
}

type counted struct {
	key usage.Key
	*Total
}

// total returns the sum of all rows of a token.
func (u *Usage) total(id string) (sum Total, denied uint64) {
	t := u.tokens[id]
	if t == nil {
		return sum, 0
	}
	for key, c := range t.rows {
		sum.add(&c.Counts, c.First, c.Last)
		if !key.Allowed() {
			denied += c.Requests
		}
	}
	return sum, denied
}

// UsageReport is what tokens were used for.
type UsageReport struct {
	Basis
	StepSeconds int          `json:"step_seconds"` // of the points
	Tokens      []TokenUsage `json:"tokens"`       // the most used first; those that were not used have no requests
}

// TokenUsage is what a token was used for.
type TokenUsage struct {
	Subject
	Traffic
	Points     []uint64         `json:"points"` // requests in each step of the window
	Limits     []LimitUsage     `json:"limits,omitempty"`
	Operations []OperationUsage `json:"operations,omitempty"`
}

// Traffic is how many requests there were and how they were answered.
type Traffic struct {
	Requests uint64    `json:"requests"`
	Denied   uint64    `json:"denied"`
	Status   Statuses  `json:"status"`
	P50      Seconds   `json:"p50_seconds"`
	P95      Seconds   `json:"p95_seconds"`
	First    time.Time `json:"first,omitzero"`
	Last     time.Time `json:"last,omitzero"`
}

// Seconds is a time in seconds. Of what was measured it is right within a factor of two.
type Seconds float64

// Statuses is how many answers there were of each class.
type Statuses struct {
	None        uint64 `json:"none"` // such as when the client had gone
	Information uint64 `json:"1xx"`
	Success     uint64 `json:"2xx"`
	Redirection uint64 `json:"3xx"`
	ClientError uint64 `json:"4xx"`
	ServerError uint64 `json:"5xx"`
}

// OperationUsage is the traffic of one operation, in one version and by one method.
type OperationUsage struct {
	API       string `json:"api,omitempty"`
	Version   string `json:"version,omitempty"`
	Operation string `json:"operation,omitempty"`
	Method    string `json:"method"`
	Traffic
}

func trafficOf(t *Total, denied uint64) Traffic {
	const median, high = 0.5, 0.95
	s := t.Status
	return Traffic{
		Requests: t.Requests, Denied: denied, Status: Statuses{s[0], s[1], s[2], s[3], s[4], s[5]},
		P50: Seconds(t.Quantile(median).Seconds()), P95: Seconds(t.Quantile(high).Seconds()), First: t.First, Last: t.Last,
	}
}

// ReportUsage tells what each token was used for; with detail, to the operation.
func ReportUsage(e *Estate, u *Usage, detail bool) UsageReport {
	report := UsageReport{Basis: u.Basis, StepSeconds: int(u.Step.Seconds()), Tokens: []TokenUsage{}}
	for i := range e.Tokens {
		t := &e.Tokens[i]
		sum, denied := u.total(t.ID)
		one := TokenUsage{Subject: subjectOf(t), Traffic: trafficOf(&sum, denied), Points: []uint64{}}
		if counted := u.tokens[t.ID]; counted != nil {
			one.Points, one.Limits = counted.points, counted.limited.report()
		}
		if detail {
			one.Operations = u.operations(t.ID)
		}
		report.Tokens = append(report.Tokens, one)
	}
	slices.SortStableFunc(report.Tokens, func(a, b TokenUsage) int { return cmp.Compare(b.Requests, a.Requests) })
	return report
}

// operations returns the traffic of each operation that a token was used for.
func (u *Usage) operations(id string) []OperationUsage {
	type of struct{ api, version, operation, method string }
	var order []of
	sums, denied := make(map[of]*Total), make(map[of]uint64)
	for _, c := range u.counted(id) {
		o := of{c.key.API, c.key.Version, c.key.Operation, c.key.Method}
		if sums[o] == nil {
			sums[o] = new(Total)
			order = append(order, o)
		}
		sums[o].add(&c.Counts, c.First, c.Last)
		if !c.key.Allowed() {
			denied[o] += c.Requests
		}
	}
	list := make([]OperationUsage, len(order))
	for i, o := range order {
		list[i] = OperationUsage{o.api, o.version, o.operation, o.method, trafficOf(sums[o], denied[o])}
	}
	slices.SortStableFunc(list, func(a, b OperationUsage) int { return cmp.Compare(b.Requests, a.Requests) })
	return list
}

// used returns the permissions that a token has used, and the names of APIs of which it has
// used what is not there any more.
func (u *Usage) used(catalog *scopes.Catalog, id string) (used []scopes.Permission, gone map[string]bool) {
	gone = make(map[string]bool)
	for _, c := range u.counted(id) {
		if !c.key.Allowed() {
			continue
		}
		if !has(catalog, &c.key) {
			gone[c.key.API] = true
			continue
		}
		methods := scopes.MethodOf(c.key.Method)
		if methods.Count() == 0 {
			methods = scopes.AllMethods // one without a name is granted with all others
		}
		used = append(used, scopes.Permission{API: c.key.API, Version: c.key.Version, Operation: c.key.Operation, Methods: methods})
	}
	return used, gone
}

// has reports whether a catalog has what a key is about.
func has(catalog *scopes.Catalog, k *usage.Key) bool {
	api := catalog.API(k.API)
	return api != nil && (k.Version == "" || slices.Contains(api.Versions, k.Version)) &&
		slices.ContainsFunc(api.Operations, func(op scopes.Operation) bool { return op.Name == k.Operation })
}
