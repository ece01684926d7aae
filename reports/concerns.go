package reports

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// AttentionReport is which active tokens somebody should look at, and why.
type AttentionReport struct {
	Basis
	Expiring        Concern `json:"expiring"` // within 30 days, or already
	RotationOverdue Concern `json:"rotation_overdue"`
	RotationDue     Concern `json:"rotation_due"`   // within 30 days
	Unused          Concern `json:"unused"`         // in the whole window
	Overprivileged  Concern `json:"overprivileged"` // half of what is granted was not used, or more
	Failing         Concern `json:"failing"`        // within the last day
	Deprecated      Concern `json:"deprecated"`     // a deprecated version was used
	NoCredential    Concern `json:"no_credential"`
}

// Concern is one reason to look at tokens.
type Concern struct {
	Count  int              `json:"count"`
	Tokens []ConcernedToken `json:"tokens"` // the most urgent ones, at most 10
}

// ConcernedToken is a token that somebody should look at.
type ConcernedToken struct {
	Subject
	What string    `json:"what"`        // in words
	At   time.Time `json:"at,omitzero"` // when that is, was or began; zero where it is no moment

	rank int64 // the lowest is the most urgent
}

// maxConcerned bounds the tokens that are told of a concern.
const maxConcerned = 10

func (c *Concern) addf(t *Token, rank int64, at time.Time, format string, args ...any) {
	c.Count++
	c.Tokens = append(c.Tokens, ConcernedToken{subjectOf(t), fmt.Sprintf(format, args...), at, rank})
}

// finish leaves the most urgent tokens.
func (c *Concern) finish() {
	slices.SortStableFunc(c.Tokens, func(a, b ConcernedToken) int { return cmp.Compare(a.rank, b.rank) })
	c.Tokens = append([]ConcernedToken{}, c.Tokens[:min(len(c.Tokens), maxConcerned)]...) // never null
}

// Concerns are all of them, the most urgent first, with what people call them.
func (r *AttentionReport) Concerns() []struct {
	Name string
	*Concern
} {
	return []struct {
		Name string
		*Concern
	}{
		{"expiring", &r.Expiring},
		{"rotation overdue", &r.RotationOverdue},
		{"failing", &r.Failing},
		{"deprecated version", &r.Deprecated},
		{"rotation due", &r.RotationDue},
		{"no credential", &r.NoCredential},
		{"unused", &r.Unused},
		{"overprivileged", &r.Overprivileged},
	}
}

// ReportAttention looks at each active token once.
func ReportAttention(e *Estate, u *Usage) *AttentionReport {
	report := &AttentionReport{Basis: u.Basis}
	versions := deprecatedVersions(e)
	for i := range e.Tokens {
		t := &e.Tokens[i]
		if t.Inactive {
			continue
		}
		report.life(e, u, t)
		report.use(e, u, t)
		report.versions(u, t, versions)
	}
	for _, c := range report.Concerns() {
		c.finish()
	}
	return report
}

// life looks at what the time brings.
func (r *AttentionReport) life(e *Estate, u *Usage, t *Token) {
	switch {
	case t.Expires.IsZero() || t.Expires.After(e.Now.Add(soon)):
	case t.Expires.After(e.Now):
		r.Expiring.addf(t, t.Expires.Unix(), t.Expires, "expires")
	default:
		r.Expiring.addf(t, t.Expires.Unix(), t.Expires, "has expired")
	}
	if len(t.Credentials) == 0 {
		r.NoCredential.addf(t, t.Created.Unix(), t.Created, "was made, and has no credential")
		return
	}
	switch rotation := u.rotation(t, e.Now); rotation.State {
	case RotationOverdue:
		r.RotationOverdue.addf(t, rotation.Due.Unix(), rotation.Due, "was due")
	case RotationDue:
		r.RotationDue.addf(t, rotation.Due.Unix(), rotation.Due, "is due")
	}
}

// failingShare is one part of how many of the last day's requests fail, at least, and
// failingRequests how many these are, for a token that fails.
const (
	failingShare    = 10
	failingRequests = 20
)

// use looks at what a token was used for.
func (r *AttentionReport) use(e *Estate, u *Usage, t *Token) {
	sum, _ := u.total(t.ID)
	if sum.Requests == 0 {
		if len(t.Credentials) > 0 && !t.Created.After(u.From) && u.Covers(u.From) && t.Keep.IsZero() {
			r.Unused.addf(t, t.Created.Unix(), time.Time{}, "no request in the window")
		}
		return
	}
	if day := u.tokens[t.ID].lastDay; day.failing() >= failingRequests && failingShare*day.failing() >= day.requests {
		r.Failing.addf(t, -int64(min(day.failing(), 1<<62)), sum.Last,
			"%d of %d requests of the last day denied, %d answered with 5xx", day.denied, day.requests, day.failed)
	}
	if t.Legacy() || u.leave(t) != "" {
		return
	}
	granted := permissionsOf(e.Catalog, &t.Token)
	list, _ := u.used(e.Catalog, t.ID)
	needed := gather(list)
	needed.add(e.Catalog.Permissions(&scopes.Token{Scopes: t.Keep.Scopes})...)
	if has, needs := granted.count(), needed.and(granted).count(); needs > 0 && 2*needs <= has {
		r.Overprivileged.addf(t, int64(needs-has), time.Time{}, "may do %d, of which %d is used or kept", has, needs)
	}
}

// versions looks at which deprecated versions a token has used.
func (r *AttentionReport) versions(u *Usage, t *Token, deprecated []DeprecatedVersion) {
	for i := range deprecated { // the earliest sunset first
		v := &deprecated[i]
		if used := u.usesOf(t.ID, map[versionOf]int{{v.API, v.Version}: 0}); used[0].Requests > 0 {
			r.Deprecated.addf(t, v.Sunset.Unix(), v.Sunset, "uses %s %s, whose sunset is", v.API, v.Version)
			return
		}
	}
}
