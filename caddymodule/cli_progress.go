package caddymodule

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// progressInterval is how often long work is asked about, and how long work takes
// before it is called long.
const progressInterval = time.Second

// watchWork shows on standard error how far a request is that takes long, if that
// is a terminal, until the function that it returns is called.
func watchWork(cmd *cobra.Command, to *client) (stop func()) {
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return func() {}
	}
	ticker := time.NewTicker(progressInterval)
	stop = showProgress(cmd.Context(), os.Stderr, ticker.C, func(ctx context.Context) string {
		var s status
		if err := to.get(ctx, "/scopegate/status", &s); err != nil || s.Working == nil {
			return "reading"
		}
		return fmt.Sprintf("%s: %d of %d", s.Working.What, s.Working.Done, s.Working.Total)
	})
	return func() {
		ticker.Stop()
		stop()
	}
}

// showProgress writes a line anew at each tick: what is being done, and for how
// long. The function that it returns removes the line.
func showProgress(ctx context.Context, w io.Writer, ticks <-chan time.Time, what func(context.Context) string) (stop func()) {
	const anew = "\r\x1b[K"
	ctx, cancel := context.WithCancel(ctx)
	begun := time.Now()
	var showing sync.WaitGroup
	showing.Go(func() {
		for {
			select {
			case <-ctx.Done():
				fmt.Fprint(w, anew)
				return
			case <-ticks:
				fmt.Fprintf(w, anew+"%s (%ds)", what(ctx), int(time.Since(begun).Seconds()))
			}
		}
	})
	return func() {
		cancel()
		showing.Wait()
	}
}
