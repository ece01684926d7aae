package caddymodule

import (
	"sync/atomic"
	"time"
)

// started is when the process began, with a reading of the monotonic clock.
var started = time.Now()

// processClock is the one clock by which everything expires.
var processClock steadyClock

// steadyNow returns the time, but never an earlier one than it has returned before:
// setting the wall clock back revives nothing that has expired. A wall clock that
// was set too far forward for a while counts until the process is restarted.
func steadyNow() time.Time {
	now := time.Now()
	return processClock.at(now, now.Sub(started))
}

// steadyClock goes on with the monotonic clock from the latest time that the wall
// clock has shown. The zero value is ready.
type steadyClock struct {
	ahead atomic.Int64 // the most that the wall clock was ahead of the monotonic one, in nanoseconds
}

// at returns the time for what the wall clock shows when the monotonic one has run
// for some time.
func (c *steadyClock) at(wall time.Time, elapsed time.Duration) time.Time {
	ahead := wall.UnixNano() - int64(elapsed)
	for {
		most := c.ahead.Load()
		if ahead <= most {
			return time.Unix(0, most+int64(elapsed))
		}
		if c.ahead.CompareAndSwap(most, ahead) {
			return time.Unix(0, wall.UnixNano())
		}
	}
}
