package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"text/tabwriter"
)

// report prints the conditions, the table, and what it comes to.
func (t *track) report(ctx context.Context, w io.Writer) error {
	t.reportConditions(ctx, w)
	if err := reportTable(w, t.lanes); err != nil {
		return err
	}
	reportConclusions(w, t.lanes)
	return nil
}

func (t *track) reportConditions(ctx context.Context, w io.Writer) {
	fmt.Fprintf(w, "Caddy %s\n%s\n%s\n%s\n", version(ctx, t.caddy, "version"),
		version(ctx, "nginx", "-v"), version(ctx, "haproxy", "-v"), version(ctx, "wrk", "-v"))
	fmt.Fprintf(w, "%d CPUs, %s/%s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
	if t.pin {
		fmt.Fprintf(w, "; gateway on CPU %s, load generator and upstream on %s", t.gatewayCPUs, t.loadCPUs)
	}
	fmt.Fprintf(w, "\n%d tokens, %d of them sent at random; %d connections; body of %d bytes\n%d rounds of %s a lane, "+
		"those that are not near plain Caddy in every %dth; servers started anew %d times\n\n",
		t.tokens, t.sent, t.conns, t.size, t.rounds, t.duration, seldomEvery, t.starts)
}

// reportTable prints a line for each lane. Ratios are to the reference in the same round.
func reportTable(w io.Writer, lanes []*lane) error {
	reference := find(lanes, referenceLane)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\treq/s\tp50 µs\tp99 µs\tCPU µs/req\tmin–max\treq/s ratio\tCPU ratio\tquartiles\tmin–max\t")
	for _, l := range lanes {
		cpu, ratio := spreadOf(l.values(cpuOf)), spreadOf(l.ratios(reference, cpuOf))
		fmt.Fprintf(table, "%s\t%.0f\t%.0f\t%.0f\t%.1f\t%.1f–%.1f\t%.2f\t%.3f\t%.3f–%.3f\t%.3f–%.3f\t\n", l.name,
			spreadOf(l.values(rateOf)).median, spreadOf(l.values(p50Of)).median, spreadOf(l.values(p99Of)).median,
			cpu.median, cpu.min, cpu.max, spreadOf(l.ratios(reference, rateOf)).median,
			ratio.median, ratio.lower, ratio.upper, ratio.min, ratio.max)
	}
	return table.Flush()
}

// reportConclusions says in words what the table says of Scopegate, for the lanes that were measured.
func reportConclusions(w io.Writer, lanes []*lane) {
	fmt.Fprintln(w, "\nCPU per request, by the ratios within each round; medians, with their 95 % confidence intervals:")
	percent := func(ratio float64) float64 { return (ratio - 1) * 100 }
	for _, c := range []struct{ what, lane, against, meaning string }{
		{"plain Caddy again", controlLane, referenceLane, "what a difference of nothing looks like"},
		{"the fields add", fieldsLane, referenceLane, "plain Caddy that forwards the four fields, and no credential"},
		{"authorization adds", allowedLane, fieldsLane, "Scopegate, against plain Caddy that sends upstream the same"},
		{"both together add", allowedLane, referenceLane, "Scopegate, against plain Caddy"},
		{"request_header adds", headersLane, referenceLane, "plain Caddy that sets the four fields, with its own directive"},
	} {
		if l, against := find(lanes, c.lane), find(lanes, c.against); l != nil && against != nil {
			median, lower, upper := medianRatio(l, against)
			fmt.Fprintf(w, "  %-24s%+.1f %% (%+.1f to %+.1f): %s\n", c.what, percent(median), percent(lower), percent(upper), c.meaning)
		}
	}
	if l := find(lanes, deniedLane); l != nil {
		median, lower, upper := medianRatio(l, find(lanes, referenceLane))
		fmt.Fprintf(w, "  a denial costs          %.2f (%.2f to %.2f) of what plain Caddy spends on an allowed request\n",
			median, lower, upper)
	}
}

// medianRatio compares two lanes by CPU per request, with the confidence interval.
func medianRatio(l, against *lane) (median, lower, upper float64) {
	ratios := l.ratios(against, cpuOf)
	lower, upper = confidence(l.byStart(ratios))
	return spreadOf(ratios).median, lower, upper
}

// find returns the named lane, or nil if it was not measured.
func find(lanes []*lane, name string) *lane {
	i := slices.IndexFunc(lanes, func(l *lane) bool { return l.name == name })
	if i < 0 {
		return nil
	}
	return lanes[i]
}

func rateOf(s sample) float64 { return s.requestsPerSecond }
func p50Of(s sample) float64  { return s.p50 }
func p99Of(s sample) float64  { return s.p99 }
func cpuOf(s sample) float64  { return s.cpu }
