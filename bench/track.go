package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// startLimit is how long a server may take from its start to its first right answer, reading its tokens included.
const startLimit = 5 * time.Minute

// track is one run of the bench: the servers, and the lanes to measure.
type track struct {
	options

	dir         string
	script      string // of wrk
	gatewayCPUs string // CPU lists for taskset; empty: any
	loadCPUs    string
	servers     map[string]*server
	lanes       []*lane
}

// open writes the estate and configures every server that a lane needs.
func (t *track) open() error {
	var err error
	if t.lanes, err = chooseLanes(t.options.lanes); err != nil {
		return err
	}
	if err := t.shareCPUs(); err != nil {
		return err
	}
	if t.script, err = writeWrkScript(t.dir); err != nil {
		return err
	}
	// Workers of nginx that run as another user put their temporary files there.
	if err := os.Mkdir(filepath.Join(t.dir, "tmp"), 0o750); err != nil {
		return err
	}
	return t.configure()
}

// shareCPUs gives the gateways the last CPU, so that all have the same, and the rest to what loads them.
func (t *track) shareCPUs() error {
	if !t.pin {
		return nil
	}
	cpus, err := allowedCPUs()
	if err != nil {
		return err
	}
	if len(cpus) < 2 {
		return errors.New("-pin needs two CPUs that this process may use")
	}
	var list []string
	for _, cpu := range cpus {
		list = append(list, strconv.Itoa(cpu))
	}
	last := len(list) - 1
	t.gatewayCPUs, t.loadCPUs = list[last], strings.Join(list[:last], ",")
	return nil
}

// configure writes everything that the servers read.
func (t *track) configure() error {
	names := []string{"upstream"}
	for _, l := range t.lanes {
		names = append(names, l.server)
	}
	addresses, err := freeAddresses(len(names))
	if err != nil {
		return err
	}
	upstream := addresses[0]
	if err := writeEstate(t.dir, upstream, t.tokens, t.sent); err != nil {
		return err
	}
	workers := runtime.NumCPU()
	if t.pin {
		workers = 1
	}
	recipes := recipes(t.caddy)
	t.servers = map[string]*server{}
	for i, name := range names {
		if t.servers[name] != nil {
			continue
		}
		t.servers[name], err = newServer(settings{
			Dir: t.dir, Name: name, Listen: addresses[i], Upstream: upstream,
			Workers: workers, Tokens: t.tokens, Body: bodyOf(t.size),
		}, recipes)
		if err != nil {
			return err
		}
	}
	return nil
}

// start runs the servers, and waits until each answers as its lanes expect.
func (t *track) start(ctx context.Context) error {
	for name, s := range t.servers {
		cpus := t.gatewayCPUs
		if name == "upstream" {
			cpus = t.loadCPUs
		}
		if err := s.start(t.dir, cpus); err != nil {
			return err
		}
	}
	known, unknown := credentials(1, 1)[0], credentials(2, 1)[0]
	for _, l := range t.lanes {
		if err := t.await(ctx, l, known, http.StatusOK); err != nil {
			return err
		}
		if !l.guarded {
			continue
		}
		for _, credential := range []string{"", unknown} {
			if err := t.await(ctx, l, credential, http.StatusForbidden); err != nil {
				return err
			}
		}
	}
	return nil
}

// await asks a lane's server until it answers with the wanted status.
func (t *track) await(ctx context.Context, l *lane, credential string, want int) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	s := t.servers[l.server]
	for {
		got, err := t.probe(ctx, s, credential)
		if err == nil && got == want {
			return nil
		}
		if ended := s.alive(); ended != nil {
			return ended
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: waiting for status %d, last was %d, error %w", l.name, want, got, errors.Join(err, ctx.Err()))
		}
	}
}

// probe sends one request and returns the status. A body that is not the upstream's whole one is an error.
func (t *track) probe(ctx context.Context, s *server, credential string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+requestPath, nil)
	if err != nil {
		return 0, err
	}
	if credential != "" {
		request.Header.Set("Authorization", "Bearer "+credential)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	read, err := io.Copy(io.Discard, response.Body)
	if err == nil && response.StatusCode == http.StatusOK && read < int64(t.size) {
		err = fmt.Errorf("%s answers with %d bytes, want %d", s.name, read, t.size)
	}
	return response.StatusCode, err
}

// measure runs the rounds, in as many starts of the servers: processes of the same program differ by a percent or two
// for as long as they live. The caller stops the servers, should it return an error.
func (t *track) measure(ctx context.Context) error {
	takes := time.Duration(t.starts*len(t.lanes)) * t.warmup
	for round := range t.rounds {
		takes += time.Duration(len(inRound(t.lanes, round))) * t.duration
	}
	fmt.Fprintf(os.Stderr, "measuring %d lanes in %d rounds, %s\n", len(t.lanes), t.rounds, takes)
	for start := range t.starts {
		if err := t.start(ctx); err != nil {
			return err
		}
		if err := t.measureStart(ctx, start); err != nil {
			return err
		}
		t.stop()
	}
	return nil
}

// measureStart warms every lane up, then runs the rounds of one start.
func (t *track) measureStart(ctx context.Context, start int) error {
	for _, l := range t.lanes {
		if _, err := t.once(ctx, l, t.warmup); err != nil {
			return err
		}
	}
	for round := t.rounds * start / t.starts; round < t.rounds*(start+1)/t.starts; round++ {
		for _, l := range inRound(t.lanes, round) {
			s, err := t.once(ctx, l, t.duration)
			if err != nil {
				return err
			}
			s.start, s.round = start, round
			l.samples = append(l.samples, s)
		}
	}
	return nil
}

// once puts load on one lane and measures it.
func (t *track) once(ctx context.Context, l *lane, duration time.Duration) (sample, error) {
	s := t.servers[l.server]
	tokens := knownFile
	if l.denied {
		tokens = unknownFile
	}
	before, err := s.cpu()
	if err != nil {
		return sample{}, err
	}
	r, err := load{
		url: "http://" + s.address + requestPath, tokens: filepath.Join(t.dir, tokens), told: l.told,
		conns: t.conns, duration: duration, cpus: t.loadCPUs,
	}.run(ctx, t.script)
	if err != nil {
		return sample{}, errors.Join(err, s.alive())
	}
	after, err := s.cpu()
	if err != nil {
		return sample{}, err
	}
	if err := r.check(l); err != nil {
		return sample{}, err
	}
	return r.sample(after - before), nil
}

// stop ends what start started.
func (t *track) stop() {
	for _, s := range t.servers {
		s.stop()
	}
}
