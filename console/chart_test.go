package console

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

func TestEveryReasonIsExplained(t *testing.T) {
	t.Parallel()
	for r := range scopes.Allowed {
		if explainReason(r.String()) == "" {
			t.Errorf("%s is not explained", r)
		}
	}
	if len(reasons) != int(scopes.Allowed) {
		t.Errorf("%d reasons are explained, of %d", len(reasons), scopes.Allowed)
	}
}

func TestNiceAbove(t *testing.T) {
	t.Parallel()
	for n, want := range map[uint64]uint64{0: 2, 1: 2, 3: 4, 7: 8, 9: 10, 11: 20, 4001: 6000, 10_000: 10_000, 1<<64 - 1: 1<<64 - 1} {
		if got := niceAbove(n); got != want {
			t.Errorf("niceAbove(%d) = %d, want %d", n, got, want)
		}
	}
}

// hours returns points of an hour each.
func hours(requests ...uint64) []point {
	points := make([]point, len(requests))
	for i, n := range requests {
		points[i] = point{At: time.Date(2026, 11, 25, i, 0, 0, 0, time.UTC), Requests: n, Denied: n / 4, Failed: n / 10}
	}
	return points
}

func TestChart(t *testing.T) {
	t.Parallel()
	c := newChart(hours(0, 40, 1000), time.Hour)
	if want := "Columns of an hour each: 1,040 requests in all, of which 260 were denied and 104 failed upstream. The highest has 1,000."; c.Summary != want {
		t.Errorf("Summary = %q, want %q", c.Summary, want)
	}
	if len(c.Columns) != 3 || len(c.Columns[0].Parts) != 0 {
		t.Fatalf("columns: %+v", c.Columns)
	}
	highest := c.Columns[2].Parts
	kinds := []string{highest[0].Kind, highest[1].Kind, highest[2].Kind}
	if want := []string{"allowed", "failed", "denied"}; !slices.Equal(kinds, want) {
		t.Errorf("parts are %v, want %v", kinds, want)
	}
	if y := highest[2].Y; y < chartTop-0.5 || y > chartTop+0.5 {
		t.Errorf("the highest column begins at %v, want %v", y, chartTop)
	}
	for i, column := range c.Columns {
		y := float64(chartBottom)
		for _, part := range column.Parts {
			if part.Height <= 0 || part.Y < y-part.Height-0.2 || part.Y > y-part.Height+0.2 {
				t.Errorf("column %d: part %+v does not stand at %v", i, part, y)
			}
			y = part.Y
		}
	}
	if got := newChart(nil, time.Hour); len(got.Columns) != 0 {
		t.Errorf("without points: %+v", got)
	}
}

func TestSparkline(t *testing.T) {
	t.Parallel()
	if s := newSparkline(hours(0, 0), time.Hour); s != nil {
		t.Errorf("without requests: %+v", s)
	}
	s := newSparkline(hours(10, 0, 1), time.Hour)
	if want := "M0 0h3v20h-3zM8 18h3v2h-3z"; s.Path != want {
		t.Errorf("Path = %q, want %q", s.Path, want)
	}
	if !strings.HasPrefix(s.Summary, "11 requests, at most 10 in an hour") {
		t.Errorf("Summary = %q", s.Summary)
	}
}
