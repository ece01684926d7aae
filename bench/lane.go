package main

import (
	"fmt"
	"slices"
)

// The lanes that others are compared with.
const (
	referenceLane = "caddy"            // ratios are to this one
	controlLane   = "caddy-again"      // the same in a second process: its ratio should be 1
	headersLane   = "caddy-headers"    // plain Caddy that sets the header fields that Scopegate sets
	allowedLane   = "scopegate"        // what authorization adds
	deniedLane    = "scopegate-denied" // what a flood of unknown tokens costs
)

// lane is one row of the comparison: a server, and the requests sent to it.
type lane struct {
	name    string
	server  string // the name of its server; lanes may share one
	denied  bool   // sends unknown tokens, each of which must be refused
	guarded bool   // the server knows the tokens: it must refuse others
	samples []sample
}

// sample is one measurement of a lane.
type sample struct {
	requestsPerSecond float64
	p50, p99          float64 // latency, µs
	cpu               float64 // of the server, µs per request
}

// allLanes lists what can be measured. Those whose ratio matters most stand next to each other, so that least time passes
// between the two.
func allLanes() []*lane {
	return []*lane{
		{name: "direct", server: "upstream"},
		{name: controlLane, server: controlLane},
		{name: referenceLane, server: referenceLane},
		{name: headersLane, server: headersLane},
		{name: allowedLane, server: "scopegate", guarded: true},
		{name: deniedLane, server: "scopegate", guarded: true, denied: true},
		{name: "nginx", server: "nginx", guarded: true},
		{name: "haproxy", server: "haproxy", guarded: true},
	}
}

func laneNames() []string {
	var names []string
	for _, l := range allLanes() {
		names = append(names, l.name)
	}
	return names
}

// chooseLanes returns the named lanes and the reference, in the order of allLanes.
func chooseLanes(names []string) ([]*lane, error) {
	all := allLanes()
	for _, name := range names {
		if !slices.ContainsFunc(all, func(l *lane) bool { return l.name == name }) {
			return nil, fmt.Errorf("unknown lane %q, want some of %v", name, laneNames())
		}
	}
	return slices.DeleteFunc(all, func(l *lane) bool {
		return l.name != referenceLane && !slices.Contains(names, l.name)
	}), nil
}

// inRound returns the lanes in the order of a round: another one begins each time, and every other round runs backwards,
// so that no lane always follows the same one.
func inRound(lanes []*lane, round int) []*lane {
	first := round % len(lanes)
	order := slices.Concat(lanes[first:], lanes[:first])
	if round%2 == 1 {
		slices.Reverse(order)
	}
	return order
}

// values returns one figure of each sample.
func (l *lane) values(of func(sample) float64) []float64 {
	figures := make([]float64, len(l.samples))
	for i, s := range l.samples {
		figures[i] = of(s)
	}
	return figures
}

// ratios returns one figure of each sample, over the same figure of the reference in the same round.
func (l *lane) ratios(reference *lane, of func(sample) float64) []float64 {
	figures := l.values(of)
	for i, s := range reference.samples {
		figures[i] /= of(s)
	}
	return figures
}
