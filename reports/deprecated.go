package reports

import (
	"cmp"
	"slices"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// DeprecatedReport is which versions clients are to leave, and who has not left them.
type DeprecatedReport struct {
	Basis
	Versions []DeprecatedVersion `json:"versions"` // the one with the earliest sunset first
}

// DeprecatedVersion is a version that clients are to leave. It counts active tokens.
type DeprecatedVersion struct {
	API      string            `json:"api"`
	Version  string            `json:"version"`
	Since    time.Time         `json:"since,omitzero"`
	Sunset   time.Time         `json:"sunset"`
	Passed   bool              `json:"passed"` // the sunset has
	Link     string            `json:"link,omitempty"`
	Granted  int               `json:"granted"`  // tokens that may use it
	Used     int               `json:"used"`     // tokens that have used it in the window
	Requests uint64            `json:"requests"` // of these, as far as they were allowed
	Tokens   []DeprecatedToken `json:"tokens"`   // that have used it, who has the most requests first
}

// DeprecatedToken is a token that has used a deprecated version, or may use it.
type DeprecatedToken struct {
	Subject
	Granted  bool      `json:"granted"` // it may use it now
	Requests uint64    `json:"requests"`
	First    time.Time `json:"first,omitzero"`
	Last     time.Time `json:"last,omitzero"`
}

// versionOf names a version of an API.
type versionOf struct{ api, version string }

// ReportDeprecated tells of each deprecated version which active tokens have used it; with
// detail, also those that may use it and have not.
func ReportDeprecated(e *Estate, u *Usage, detail bool) DeprecatedReport {
	report := DeprecatedReport{Basis: u.Basis, Versions: deprecatedVersions(e)}
	at := make(map[versionOf]int, len(report.Versions))
	for i := range report.Versions {
		at[versionOf{report.Versions[i].API, report.Versions[i].Version}] = i
	}
	for i := range e.Tokens {
		t := &e.Tokens[i]
		if t.Inactive {
			continue
		}
		uses := u.usesOf(t.ID, at)
		for j := range report.Versions {
			report.Versions[j].add(t, &uses[j], detail)
		}
	}
	for i := range report.Versions {
		slices.SortStableFunc(report.Versions[i].Tokens, func(a, b DeprecatedToken) int { return cmp.Compare(b.Requests, a.Requests) })
	}
	return report
}

// deprecatedVersions returns the deprecated versions of all APIs, without tokens.
func deprecatedVersions(e *Estate) []DeprecatedVersion {
	list := []DeprecatedVersion{}
	for _, api := range e.Catalog.APIs() {
		for i := range api.Deprecated {
			d := &api.Deprecated[i]
			list = append(list, DeprecatedVersion{
				API: api.Name, Version: d.Version, Since: d.Since, Sunset: d.Sunset, Passed: d.Passed(e.Now), Link: d.Link,
				Tokens: []DeprecatedToken{},
			})
		}
	}
	slices.SortStableFunc(list, func(a, b DeprecatedVersion) int { return a.Sunset.Compare(b.Sunset) })
	return list
}

// usesOf returns what a token has done with some versions, by where they are.
func (u *Usage) usesOf(id string, at map[versionOf]int) []Total {
	uses := make([]Total, len(at))
	t := u.tokens[id]
	if t == nil {
		return uses
	}
	for key, total := range t.rows {
		if i, is := at[versionOf{key.API, key.Version}]; is && key.Allowed() {
			uses[i].add(&total.Counts, total.First, total.Last)
		}
	}
	return uses
}

// add adds a token to those of a version, with what it has done with that.
func (v *DeprecatedVersion) add(t *Token, used *Total, detail bool) {
	may := t.Legacy() || slices.ContainsFunc(t.Scopes, func(s scopes.Scope) bool {
		return s.API == v.API && slices.Contains(s.Versions, v.Version)
	})
	if may {
		v.Granted++
	}
	if used.Requests > 0 {
		v.Used++
		v.Requests += used.Requests
	}
	if used.Requests > 0 || may && detail {
		v.Tokens = append(v.Tokens, DeprecatedToken{subjectOf(t), may, used.Requests, used.First, used.Last})
	}
}
