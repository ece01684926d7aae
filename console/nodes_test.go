package console

import (
	"testing"
	"time"
)

func TestStandingOf(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name      string
		node      node
		text      string
		staleness string
		advised   bool
	}{
		{"well", node{Revision: 7, StalenessSeconds: 0.4, LastSeen: now}, "up to date", "0.4 s", false},
		{"behind", node{Revision: 5, StalenessSeconds: 0.4, LastSeen: now}, "catching up", "0.4 s", false},
		{"late", node{Revision: 7, StalenessSeconds: 12, LastSeen: now}, "late", "12.0 s", true},
		{"stale", node{Revision: 7, StalenessSeconds: 90, LastSeen: now}, "stale", "90.0 s", true},
		{"never heard of the others", node{Revision: 7, StalenessSeconds: 1e9, LastSeen: now}, "stale", "not since it was started", true},
		{"gone", node{Revision: 7, StalenessSeconds: 1, LastSeen: now.Add(-2 * time.Minute)}, "not heard of", "1.0 s", true},
	} {
		got := standingOf(&test.node, 7, now)
		if got.Text != test.text || got.Staleness != test.staleness || (got.Advice != nil) != test.advised || got.Behind != 7-test.node.Revision {
			t.Errorf("%s: got %+v", test.name, got)
		}
	}
}
