package reports

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// UnusedReport is which active tokens nobody has used in a window.
type UnusedReport struct {
	Basis
	Tokens []UnusedToken `json:"tokens"` // the one that was used longest ago first
	// Unknown are tokens of which counting does not tell whether they are unused: it
	// began within the window, or has gaps.
	Unknown []Subject `json:"unknown"`
}

// UnusedToken is a token that nobody has used.
type UnusedToken struct {
	Subject
	Created time.Time `json:"created"`
	// Kept: the token says that it is needed although it is not used.
	Kept bool `json:"kept"`
}

// ReportUnused lists the active tokens that were made before the window and had no request
// in it, not even one that was refused.
func ReportUnused(e *Estate, u *Usage) UnusedReport {
	report := UnusedReport{Basis: u.Basis, Tokens: []UnusedToken{}, Unknown: []Subject{}}
	for i := range e.Tokens {
		t := &e.Tokens[i]
		if t.Inactive || t.Created.After(u.From) {
			continue
		}
		if sum, _ := u.total(t.ID); sum.Requests > 0 {
			continue
		}
		if !u.Covers(u.From) {
			report.Unknown = append(report.Unknown, subjectOf(t))
			continue
		}
		report.Tokens = append(report.Tokens, UnusedToken{subjectOf(t), t.Created, !t.Keep.IsZero()})
	}
	slices.SortStableFunc(report.Tokens, func(a, b UnusedToken) int { return a.Created.Compare(b.Created) })
	return report
}

// DefaultRotation is how often a credential is to be rotated whose token does not say it.
const DefaultRotation = 90 * 24 * time.Hour

// soon is how long before it is due a rotation is listed.
const soon = 30 * 24 * time.Hour

// RotationReport is which credentials are to be rotated, and which rotations are not over.
type RotationReport struct {
	Basis
	Tokens []Rotation `json:"tokens"` // the one that is due first, first
}

// The states of a [Rotation].
const (
	RotationOverdue = "overdue"
	RotationDue     = "due"      // within 30 days
	RotationOpen    = "rotating" // two credentials are accepted
)

// Rotation is when a token's credential is to be rotated, or how far that is.
type Rotation struct {
	Subject
	State  string    `json:"state"`
	Every  Seconds   `json:"every_seconds"`
	Stated bool      `json:"stated"` // the token says how often; else it is one quarter
	Since  time.Time `json:"since"`  // when the newest credential was made
	Due    time.Time `json:"due"`
	// Of a rotation that is not over: when the new credential was used first, and the old
	// one last; zero if it was not in the window.
	NewFirstUsed time.Time `json:"new_first_used,omitzero"`
	OldLastUsed  time.Time `json:"old_last_used,omitzero"`
	OldEnds      time.Time `json:"old_ends,omitzero"` // zero: when it is retired
}

// ReportRotation lists the active tokens whose credential is due within 30 days, is overdue, or
// is being rotated.
func ReportRotation(e *Estate, u *Usage) RotationReport {
	report := RotationReport{Basis: u.Basis, Tokens: []Rotation{}}
	for i := range e.Tokens {
		t := &e.Tokens[i]
		if t.Inactive || len(t.Credentials) == 0 {
			continue
		}
		if r := u.rotation(t, e.Now); r.State != "" {
			report.Tokens = append(report.Tokens, r)
		}
	}
	slices.SortStableFunc(report.Tokens, func(a, b Rotation) int { return a.Due.Compare(b.Due) })
	return report
}

func (u *Usage) rotation(t *Token, now time.Time) Rotation {
	newest := t.Credentials[len(t.Credentials)-1]
	every := t.RotateEvery
	if every == 0 {
		every = DefaultRotation
	}
	r := Rotation{
		Subject: subjectOf(t), Every: Seconds(every.Seconds()), Stated: t.RotateEvery != 0,
		Since: newest.Created, Due: newest.Created.Add(every),
	}
	switch {
	case len(t.Credentials) > 1:
		r.State = RotationOpen
		old := t.Credentials[0]
		r.OldEnds = old.Ends
		r.NewFirstUsed, _ = u.credential(t.ID, newest.Tag)
		_, r.OldLastUsed = u.credential(t.ID, old.Tag)
	case !r.Due.After(now):
		r.State = RotationOverdue
	case !r.Due.After(now.Add(soon)):
		r.State = RotationDue
	}
	return r
}

// credential returns when a credential was used first and last.
func (u *Usage) credential(id, tag string) (first, last time.Time) {
	var sum Total
	for _, c := range u.counted(id) {
		if c.key.Credential == tag {
			sum.add(&c.Counts, c.First, c.Last)
		}
	}
	return sum.First, sum.Last
}

// ContactReport is whom to ask about tokens, and of which nobody can be asked.
type ContactReport struct {
	Contacts []Contact `json:"contacts"` // who has the most tokens first
	Missing  []Subject `json:"missing"`  // without an address
	Unnamed  int       `json:"unnamed"`  // tokens whose contact has an address alone
}

// Contact is who is to be asked about tokens.
type Contact struct {
	Email    string   `json:"email"`
	Names    []string `json:"names"`
	Tokens   int      `json:"tokens"` // active ones
	Accounts []string `json:"accounts"`
}

// ReportContacts lists the contacts of all active tokens.
func ReportContacts(e *Estate) ContactReport {
	report := ContactReport{Contacts: []Contact{}, Missing: []Subject{}}
	at := make(map[string]int)
	for i := range e.Tokens {
		t := &e.Tokens[i]
		email := strings.ToLower(t.Contact.Email)
		switch {
		case t.Inactive:
			continue
		case email == "":
			report.Missing = append(report.Missing, subjectOf(t))
			continue
		case t.Contact.Name == "":
			report.Unnamed++
		}
		if _, known := at[email]; !known {
			at[email] = len(report.Contacts)
			report.Contacts = append(report.Contacts, Contact{Email: email, Names: []string{}})
		}
		c := &report.Contacts[at[email]]
		c.Tokens++
		if !slices.Contains(c.Accounts, t.Account) {
			c.Accounts = append(c.Accounts, t.Account)
		}
		if t.Contact.Name != "" && !slices.Contains(c.Names, t.Contact.Name) {
			c.Names = append(c.Names, t.Contact.Name)
		}
	}
	slices.SortStableFunc(report.Contacts, func(a, b Contact) int { return cmp.Compare(b.Tokens, a.Tokens) })
	return report
}

// Scope is a scope as the management routes have it.
type Scope struct {
	API        string   `json:"api"`
	Versions   []string `json:"versions,omitempty"`
	Methods    []string `json:"methods"`
	Operations []string `json:"operations,omitempty"`
}

// Declared returns the scope as a scope file has it.
func (s *Scope) Declared() scopes.Scope {
	declared := scopes.Scope{API: s.API, Versions: s.Versions, Operations: s.Operations}
	for _, name := range s.Methods {
		if name == "*" {
			declared.Methods = scopes.AllMethods
			continue
		}
		declared.Methods |= scopes.MethodOf(name)
	}
	return declared
}

func showScopes(list []scopes.Scope) []Scope {
	shown := make([]Scope, len(list))
	for i := range list {
		shown[i] = Scope{list[i].API, list[i].Versions, list[i].Methods.Names(), list[i].Operations}
	}
	return shown
}
