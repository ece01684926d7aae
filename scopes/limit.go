package scopes

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of what a token's limits may be.
const (
	maxRequests = 1_000_000_000
	maxBurst    = 1_000_000
)

// Limit bounds how often a token may be used: on one API, or on all of them together.
type Limit struct {
	API   string // "" for all APIs together
	Rate  Rate
	Quota Quota
}

// Rate is how many requests are let through in a time, evenly, and how many of them at
// once. The zero Rate is none.
type Rate struct {
	Requests int           // in each Per: 1 to 1e9
	Per      time.Duration // a second, a minute or an hour
	Burst    int           // at once, after a pause: 1 to 1e6
}

// rateUnits are the times that a rate can be for.
var rateUnits = []struct {
	word string
	per  time.Duration
}{{"s", time.Second}, {"min", time.Minute}, {"h", time.Hour}}

// IsZero reports whether r is none.
func (r Rate) IsZero() bool { return r.Requests == 0 }

// String writes the rate as [ParseRate] reads it, such as "100/s burst 200"; a burst
// that is the default is left out. It is "" for none.
func (r Rate) String() string {
	if r.IsZero() {
		return ""
	}
	text := strconv.Itoa(r.Requests) + "/" + r.unit()
	if r.Burst != defaultBurst(r.Requests) {
		text += " burst " + strconv.Itoa(r.Burst)
	}
	return text
}

func (r Rate) unit() string {
	for _, unit := range rateUnits {
		if unit.per == r.Per {
			return unit.word
		}
	}
	return r.Per.String()
}

// defaultBurst is the burst of a rate that states none: what it lets through in its time.
func defaultBurst(requests int) int { return min(requests, maxBurst) }

// ParseRate reads a rate as a scope file has it: requests per s, min or h, and the
// burst, which is the number itself by default, but no more than a million.
func ParseRate(s string) (Rate, error) {
	const shape = "100/s or 100/s burst 200"
	number, burst, hasBurst := strings.Cut(s, " burst ")
	number, unit, ok := strings.Cut(number, "/")
	if !ok {
		return Rate{}, fmt.Errorf("expected a rate, such as %s, found %s", shape, shown(s))
	}
	var r Rate
	var units []string
	for _, u := range rateUnits {
		if units = append(units, u.word); u.word == unit {
			r.Per = u.per
		}
	}
	if r.Per == 0 {
		return Rate{}, fmt.Errorf("a rate is per %s, such as %s, found %s; for a day or a month there is quota", orList(units), shape, shown(s))
	}
	if r.Requests, ok = countOf(number, maxRequests); !ok {
		return Rate{}, fmt.Errorf("a rate is of 1 to %d requests, such as %s, found %s", maxRequests, shape, shown(s))
	}
	r.Burst = defaultBurst(r.Requests)
	if hasBurst {
		if r.Burst, ok = countOf(burst, maxBurst); !ok {
			return Rate{}, fmt.Errorf("a burst is of 1 to %d requests, such as 100/s burst 200, found %s", maxBurst, shown(s))
		}
	}
	return r, nil
}

