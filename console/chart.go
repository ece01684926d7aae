package console

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// point is what was counted in one step of time.
type point struct {
	At       time.Time `json:"at"` // when the step begins
	Requests uint64    `json:"requests"`
	Denied   uint64    `json:"denied"`
	Failed   uint64    `json:"failed"` // answered by the upstream with 5xx, or not at all
}

// passed returns how many requests were neither denied nor failed.
func (p *point) passed() uint64 { return p.Requests - min(p.Requests, p.Denied+p.Failed) }

// chart is requests over time as columns. Across, all is in percent, so that it has any
// width and its text keeps its size; down, it is in pixels.
type chart struct {
	Summary string // what there is to see, in words
	Height  int
	Columns []column
	Lines   []gridLine
	Labels  []axisLabel
}

// column is one step: a stack of parts.
type column struct {
	point
	When           string // the step, for people
	X, Width       string // of the stack
	HitX, HitWidth string // of what can be pointed at
	Parts          []columnPart
}

// columnPart is a part of a column, from Y down.
type columnPart struct {
	Kind      string // allowed, denied or failed
	Y, Height float64
}

// gridLine is a line across, with the number that it stands for.
type gridLine struct {
	Y      int
	Number uint64
}

// axisLabel is a moment below.
type axisLabel struct {
	X, Anchor, Text string
}

// The chart's lengths, in pixels.
const (
	chartHeight = 196
	chartTop    = 14  // above the highest column
	chartBottom = 168 // where columns stand
	labelCount  = 6   // at most, so that they have room on a phone
)

// newChart draws points, of which each is a step of time.
func newChart(points []point, step time.Duration) *chart {
	c := &chart{Height: chartHeight}
	var most, requests, denied, failed uint64
	for i := range points {
		most = max(most, points[i].Requests)
		requests, denied, failed = requests+points[i].Requests, denied+points[i].Denied, failed+points[i].Failed
	}
	top := niceAbove(most)
	c.Lines = []gridLine{{chartTop, top}, {(chartTop + chartBottom) / 2, top / 2}, {chartBottom, 0}}
	if top%2 != 0 {
		c.Lines = []gridLine{{chartTop, top}, {chartBottom, 0}}
	}
	layout := stepLayout(step)
	slot := 100 / float64(max(len(points), 1))
	const gap = 0.16 // of a slot, on both sides
	for i := range points {
		p := &points[i]
		x := float64(i) * slot
		c.Columns = append(c.Columns, column{
			point: *p, When: p.At.UTC().Format(layout), X: percentOf(x + gap*slot), Width: percentOf(slot * (1 - 2*gap)),
			HitX: percentOf(x), HitWidth: percentOf(slot), Parts: stack(p, top),
		})
	}
	c.Labels = axisLabels(points, slot, step)
	c.Summary = fmt.Sprintf("Columns of %s: %s requests in all, of which %s were denied and %s failed upstream. The highest has %s.",
		stepName(step), formatNumber(requests), formatNumber(denied), formatNumber(failed), formatNumber(most))
	return c
}

// stack puts the parts of a column on each other: what is wrong is on top.
func stack(p *point, top uint64) []columnPart {
	var parts []columnPart
	y := float64(chartBottom)
	for _, part := range []struct {
		kind  string
		count uint64
	}{{"allowed", p.passed()}, {"failed", p.Failed}, {"denied", p.Denied}} {
		if part.count == 0 {
			continue
		}
		const least = 1.5 // so that it can be seen
		height := max(least, math.Round(10*float64(part.count)/float64(top)*(chartBottom-chartTop))/10)
		y -= height
		parts = append(parts, columnPart{part.kind, math.Round(10*y) / 10, height})
	}
	return parts
}

// axisLabels names some moments, evenly.
func axisLabels(points []point, slot float64, step time.Duration) []axisLabel {
	every := (len(points) + labelCount - 1) / labelCount
	layout := "15:04"
	if step >= 24*time.Hour {
		layout = "2 Jan"
	}
	var labels []axisLabel
	for i := 0; i < len(points); i += max(every, 1) {
		label := axisLabel{percentOf((float64(i) + 0.5) * slot), "middle", points[i].At.UTC().Format(layout)}
		switch i {
		case 0:
			label.X, label.Anchor = "0", "start"
		case len(points) - 1:
			label.X, label.Anchor = "100%", "end"
		}
		labels = append(labels, label)
	}
	return labels
}

// stepLayout is how a step is called.
func stepLayout(step time.Duration) string {
	if step >= 24*time.Hour {
		return "Mon 2 Jan 2006"
	}
	return "Mon 2 Jan, 15:04 UTC"
}

func stepName(step time.Duration) string {
	if step >= 24*time.Hour {
		return "a day each"
	}
	return "an hour each"
}

// niceAbove returns the least of 2, 4, 6, 8, 10, 20, 40, 60 and so on that is not below n.
func niceAbove(n uint64) uint64 {
	const ten = 10
	for unit := uint64(1); unit < math.MaxUint64/(ten*ten); unit *= ten {
		for _, nice := range []uint64{2, 4, 6, 8, ten} {
			if nice*unit >= n {
				return nice * unit
			}
		}
	}
	return n
}

func percentOf(x float64) string {
	return strconv.FormatFloat(math.Round(100*x)/100, 'f', -1, 64) + "%"
}

// sparkline is a small chart without numbers: one column a step.
type sparkline struct {
	Requests uint64
	Summary  string // in words
	Width    int
	Path     string
}

// The lengths of a sparkline, in pixels.
const (
	sparkHeight = 20
	sparkStep   = 4
	sparkColumn = 3
)

// newSparkline draws points. It is nil if there was nothing.
func newSparkline(points []point, step time.Duration) *sparkline {
	var most, sum uint64
	for i := range points {
		most, sum = max(most, points[i].Requests), sum+points[i].Requests
	}
	if sum == 0 {
		return nil
	}
	var path strings.Builder
	for i := range points {
		if points[i].Requests == 0 {
			continue
		}
		height := max(1, int(math.Round(float64(points[i].Requests)/float64(most)*sparkHeight)))
		fmt.Fprintf(&path, "M%d %dh%dv%dh-%dz", i*sparkStep, sparkHeight-height, sparkColumn, height, sparkColumn)
	}
	return &sparkline{
		Requests: sum,
		Summary:  fmt.Sprintf("%s requests, at most %s in %s", formatNumber(sum), formatNumber(most), strings.TrimSuffix(stepName(step), " each")),
		Width:    len(points)*sparkStep - (sparkStep - sparkColumn),
		Path:     path.String(),
	}
}

// bar is a part of a whole, across.
type bar struct {
	Label       string
	Explanation string
	Count       uint64
	Share       string // for people
	Width       string
	Kind        string // of its colour: allowed, denied or failed
}

// newBars makes a bar of each count, of the sum of all of them.
func newBars(counts []reasonCount) []bar {
	var sum, most uint64
	for _, c := range counts {
		sum, most = sum+c.Requests, max(most, c.Requests)
	}
	bars := make([]bar, len(counts))
	for i, c := range counts {
		const hundred = 100
		bars[i] = bar{
			Label: c.Reason, Explanation: explainReason(c.Reason), Count: c.Requests, Kind: "denied",
			Share: formatPercent(c.Requests, sum), Width: percentOf(hundred * float64(c.Requests) / float64(max(most, 1))),
		}
	}
	return bars
}
