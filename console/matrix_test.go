package console

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// picture draws a matrix in text: u is used, - not used, x denied, g gone, . nothing.
func picture(m *matrix) string {
	marks := map[string]string{"used": "u", "unused": "-", "denied": "x", "gone": "g", "": "."}
	lines := []string{strings.Join(m.Methods, " ")}
	for _, g := range m.Groups {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s +%d", g.API, g.Version, g.Folded)))
		for _, r := range g.Rows {
			line := r.Operation + " "
			for _, c := range r.Cells {
				line += marks[c.Kind]
			}
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

func TestMatrix(t *testing.T) {
	t.Parallel()
	granted := []grantedOperation{
		{"orders", "v1", "list", []string{"GET"}, nil},
		{"orders", "v1", "one", []string{"GET", "PUT"}, nil},
		{"raw", "", "all", []string{"*"}, nil},
		{"probe", "", "head", []string{"HEAD"}, nil},
	}
	used := []usedOperation{
		{"orders", "v1", "list", "GET", 7, 2},
		{"orders", "v1", "list", "HEAD", 1, 0},     // counts with GET
		{"orders", "v1", "one", "DELETE", 4, 4},    // was refused
		{"orders", "v2", "list", "GET", 3, 0},      // is not granted any more
		{"raw", "", "all", "other", 5, 0},          // a method without a name
		{"probe", "", "head", "HEAD", 2, 0},        // is granted by itself
		{"orders", "v1", "", "GET", 9, 9},          // met no operation
		{"orders", "v1", "one", "PROPFIND", 1, 10}, // more were denied than there were: it was counted meanwhile
	}
	m := newMatrix(granted, used, false)
	want := `GET HEAD POST PUT PATCH DELETE PROPFIND *
orders v1 +0
list u.......
one -..-.xx.
raw  +0
all -------u
probe  +0
head .u......
orders v2 +0
list g.......`
	if got := picture(m); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	cell := m.Groups[0].Rows[0].Cells[0]
	if cell.Used != 6 || cell.Denied != 2 {
		t.Errorf("GET and HEAD of list are %d used and %d denied, want 6 and 2", cell.Used, cell.Denied)
	}
}

func TestMatrixLeavesOutWhatSaysNothing(t *testing.T) {
	t.Parallel()
	var granted []grantedOperation
	for i := range manyRows + 1 {
		granted = append(granted, grantedOperation{"orders", "v1", fmt.Sprint("op-", i), []string{"GET"}, nil})
	}
	used := []usedOperation{{"orders", "v1", "op-3", "GET", 7, 0}}
	m := newMatrix(granted, used, false)
	if got, want := picture(m), fmt.Sprintf("GET\norders v1 +%d\nop-3 u", manyRows); got != want || m.Folded != manyRows {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for name, m := range map[string]*matrix{"all": newMatrix(granted, used, true), "not that many": newMatrix(granted[:manyRows], used, false)} {
		if m.Folded != 0 || len(m.Groups[0].Rows) < manyRows {
			t.Errorf("%s: %d rows were left out", name, m.Folded)
		}
	}
	if m := newMatrix(nil, nil, false); len(m.Groups) != 0 || !slices.Equal(m.Methods, []string{}) {
		t.Errorf("of nothing: %+v", m)
	}
}
