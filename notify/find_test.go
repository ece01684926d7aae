package notify

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

var noon = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)

// ago and in are moments around noon.
func ago(d time.Duration) time.Time { return noon.Add(-d) }
func in(d time.Duration) time.Time  { return noon.Add(d) }

// someToken is one that nothing is to be told of.
func someToken() Token {
	return Token{
		ID: "tok_1", Account: "acme", Created: ago(300 * day), Updated: ago(200 * day),
		Token:       scopes.Token{Name: "sync", Description: "d", Contact: scopes.Contact{Name: "Team", Email: "a@b.example"}},
		Credentials: []Credential{{LastFour: "abcd", Created: ago(200 * day)}},
	}
}

// someUse is that of a token that was used a moment ago.
func someUse() Used { return Used{Last: ago(time.Minute)} }

func TestFind(t *testing.T) {
	t.Parallel()
	denied := func(method string, first time.Duration) Denial {
		return Denial{API: "orders", Version: "v1", Operation: "one", Method: method, Reason: "method_not_granted", First: ago(first)}
	}
	hour := func(before time.Duration, requests, failed uint64) Hour {
		return Hour{At: ago(before), Requests: requests, Failed: failed}
	}
	tests := []struct {
		name  string
		token func(*Token, *Used)
		want  string // the kinds, or a part of the text of the only event
	}{
		{"nothing", func(*Token, *Used) {}, ""},
		{"expires in 31 days", func(t *Token, _ *Used) { t.Expires = in(31 * day) }, ""},
		{"expires in 30 days", func(t *Token, _ *Used) { t.Expires = in(30 * day) }, "acme/sync expires on 2027-03-31 12:00 UTC, in 30 days"},
		{"expires in 7 days", func(t *Token, _ *Used) { t.Expires = in(7 * day) }, "in 7 days"},
		{"expires in an hour", func(t *Token, _ *Used) { t.Expires = in(time.Hour) }, "in 1 hour;"},
		{"has expired", func(t *Token, _ *Used) { t.Expires = noon }, ""},
		{"was made for a week", func(t *Token, _ *Used) { t.Created, t.Updated, t.Expires = ago(time.Hour), ago(time.Hour), in(6*day) }, ""},
		{"inactive, and expires", func(t *Token, _ *Used) { t.Inactive, t.Expires = true, in(day) }, ""},
		{"an old credential ends", func(t *Token, _ *Used) {
			t.Credentials[0].Ends = in(20 * time.Hour)
			t.Credentials = append(t.Credentials, Credential{Created: ago(6 * day)})
		}, "its old credential (…abcd) ends on 2027-03-02 08:00 UTC, in 20 hours"},
		{"rotation, not stated", func(t *Token, _ *Used) { t.RotateEvery = 0 }, ""},
		{"rotation in 31 days", func(t *Token, _ *Used) { t.RotateEvery = 231 * day }, ""},
		{"rotation in 30 days", func(t *Token, _ *Used) { t.RotateEvery = 230 * day }, "rotation_due"},
		{"weekly, 3 days ahead", func(t *Token, _ *Used) { t.RotateEvery, t.Credentials[0].Created = 7*day, ago(4*day) }, ""},
		{"weekly, 2 days ahead", func(t *Token, _ *Used) { t.RotateEvery, t.Credentials[0].Created = 7*day, ago(5*day) }, "is to be rotated by 2027-03-03 12:00 UTC, in 2 days"},
		{"rotation overdue", func(t *Token, _ *Used) { t.RotateEvery = 200 * day }, "should have been rotated by 2027-03-01 12:00 UTC"},
		{"without a credential", func(t *Token, _ *Used) { t.RotateEvery, t.Credentials = day, nil }, ""},
		{"unused", func(_ *Token, u *Used) { u.Last = ago(90 * day) }, "was not used since 2026-12-01, for 90 days"},
		{"unused for so long that nobody knows", func(_ *Token, u *Used) { u.Last = ago(LastUsed) }, ""},
		{"unused, but kept", func(t *Token, u *Used) { t.Keep.All, u.Last = true, ago(90*day) }, ""},
		{"never used, and new", func(t *Token, u *Used) { t.Created, u.Last = ago(89*day), time.Time{} }, ""},
		{"never used", func(t *Token, u *Used) { t.Created, u.Last = ago(90*day), time.Time{} }, "since it was made on 2026-12-01 12:00 UTC"},
		{"denied as before the change", func(t *Token, u *Used) {
			t.Updated, u.Denials = ago(day), []Denial{denied("GET", 25*time.Hour), denied("GET", time.Hour)}
		}, ""},
		{"denied for the first time", func(t *Token, u *Used) {
			t.Updated, u.Denials = ago(day), []Denial{denied("GET", 25*time.Hour), denied("PUT", time.Hour), denied("POST", 2*time.Hour)}
		}, "2027-03-01 10:00 UTC POST orders v1 one was refused for the first time: method_not_granted"},
		{"denied, and changed long ago", func(t *Token, u *Used) { t.Updated, u.Denials = ago(8*day), []Denial{denied("GET", time.Hour)} }, ""},
		{"inactive, and used", func(t *Token, u *Used) {
			t.Inactive, t.Updated, u.Denials = true, ago(day), []Denial{denied("GET", time.Hour)}
		}, "denied_after_change"},
		{"some errors", func(_ *Token, u *Used) { u.Hours = []Hour{hour(0, 99, 99), hour(time.Hour, 1000, 199)} }, ""},
		{"many errors", func(_ *Token, u *Used) { u.Hours = []Hour{hour(0, 500, 100)} }, "had 500 requests in the hour from 2027-03-01 12:00 UTC, of which 100"},
		{"many errors since yesterday", func(_ *Token, u *Used) { u.Hours = []Hour{hour(0, 500, 100), hour(day, 500, 100)} }, "errors"},
		{"many errors since before", func(_ *Token, u *Used) {
			u.Hours = []Hour{hour(0, 500, 100), hour(day, 500, 100), hour(2*day, 500, 100)}
		}, ""},
		{"deactivated", func(t *Token, _ *Used) { t.Inactive, t.Deactivation, t.Updated = true, "x", ago(time.Hour) }, "was deactivated, on 2027-03-01 11:00 UTC at the latest"},
		{"deactivated long ago", func(t *Token, _ *Used) { t.Inactive, t.Deactivation, t.Updated = true, "x", ago(8*day) }, ""},
		{"made inactive", func(t *Token, _ *Used) { t.Inactive, t.Updated = true, ago(time.Hour) }, ""},
		{"deleted", func(t *Token, _ *Used) { t.Deleted, t.Inactive, t.Updated = true, true, ago(time.Hour) }, "was deleted on 2027-03-01 11:00 UTC"},
		{"deleted long ago", func(t *Token, _ *Used) { t.Deleted, t.Inactive, t.Updated = true, true, ago(8*day) }, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			token, used := someToken(), someUse()
			test.token(&token, &used)
			v := View{Now: noon, Counting: ago(365 * day)}
			events := v.Find(&token, &used)
			if len(events) == 0 && test.want == "" {
				return
			}
			if len(events) != 1 || test.want == "" || !strings.Contains(string(events[0].Kind)+": "+events[0].Text, test.want) {
				t.Fatalf("got %+v, want %q", events, test.want)
			}
			if e := &events[0]; e.Contact.Email != "a@b.example" || e.TokenID != "tok_1" || e.Token != "acme/sync" || !strings.Contains(e.Hint, "acme/sync") {
				t.Errorf("the event is %+v", e)
			}
		})
	}
}

