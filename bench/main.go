package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// options are what the command line sets.
type options struct {
	caddy    string        // the binary of the plain Caddy and the Scopegate lanes
	lanes    []string      // in the order of the report
	tokens   int           // tokens in the scope file and in the maps
	sent     int           // of these, how many are sent, each request with one at random
	rounds   int           // in all starts together
	starts   int           // how often the servers are started anew
	duration time.Duration // of one measurement, in whole seconds
	warmup   time.Duration // of each lane after each start, in whole seconds
	conns    int           // connections of the load generator
	size     int           // bytes of the upstream's body
	pin      bool          // one CPU for the gateway, the rest for load and upstream
	keep     bool          // leave the folder with configurations and logs behind
}

func main() {
	o, err := parseOptions(os.Args[1:])
	if err != nil {
		os.Exit(2) // the flag package has said why
	}
	// Children die with the thread that started them, see ownGroup: so it must be a thread that stays.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = run(ctx, o)
	if ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// parseOptions reads the command line. An error has been printed, with the usage, by the flag package or here.
func parseOptions(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	lanes := flags.String("lanes", strings.Join(laneNames(), ","), "lanes to measure; ratios are to caddy, which is always one of them")
	flags.StringVar(&o.caddy, "caddy", "../caddy", "Caddy with the Scopegate modules")
	flags.IntVar(&o.tokens, "tokens", 10_000, fmt.Sprintf("tokens that the gateways know, up to %d", maxTokens))
	flags.IntVar(&o.sent, "sent", 10_000, "tokens that requests draw from at random, at most the ones there are")
	flags.IntVar(&o.rounds, "rounds", 50, "rounds, in all starts together")
	flags.IntVar(&o.starts, "starts", 5, "how often the servers are started anew, at most once a round")
	flags.DurationVar(&o.duration, "duration", time.Second, "duration of one measurement, in whole seconds")
	flags.DurationVar(&o.warmup, "warmup", time.Second, "load on each lane after each start, in whole seconds")
	flags.IntVar(&o.conns, "conns", 64, "connections")
	flags.IntVar(&o.size, "size", 1024, "bytes of the upstream's body, up to 1 MiB")
	flags.BoolVar(&o.pin, "pin", runtime.NumCPU() > 1, "give the gateway one CPU, load generator and upstream the others")
	flags.BoolVar(&o.keep, "keep", false, "keep the folder with configurations and logs")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.lanes = strings.Split(*lanes, ",")
	o.sent = min(o.sent, o.tokens)
	o.starts = min(o.starts, o.rounds)
	if err := o.check(); err != nil {
		fmt.Fprintln(flags.Output(), "bench:", err)
		return o, err
	}
	return o, nil
}

func (o *options) check() error {
	switch {
	case o.tokens < 1 || o.sent < 1 || o.rounds < 1 || o.starts < 1 || o.conns < 1:
		return fmt.Errorf("-tokens, -sent, -rounds, -starts and -conns are at least 1")
	case o.tokens > maxTokens:
		return fmt.Errorf("-tokens is %d, want at most %d: a larger scope file is refused", o.tokens, maxTokens)
	case o.size < 0 || o.size > 1<<20:
		return fmt.Errorf("-size is %d, want 0 to %d", o.size, 1<<20)
	case o.duration < time.Second || o.duration%time.Second != 0 || o.warmup < time.Second || o.warmup%time.Second != 0:
		return fmt.Errorf("-duration and -warmup are whole seconds, such as 2s")
	case o.pin && runtime.NumCPU() < 2:
		return fmt.Errorf("-pin needs two CPUs")
	}
	return nil
}

// run sets everything up in a temporary folder, measures, reports, and takes everything down again.
func run(ctx context.Context, o options) (err error) {
	caddy, err := filepath.Abs(o.caddy)
	if err != nil {
		return err
	}
	o.caddy = caddy
	dir, err := os.MkdirTemp("", "scopegate-bench-")
	if err != nil {
		return err
	}
	defer func() {
		if o.keep {
			fmt.Println("configurations and logs are in", dir)
			return
		}
		if removeErr := os.RemoveAll(dir); err == nil {
			err = removeErr
		}
	}()
	t := &track{options: o, dir: dir}
	defer t.stop()
	if err := t.open(); err != nil {
		return err
	}
	if err := t.measure(ctx); err != nil {
		return err
	}
	return t.report(ctx, os.Stdout)
}
