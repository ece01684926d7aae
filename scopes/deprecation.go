package scopes

import (
	"slices"
	"strings"
	"time"
)

// Deprecation is what an API says of one of its versions that clients are to leave.
// Nobody is refused because of it, not even once the sunset has passed.
type Deprecation struct {
	Version string
	// Sunset is when the version is expected to stop working.
	Sunset time.Time
	// Since is when the deprecation begins or has begun, not after the sunset; the zero
	// Time of one that no store has: the day on which a store first has it.
	Since time.Time
	Link  string // the address of a page that tells people more; "" for none
}

// Deprecation returns what the API says of a version, or nil if that is not deprecated. It
// must not be modified.
func (a *API) Deprecation(version string) *Deprecation {
	for i := range a.Deprecated {
		if a.Deprecated[i].Version == version {
			return &a.Deprecated[i]
		}
	}
	return nil
}

// Passed reports whether the sunset has passed at a time.
func (d *Deprecation) Passed(now time.Time) bool { return !now.Before(d.Sunset) }

// String returns what is said of the version, in words.
func (d *Deprecation) String() string {
	var words string
	if !d.Since.IsZero() {
		words = "since " + momentText(d.Since) + ", "
	}
	words += "sunset " + momentText(d.Sunset)
	if d.Link != "" {
		words += ", see " + d.Link
	}
	return words
}

// sortDeprecations puts deprecations into the order of their versions' names.
func sortDeprecations(list []Deprecation) {
	slices.SortFunc(list, func(a, b Deprecation) int { return strings.Compare(a.Version, b.Version) })
}
