package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// wrkScript sends each request with one of the tokens of a file, and prints the result as a line of JSON.
//
//go:embed load.lua
var wrkScript []byte

// load is what wrk is asked for.
type load struct {
	url      string
	tokens   string // a file of credentials, one a line
	told     bool   // not to send them, but what an upstream is told of them
	conns    int
	duration time.Duration
	cpus     string // a CPU list for taskset; empty: any
}

// result is what wrk found, as load.lua prints it.
type result struct {
	Requests   int     `json:"requests"`
	DurationUS float64 `json:"duration_us"`
	P50US      float64 `json:"p50_us"`
	P99US      float64 `json:"p99_us"`
	Refused    int     `json:"refused"` // answers with a status of 400 and above
	Failed     int     `json:"failed"`  // connections, reads, writes and timeouts
}

// errNoResult is returned for wrk's output without the line that load.lua prints.
var errNoResult = errors.New("no result in the output of wrk")

// writeWrkScript puts the script where wrk can read it, and returns its path.
func writeWrkScript(dir string) (string, error) {
	path := filepath.Join(dir, "load.lua")
	return path, os.WriteFile(path, wrkScript, 0o600)
}

// run puts the load on the server. One thread of wrk outruns any of the gateways, and has the whole of its CPU.
func (l load) run(ctx context.Context, script string) (result, error) {
	command := pinned(l.cpus, "wrk", "-t1", "-c"+strconv.Itoa(l.conns), "-d"+strconv.Itoa(int(l.duration.Seconds()))+"s",
		"--timeout", "10s", "-s", script, l.url, "--", l.tokens)
	if l.told {
		command = append(command, "told")
	}
	out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
	if err != nil {
		return result{}, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	return parseWrk(out)
}

// parseWrk finds the result in wrk's output.
func parseWrk(out []byte) (result, error) {
	for line := range bytes.Lines(out) {
		if !bytes.HasPrefix(line, []byte(`{"requests":`)) {
			continue
		}
		var r result
		if err := json.Unmarshal(line, &r); err != nil {
			return result{}, fmt.Errorf("result of wrk: %w", err)
		}
		return r, nil
	}
	return result{}, fmt.Errorf("%w:\n%s", errNoResult, out)
}

// check tells whether the answers were those that the lane must get.
func (r result) check(l *lane) error {
	switch {
	case r.Requests == 0:
		return fmt.Errorf("%s: no request was answered", l.name)
	case r.Failed > 0:
		return fmt.Errorf("%s: %d of %d requests had no answer", l.name, r.Failed, r.Requests)
	case l.denied && r.Refused != r.Requests:
		return fmt.Errorf("%s: of %d requests with unknown tokens %d were refused", l.name, r.Requests, r.Refused)
	case !l.denied && r.Refused > 0:
		return fmt.Errorf("%s: %d of %d requests were refused", l.name, r.Refused, r.Requests)
	}
	return nil
}

// sample is the measurement, given the CPU time that the server used meanwhile.
func (r result) sample(cpu time.Duration) sample {
	return sample{
		requestsPerSecond: float64(r.Requests) / r.DurationUS * 1e6,
		p50:               r.P50US,
		p99:               r.P99US,
		cpu:               cpu.Seconds() * 1e6 / float64(r.Requests),
	}
}
