package limits

import (
	"math/bits"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// meter is what was taken of one limit.
type meter struct {
	rate  rateMeter
	quota quotaMeter
}

// rateMeter is the level of a rate's bucket, at a time in nanoseconds. It counts in units
// of which one request adds Rate.Per, in nanoseconds, and of which Rate.Requests drain in a
// nanosecond: so it is exact for every rate.
type rateMeter struct{ level, at int64 }

// maxBack is how far a time may be behind the last one and still count as that: requests
// that come at the same time are not looked at in the order of their times.
const maxBack = int64(2 * time.Second)

// advance drains what has drained until a time. After a clock was set back time goes on
// from there.
func (m *rateMeter) advance(r *scopes.Rate, now int64) {
	elapsed := now - m.at
	if elapsed < 0 && elapsed >= -maxBack {
		return
	}
	m.level, m.at = drained(r, m.level, elapsed), now
}

// drained returns what is left of a level after some nanoseconds; all of it if they are
// negative.
func drained(r *scopes.Rate, level, elapsed int64) int64 {
	if elapsed <= 0 {
		return level
	}
	over, drains := bits.Mul64(uint64(elapsed), uint64(r.Requests)) //nolint:gosec // both are positive
	if over != 0 || drains >= uint64(level) {                       //nolint:gosec // a level is not negative
		return 0
	}
	return level - int64(drains) //nolint:gosec // less than level
}

// capacity is the level of a full bucket. It fits, and so does twice of it: a burst is at
// most 1e6, and an hour 3.6e12 ns.
func capacity(r *scopes.Rate) int64 { return int64(r.Burst) * int64(r.Per) }

// wait returns how long it takes until a request fits into the bucket with some more room
// above it; 0 if it does now.
func (m *rateMeter) wait(r *scopes.Rate, room int64) time.Duration {
	over := m.level + int64(r.Per) - capacity(r) - room
	if over <= 0 {
		return 0
	}
	return time.Duration(ceilDiv(over, int64(r.Requests)))
}

// left returns how many requests still fit.
func (m *rateMeter) left(r *scopes.Rate) int64 {
	return max(0, (capacity(r)-m.level)/int64(r.Per))
}

// reset returns how long it takes until the bucket is empty.
func (m *rateMeter) reset(r *scopes.Rate) time.Duration {
	return time.Duration(ceilDiv(m.level, int64(r.Requests)))
}

// changed returns the meter for another rate. It has as many requests in it, as far as they
// fit.
func (m *rateMeter) changed(from, to *scopes.Rate) rateMeter {
	if from.IsZero() || to.IsZero() {
		return rateMeter{}
	}
	whole, rest := m.level/int64(from.Per), m.level%int64(from.Per)
	if whole >= int64(to.Burst) {
		return rateMeter{capacity(to), m.at}
	}
	high, low := bits.Mul64(uint64(rest), uint64(to.Per))     //nolint:gosec // both are positive
	part, _ := bits.Div64(high, low, uint64(from.Per))        //nolint:gosec // rest < from.Per
	return rateMeter{whole*int64(to.Per) + int64(part), m.at} //nolint:gosec // less than to.Per
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }

// quotaMeter is what was counted in one window of the calendar, in nanoseconds.
type quotaMeter struct{ count, start, end int64 }

// advance goes on to the window of a time, and reports whether that is a later one, where
// nothing is counted yet. After a clock was set back to an earlier window the count goes
// along.
func (m *quotaMeter) advance(q scopes.Quota, now int64) (later bool) {
	if m.start-maxBack <= now && now < m.end {
		return false
	}
	if later = now >= m.end; later {
		m.count = 0
	}
	start, end := q.Window(time.Unix(0, now))
	m.start, m.end = start.UnixNano(), end.UnixNano()
	return later
}

func (m *quotaMeter) left(q scopes.Quota) int64 { return max(0, q.Requests-m.count) }

// changed returns the meter for another quota. What was counted in a window counts in a
// longer one that has it; how much of it was in a shorter one is not known, so that this
// begins anew.
func (m *quotaMeter) changed(from, to scopes.Quota, now int64) quotaMeter {
	next := quotaMeter{}
	if from.IsZero() || to.IsZero() || from.Per > to.Per {
		return next
	}
	next.advance(to, max(now, m.start))
	if next.start <= m.start && m.end <= next.end {
		next.count = m.count
	}
	return next
}
