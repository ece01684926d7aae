package console

import (
	"cmp"
	"slices"
)

// grantedOperation is an operation that a token may use, and by which methods it has.
type grantedOperation struct {
	API       string   `json:"api"`
	Version   string   `json:"version"`
	Operation string   `json:"operation"`
	Granted   []string `json:"granted"`
	Used      []string `json:"used"`
}

// usedOperation is how often a token has asked for an operation by a method.
type usedOperation struct {
	API       string `json:"api"`
	Version   string `json:"version"`
	Operation string `json:"operation"`
	Method    string `json:"method"`
	Requests  uint64 `json:"requests"`
	Denied    uint64 `json:"denied"`
}

// matrix is what a token may do against what it did: an operation a row, a method a column.
type matrix struct {
	Methods       []string
	Groups        []matrixGroup
	Granted, Used int // operations, each version and method by itself
	Folded        int // rows that are not shown
}

// matrixGroup is the operations of one version of an API.
type matrixGroup struct {
	API, Version string
	Rows         []matrixRow
	Folded       int // rows that are not shown: granted, and not used
}

// matrixRow is one operation.
type matrixRow struct {
	Operation string
	Cells     []matrixCell
	granted   []string
	counts    map[string]methodCount
}

// matrixCell is one method of an operation.
type matrixCell struct {
	Kind   string // used, unused, denied or gone; "" for what is neither granted nor asked for
	Used   uint64
	Denied uint64
}

// methodCount is how often a method was used, and denied.
type methodCount struct{ used, denied uint64 }

// otherMethod is how a method is counted that has no name in a scope file.
const otherMethod = "other"

// manyRows is from how many rows on those are left out that were not used.
const manyRows = 40

// newMatrix compares what is granted with what was counted. With all, no row is left out.
func newMatrix(granted []grantedOperation, used []usedOperation, all bool) *matrix {
	m := new(matrix)
	for i := range granted {
		g := &granted[i]
		m.row(g.API, g.Version, g.Operation).granted = g.Granted
	}
	for i := range used {
		u := &used[i]
		if u.Operation == "" {
			continue // it met no operation: its reason tells more
		}
		row := m.row(u.API, u.Version, u.Operation)
		method := row.column(u.Method)
		count := row.counts[method]
		row.counts[method] = methodCount{count.used + u.Requests - min(u.Requests, u.Denied), count.denied + u.Denied}
	}
	m.Methods = m.columns()
	rows := 0
	for i := range m.Groups {
		rows += len(m.Groups[i].Rows)
		for j := range m.Groups[i].Rows {
			m.Groups[i].Rows[j].fill(m.Methods)
		}
	}
	if rows > manyRows && !all {
		m.fold()
	}
	return m
}

// row returns that of an operation.
func (m *matrix) row(api, version, operation string) *matrixRow {
	at := slices.IndexFunc(m.Groups, func(g matrixGroup) bool { return g.API == api && g.Version == version })
	if at < 0 {
		at = len(m.Groups)
		m.Groups = append(m.Groups, matrixGroup{API: api, Version: version})
	}
	g := &m.Groups[at]
	i := slices.IndexFunc(g.Rows, func(r matrixRow) bool { return r.Operation == operation })
	if i < 0 {
		i = len(g.Rows)
		g.Rows = append(g.Rows, matrixRow{Operation: operation, counts: make(map[string]methodCount)})
	}
	return &g.Rows[i]
}

// column returns in which column a method counts: a grant of GET includes HEAD.
func (r *matrixRow) column(method string) string {
	switch {
	case method == "HEAD" && !slices.Contains(r.granted, method):
		return "GET"
	case method == otherMethod:
		return anyMethod
	}
	return method
}

// columns returns all methods that are granted or were asked for.
func (m *matrix) columns() []string {
	known := make(map[string]bool)
	for i := range m.Groups {
		for j := range m.Groups[i].Rows {
			r := &m.Groups[i].Rows[j]
			shown := r.granted
			if slices.Contains(shown, anyMethod) {
				shown = widely
			}
			for _, method := range shown {
				known[method] = true
			}
			for method := range r.counts {
				known[method] = true
			}
		}
	}
	columns := make([]string, 0, len(known))
	for method := range known {
		columns = append(columns, method)
	}
	rank := func(method string) int {
		if method == anyMethod {
			return len(columnOrder) + 1
		}
		if at := slices.Index(columnOrder, method); at >= 0 {
			return at
		}
		return len(columnOrder)
	}
	slices.SortFunc(columns, func(a, b string) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b)) })
	return columns
}

// fill makes the cells of a row.
func (r *matrixRow) fill(columns []string) {
	r.Cells = make([]matrixCell, len(columns))
	for i, method := range columns {
		granted := slices.Contains(r.granted, method) || slices.Contains(r.granted, anyMethod)
		count := r.counts[method]
		cell := matrixCell{Used: count.used, Denied: count.denied}
		switch {
		case granted && count.used > 0:
			cell.Kind = "used"
		case count.used > 0:
			cell.Kind = "gone"
		case count.denied > 0:
			cell.Kind = "denied"
		case granted:
			cell.Kind = "unused"
		}
		r.Cells[i] = cell
	}
}

// idle reports whether a token has not asked for the operation.
func (r *matrixRow) idle() bool { return len(r.counts) == 0 }

// fold leaves out the rows that say nothing but that something is granted.
func (m *matrix) fold() {
	for i := range m.Groups {
		g := &m.Groups[i]
		before := len(g.Rows)
		g.Rows = slices.DeleteFunc(g.Rows, func(r matrixRow) bool { return r.idle() })
		g.Folded = before - len(g.Rows)
		m.Folded += g.Folded
	}
}
