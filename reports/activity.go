package reports

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/scopegate/scopegate/usage"
)

// Activity is how many requests there were over time.
type Activity struct {
	Basis
	StepSeconds int           `json:"step_seconds"` // of the points: an hour or a day
	Series                    // of all tokens, or of those that were asked for
	Tokens      []TokenSeries `json:"tokens,omitempty"` // those that were asked for, in that order
}

// TokenSeries is the requests of one token.
type TokenSeries struct {
	Subject
	Series
}

// Series is requests over time, and their sums.
type Series struct {
	Requests uint64        `json:"requests"`
	Denied   uint64        `json:"denied"`
	Failed   uint64        `json:"failed"` // answered with 5xx
	Last     time.Time     `json:"last,omitzero"`
	Reasons  []ReasonCount `json:"reasons"` // of what was denied, the most frequent first
	Points   []Point       `json:"points"`  // one for each step of the window
}

// ReasonCount is how many requests were denied for a reason.
type ReasonCount struct {
	Reason   string `json:"reason"`
	Requests uint64 `json:"requests"`
}

// Point is the requests of one step.
type Point struct {
	At       time.Time `json:"at"` // when it begins
	Requests uint64    `json:"requests"`
	Denied   uint64    `json:"denied"`
	Failed   uint64    `json:"failed"`
}

// hourly is the longest window whose steps are hours.
const hourly = 48 * time.Hour

// ReportActivity reads how many requests there were in the window before a moment: of all
// tokens, those without a known credential included, or of some. Steps are whole hours or
// days, so that the window begins with the first one.
func ReportActivity(source Source, now time.Time, window time.Duration, only []Token) (*Activity, error) {
	since, err := source.Since()
	if err != nil {
		return nil, err
	}
	step := 24 * time.Hour
	if window <= hourly {
		step = time.Hour
	}
	now = now.UTC()
	from := now.Add(-window).Truncate(step)
	report := &Activity{Basis: Basis{From: from, To: now, Since: since}, StepSeconds: int(step.Seconds()), Series: newSeries(from, now, step)}
	query := usage.Query{From: from, To: now}
	at := make(map[string]*Series, len(only))
	report.Tokens = make([]TokenSeries, len(only))
	for i := range only {
		report.Tokens[i] = TokenSeries{subjectOf(&only[i]), newSeries(from, now, step)}
		at[only[i].ID] = &report.Tokens[i].Series
		query.Tokens = append(query.Tokens, only[i].ID)
	}
	err = source.Each(query, func(s *usage.Sample) {
		if s.Key.Reason == usage.ReasonLost {
			report.Lost += s.Counts.Requests
			return
		}
		report.add(s, step)
		if one := at[s.Key.Token]; one != nil {
			one.add(s, step)
		}
	})
	report.finish()
	for i := range report.Tokens {
		report.Tokens[i].finish()
	}
	return report, err
}

func newSeries(from, to time.Time, step time.Duration) Series {
	s := Series{Reasons: []ReasonCount{}}
	for at := from; !at.After(to); at = at.Add(step) {
		s.Points = append(s.Points, Point{At: at})
	}
	return s
}

func (s *Series) add(sample *usage.Sample, step time.Duration) {
	at := int(sample.At.Sub(s.Points[0].At) / step)
	p := &s.Points[min(max(at, 0), len(s.Points)-1)]
	p.Requests += sample.Counts.Requests
	p.Failed += sample.Counts.Status[len(sample.Counts.Status)-1]
	if sample.Last.After(s.Last) {
		s.Last = sample.Last
	}
	if sample.Key.Allowed() || sample.Counts.Requests == 0 {
		return
	}
	p.Denied += sample.Counts.Requests
	for i := range s.Reasons { // there are few
		if r := &s.Reasons[i]; r.Reason == sample.Key.Reason {
			r.Requests += sample.Counts.Requests
			return
		}
	}
	s.Reasons = append(s.Reasons, ReasonCount{strings.Clone(sample.Key.Reason), sample.Counts.Requests})
}

// finish adds up the points.
func (s *Series) finish() {
	for _, p := range s.Points {
		s.Requests += p.Requests
		s.Denied += p.Denied
		s.Failed += p.Failed
	}
	slices.SortFunc(s.Reasons, func(a, b ReasonCount) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Reason, b.Reason))
	})
}