// A version that is deprecated concerns those who may use it, and of those who may use all, those
// who do; each stage until its sunset is another event.
func TestFindDeprecated(t *testing.T) {
	t.Parallel()
	catalog := func(said scopes.Deprecation) *scopes.Catalog {
		c, err := scopes.NewCatalog([]scopes.API{{
			Name: "orders", Versions: []string{"v1", "v2"}, Deprecated: []scopes.Deprecation{said},
			Operations: []scopes.Operation{{Name: "list", Methods: scopes.MethodOf("GET"), Path: "/orders/{version}"}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	scoped := func(versions ...string) Token {
		token := someToken()
		for _, v := range versions { // in a scope each, and in one together
			token.Scopes = append(token.Scopes, scopes.Scope{API: "orders", Versions: []string{v}}, scopes.Scope{API: "orders", Versions: versions})
		}
		return token
	}
	legacy := someToken()
	legacy.Access = scopes.ReadWrite
	usedOld := someUse()
	usedOld.Versions = []UsedVersion{{"orders", "v1"}, {"gone", "v1"}}
	ahead := scopes.Deprecation{Version: "v1", Sunset: in(100 * day), Link: "https://orders.example.com/v2"}
	ids := make(map[string]bool)
	for _, test := range []struct {
		name  string
		said  scopes.Deprecation
		token Token
		used  Used
		want  int
	}{
		{"may use it", ahead, scoped("v1", "v2"), someUse(), 1},
		{"may use another", ahead, scoped("v2"), someUse(), 0},
		{"may use all", ahead, legacy, someUse(), 0},
		{"may use all, and does", ahead, legacy, usedOld, 1},
		{"not yet deprecated", scopes.Deprecation{Version: "v1", Sunset: in(100 * day), Since: in(day)}, scoped("v1"), someUse(), 0},
		{"no longer there", scopes.Deprecation{Version: "v1", Sunset: noon}, scoped("v1"), someUse(), 0},
		{"a month ahead", scopes.Deprecation{Version: "v1", Sunset: in(30 * day)}, scoped("v1"), someUse(), 1},
		{"a week ahead", scopes.Deprecation{Version: "v1", Sunset: in(7 * day)}, scoped("v1"), someUse(), 1},
	} {
		v := View{Now: noon, Counting: ago(365 * day), Catalog: catalog(test.said)}
		events := v.Find(&test.token, &test.used)
		if len(events) != test.want {
			t.Errorf("%s: %+v, want %d", test.name, events, test.want)
			continue
		}
		for i := range events {
			e := &events[i]
			if e.Kind != VersionDeprecated || e.API != "orders" || e.Version != "v1" || !strings.HasSuffix(e.Text, test.said.Link+").") && test.said.Link != "" {
				t.Errorf("%s: %+v", test.name, e)
			}
			ids[e.ID] = true
		}
	}
	if len(ids) != 3 {
		t.Errorf("there are the events %v, want one for each stage", ids)
	}
}

// Those who look at another second before the sunset find the same event.
func TestFindDeprecatedYear(t *testing.T) {
	t.Parallel()
	c, err := scopes.NewCatalog([]scopes.API{{
		Name: "orders", Versions: []string{"v1"}, Deprecated: []scopes.Deprecation{{Version: "v1", Sunset: noon.AddDate(0, 6, 0)}},
		Operations: []scopes.Operation{{Name: "list", Methods: scopes.MethodOf("GET"), Path: "/orders/{version}"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	token, used := someToken(), someUse()
	token.Scopes = []scopes.Scope{{API: "orders", Versions: []string{"v1"}}}
	found := make(map[string]int)
	for now := noon; now.Before(noon.AddDate(1, 0, 0)); now = now.Add(7 * time.Hour) {
		used.Last = now
		for _, e := range (&View{Now: now, Counting: noon, Catalog: c}).Find(&token, &used) {
			found[e.ID]++
		}
	}
	if len(found) != 3 {
		t.Errorf("found %v, want one event when it is deprecated, one a month and one a week ahead", found)
	}
}

// What was not counted is not taken for unused.
func TestFindUncounted(t *testing.T) {
	t.Parallel()
	token := someToken()
	for _, test := range []struct {
		name     string
		counting time.Time
		used     *Used
		want     int
	}{
		{"nothing is known", ago(365 * day), nil, 0},
		{"nobody counts", time.Time{}, new(Used), 0},
		{"counting began lately", ago(89 * day), new(Used), 0},
		{"counting began", ago(90 * day), new(Used), 1},
	} {
		v := View{Now: noon, Counting: test.counting}
		if events := v.Find(&token, test.used); len(events) != test.want {
			t.Errorf("%s: %+v", test.name, events)
		}
	}
}

// life is what a token goes through in a simulated year, as functions of the clock.
type life struct {
	token func(now time.Time) Token
	used  func(now time.Time) Used
	want  map[Kind]int // how many events of a kind there are in the year
}

func lives(start time.Time) []life {
	at := func(days float64) time.Time { return start.Add(time.Duration(days * float64(day))) }
	base := func(id string) Token {
		t := someToken()
		t.ID, t.Created, t.Updated = id, at(-400), at(-200)
		t.Credentials[0].Created = at(-200)
		return t
	}
	busy := func(now time.Time) Used { return Used{Last: now.Add(-time.Minute)} }
	return []life{
		{func(time.Time) Token { t := base("expires"); t.Expires = at(100.3); return t }, busy, map[Kind]int{Expiring: 3}},
		{func(now time.Time) Token { // prolonged a week before the end, which comes again later
			t := base("prolonged")
			if t.Expires = at(100); !now.Before(at(95)) {
				t.Expires, t.Updated = at(200), at(95)
			}
			return t
		}, busy, map[Kind]int{Expiring: 5}},
		{func(now time.Time) Token { // rotated too late, then in time, each with a week of overlap
			t := base("rotates")
			t.RotateEvery = 90 * day
			for _, rotated := range []time.Time{at(-85), at(15), at(95), at(180), at(265), at(350)} {
				if now.Before(rotated) {
					break
				}
				t.Credentials[len(t.Credentials)-1].Ends = rotated.Add(7 * day)
				t.Credentials = append(t.Credentials, Credential{Created: rotated, LastFour: "wxyz"})
				t.Credentials = t.Credentials[len(t.Credentials)-2:]
				t.Updated = rotated
				if !now.Before(rotated.Add(7 * day)) {
					t.Credentials = t.Credentials[1:]
				}
			}
			return t
		}, busy, map[Kind]int{RotationDue: 5, RotationOverdue: 1, Expiring: 5}},
		{func(time.Time) Token { return base("idle") }, func(now time.Time) Used { // used again twice
			var u Used
			for _, last := range []time.Time{at(-1), at(120), at(300)} {
				if !now.Before(last) && now.Sub(last) < LastUsed {
					u.Last = last
				}
			}
			return u
		}, map[Kind]int{Unused: 2}},
		{func(now time.Time) Token { // deactivated, edited, activated and deactivated again, deleted
			t := base("ends")
			for _, step := range []struct {
				from           time.Time
				inactive, gone bool
				deactivation   string
			}{
				{at(10), true, false, "first"},
				{at(12), true, false, "first"},
				{at(30), false, false, ""},
				{at(50), true, false, "second"},
				{at(80), true, true, "second"},
			} {
				if !now.Before(step.from) {
					t.Inactive, t.Deleted, t.Deactivation, t.Updated = step.inactive, step.gone, step.deactivation, step.from
				}
			}
			return t
		}, busy, map[Kind]int{Deactivated: 2, Deleted: 1}},
		{func(now time.Time) Token { // narrowed twice; the second time nothing new is refused
			t := base("narrowed")
			for _, changed := range []time.Time{at(20), at(60)} {
				if !now.Before(changed) {
					t.Updated = changed
				}
			}
			return t
		}, func(now time.Time) Used {
			u := busy(now)
			for d := at(21); d.Before(now); d = d.Add(day) {
				if now.Sub(d) < Recent+DenialsBefore {
					u.Denials = append(u.Denials, Denial{API: "orders", Method: "PUT", Reason: "method_not_granted", First: d})
				}
			}
			return u
		}, map[Kind]int{DeniedAfterChange: 1}},
		{func(time.Time) Token { return base("fails") }, func(now time.Time) Used { // for five days, and once more
			u := busy(now)
			for _, d := range []float64{40.2, 41.5, 42.1, 43.9, 44.0, 90} {
				h := at(d).Truncate(time.Hour)
				if !now.Before(h) && !h.Before(now.Truncate(day).Add(-2*day)) {
					u.Hours = append(u.Hours, Hour{At: h, Requests: 1000, Failed: 900})
				}
			}
			return u
		}, map[Kind]int{Errors: 2}},
	}
}

// TestFindYear steps a clock through a year, on two nodes that look at other moments: each event is
// found with one id, for one time without a gap, by both, and as often as it happens.
func TestFindYear(t *testing.T) {
	t.Parallel()
	start := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, l := range lives(start) {
		first := l.token(start)
		t.Run(first.ID, func(t *testing.T) {
			t.Parallel()
			hourly, rarely := yearOf(t, &l, start, time.Hour), yearOf(t, &l, start.Add(17*time.Minute), 5*time.Hour+time.Minute)
			if !maps.Equal(hourly, rarely) {
				t.Errorf("who looks every hour finds %v, who looks rarely %v", hourly, rarely)
			}
			got := make(map[Kind]int)
			for _, kind := range hourly {
				got[kind]++
			}
			if !maps.Equal(got, l.want) {
				t.Errorf("got %v, want %v", got, l.want)
			}
		})
	}
}

// yearOf returns the ids and kinds of all that is found in a year.
func yearOf(t *testing.T, l *life, start time.Time, step time.Duration) map[string]Kind {
	t.Helper()
	known := make(map[string]Kind)
	var before []string
	for now := start; now.Before(start.AddDate(1, 0, 0)); now = now.Add(step) {
		v := View{Now: now, Counting: start.AddDate(-1, 0, 0)}
		token, used := l.token(now), l.used(now)
		ids := idsOf(v.Find(&token, &used))
		if again := idsOf(v.Find(&token, &used)); !slices.Equal(ids, again) {
			t.Fatalf("%s: asked again it finds %q, not %q", now, again, ids)
		}
		for _, e := range v.Find(&token, &used) {
			if _, ok := known[e.ID]; ok && !slices.Contains(before, e.ID) {
				t.Errorf("%s: %s is found again after it was not", now, e.Text)
			}
			known[e.ID] = e.Kind
		}
		before = ids
	}
	return known
}

func idsOf(events []Event) []string {
	ids := make([]string, len(events))
	for i := range events {
		ids[i] = events[i].ID
	}
	return ids
}
