package scopes

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseRate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Rate{
		"100/s":                       {100, time.Second, 100},
		"1/min":                       {1, time.Minute, 1},
		"100/h burst 7":               {100, time.Hour, 7},
		"1000000000/s":                {maxRequests, time.Second, maxBurst},
		"1000000000/s burst 1000000":  {maxRequests, time.Second, maxBurst},
		"100/s burst 100":             {100, time.Second, 100},
		"1000000000/min burst 999999": {maxRequests, time.Minute, maxBurst - 1},
	} {
		got, err := ParseRate(text)
		if got != want || err != nil {
			t.Errorf("ParseRate(%q) = %+v, %v, want %+v", text, got, err, want)
		}
		if again, err := ParseRate(got.String()); again != want || err != nil {
			t.Errorf("%q is written as %q, which reads as %+v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{
		"", "/", "100", "/s", "s", "0/s", "+1/s", "-1/s", "01/s", "1.5/s", "1/s ", " 1/s", "1/s burst", "1/s  burst 2",
		"1/s burst 0", "1/s burst 1000001", "1/s burst 2 burst 3", "1000000001/s", "1/S", "1/day", "99999999999999999999/s", "1/s/s",
	} {
		if got, err := ParseRate(text); err == nil || !got.IsZero() {
			t.Errorf("ParseRate(%q) = %+v, %v, want none and an error", text, got, err)
		}
	}
}

func TestParseQuota(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Quota{"1/hour": {1, PerHour}, "100000/day": {100_000, PerDay}, "1000000000/month": {maxRequests, PerMonth}} {
		if got, err := ParseQuota(text); got != want || err != nil || got.String() != text {
			t.Errorf("ParseQuota(%q) = %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "/", "1", "1/", "/day", "0/day", "01/day", "1/days", "1/d", "1/unknown", "1/day burst 2", "1000000001/day", " 1/day"} {
		if got, err := ParseQuota(text); err == nil || !got.IsZero() {
			t.Errorf("ParseQuota(%q) = %+v, %v, want none and an error", text, got, err)
		}
	}
}

func TestQuotaWindow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		per             Period
		at, start, ends string
	}{
		{PerHour, "2026-03-01T12:59:59.999999999Z", "2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z"},
		{PerHour, "2026-03-01T12:15:00+05:30", "2026-03-01T06:00:00Z", "2026-03-01T07:00:00Z"},
		{PerDay, "2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"},
		{PerDay, "2026-03-01T01:00:00+02:00", "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"},
		{PerMonth, "2028-02-29T23:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"},
		{PerMonth, "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		start, end := Quota{1, c.per}.Window(at)
		if start.Format(time.RFC3339) != c.start || end.Format(time.RFC3339) != c.ends {
			t.Errorf("the %s of %s is %v to %v, want %s to %s", c.per, c.at, start, end, c.start, c.ends)
		}
	}
}

func TestCompareLimits(t *testing.T) {
	t.Parallel()
	same, wider, narrower, both := Difference{}, Difference{Widens: true}, Difference{Narrows: true}, Difference{true, true}
	for _, c := range []struct {
		before, after string // a rate or a quota; "" for none
		want          Difference
	}{
		{"", "", same},
		{"", "100/s", narrower},
		{"100/s", "", wider},
		{"100/s", "101/s", wider},
		{"100/s", "100/s burst 99", narrower},
		{"100/s", "99/s burst 101", both},
		{"1/s", "60/min burst 1", same},
		{"1/s", "3601/h burst 1", wider},
		{"1/min", "59/h burst 1", narrower},
		{"1000000000/s", "1000000000/h", narrower},
		{"", "100/day", narrower},
		{"100/day", "", wider},
		{"100/day", "100/hour", wider},
		{"100/hour", "2400/day", wider}, // all of it in one hour
		{"100/hour", "100/day", narrower},
		{"100/hour", "2399/day", both},
		{"100/month", "4/day", both}, // 124 in a month, but fewer in a day
		{"100/month", "3/day", narrower},
		{"1/hour", "744/month", wider},
		{"1/hour", "1/month", narrower},
		{"100/s", "100/day", both},
	} {
		before, after := limitsOf(t, "", c.before), limitsOf(t, "", c.after)
		if got := CompareLimits(before, after); got != c.want {
			t.Errorf("from %q to %q: got %+v, want %+v", c.before, c.after, got, c.want)
		}
		if got, want := CompareLimits(after, before), (Difference{c.want.Narrows, c.want.Widens}); got != want {
			t.Errorf("from %q to %q: got %+v, want %+v", c.after, c.before, got, want)
		}
	}
	if got := CompareLimits(limitsOf(t, "", "100/s"), limitsOf(t, "orders", "1/s")); got != both {
		t.Errorf("from all APIs to one: got %+v, want %+v", got, both)
	}
}

// limitsOf returns the limits that have one rate or one quota.
func limitsOf(t *testing.T, api, text string) []Limit {
	t.Helper()
	if text == "" {
		return nil
	}
	l := Limit{API: api}
	var err error
	if l.Rate, err = ParseRate(text); err != nil {
		if l.Quota, err = ParseQuota(text); err != nil {
			t.Fatal(err)
		}
	}
	return []Limit{l}
}

func TestJoinLimits(t *testing.T) {
	t.Parallel()
	rates := []Limit{{Rate: Rate{1, time.Second, 1}, Quota: Quota{9, PerDay}}, {API: "b", Rate: Rate{2, time.Second, 2}}, {API: "d", Quota: Quota{9, PerDay}}}
	quotas := []Limit{{API: "a", Quota: Quota{1, PerHour}}, {API: "b", Rate: Rate{9, time.Second, 9}, Quota: Quota{2, PerHour}}, {API: "c", Rate: Rate{9, time.Second, 9}}}
	want := []Limit{
		{Rate: Rate{1, time.Second, 1}},
		{API: "a", Quota: Quota{1, PerHour}},
		{API: "b", Rate: Rate{2, time.Second, 2}, Quota: Quota{2, PerHour}},
	}
	if got := JoinLimits(rates, quotas); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := JoinLimits(want, want); !slices.Equal(got, want) {
		t.Errorf("with itself: got %+v, want %+v", got, want)
	}
	if got := JoinLimits(nil, nil); got != nil {
		t.Errorf("of none: got %+v, want none", got)
	}
}

func TestOutruns(t *testing.T) {
	t.Parallel()
	scoped := []Scope{{API: "orders", Methods: ReadMethods}}
	for _, c := range []struct {
		name, bound string // the bound is on API orders, or on all after "*:"
		token       Token
		want        string
	}{
		{"none", "10/s", Token{Scopes: scoped}, "rate 10/s on API orders"},
		{"on all", "*:10/day", Token{Scopes: scoped}, "quota 10/day"},
		{"the same", "10/s", Token{Scopes: scoped, Limits: limitsOf(t, "orders", "10/s")}, ""},
		{"lower on all", "10/day", Token{Scopes: scoped, Limits: limitsOf(t, "", "1/day")}, ""},
		{"on one, of all", "*:10/day", Token{Scopes: scoped, Limits: limitsOf(t, "orders", "1/day")}, "quota 10/day"},
		{"higher", "10/s", Token{Scopes: scoped, Limits: limitsOf(t, "orders", "11/s")}, "rate 10/s on API orders"},
		{"on what it does not use", "10/s", Token{Scopes: []Scope{{API: "ads"}}}, ""},
		{"legacy uses all", "10/s", Token{Access: ReadOnly}, "rate 10/s on API orders"},
	} {
		api, text := "orders", c.bound
		if rest, all := strings.CutPrefix(c.bound, "*:"); all {
			api, text = "", rest
		}
		if got := c.token.Outruns(limitsOf(t, api, text)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// FuzzLimit holds that what is read as a rate or a quota is within its bounds, and is
// written so that it reads the same.
func FuzzLimit(f *testing.F) {
	for _, seed := range []string{"100/s burst 200", "1/min", "1000000000/h burst 1000000", "100000/day", "1/hour", "5/month", "0/s", "1/s burst ", "/", " burst "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := ParseRate(text); err == nil {
			again, err := ParseRate(r.String())
			if err != nil || again != r || r.Requests < 1 || r.Requests > maxRequests || r.Burst < 1 || r.Burst > maxBurst || r.Per == 0 {
				t.Errorf("ParseRate(%q) = %+v, which is written as %q and read as %+v, %v", text, r, r, again, err)
			}
		}
		if q, err := ParseQuota(text); err == nil {
			again, err := ParseQuota(q.String())
			if start, end := q.Window(testNow); err != nil || again != q || q.Requests < 1 || q.Requests > maxRequests || !start.Before(end) {
				t.Errorf("ParseQuota(%q) = %+v, which is written as %q and read as %+v, %v", text, q, q, again, err)
			}
		}
	})
}
