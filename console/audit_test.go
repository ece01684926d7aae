package console

import (
	"reflect"
	"testing"
)

func TestDifferences(t *testing.T) {
	t.Parallel()
	e := entry{Details: []string{
		"scopes: orders:v1:GET → orders:v1:GET,PUT", "contact: a@b.example", "a credential that ends in abcd; the old one is accepted until 2026-11-26T12:00:00Z", "state: active → inactive", "it was made by hand",
	}}
	want := []difference{
		{What: "scopes", Before: "orders:v1:GET", After: "orders:v1:GET,PUT"},
		{What: "contact", Text: "a@b.example"},
		{Text: "a credential that ends in abcd; the old one is accepted until 2026-11-26T12:00:00Z"},
		{What: "state", Before: "active", After: "inactive"},
		{Text: "it was made by hand"},
	}
	if got := e.Differences(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// A page ends between two changes, so that no line is left out by going on.
func TestAuditTurn(t *testing.T) {
	t.Parallel()
	lines := func(counts ...int) []entry { // of changes, the newest first
		var all []entry
		for i, n := range counts {
			for range n {
				all = append(all, entry{Revision: uint64(len(counts) - i)})
			}
		}
		return all[:min(len(all), rowsOnPage+1)]
	}
	for _, test := range []struct {
		name  string
		lines []entry
		shown int
		older string
		cut   uint64
	}{
		{"fits", lines(20, 30), 50, "", 0},
		{"ends with a change", lines(20, 30, 5), 50, "/console/audit?before=2&kind=token", 0},
		{"ends in a change", lines(20, 40, 5), 20, "/console/audit?before=3&kind=token", 0},
		{"a change is more than a page", lines(90, 5), 50, "/console/audit?before=2&kind=token", 2},
	} {
		p := auditPage{Entries: test.lines, Filters: map[string]string{"kind": "token"}}
		p.turn()
		if len(p.Entries) != test.shown || p.Older != test.older || p.Cut != test.cut {
			t.Errorf("%s: got %d lines, older %q, cut %d", test.name, len(p.Entries), p.Older, p.Cut)
		}
	}
}
