package usage

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestReopenOtherFile: while the file was closed, for it had failed, another one has taken
// its place. Nothing that it has, or that is counted after that, is taken for something else.
func TestReopenOtherFile(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		replace func(t *testing.T, path, older string)
		want    uint64 // requests that the other file has
	}{
		"the same":       {func(*testing.T, string, string) {}, 3},
		"an older one":   {func(t *testing.T, path, older string) { t.Helper(); copyFile(t, older, path) }, 1},
		"none":           {func(t *testing.T, path, _ string) { t.Helper(); remove(t, path) }, 0},
		"a damaged one":  {func(t *testing.T, path, _ string) { t.Helper(); write(t, path, "this is not bbolt") }, 0},
		"another node's": {func(t *testing.T, path, _ string) { t.Helper(); copyFile(t, otherNodes(t), path) }, 8},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock, folder := newClock(), t.TempDir()
			path, older := filepath.Join(folder, "usage.db"), filepath.Join(t.TempDir(), "older.db")
			l := openTest(t, folder, Options{Now: clock.Now})
			count := func() {
				l.Meter.Decided(listing("tok_a"), clock.Now())
				if err := l.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			count()
			copyFile(t, path, older)
			count()
			count()
			l.mu.Lock()
			before := l.origin
			if err := l.db.Close(); err != nil { // as update does when the file fails
				t.Fatal(err)
			}
			l.db = nil
			l.mu.Unlock()
			test.replace(t, path, older)
			count()
			if got := requests(t, l, "tok_a"); got != test.want+1 {
				t.Errorf("got %d requests, want the %d of the file and one more", got, test.want)
			}
			if changed := l.origin != before; changed != (name != "the same") {
				t.Errorf("it counts under another origin: %t", changed)
			}
		})
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// otherNodes returns the file of another node, with eight requests in eight writes.
func otherNodes(t *testing.T) (path string) {
	t.Helper()
	clock, folder := newClock(), t.TempDir()
	l := openTest(t, folder, Options{Now: clock.Now})
	for range 8 {
		l.Meter.Decided(listing("tok_a"), clock.Now())
		if err := l.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(folder, "usage.db")
}

// TestOriginAfterYears: whose clock has gone so far ahead that it has removed what it counted
// itself goes on as another one, so that what others still have of it stays.
func TestOriginAfterYears(t *testing.T) {
	t.Parallel()
	clock := newClock()
	start := clock.Now()
	l := openTest(t, t.TempDir(), Options{Now: clock.Now})
	l.Meter.Decided(listing("tok_a"), start)
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	before := l.origin
	for _, now := range []time.Time{start.AddDate(0, 0, HourDays+5), start.AddDate(3, 0, 0)} {
		if l.origin != before {
			t.Fatalf("it counts under another origin before anything was removed")
		}
		clock.Set(now)
		if err := l.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if l.origin == before || requests(t, l, "tok_a") != 0 {
		t.Errorf("the origin is still %s; %d requests", l.origin, requests(t, l, "tok_a"))
	}
}
