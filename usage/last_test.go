package usage

import (
	"fmt"
	"maps"
	"testing"
	"time"
)

func TestLastUses(t *testing.T) {
	t.Parallel()
	clock := newClock()
	l := openTest(t, t.TempDir(), Options{Now: clock.Now})
	if got, err := l.LastUses([]string{"tok_a"}, clock.Now()); err != nil || len(got) != 0 {
		t.Errorf("of an empty ledger: %v, %v", got, err)
	}
	want := make(map[string]time.Time)
	var ids []string
	start := clock.Now()
	for i := range 40 { // each token is used from the day of its number on, for so many days
		ids = append(ids, fmt.Sprintf("tok_%02d", 39-i))
	}
	for day := range 60 {
		clock.Set(start.AddDate(0, 0, day))
		for i := range 40 {
			if id := fmt.Sprintf("tok_%02d", i); i%5 != 0 && day >= i && day%i == 0 && day < 2*i {
				l.Meter.Decided(listing(id), clock.Now())
				want[id] = clock.Now()
			}
		}
		l.Meter.Decided(listing("tok_of_nobody"), clock.Now())
		if err := l.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := l.LastUses(ids, start); err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	since := start.AddDate(0, 0, 30)
	maps.DeleteFunc(want, func(_ string, last time.Time) bool { return last.Before(since) })
	if got, err := l.LastUses(ids, since); err != nil || !maps.Equal(got, want) {
		t.Errorf("since %v: got %v, %v, want %v", since, got, err, want)
	}
}
