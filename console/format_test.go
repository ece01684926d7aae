package console

import (
	"testing"
	"time"
)

func TestFormatNumbers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		n           uint64
		long, short string
	}{
		{0, "0", "0"},
		{999, "999", "999"},
		{1000, "1,000", "1k"},
		{12345, "12,345", "12.3k"},
		{123456, "123,456", "123k"},
		{1234567890, "1,234,567,890", "1.2G"},
	} {
		if got := formatNumber(c.n); got != c.long {
			t.Errorf("formatNumber(%d) = %q, want %q", c.n, got, c.long)
		}
		if got := formatShort(c.n); got != c.short {
			t.Errorf("formatShort(%d) = %q, want %q", c.n, got, c.short)
		}
	}
}

func TestFormatPercent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		part, whole uint64
		want        string
	}{
		{0, 0, "0%"}, {0, 10, "0%"}, {1, 100_000, "<0.1%"}, {12, 1000, "1.2%"}, {1, 100, "1%"}, {2, 3, "67%"}, {3, 3, "100%"},
	} {
		if got := formatPercent(c.part, c.whole); got != c.want {
			t.Errorf("formatPercent(%d, %d) = %q, want %q", c.part, c.whole, got, c.want)
		}
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, c := range []struct {
		d    time.Duration
		want string
	}{
		{0, "now"},
		{-time.Second, "just now"},
		{-5 * time.Minute, "5 min ago"},
		{-47 * time.Hour, "47 h ago"},
		{-48 * time.Hour, "2 days ago"},
		{7 * day, "in 7 days"},
		{-61 * day, "2 months ago"},
		{-800 * day, "2 years ago"},
	} {
		if got := distance(c.d); got != c.want {
			t.Errorf("distance(%v) = %q, want %q", c.d, got, c.want)
		}
	}
}
