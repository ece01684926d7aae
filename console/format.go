package console

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"
)

// functions are what templates can call.
var functions = template.FuncMap{
	"asset":    assetPath,
	"number":   func(n any) (string, error) { return withCount(n, formatNumber) },
	"short":    func(n any) (string, error) { return withCount(n, formatShort) },
	"percent":  formatPercent,
	"share":    func(part, whole int) string { return formatPercent(uint64(max(part, 0)), uint64(max(whole, 0))) },
	"sentence": func(text string) string { return strings.ToUpper(text[:min(1, len(text))]) + text[min(1, len(text)):] },
	"columns":  func(methods []string) int { return 1 + len(methods) }, // of the matrix
	"count":    formatCount,
	"ago":      formatAgo,
	"moment":   formatMoment,
	"day":      formatDay,
}

// withCount formats a count of any type that pages have counts in.
func withCount(n any, format func(uint64) string) (string, error) {
	switch n := n.(type) {
	case uint64:
		return format(n), nil
	case int:
		return format(uint64(max(n, 0))), nil
	default:
		return "", fmt.Errorf("%T is no type of a count", n)
	}
}

// formatNumber writes a number with its thousands apart, such as "12,345".
func formatNumber(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	const group = 3
	for at := len(digits) - group; at > 0; at -= group {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// formatShort writes a number in five characters at most, such as "12.3k".
func formatShort(n uint64) string {
	const thousand = 1000
	value, unit := float64(n), ""
	for _, next := range []string{"k", "M", "G", "T"} {
		if value < thousand {
			break
		}
		value, unit = value/thousand, next
	}
	if unit == "" {
		return strconv.FormatUint(n, 10)
	}
	const short = 100
	if value < short {
		return strings.TrimSuffix(strconv.FormatFloat(value, 'f', 1, 64), ".0") + unit
	}
	return strconv.FormatFloat(value, 'f', 0, 64) + unit
}

// formatPercent writes a part of a whole, such as "3.2%".
func formatPercent(part, whole uint64) string {
	if whole == 0 {
		return "0%"
	}
	const hundred, least, round = 100, 0.1, 10
	switch p := hundred * float64(part) / float64(whole); {
	case part == 0:
		return "0%"
	case p < least:
		return "<0.1%"
	case p < round:
		return strings.TrimSuffix(strconv.FormatFloat(p, 'f', 1, 64), ".0") + "%"
	default:
		return strconv.FormatFloat(p, 'f', 0, 64) + "%"
	}
}

// formatCount writes how many there are of something, such as "1 token" or "3 tokens".
func formatCount(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return formatNumber(uint64(max(n, 0))) + " " + what
}

// formatAgo tells a moment as its distance from now, such as "3 h ago" or "in 12 days";
// "never" for none. The moment itself can be read by pointing at it.
func formatAgo(at time.Time) template.HTML {
	if at.IsZero() {
		return "never"
	}
	return timeElement(at, distance(time.Until(at)))
}

// formatMoment writes a moment to the minute.
func formatMoment(at time.Time) template.HTML {
	return timeElement(at, at.UTC().Format("2006-01-02 15:04")+" UTC")
}

// formatDay writes the day of a moment.
func formatDay(at time.Time) template.HTML { return timeElement(at, at.UTC().Format(time.DateOnly)) }

// timeElement shows a text that stands for a moment. The text is one of ours.
func timeElement(at time.Time, text string) template.HTML {
	exact := at.UTC().Format(time.RFC3339)
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s">%s</time>`, exact, exact, text)) //nolint:gosec // digits and words of ours
}

// distance writes how far a moment is away: after zero, or before.
func distance(d time.Duration) string {
	if d < 0 {
		if text := span(-d); text != "" {
			return text + " ago"
		}
		return "just now"
	}
	if text := span(d); text != "" {
		return "in " + text
	}
	return "now"
}

// span writes a time span in its largest unit; "" for less than a minute.
func span(d time.Duration) string {
	const day, month, year = 24 * time.Hour, 61 * 24 * time.Hour, 730 * 24 * time.Hour
	switch {
	case d < time.Minute:
		return ""
	case d < time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + " min"
	case d < 2*day:
		return strconv.Itoa(int(d/time.Hour)) + " h"
	case d < month:
		return strconv.Itoa(int(d/day)) + " days"
	case d < year:
		return strconv.Itoa(int(d/(month/2))) + " months"
	default:
		return strconv.Itoa(int(d/(year/2))) + " years"
	}
}
