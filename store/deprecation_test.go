package store

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// deprecating returns the test file with deprecated versions of its first API.
func deprecating(list ...scopes.Deprecation) *scopes.File {
	f := testFile(acme(testToken("a")))
	f.APIs[0].Deprecated = list
	return f
}

var (
	newYear = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	today   = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC) // of testNow
)

// details returns what a plan says of the one API that it changes.
func details(t *testing.T, s *Store, f *scopes.File) string {
	t.Helper()
	plan, err := s.Plan(context.Background(), f, PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Changes) == 0 {
		return ""
	}
	c := plan.Changes[0]
	if len(plan.Changes) > 1 || c.Kind != "api" || c.Widens || c.Narrows {
		t.Errorf("got %+v, want one API that neither widens nor narrows", plan.Changes)
	}
	return strings.Join(c.Details, "\n")
}

// A file that leaves open since when a version is deprecated means the day on which it was
// first applied, whenever it is applied again.
func TestDeprecatedSinceItWasFirstApplied(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	now := testNow
	s := openStore(t, newPath(t), Options{Now: func() time.Time { return now }})
	apply(t, s, deprecating())
	open := deprecating(scopes.Deprecation{Version: "v1", Sunset: newYear})
	if got, want := details(t, s, open), "deprecated: none → v1 (since 2026-11-01, sunset 2027-01-01)"; got != want {
		t.Errorf("the plan: got %q, want %q", got, want)
	}
	apply(t, s, open)
	if !open.APIs[0].Deprecated[0].Since.IsZero() {
		t.Error("applying it has changed the file")
	}
	now = now.Add(40 * 24 * time.Hour)
	if got := details(t, s, open); got != "" {
		t.Errorf("the plan of the same file, later: got %q, want none", got)
	}
	if drift, err := s.Drift(ctx, open); err != nil || len(drift.Differences) > 0 {
		t.Errorf("its drift: got %+v, %v, want none", drift, err)
	}
	later := deprecating(scopes.Deprecation{Version: "v1", Sunset: newYear.AddDate(1, 0, 0), Link: "https://a.example"})
	want := "deprecated: v1 (since 2026-11-01, sunset 2027-01-01) → v1 (since 2026-11-01, sunset 2028-01-01, see https://a.example)"
	if got := details(t, s, later); got != want {
		t.Errorf("with a later sunset: got %q, want %q", got, want)
	}
	apply(t, s, later)
	f, written := exported(t, s)
	stored := scopes.Deprecation{Version: "v1", Sunset: newYear.AddDate(1, 0, 0), Since: today, Link: "https://a.example"}
	if !slices.Contains(f.APIs[1].Deprecated, stored) {
		t.Errorf("exported: got\n%s\nwant %+v", written, stored)
	}
	if got := details(t, s, f); got != "" {
		t.Errorf("the plan of what was exported: got %q, want none", got)
	}
	if got := s.Snapshot().Catalog().API("orders").Deprecation("v1"); got == nil || !got.Since.Equal(today) {
		t.Errorf("decided on: got %v", got)
	}
}

// No deprecation begins after its sunset: what was exported could not be read again.
func TestDeprecatedNotSinceAfterTheSunset(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	past := deprecating(scopes.Deprecation{Version: "v1", Sunset: today.Add(-time.Hour)})
	apply(t, s, past)
	if got := details(t, s, past); got != "" {
		t.Errorf("the plan of the same file: got %q, want none", got)
	}
	f, written := exported(t, s)
	if got := details(t, s, f); got != "" {
		t.Errorf("the plan of what was exported: got %q, want none\n%s", got, written)
	}
}

// A version that is no longer deprecated, and then is again, is so since that day.
func TestDeprecatedAgain(t *testing.T) {
	t.Parallel()
	now := testNow
	s := openStore(t, newPath(t), Options{Now: func() time.Time { return now }})
	open := deprecating(scopes.Deprecation{Version: "v1", Sunset: newYear}, scopes.Deprecation{Version: "v2", Sunset: newYear, Since: newYear})
	apply(t, s, open)
	if got, want := details(t, s, deprecating()),
		"deprecated: v1 (since 2026-11-01, sunset 2027-01-01); v2 (since 2027-01-01, sunset 2027-01-01) → none"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	apply(t, s, deprecating())
	now = now.AddDate(0, 1, 0)
	if got := details(t, s, open); !strings.Contains(got, "v1 (since 2026-12-01") {
		t.Errorf("got %q, want since December", got)
	}
}

// Drift says what the file says, and what the store has.
func TestDeprecatedDrift(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	apply(t, s, deprecating())
	drift, err := s.Drift(context.Background(), deprecating(scopes.Deprecation{Version: "v1", Sunset: newYear}))
	if err != nil || len(drift.Differences) != 1 ||
		!slices.Equal(drift.Differences[0].Details, []string{"deprecated: v1 (sunset 2027-01-01) → none"}) {
		t.Errorf("got %+v, %v", drift, err)
	}
}
