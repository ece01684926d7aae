package reports

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// ErrorReport is who was refused, why, and since when.
type ErrorReport struct {
	Basis
	Refusals []Refusal `json:"refusals"` // the most frequent first
}

// Refusal is what one token was refused for one reason at one operation. One without a
// token is of requests that had no known credential.
type Refusal struct {
	Subject
	Reason    string    `json:"reason"`
	API       string    `json:"api,omitempty"`
	Version   string    `json:"version,omitempty"`
	Operation string    `json:"operation,omitempty"`
	Method    string    `json:"method"`
	Requests  uint64    `json:"requests"`
	Enforced  bool      `json:"enforced"` // false: a site in shadow has let them through
	First     time.Time `json:"first"`    // in the window
	Last      time.Time `json:"last"`
}

// ReportErrors lists all that was refused, or would have been.
func ReportErrors(e *Estate, u *Usage) ErrorReport {
	report := ErrorReport{Basis: u.Basis, Refusals: []Refusal{}}
	subjects := make(map[string]Subject, len(e.Tokens))
	for i := range e.Tokens {
		subjects[e.Tokens[i].ID] = subjectOf(&e.Tokens[i])
	}
	for _, id := range slices.Sorted(maps.Keys(u.tokens)) {
		subject, known := subjects[id]
		if !known {
			subject = Subject{ID: id} // it was deleted
		}
		report.Refusals = append(report.Refusals, u.refusals(subject)...)
	}
	slices.SortFunc(report.Refusals, func(a, b Refusal) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Token, b.Token), cmp.Compare(a.Reason, b.Reason),
			cmp.Compare(a.API+a.Operation+a.Method, b.API+b.Operation+b.Method))
	})
	return report
}

// refusals returns those of a token. Its credentials and what its shadow scopes would say do
// not tell them apart.
func (u *Usage) refusals(subject Subject) []Refusal {
	var list []Refusal
	for _, c := range u.counted(subject.ID) {
		k := &c.key
		if k.Allowed() || c.Requests == 0 {
			continue
		}
		one := Refusal{subject, k.Reason, k.API, k.Version, k.Operation, k.Method, c.Requests, !k.Through, c.First, c.Last}
		same := slices.IndexFunc(list, func(r Refusal) bool { return r.sameAs(&one) })
		if same < 0 {
			list = append(list, one)
			continue
		}
		r := &list[same]
		r.Requests += one.Requests
		if one.First.Before(r.First) {
			r.First = one.First
		}
		if one.Last.After(r.Last) {
			r.Last = one.Last
		}
	}
	return list
}

func (r *Refusal) sameAs(other *Refusal) bool {
	same := *r
	same.Requests, same.First, same.Last = other.Requests, other.First, other.Last
	return same == *other
}

// ShadowReport is what would be refused if what is in shadow were enforced.
type ShadowReport struct {
	Basis
	Tokens []ShadowToken `json:"tokens"` // that have shadow scopes
	Sites  []Refusal     `json:"sites"`  // what sites in shadow have let through
}

// ShadowToken is what the shadow scopes of a token would do.
type ShadowToken struct {
	Subject
	Allowed   uint64         `json:"allowed"`    // requests in the window that the shadow scopes allow too
	WouldDeny uint64         `json:"would_deny"` // requests that only the scopes in force allow
	Denials   []ShadowDenial `json:"denials"`
	// Safe: counting covers the window, the token was used in it, and nothing of that
	// would be denied.
	Safe bool   `json:"safe"`
	Why  string `json:"why"`
}

// ShadowDenial is what the shadow scopes of a token would refuse.
type ShadowDenial struct {
	Reason    string    `json:"reason"`
	API       string    `json:"api"`
	Version   string    `json:"version,omitempty"`
	Operation string    `json:"operation"`
	Method    string    `json:"method"`
	Requests  uint64    `json:"requests"`
	Last      time.Time `json:"last"`
}

// ReportShadow tells when it is safe to switch to shadow scopes.
func ReportShadow(e *Estate, u *Usage) ShadowReport {
	report := ShadowReport{Basis: u.Basis, Tokens: []ShadowToken{}, Sites: []Refusal{}}
	for i := range e.Tokens {
		if t := &e.Tokens[i]; len(t.Shadow) > 0 {
			report.Tokens = append(report.Tokens, u.shadow(e.Catalog, t))
		}
	}
	for _, r := range ReportErrors(e, u).Refusals {
		if !r.Enforced {
			report.Sites = append(report.Sites, r)
		}
	}
	return report
}

// shadow holds what a token has used against the shadow scopes that it has now: earlier
// ones may have said something else.
func (u *Usage) shadow(catalog *scopes.Catalog, t *Token) ShadowToken {
	s := ShadowToken{Subject: subjectOf(t), Denials: []ShadowDenial{}}
	candidate := &scopes.Token{Scopes: t.Shadow}
	granted := permissionsOf(catalog, candidate)
	for _, c := range u.counted(t.ID) {
		k := &c.key
		if !k.Allowed() || c.Requests == 0 {
			continue
		}
		reason := granted.verdict(k)
		if reason == scopes.Allowed {
			s.Allowed += c.Requests
			continue
		}
		s.WouldDeny += c.Requests
		s.Denials = append(s.Denials, ShadowDenial{reason.String(), k.API, k.Version, k.Operation, k.Method, c.Requests, c.Last})
	}
	s.Denials = joinDenials(s.Denials)
	switch {
	case s.WouldDeny > 0:
		s.Why = "requests of the window would be denied"
	case s.Allowed == 0:
		s.Why = "the token was not used in the window"
	case !u.Covers(u.From):
		s.Why = "counting does not cover the window"
	default:
		s.Safe, s.Why = true, "all that the token did in the window stays allowed"
	}
	return s
}

// joinDenials adds up those that differ in the credential only, the most frequent first.
func joinDenials(list []ShadowDenial) []ShadowDenial {
	joined := list[:0]
	for _, d := range list {
		same := slices.IndexFunc(joined, func(j ShadowDenial) bool {
			j.Requests, j.Last = d.Requests, d.Last
			return j == d
		})
		if same < 0 {
			joined = append(joined, d)
			continue
		}
		joined[same].Requests += d.Requests
		if d.Last.After(joined[same].Last) {
			joined[same].Last = d.Last
		}
	}
	slices.SortStableFunc(joined, func(a, b ShadowDenial) int { return cmp.Compare(b.Requests, a.Requests) })
	return joined
}
