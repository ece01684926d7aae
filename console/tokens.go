package console

import (
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// token is one as the management routes show it, as far as pages do.
type token struct {
	actedOn
	ID      string `json:"id"`
	Account string `json:"account"`
	Name    string `json:"name"`
	Contact struct {
		Name  string `json:"name"`
		Email string `json:"email"`
	} `json:"contact"`
	Environment string       `json:"environment"`
	Held        bool         `json:"held"` // deactivated by hand
	Version     string       `json:"version"`
	Expires     time.Time    `json:"expires"`
	RotateEvery string       `json:"rotate_every"`
	Sources     []string     `json:"sources"`
	Scopes      []scope      `json:"scopes"`
	Access      string       `json:"access"` // of a legacy token
	Shadow      []scope      `json:"shadow"`
	Limits      []tokenLimit `json:"limits"`
	Owner       string       `json:"owner"`
	Created     time.Time    `json:"created"`
	Updated     time.Time    `json:"updated"`
	Revision    uint64       `json:"revision"`
}

// tokenLimit is how much a token may do of what it may.
type tokenLimit struct {
	API   string `json:"api"`
	Rate  string `json:"rate"`
	Quota string `json:"quota"`
}

// soon is how long before it expires a token is marked.
const soon = 30 * 24 * time.Hour

// Path returns that of the token's page.
func (t *token) Path() string { return Root + "tokens/" + t.Token }

// Expired reports whether the token's time is over.
func (t *token) Expired() bool { return !t.Expires.IsZero() && !t.Expires.After(time.Now()) }

// ExpiresSoon reports whether it is over before long.
func (t *token) ExpiresSoon() bool {
	return !t.Expired() && !t.Expires.IsZero() && t.Expires.Before(time.Now().Add(soon))
}

// Badges are the states of a token: first whether it is accepted, and then what is special.
func (t *token) Badges() []badge {
	var badges []badge
	switch {
	case t.State == stateDeleted:
		badges = append(badges, badge{"deleted", "bad"})
	case t.State == stateInactive && t.Held:
		badges = append(badges, badge{"deactivated", "bad"})
	case t.State == stateInactive:
		badges = append(badges, badge{"inactive", ""})
	case t.Expired():
		badges = append(badges, badge{"expired", "bad"})
	case len(t.live()) == 0:
		badges = append(badges, badge{"no credential", "warn"})
	default:
		badges = append(badges, badge{"active", "good"})
	}
	if len(t.live()) > 1 {
		badges = append(badges, badge{"rotating", "info"})
	}
	if t.Access != "" {
		badges = append(badges, badge{"legacy", "warn"})
	}
	if len(t.Shadow) > 0 {
		badges = append(badges, badge{"shadow", "info"})
	}
	return badges
}

// tokenRow is a token in the list.
type tokenRow struct {
	token
	Used  *activitySeries // nil: that is not known
	Spark *sparkline      // nil: it was not used
}

// rowScopes is how many scopes the list shows of a token.
const rowScopes = 2

// First are the scopes that the list shows.
func (t *tokenRow) First() []scope { return t.Scopes[:min(len(t.Scopes), rowScopes)] }

// More is how many there are beyond them.
func (t *tokenRow) More() int { return len(t.Scopes) - len(t.First()) }

// tokenFilter is what the list can be narrowed by: a parameter of its route.
type tokenFilter struct {
	Name, Label, Value, Example string
	Options                     []option // "" for all of them; none: one types
}

// ID is what the label of a filter refers to.
func (f *tokenFilter) ID() string { return "filter-" + f.Name }

// tokenFilters reads the filters from a query.
func tokenFilters(query url.Values) (filters []tokenFilter, filtered bool) {
	filters = []tokenFilter{
		{Name: "search", Label: "Search", Example: "Name, description or contact"},
		{Name: "account", Label: "Account"},
		{Name: "api", Label: "May use the API"},
		{Name: "contact", Label: "Contact"},
		{Name: "state", Label: "State", Options: []option{{"", "All but deleted"}, {stateActive, "Active"}, {stateInactive, "Inactive"}, {stateDeleted, "Deleted"}}},
		{Name: "expiring", Label: "Expires within", Options: []option{{"", "Any time"}, {"7d", "7 days"}, {"30d", "30 days"}, {"90d", "90 days"}}},
		{Name: "access", Label: "Access", Options: []option{{"", "All kinds"}, {"scoped", "Scoped"}, {"legacy", "Legacy"}, {"read_only", "Legacy, read only"}, {"read_write", "Legacy, read and write"}}},
	}
	for i := range filters {
		filters[i].Value = query.Get(filters[i].Name)
		filtered = filtered || filters[i].Value != ""
	}
	return filters, filtered
}

// tokensPage is a part of the list of tokens.
type tokensPage struct {
	Filters   []tokenFilter
	Filtered  bool
	Tokens    []tokenRow
	Counted   bool   // how they were used is known
	First     string // the address of the first page, if this is not it
	Next      string // and of the next, if there is one
	MayCreate bool
	MayShow   bool
}

const (
	tokensPerPage = 50
	tokensWindow  = "30d" // of what they were used for
)

// tokens lists tokens.
func tokens(v *visit) error {
	query := v.r.URL.Query()
	p := tokensPage{MayCreate: v.client.May(http.MethodPost, "/scopegate/tokens")}
	p.Filters, p.Filtered = tokenFilters(query)
	asked := url.Values{"limit": {strconv.Itoa(tokensPerPage)}}
	kept := make(url.Values)
	for _, f := range p.Filters {
		if f.Value != "" {
			asked.Set(f.Name, f.Value)
			kept.Set(f.Name, f.Value)
		}
	}
	if after := query.Get("after"); after != "" {
		asked.Set("after", after)
		p.First = "?" + kept.Encode()
	}
	var list []token
	header, err := send(v.client, http.MethodGet, "/scopegate/tokens?"+asked.Encode(), nil, &list)
	if err != nil {
		return err
	}
	if next := nextPage(header); next != "" {
		kept.Set("after", next)
		p.Next = "?" + kept.Encode()
	}
	p.Tokens = make([]tokenRow, len(list))
	for i := range list {
		p.Tokens[i].token = list[i]
	}
	if err := v.countUses(&p); err != nil {
		return err
	}
	if len(list) > 0 {
		p.MayShow = v.client.May(http.MethodGet, "/scopegate/tokens/"+list[0].Token)
	}
	return v.show(http.StatusOK, "tokens", "Tokens", Root+"tokens", &p)
}

// countUses tells how the tokens of a page were used, if the one that asks may know.
func (v *visit) countUses(p *tokensPage) error {
	ids := make([]string, len(p.Tokens)) // a name may have been another token's before
	for i := range p.Tokens {
		ids[i] = p.Tokens[i].ID
	}
	target := activityTarget(tokensWindow, ids...)
	if len(ids) == 0 || !v.client.May(http.MethodGet, target) {
		return nil
	}
	var used activityReport
	if err := ask(v.client, target, &used); err != nil {
		return err
	}
	p.Counted = true
	byID := make(map[string]*activitySeries, len(used.Tokens))
	for i := range used.Tokens {
		byID[used.Tokens[i].ID] = &used.Tokens[i]
	}
	for i := range p.Tokens {
		if series := byID[p.Tokens[i].ID]; series != nil {
			p.Tokens[i].Used, p.Tokens[i].Spark = series, newSparkline(series.Points, used.step())
		}
	}
	return nil
}
