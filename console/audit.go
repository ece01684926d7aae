package console

import (
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// entry is a line of the audit log, as the route tells it.
type entry struct {
	Revision uint64    `json:"revision"`
	Time     time.Time `json:"time"`
	Actor    string    `json:"actor"`
	Action   string    `json:"action"`
	Kind     string    `json:"kind"`
	Name     string    `json:"name"`
	Details  []string  `json:"details"`
}

// Path returns the page of what was changed; "" if there is none.
func (e *entry) Path() string {
	switch e.Kind {
	case "token":
		return Root + "tokens/" + e.Name
	case "account":
		return Root + "accounts/" + e.Name
	case "api":
		return Root + "apis/" + e.Name
	}
	return ""
}

// difference is one line of details: what was changed, and what it was before and is after.
// A line that tells no change is all in Text.
type difference struct {
	What, Before, After, Text string
}

// Differences returns the details so that before and after can be told apart.
func (e *entry) Differences() []difference {
	all := make([]difference, len(e.Details))
	for i, line := range e.Details {
		what, values, named := strings.Cut(line, ": ")
		before, after, changed := strings.Cut(values, " → ")
		switch {
		case named && changed:
			all[i] = difference{What: what, Before: before, After: after}
		case named && !strings.Contains(what, " "):
			all[i] = difference{What: what, Text: values}
		default:
			all[i].Text = line
		}
	}
	return all
}

// auditFilters are the parameters of the page that are those of the route, too.
var auditFilters = []string{"name", "actor", "action", "kind", "since"}

// auditPage is what the page of the audit log shows.
type auditPage struct {
	Filters  map[string]string
	Kinds    []option
	Actions  []option
	Entries  []entry
	Filtered bool
	Problem  string // with the filters
	Older    string // address of the next page
	Cut      uint64 // a revision that has more lines than a page; 0 if none has
	Newest   string // address of the first page; "" if this is it
}

// showAudit shows who changed what, the newest first.
func showAudit(v *visit) error {
	p := auditPage{
		Filters: make(map[string]string),
		Kinds:   []option{{"", "everything"}, {"token", "tokens"}, {"account", "accounts"}, {"api", "APIs"}, {"file", "scope files"}, {"store", "the store"}},
		Actions: []option{{"", "everything"}},
	}
	for _, name := range []string{"create", "update", "issue", "rotate", "retire", "import", "activate", "deactivate", "delete", "prune", "adopt", "apply"} {
		p.Actions = append(p.Actions, option{name, name})
	}
	query := v.r.URL.Query()
	asked := make(map[string]string)
	for _, name := range auditFilters {
		if value := strings.TrimSpace(query.Get(name)); value != "" {
			p.Filters[name], asked[name], p.Filtered = value, value, true
		}
	}
	if before := query.Get("before"); before != "" {
		p.Newest = targetOf(Root+"audit", p.Filters)
		asked["before"] = before
	}
	asked["limit"] = strconv.Itoa(rowsOnPage + 1)
	err := ask(v.client, targetOf("/scopegate/log", asked), &p.Entries)
	if failure, ok := err.(*Failure); ok && failure.Status == http.StatusBadRequest { //nolint:errorlint // ask returns it as it is
		p.Problem = failure.Message
		return v.show(http.StatusBadRequest, "audit", "Audit", Root+"audit", p)
	}
	if err != nil {
		return err
	}
	p.turn()
	return v.show(http.StatusOK, "audit", "Audit", Root+"audit", p)
}

// turn cuts the entries to a page, between two revisions: the lines of a change stay
// together. If one has more than a page, the rest of its lines are left out.
func (p *auditPage) turn() {
	if len(p.Entries) <= rowsOnPage {
		return
	}
	cut := p.Entries[rowsOnPage].Revision
	end := rowsOnPage
	for end > 0 && p.Entries[end-1].Revision == cut {
		end--
	}
	older := cut + 1
	if end == 0 {
		end, older, p.Cut = rowsOnPage, cut, cut
	}
	p.Entries = p.Entries[:end]
	next := map[string]string{"before": strconv.FormatUint(older, 10)}
	maps.Copy(next, p.Filters)
	p.Older = targetOf(Root+"audit", next)
}
