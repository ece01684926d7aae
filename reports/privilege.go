package reports

import (
	"cmp"
	"slices"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// PrivilegeReport is how much of what is granted was used. An operation counts once for each
// version and method.
type PrivilegeReport struct {
	Basis
	Granted int         `json:"granted"`
	Used    int         `json:"used"`
	Tokens  []Privilege `json:"tokens"` // the one with the most that was not used first
}

// Privilege is how much of what a token may do was used.
type Privilege struct {
	Subject
	Access     string               `json:"access,omitempty"` // of a legacy token
	Granted    int                  `json:"granted"`
	Used       int                  `json:"used"`
	Operations []PrivilegeOperation `json:"operations,omitempty"`
}

// PrivilegeOperation is an operation that is granted, and by which methods it was used.
type PrivilegeOperation struct {
	API       string   `json:"api"`
	Version   string   `json:"version,omitempty"`
	Operation string   `json:"operation"`
	Granted   []string `json:"granted"`
	Used      []string `json:"used"`
}

// ReportOverprivileged compares what each active token may do with what it was used for; with
// detail, to the operation.
func ReportOverprivileged(e *Estate, u *Usage, detail bool) PrivilegeReport {
	report := PrivilegeReport{Basis: u.Basis, Tokens: []Privilege{}}
	for i := range e.Tokens {
		t := &e.Tokens[i]
		if t.Inactive {
			continue
		}
		granted := permissionsOf(e.Catalog, &t.Token)
		list, _ := u.used(e.Catalog, t.ID)
		used := gather(list).and(granted)
		p := Privilege{Subject: subjectOf(t), Access: t.Access.String(), Granted: granted.count(), Used: used.count()}
		if detail {
			p.Operations = compare(e.Catalog.Permissions(&t.Token), used)
		}
		report.Granted += p.Granted
		report.Used += p.Used
		report.Tokens = append(report.Tokens, p)
	}
	slices.SortStableFunc(report.Tokens, func(a, b Privilege) int {
		return cmp.Compare(b.Granted-b.Used, a.Granted-a.Used)
	})
	return report
}

func compare(granted []scopes.Permission, used permissions) []PrivilegeOperation {
	list := make([]PrivilegeOperation, len(granted))
	for i, p := range granted {
		at := p
		at.Methods = 0
		list[i] = PrivilegeOperation{p.API, p.Version, p.Operation, names(p.Methods), names(used[at])}
	}
	return list
}

// names returns the names of methods as a scope has them: GET includes HEAD.
func names(methods scopes.Methods) []string {
	all := methods.Names()
	if slices.Contains(all, "GET") {
		all = slices.DeleteFunc(all, func(name string) bool { return name == "HEAD" })
	}
	return all
}

// Suggestions are the least scopes that cover what was used.
type Suggestions struct {
	Basis
	Before int          `json:"before"` // operations that the active scoped tokens have
	After  int          `json:"after"`  // and that they would have
	Tokens []Suggestion `json:"tokens"` // that would have less
	// Left are tokens for which there is none, and why.
	Left []LeftToken `json:"left"`
}

// Suggestion is what a token should be able to do.
type Suggestion struct {
	Subject
	Before int     `json:"before"`
	After  int     `json:"after"`
	Scopes []Scope `json:"scopes"`
	// Notes say what was left as it is, and why.
	Notes []string `json:"notes,omitempty"`
}

// LeftToken is a token that is left as it is.
type LeftToken struct {
	Subject
	Why string `json:"why"`
}

// Suggest computes the least scopes for each active scoped token. What it suggests grants
// nothing that the token does not have, and all that it was used for in the window.
func Suggest(e *Estate, u *Usage) Suggestions {
	report := Suggestions{Basis: u.Basis, Tokens: []Suggestion{}, Left: []LeftToken{}}
	for i := range e.Tokens {
		t := &e.Tokens[i]
		if t.Inactive || t.Legacy() {
			continue
		}
		one, why := u.suggest(e.Catalog, t)
		report.Before += one.Before
		report.After += one.After
		switch {
		case why != "":
			report.Left = append(report.Left, LeftToken{one.Subject, why})
		case one.After < one.Before:
			report.Tokens = append(report.Tokens, one)
		}
	}
	slices.SortStableFunc(report.Tokens, func(a, b Suggestion) int {
		return cmp.Compare(b.Before-b.After, a.Before-a.After)
	})
	return report
}

// suggest computes the least scopes of a token, or says why it is left as it is.
func (u *Usage) suggest(catalog *scopes.Catalog, t *Token) (s Suggestion, why string) {
	granted := permissionsOf(catalog, &t.Token)
	s = Suggestion{Subject: subjectOf(t), Before: granted.count(), After: granted.count()}
	if why := u.leave(t); why != "" {
		return s, why
	}
	list, gone := u.used(catalog, t.ID)
	wanted := gather(list)
	wanted.add(catalog.Permissions(&scopes.Token{Scopes: t.Keep.Scopes})...)
	wanted = wanted.and(granted)
	for api := range gone {
		if part := granted.of(api); len(part) > 0 {
			wanted.add(part.list()...)
			s.Notes = append(s.Notes, "API "+api+" stays as it is: the token has used an operation or a version that it has no longer")
		}
	}
	slices.Sort(s.Notes)
	if len(wanted) == 0 {
		return s, "it was not used in the window; see report unused"
	}
	s.After = wanted.count()
	s.Scopes = showScopes(narrow(catalog, t, granted, wanted))
	return s, ""
}

// leave says why a token is to be left as it is, whatever it was used for.
func (u *Usage) leave(t *Token) string {
	switch {
	case t.Keep.All:
		return "it says keep"
	case u.Lost > 0:
		return "some requests of the window could not be counted"
	case u.Missing != "":
		return "something is missing: " + u.Missing
	case t.Created.After(u.From):
		return "it was made within the window; take a shorter one with --window"
	case !u.Covers(u.From):
		return "counting began within the window, " + u.Since.Format(time.DateOnly) + "; take a shorter one with --window"
	}
	return ""
}

// narrow returns scopes for what is wanted. Of an API that keeps all it has, the token's own
// scopes stay as they are.
func narrow(catalog *scopes.Catalog, t *Token, granted, wanted permissions) []scopes.Scope {
	var list []scopes.Scope
	done := make(map[string]bool)
	for i := range t.Scopes {
		api := t.Scopes[i].API
		if wanted.of(api).equal(granted.of(api)) {
			if len(granted.of(api)) > 0 {
				list = append(list, t.Scopes[i])
			}
			continue
		}
		if !done[api] {
			done[api] = true
			list = append(list, catalog.Cover(wanted.of(api).list())...)
		}
	}
	return list
}

// LegacyReport is the legacy tokens and the scopes that cover what they were used for.
type LegacyReport struct {
	Basis
	Tokens []LegacyToken `json:"tokens"`
}

// LegacyToken is a token with access to every API, and what it would need instead.
type LegacyToken struct {
	Subject
	State      string  `json:"state"`
	Access     string  `json:"access"`
	Operations int     `json:"operations"` // that it may use, each version and method by itself
	Used       int     `json:"used"`       // of them, in the window
	Scopes     []Scope `json:"scopes"`     // that cover what was used
	// Covered: counting covers the window, so that the scopes are all that it used then.
	Covered bool `json:"covered"`
}

// ReportLegacy lists the legacy tokens.
func ReportLegacy(e *Estate, u *Usage) LegacyReport {
	report := LegacyReport{Basis: u.Basis, Tokens: []LegacyToken{}}
	for i := range e.Tokens {
		t := &e.Tokens[i]
		if !t.Legacy() {
			continue
		}
		granted := permissionsOf(e.Catalog, &t.Token)
		list, _ := u.used(e.Catalog, t.ID)
		used := gather(list).and(granted)
		state := "active"
		if t.Inactive {
			state = "inactive"
		}
		report.Tokens = append(report.Tokens, LegacyToken{
			Subject: subjectOf(t), State: state, Access: t.Access.String(), Operations: granted.count(), Used: used.count(),
			Scopes: showScopes(e.Catalog.Cover(used.list())), Covered: u.Covers(u.From),
		})
	}
	return report
}
