package caddymodule

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// manyTokens is a scope file with accounts that have some tokens each.
func manyTokens(accounts, each int) string {
	var b strings.Builder
	b.WriteString("format: 1\napis:\n  orders: {operations: {list: GET /orders}}\naccounts:\n")
	for a := range accounts {
		fmt.Fprintf(&b, "  a%04d:\n    title: Account & <%d>\n    max_active_tokens: %d\n    tokens:\n", a, a, each)
		for t := range each {
			fmt.Fprintf(&b, "      t%04d: {description: \"Copies orders, %d of %d\", contact: {email: team%d@a.example}, scopes: [{api: orders, methods: [GET]}]}\n",
				t, t, each, a)
		}
	}
	return b.String()
}

var nextPage = regexp.MustCompile(`^<([^>]+)>; rel="next"$`)

// follow goes from page to page, and returns the names of all that is on them.
func follow[T any](t *testing.T, m *management, target string, limit int, name func(*T) string) []string {
	t.Helper()
	var names []string
	for {
		list, header := getAs[[]T](t, m, target)
		for i := range list {
			names = append(names, name(&list[i]))
		}
		link := nextPage.FindStringSubmatch(header.Get("Link"))
		if (link != nil) != (header.Get("Link") != "") || link != nil && len(list) != limit {
			t.Fatalf("%s: got %d things and Link %q", target, len(list), header.Get("Link"))
		}
		if link == nil {
			return names
		}
		target = link[1]
	}
}

func TestPagesFollow(t *testing.T) {
	t.Parallel()
	m := newManagement(t, manyTokens(7, 5))
	token := func(t *shownToken) string { return t.Token }
	for _, query := range []string{"", "account=a0003", "search=" + url.QueryEscape("ORDERS, 2 of"), "contact=team4&state=active", "search=nothing"} {
		want := follow(t, m, "/scopegate/tokens?"+query, 0, token)
		for _, limit := range []int{1, 3, 5, 35, 1000} {
			got := follow(t, m, fmt.Sprintf("/scopegate/tokens?limit=%d&%s", limit, query), limit, token)
			if !slices.Equal(got, want) {
				t.Errorf("%q by %d: got %v, want %v", query, limit, got, want)
			}
		}
	}
	account := func(a *shownAccount) string { return a.Name }
	for _, limit := range []int{1, 3, 7, 8} {
		got := follow(t, m, fmt.Sprintf("/scopegate/accounts?limit=%d&search=%s", limit, url.QueryEscape("& <")), limit, account)
		if len(got) != 7 || !slices.IsSorted(got) {
			t.Errorf("accounts by %d: got %v, want 7", limit, got)
		}
	}
}

func TestPageParameters(t *testing.T) {
	t.Parallel()
	m := newManagement(t, manyTokens(2, 2))
	for target, want := range map[string]int{
		"/scopegate/tokens?limit=1001":            http.StatusBadRequest,
		"/scopegate/tokens?limit=-1":              http.StatusBadRequest,
		"/scopegate/tokens?limit=ten":             http.StatusBadRequest,
		"/scopegate/tokens?limit=":                http.StatusOK,
		"/scopegate/tokens?after=a0000":           http.StatusBadRequest,
		"/scopegate/tokens?after=a0000/t0000":     http.StatusOK,
		"/scopegate/tokens?after=zz/zz&limit=5":   http.StatusOK,
		"/scopegate/accounts?after=a/b":           http.StatusBadRequest,
		"/scopegate/accounts?after=a0000&limit=1": http.StatusOK,
		"/scopegate/accounts?api=orders":          http.StatusBadRequest,
	} {
		if w := m.get(t, target); w.Code != want {
			t.Errorf("%s: got %d %s, want %d", target, w.Code, w.Body, want)
		}
	}
}
