//go:build race

package caddymodule_test

// raceDetector: these tests, and the gateways that they start, run under the race
// detector, which needs many times the memory.
const raceDetector = true
