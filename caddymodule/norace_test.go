//go:build !race

package caddymodule_test

// raceDetector: see race_test.go.
const raceDetector = false
