package caddymodule

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store"
)

// maxPage bounds the limit of a list.
const maxPage = 1000

// page is the part of a list that was asked for.
type page struct {
	limit int    // how many things at the most; 0 for all
	after string // the name of the last thing before it; "" for the first page
}

// readPage reads the parameters limit and after, the latter a name of the given shape.
func readPage(values url.Values, name *regexp.Regexp) (p page, err error) {
	if text := values.Get("limit"); text != "" {
		if p.limit, err = strconv.Atoi(text); err != nil || p.limit < 1 || p.limit > maxPage {
			return page{}, failf(http.StatusBadRequest, "limit is a number from 1 to %d, not %q", maxPage, text)
		}
	}
	if p.after = values.Get("after"); p.after != "" && !name.MatchString(p.after) {
		return page{}, failf(http.StatusBadRequest, "after is the name of the last one that was listed, not %q", p.after)
	}
	return p, nil
}

// lookahead returns the limit to list with: one more than is told, which tells whether
// more follows.
func (p page) lookahead() int {
	if p.limit == 0 {
		return 0
	}
	return p.limit + 1
}

// listed is a list, or a page of one, with the address of the next page.
type listed struct {
	value any
	next  string // path and query; "" for none
}

// tell names the next page, as RFC 8288 has it.
func (l *listed) tell(h http.Header) {
	if l.next != "" {
		h.Set("Link", "<"+l.next+`>; rel="next"`)
	}
}

func (l *listed) answer() any { return l.value }

// listPage returns what show makes of the things that were listed with the lookahead.
func listPage[T, Shown any](at string, values url.Values, p page, things []T, name func(*T) string, show func(*T) Shown) *listed {
	l := new(listed)
	if p.limit > 0 && len(things) > p.limit {
		things = things[:p.limit]
		values.Set("after", name(&things[p.limit-1]))
		l.next = at + "?" + values.Encode()
	}
	shown := make([]Shown, len(things))
	for i := range things {
		shown[i] = show(&things[i])
	}
	l.value = shown
	return l
}

// tokens lists tokens by account and name: those that are not deleted, or those
// that the parameters select.
func (m *management) tokens(r *http.Request) (any, error) {
	values, err := parameters(r, "account", "state", "api", "contact", "expiring", "access", "search", "limit", "after")
	if err != nil {
		return nil, err
	}
	filter, err := readFilter(values)
	if err != nil {
		return nil, err
	}
	p, err := readPage(values, isName)
	if err != nil {
		return nil, err
	}
	s, err := m.store()
	if err != nil {
		return nil, err
	}
	filter.Limit, filter.After = p.lookahead(), p.after
	tokens, err := s.Tokens(filter)
	if err != nil {
		return nil, err
	}
	return listPage("/scopegate/tokens", values, p, tokens, (*store.Token).Ref, showToken), nil
}

// accounts lists accounts by name: all, or those that the parameters select.
func (m *management) accounts(r *http.Request) (any, error) {
	values, err := parameters(r, "search", "limit", "after")
	if err != nil {
		return nil, err
	}
	p, err := readPage(values, isAccount)
	if err != nil {
		return nil, err
	}
	s, err := m.store()
	if err != nil {
		return nil, err
	}
	accounts, err := s.Accounts(store.AccountFilter{Search: values.Get("search"), After: p.after, Limit: p.lookahead()})
	if err != nil {
		return nil, err
	}
	name := func(a *store.Account) string { return a.Name }
	return listPage("/scopegate/accounts", values, p, accounts, name, showAccount), nil
}

// readFilter reads which tokens to list.
func readFilter(values url.Values) (store.Filter, error) {
	f := store.Filter{
		Account: values.Get("account"), API: values.Get("api"), Contact: values.Get("contact"), Access: values.Get("access"),
		Search: values.Get("search"),
	}
	switch state := values.Get("state"); state {
	case "":
	case stateActive:
		f.Active = true
	case stateInactive:
		f.Inactive = true
	case stateDeleted:
		f.Deleted, f.OnlyDeleted = true, true
	default:
		return store.Filter{}, failf(http.StatusBadRequest, "state is active, inactive or deleted, not %q", state)
	}
	if kinds := []string{"", "scoped", "legacy", "read_only", "read_write"}; !slices.Contains(kinds, f.Access) {
		return store.Filter{}, failf(http.StatusBadRequest, "access is %s, not %q", orNone(kinds[1:]), f.Access)
	}
	if within := values.Get("expiring"); within != "" {
		d, err := scopes.ParseInterval(within)
		if err != nil {
			return store.Filter{}, failf(http.StatusBadRequest, "expiring: %w", err)
		}
		f.ExpiresBefore = time.Now().Add(d)
	}
	return f, nil
}