// countOf reads a whole number from 1 to most, written as usual.
func countOf(s string, most int) (int, bool) {
	if !isDecimal(s) || s[0] == '0' {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n <= most
}

// exceeds reports whether r lets something through that other does not. None lets all
// through.
func (r Rate) exceeds(other Rate) bool {
	switch {
	case other.IsZero():
		return false
	case r.IsZero():
		return true
	}
	mine := int64(r.Requests) * int64(other.Per/time.Second)
	others := int64(other.Requests) * int64(r.Per/time.Second)
	return mine > others || r.Burst > other.Burst
}

// Quota is how many requests are let through in each hour, day or month of the
// calendar, in UTC. The zero Quota is none.
type Quota struct {
	Requests int64 // in each Per: 1 to 1e9
	Per      Period
}

// Period is a time of the calendar, in UTC. Stored records rely on the values.
type Period uint8

// The periods.
const (
	PerHour Period = iota + 1
	PerDay
	PerMonth
)

// periods are all of them, the shortest first.
var periods = []Period{PerHour, PerDay, PerMonth}

// String returns "hour", "day" or "month".
func (p Period) String() string {
	switch p {
	case PerHour:
		return "hour"
	case PerDay:
		return "day"
	case PerMonth:
		return "month"
	}
	return "unknown"
}

// IsZero reports whether q is none.
func (q Quota) IsZero() bool { return q.Requests == 0 }

// String writes the quota as [ParseQuota] reads it, such as "100000/day"; "" for none.
func (q Quota) String() string {
	if q.IsZero() {
		return ""
	}
	return strconv.FormatInt(q.Requests, 10) + "/" + q.Per.String()
}

// ParseQuota reads a quota as a scope file has it: requests per hour, day or month.
func ParseQuota(s string) (Quota, error) {
	const shape = "100000/day"
	number, unit, ok := strings.Cut(s, "/")
	if !ok {
		return Quota{}, fmt.Errorf("expected a quota, such as %s, found %s", shape, shown(s))
	}
	at := slices.IndexFunc(periods, func(p Period) bool { return p.String() == unit })
	if at < 0 {
		return Quota{}, fmt.Errorf("a quota is per hour, day or month, such as %s, found %s", shape, shown(s))
	}
	requests, ok := countOf(number, maxRequests)
	if !ok {
		return Quota{}, fmt.Errorf("a quota is of 1 to %d requests, such as %s, found %s", maxRequests, shape, shown(s))
	}
	return Quota{int64(requests), periods[at]}, nil
}

// Window returns the hour, day or month, in UTC, that t is in: its first moment, and
// the first one after it.
func (q Quota) Window(t time.Time) (start, end time.Time) {
	t = t.UTC()
	year, month, day := t.Date()
	switch q.Per {
	case PerHour:
		start = time.Date(year, month, day, t.Hour(), 0, 0, 0, time.UTC)
		return start, start.Add(time.Hour)
	case PerDay:
		start = time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
		return start, start.AddDate(0, 0, 1)
	case PerMonth:
		start = time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
		return start, start.AddDate(0, 1, 0)
	}
	return t, t
}

// within returns how many requests the quota lets through in a period, at most.
func (q Quota) within(p Period) int64 {
	n := q.Requests
	if q.Per == PerHour && p > PerHour {
		n *= 24
	}
	if q.Per < PerMonth && p == PerMonth {
		n *= 31
	}
	return n
}

// exceeds reports whether q lets something through that other does not. None lets all
// through.
func (q Quota) exceeds(other Quota) bool {
	switch {
	case other.IsZero():
		return false
	case q.IsZero():
		return true
	}
	return slices.ContainsFunc(periods, func(p Period) bool { return q.within(p) > other.within(p) })
}

// RateText writes the rates of some limits as a scope file has them; "" for none.
func RateText(limits []Limit) string {
	return boundsText(limits, func(l *Limit) string { return l.Rate.String() })
}

// QuotaText writes the quotas of some limits as a scope file has them; "" for none.
func QuotaText(limits []Limit) string {
	return boundsText(limits, func(l *Limit) string { return l.Quota.String() })
}

// JoinLimits returns limits that have the rates of some and the quotas of others.
func JoinLimits(rates, quotas []Limit) []Limit {
	var joined []Limit
	for len(rates) > 0 || len(quotas) > 0 {
		var l Limit
		switch {
		case len(quotas) == 0 || len(rates) > 0 && rates[0].API < quotas[0].API:
			l.API, l.Rate = rates[0].API, rates[0].Rate
			rates = rates[1:]
		case len(rates) == 0 || quotas[0].API < rates[0].API:
			l.API, l.Quota = quotas[0].API, quotas[0].Quota
			quotas = quotas[1:]
		default:
			l = Limit{rates[0].API, rates[0].Rate, quotas[0].Quota}
			rates, quotas = rates[1:], quotas[1:]
		}
		if !l.Rate.IsZero() || !l.Quota.IsZero() {
			joined = append(joined, l)
		}
	}
	return joined
}

// Outruns tells which of some limits a token does not keep: "" for none, else what it
// lacks, such as "rate 10/s on API orders". One that the token has for all APIs
// together counts for each of them; one for an API that it does not use does not bind
// it.
func (t *Token) Outruns(limits []Limit) string {
	all := limitFor(t.Limits, "")
	for i := range limits {
		bound, own := &limits[i], limitFor(t.Limits, limits[i].API)
		where := ""
		if bound.API != "" {
			where = " on API " + bound.API
		}
		switch {
		case bound.API != "" && !t.uses(bound.API):
		case own.Rate.exceeds(bound.Rate) && all.Rate.exceeds(bound.Rate):
			return "rate " + bound.Rate.String() + where
		case own.Quota.exceeds(bound.Quota) && all.Quota.exceeds(bound.Quota):
			return "quota " + bound.Quota.String() + where
		}
	}
	return ""
}

// uses reports whether the token has something of an API.
func (t *Token) uses(api string) bool {
	if t.Legacy() {
		return api != Management
	}
	return slices.ContainsFunc(t.Scopes, func(s Scope) bool { return s.API == api })
}

// CompareLimits tells how the limits of a token change what it may do: a higher limit,
// or none where one was, widens. Limits are compared for each API by itself, and those
// for all APIs together.
func CompareLimits(before, after []Limit) Difference {
	var d Difference
	for _, pair := range [2]struct {
		from, to []Limit
		more     *bool
	}{{before, after, &d.Widens}, {after, before, &d.Narrows}} {
		for i := range pair.from {
			had, has := &pair.from[i], limitFor(pair.to, pair.from[i].API)
			*pair.more = *pair.more || has.Rate.exceeds(had.Rate) || has.Quota.exceeds(had.Quota)
		}
	}
	return d
}

// limitFor returns the limit for an API; the zero Limit for none.
func limitFor(limits []Limit, api string) Limit {
	for i := range limits {
		if limits[i].API == api {
			return limits[i]
		}
	}
	return Limit{}
}
