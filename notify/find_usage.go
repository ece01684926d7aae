package notify

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// Used is what was counted of a token, as far as events are found in it.
type Used struct {
	// Last is the last request, as far back as [LastUsed]; zero for none.
	Last time.Time
	// Denials are what it was refused, since [DenialsBefore] ahead of its last change. Each can
	// stand there several times, such as once for each day.
	Denials []Denial
	Hours   []Hour // of today and the two days before, as far as it had requests; each once
	// Versions are those that it was let use, as far back as [VersionsUsed]; each once.
	Versions []UsedVersion
}

// How far back what was counted is looked at.
const (
	LastUsed      = 120 * day
	DenialsBefore = 7 * day
	VersionsUsed  = 30 * day
)

// Denial is requests that were refused alike.
type Denial struct {
	API, Version, Operation, Method, Reason string
	First                                   time.Time // of them
}

// OfToken reports whether the reason of a denial, by its code, is about what the token may do or
// where and until when it may be used: what a change of it can bring about.
func OfToken(reason string) bool {
	switch r, _ := scopes.ParseReason(reason); r {
	case scopes.Inactive, scopes.Expired, scopes.SourceNotAllowed, scopes.AccountMismatch, scopes.APINotGranted, scopes.VersionNotGranted,
		scopes.MethodNotGranted, scopes.OperationNotGranted, scopes.RateLimited:
		return true
	default:
		return false
	}
}

// same reports whether two are about the same but for when.
func (d *Denial) same(other *Denial) bool {
	return d.API == other.API && d.Version == other.Version && d.Operation == other.Operation && d.Method == other.Method && d.Reason == other.Reason
}

// Hour is how many requests there were in an hour, and how many of them failed: they were
// refused, or answered by 5xx.
type Hour struct {
	At               time.Time
	Requests, Failed uint64
}

// UsedVersion is a version of an API that was used.
type UsedVersion struct{ API, Version string }

// unusedAfter is how long nobody has used a token that is unused.
const unusedAfter = 90 * day

// unused finds that nobody uses a token: for 30 days once that is so, as nobody knows for longer
// when it was used last. A token that is kept says that it is needed all the same.
func (f *finder) unused() {
	t := f.token
	if f.used == nil || f.Counting.IsZero() || t.Keep.All {
		return
	}
	last := f.used.Last
	var occasion, since string
	switch {
	case !last.IsZero():
		occasion, since = unix(last.Truncate(day)), "since "+date(last.Truncate(day))
	case t.Created.Before(f.Counting):
		last, occasion, since = f.Counting, "counting", "since counting began on "+date(f.Counting)
	default:
		last, occasion, since = t.Created, "never", "since it was made on "+date(t.Created)
	}
	if ago := f.Now.Sub(last); ago < unusedAfter || ago >= LastUsed || f.Now.Sub(f.Counting) < unusedAfter {
		return
	}
	f.add(found{
		kind: Unused, occasion: occasion, at: last,
		text: fmt.Sprintf("was not used %s, for %s; whoever has its credential can still use it", since, span(f.Now.Sub(last))),
		hint: "token deactivate " + t.Ref(),
	})
}

// denied finds the first thing that a token was refused after it was changed, and was not
// before.
func (f *finder) denied() {
	t := f.token
	if f.used == nil || f.Now.Sub(t.Updated) > Recent {
		return
	}
	changed := t.Updated.Truncate(time.Second) // as uses are counted
	var first *Denial
	for i := range f.used.Denials {
		d := &f.used.Denials[i]
		if !OfToken(d.Reason) || d.First.Before(changed) || first != nil && !earlier(d, first) {
			continue
		}
		old := func(o Denial) bool { return o.same(d) && o.First.Before(changed) }
		if !slices.ContainsFunc(f.used.Denials, old) {
			first = d
		}
	}
	if first == nil {
		return
	}
	f.add(found{
		kind: DeniedAfterChange, occasion: unix(t.Updated), at: first.First, api: first.API, version: first.Version, op: first.Operation,
		text: fmt.Sprintf("was changed on %s, and on %s %s was refused for the first time: %s", date(t.Updated), date(first.First), first.what(), first.Reason),
		hint: "report errors --token " + t.Ref(),
	})
}

// earlier orders denials by when they began, and those of the same second in some order that is
// the same everywhere.
func earlier(a, b *Denial) bool {
	if c := a.First.Compare(b.First); c != 0 {
		return c < 0
	}
	return a.what()+a.Reason < b.what()+b.Reason
}

// what tells what was refused.
func (d *Denial) what() string {
	parts := slices.DeleteFunc([]string{d.Method, d.API, d.Version, d.Operation}, func(s string) bool { return s == "" })
	return strings.Join(parts, " ")
}

// A burst of errors is this many requests of a token that failed within an hour, and this part of
// all that it had in that hour.
const (
	BurstFailed = 100
	burstPart   = 5
)

func (h *Hour) burst() bool { return h.Failed >= BurstFailed && h.Failed*burstPart >= h.Requests }

// errors finds days on which many requests of a token failed, today and yesterday, but for one
// that follows such a day: what goes on is told once.
func (f *finder) errors() {
	if f.used == nil {
		return
	}
	worst := make(map[time.Time]*Hour)
	for i := range f.used.Hours {
		h := &f.used.Hours[i]
		d := h.At.UTC().Truncate(day)
		if w := worst[d]; h.burst() && (w == nil || h.At.Before(w.At)) {
			worst[d] = h
		}
	}
	today := f.Now.UTC().Truncate(day)
	for _, d := range []time.Time{today.Add(-day), today} {
		h := worst[d]
		if h == nil || worst[d.Add(-day)] != nil {
			continue
		}
		f.add(found{
			kind: Errors, occasion: d.Format(time.DateOnly), at: h.At,
			text: fmt.Sprintf("had %d requests in the hour from %s, of which %d were refused or failed", h.Requests, date(h.At), h.Failed),
			hint: "report errors --token " + f.token.Ref() + " --window 24h",
		})
	}
}
