package scopes

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Years that times in a file may have. The zero Time, which means never, and the
// zero of Unix time are outside.
const (
	firstYear = 2000
	lastYear  = 9999
)

// moment reads a date, which is its first second in UTC, or a time (RFC 3339).
func (r *reader) moment(n *yamlNode, what string) (time.Time, bool) {
	var t time.Time
	if n.kind == text {
		date, err := time.Parse(time.DateOnly, n.text)
		if err == nil {
			t = date
		} else if err = t.UnmarshalText([]byte(n.text)); err == nil {
			t = t.UTC()
		}
		if err == nil && firstYear <= t.Year() && t.Year() <= lastYear {
			return t, true
		} else if err == nil {
			r.problemf(n, "%s is between the years %d and %d, found %s", what, firstYear, lastYear, n.text)
			return time.Time{}, false
		}
	}
	r.problemf(n, "%s is a date such as 2027-04-01 or a time such as 2027-04-01T12:00:00Z, found %s", what, n.describe())
	return time.Time{}, false
}

func (r *reader) readExpires(n *yamlNode, d *tokenDraft) {
	t, ok := r.moment(n, "expires")
	if !ok {
		return
	}
	d.Expires = t
	if !r.now.Before(t) {
		r.warnf(n, "%s expired at %s", d.place(), t.Format(time.RFC3339))
	}
}

// maxInterval bounds intervals: a hundred years.
const maxInterval = 100 * 365 * 24 * time.Hour

// interval reads a time span: days or weeks such as "90d" and "4w", or what
// time.ParseDuration reads, such as "12h".
func (r *reader) interval(n *yamlNode, what string) time.Duration {
	if n.kind == text {
		if d, ok := parseInterval(n.text); ok && time.Second <= d && d <= maxInterval {
			return d
		}
	}
	r.problemf(n, "%s is a time span of at least a second, such as 90d, 4w or 12h, found %s", what, n.describe())
	return 0
}

func parseInterval(s string) (time.Duration, bool) {
	const day, week = 24 * time.Hour, 7 * 24 * time.Hour
	if days, ok := strings.CutSuffix(s, "d"); ok {
		return multiple(days, day)
	}
	if weeks, ok := strings.CutSuffix(s, "w"); ok {
		return multiple(weeks, week)
	}
	d, err := time.ParseDuration(s)
	return d, err == nil
}

// multiple reads a count of units, up to maxInterval.
func multiple(count string, unit time.Duration) (time.Duration, bool) {
	n, err := strconv.Atoi(count)
	return time.Duration(n) * unit, err == nil && isDecimal(count) && n <= int(maxInterval/unit)
}

func (r *reader) readSources(n *yamlNode, d *tokenDraft) {
	for _, item := range r.items(n, "sources", "[203.0.113.0/24, 2001:db8::1]") {
		s, ok := r.text(item, "a source")
		if !ok {
			continue
		}
		prefix, flaw := parseSource(s)
		if flaw != "" {
			r.problemf(item, "%s", flaw)
			continue
		}
		d.Sources = append(d.Sources, prefix)
	}
}

// parseSource reads an address or a prefix in CIDR notation, or says what is
// wrong with it.
func parseSource(s string) (netip.Prefix, string) {
	const shape = "expected an address such as 203.0.113.7, or a network such as 203.0.113.0/24"
	prefix, err := netip.ParsePrefix(s)
	if !strings.Contains(s, "/") {
		var addr netip.Addr
		if addr, err = netip.ParseAddr(s); err == nil {
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
	}
	switch {
	case err != nil:
		return prefix, shape + ", found " + shown(s)
	case prefix.Addr().Zone() != "":
		return prefix, "an address has no zone here, found " + shown(s)
	case prefix.Addr().Is4In6():
		return prefix, shown(s) + " is an IPv4 address in IPv6 notation, which no client has; write it as IPv4"
	case prefix != prefix.Masked():
		return prefix, shown(s) + " has bits beyond its length; the network is " + prefix.Masked().String()
	}
	return prefix, ""
}
