package main

import (
	"fmt"
	"slices"
)

// The lanes that others are compared with.
const (
	referenceLane = "caddy"            // ratios are to this one
	controlLane   = "caddy-again"      // the same in a second process: its ratio should be 1
	fieldsLane    = "caddy-fields"     // the same process, whose clients send the header fields that Scopegate sets
	headersLane   = "caddy-headers"    // plain Caddy that sets them
	allowedLane   = "scopegate"        // what authorization adds
	deniedLane    = "scopegate-denied" // what a flood of unknown tokens costs
)

// lane is one row of the comparison: a server, and the requests sent to it.
type lane struct {
	name    string
	server  string // the name of its server; lanes may share one
	denied  bool   // sends unknown tokens, each of which must be refused
	told    bool   // sends, instead of a token, the fields by which Scopegate tells the upstream who asks
	guarded bool   // the server knows the tokens: it must refuse others
	seldom  bool   // measured in every seldomEvery-th round: its ratio is far from where a few percent matter
	samples []sample
}

const seldomEvery = 5

// sample is one measurement of a lane.
type sample struct {
	start, round      int // in which it was taken; rounds are counted across starts
	requestsPerSecond float64
	p50, p99          float64 // latency, µs
	cpu               float64 // of the server, µs per request
}

// allLanes lists what can be measured. Those whose ratio matters most stand next to each other, so that least time passes
// between the two.
func allLanes() []*lane {
	return []*lane{
		{name: "direct", server: "upstream", seldom: true},
		{name: controlLane, server: controlLane},
		{name: referenceLane, server: referenceLane},
		{name: fieldsLane, server: referenceLane, told: true},
		{name: allowedLane, server: "scopegate", guarded: true},
		{name: headersLane, server: headersLane, seldom: true},
		{name: deniedLane, server: "scopegate", guarded: true, denied: true, seldom: true},
		{name: "nginx", server: "nginx", guarded: true, seldom: true},
		{name: "haproxy", server: "haproxy", guarded: true, seldom: true},
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

// inRound returns the lanes of a round in their order: another one begins each time, and every other round runs backwards,
// so that no lane always follows the same one.
func inRound(all []*lane, round int) []*lane {
	lanes := slices.DeleteFunc(slices.Clone(all), func(l *lane) bool { return l.seldom && round%seldomEvery != 0 })
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

// ratios returns one figure of each sample, over the same figure of the reference, which is in every round, in the same one.
func (l *lane) ratios(reference *lane, of func(sample) float64) []float64 {
	figures := l.values(of)
	for i, s := range l.samples {
		at := slices.IndexFunc(reference.samples, func(r sample) bool { return r.round == s.round })
		figures[i] /= of(reference.samples[at])
	}
	return figures
}

// byStart groups figures, one of each sample, by the start that the sample was taken in.
func (l *lane) byStart(figures []float64) [][]float64 {
	var groups [][]float64
	for i, s := range l.samples {
		if i == 0 || s.start != l.samples[i-1].start {
			groups = append(groups, nil)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], figures[i])
	}
	return groups
}
