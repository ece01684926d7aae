package reports

import (
	"time"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/usage"
)

// LimitUsage is how near a token came to one of its limits.
type LimitUsage struct {
	API   string `json:"api,omitempty"` // left out for all APIs together
	Rate  string `json:"rate,omitempty"`
	Quota string `json:"quota,omitempty"`
	// PeakRate is how many requests a second there were on average in the hour with the
	// most; 0 if that is not known any more.
	PeakRate float64 `json:"peak_rate"`
	// Peak is how many requests there were in the hour, day or month with the most, as the
	// quota counts; as far as the window goes.
	Peak uint64 `json:"peak"`
	// Headroom is the part of the quota, or if there is none of the rate, that was left then.
	Headroom float64 `json:"headroom"`
	Refused  uint64  `json:"refused"` // requests that were beyond some limit
}

// limited collects what the limits of a token are about.
type limited struct {
	limits  []scopes.Limit
	hours   []map[time.Time]uint64 // of each limit: allowed requests by the hour
	periods []map[time.Time]uint64 // and by the period of its quota
	refused []uint64
}

func newLimited(limits []scopes.Limit) *limited {
	l := &limited{limits: limits, refused: make([]uint64, len(limits))}
	for range limits {
		l.hours = append(l.hours, make(map[time.Time]uint64))
		l.periods = append(l.periods, make(map[time.Time]uint64))
	}
	return l
}

// add counts a sample for the limits that it is about.
func (l *limited) add(s *usage.Sample) {
	if l == nil {
		return
	}
	for i := range l.limits {
		limit := &l.limits[i]
		switch {
		case limit.API != "" && limit.API != s.Key.API:
		case s.Key.Reason == scopes.RateLimited.String():
			l.refused[i] += s.Counts.Requests
		case s.Key.Allowed():
			if !s.Whole {
				l.hours[i][s.At] += s.Counts.Requests
			}
			if start, _ := limit.Quota.Window(s.At); !limit.Quota.IsZero() {
				l.periods[i][start] += s.Counts.Requests
			}
		}
	}
}

func (l *limited) report() []LimitUsage {
	if l == nil {
		return nil
	}
	list := make([]LimitUsage, len(l.limits))
	for i := range l.limits {
		limit := &l.limits[i]
		u := LimitUsage{API: limit.API, Rate: limit.Rate.String(), Quota: limit.Quota.String(), Refused: l.refused[i]}
		u.PeakRate = float64(highest(l.hours[i])) / time.Hour.Seconds()
		u.Peak = highest(l.periods[i])
		if !limit.Quota.IsZero() {
			u.Headroom = left(float64(u.Peak), float64(limit.Quota.Requests))
		} else {
			u.Headroom = left(u.PeakRate, float64(limit.Rate.Requests)/limit.Rate.Per.Seconds())
		}
		list[i] = u
	}
	return list
}

// left returns the part of a whole that is not used.
func left(used, whole float64) float64 { return max(0, 1-used/whole) }

func highest(counts map[time.Time]uint64) (most uint64) {
	for _, n := range counts {
		most = max(most, n)
	}
	return most
}
