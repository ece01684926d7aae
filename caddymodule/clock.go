package caddymodule

import "time"

// started is when the process began, with a reading of the monotonic clock.
var started = time.Now()

// steadyNow returns the time, but never an earlier one than the monotonic clock
// allows: setting the wall clock back revives nothing that has expired.
func steadyNow() time.Time {
	now := time.Now()
	if elapsed := started.Add(now.Sub(started)).Round(0); elapsed.After(now.Round(0)) {
		return elapsed
	}
	return now
}
