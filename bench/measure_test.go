package main

import (
	"errors"
	"slices"
	"testing"
	"time"
)

const wrkOutput = `Running 1s test @ http://127.0.0.1:18999/api/petstore/v1/items/42
  1 threads and 2 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.39ms    2.14ms  11.73ms   83.74%
    Req/Sec     0.94k   367.42     1.79k    80.00%
  935 requests in 1.00s, 474.99KB read
  Non-2xx or 3xx responses: 935
Requests/sec:    934.22
Transfer/sec:    474.59KB
{"requests":1000,"duration_us":2000000,"p50_us":1265,"p99_us":8442,"refused":1000,"failed":0}
`

func TestParseWrk(t *testing.T) {
	got, err := parseWrk([]byte(wrkOutput))
	want := result{Requests: 1000, DurationUS: 2e6, P50US: 1265, P99US: 8442, Refused: 1000}
	if err != nil || got != want {
		t.Fatalf("parseWrk = %+v, %v, want %+v", got, err, want)
	}
	sampled := got.sample(30 * time.Millisecond)
	if want := (sample{requestsPerSecond: 500, p50: 1265, p99: 8442, cpu: 30}); sampled != want {
		t.Errorf("sample = %+v, want %+v", sampled, want)
	}
}

func TestParseWrkWithoutResult(t *testing.T) {
	for name, out := range map[string]string{
		"empty":     "",
		"no script": "unable to connect to 127.0.0.1:9 Connection refused\n",
	} {
		if _, err := parseWrk([]byte(out)); !errors.Is(err, errNoResult) {
			t.Errorf("%s: parseWrk(%q): error %v, want %v", name, out, err, errNoResult)
		}
	}
	if _, err := parseWrk([]byte(`{"requests":` + "\n")); err == nil {
		t.Error("a cut line was taken for a result")
	}
}

func TestResultCheck(t *testing.T) {
	for _, test := range []struct {
		name   string
		result result
		denied bool
		ok     bool
	}{
		{name: "all allowed", result: result{Requests: 10}, ok: true},
		{name: "one refused", result: result{Requests: 10, Refused: 1}},
		{name: "all denied", result: result{Requests: 10, Refused: 10}, denied: true, ok: true},
		{name: "one let through", result: result{Requests: 10, Refused: 9}, denied: true},
		{name: "one lost", result: result{Requests: 10, Failed: 1}},
		{name: "none", result: result{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := test.result.check(&lane{name: "x", denied: test.denied}); (err == nil) != test.ok {
				t.Errorf("check(%+v), denied %v: error %v, want ok %v", test.result, test.denied, err, test.ok)
			}
		})
	}
}

func TestSpread(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   spread
	}{
		{[]float64{7}, spread{7, 7, 7, 7, 7}},
		{[]float64{3, 1}, spread{1, 1.5, 2, 2.5, 3}},
		{[]float64{5, 1, 4, 2, 3}, spread{1, 2, 3, 4, 5}},
	} {
		if got := spreadOf(test.values); got != test.want {
			t.Errorf("spreadOf(%v) = %+v, want %+v", test.values, got, test.want)
		}
	}
}

func TestRatiosAreTakenWithinARound(t *testing.T) {
	reference := &lane{samples: []sample{{round: 0, cpu: 10}, {round: 1, cpu: 50}, {round: 2, cpu: 20}}}
	other := &lane{samples: []sample{{round: 0, cpu: 11}, {round: 2, cpu: 30}}} // was not in round 1
	got := other.ratios(reference, func(s sample) float64 { return s.cpu })
	if want := []float64{1.1, 1.5}; !slices.Equal(got, want) {
		t.Errorf("ratios = %v, want %v", got, want)
	}
}

func TestFiguresAreGroupedByStart(t *testing.T) {
	l := &lane{samples: []sample{{start: 0}, {start: 0}, {start: 2}}}
	got := l.byStart([]float64{1, 2, 3})
	if want := [][]float64{{1, 2}, {3}}; !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("byStart = %v, want %v", got, want)
	}
}

func TestConfidence(t *testing.T) {
	for _, test := range []struct {
		name         string
		groups       [][]float64
		lower, upper float64
	}{
		{"one value", [][]float64{{7}}, 7, 7},
		{"all the same", [][]float64{{7, 7}, {7}}, 7, 7},
		// What starts differ by is not made good by more values in each.
		{"starts that differ", [][]float64{slices.Repeat([]float64{1}, 50), slices.Repeat([]float64{3}, 50)}, 1, 3},
	} {
		if lower, upper := confidence(test.groups); lower != test.lower || upper != test.upper {
			t.Errorf("%s: confidence = %v to %v, want %v to %v", test.name, lower, upper, test.lower, test.upper)
		}
	}
	many := [][]float64{{1, 2, 3, 4, 5}, {1, 2, 3, 4, 5}, {1, 2, 3, 4, 5}, {1, 2, 3, 4, 5}}
	if lower, upper := confidence(many); lower < 1.5 || lower > 3 || upper < 3 || upper > 4.5 {
		t.Errorf("confidence = %v to %v, want it around 3 and narrower than the values", lower, upper)
	}
}

func TestNoLaneAlwaysFollowsTheSame(t *testing.T) {
	lanes := allLanes()
	before := map[string]map[string]bool{} // of each lane, those that it followed
	for round := range 2 * len(lanes) {
		order := inRound(lanes, round)
		for _, l := range lanes {
			if want := !l.seldom || round%seldomEvery == 0; slices.Contains(order, l) != want {
				t.Fatalf("lane %s in round %d: want %v", l.name, round, want)
			}
		}
		for i, l := range order[1:] {
			if before[l.name] == nil {
				before[l.name] = map[string]bool{}
			}
			before[l.name][order[i].name] = true
		}
	}
	for name, others := range before {
		if len(others) < 2 {
			t.Errorf("%s always follows %v", name, others)
		}
	}
}

func TestChooseLanes(t *testing.T) {
	lanes, err := chooseLanes([]string{"haproxy", "direct"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range lanes {
		names = append(names, l.name)
	}
	if want := []string{"direct", "caddy", "haproxy"}; !slices.Equal(names, want) {
		t.Errorf("lanes %v, want %v", names, want)
	}
	if _, err := chooseLanes([]string{"squid"}); err == nil {
		t.Error("an unknown lane was accepted")
	}
}
