package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/signal"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// logFlags are what the log command can be asked.
type logFlags struct {
	connection connection
	filters    map[string]*string
	limit      int
	follow     bool
	asJSON     bool
}

func logCommand() *cobra.Command {
	f := logFlags{filters: make(map[string]*string)}
	cmd := &cobra.Command{
		Use:   "log",
		Short: "Shows who changed what, and when",
		Long: `Shows the audit log, the newest lines last: for each change when it was made, by whom,
and what was before and after. With --follow it goes on with new ones until it is
interrupted. With --json each line is one JSON object.`,
		Example: `  caddy scopegate log --name acme --since 7d
  caddy scopegate log --action deactivate --json
  caddy scopegate log --follow`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.connection.flags(cmd)
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "Print JSON, one object a line")
	for name, usage := range map[string]string{
		"name":   "Only what concerns this account with its tokens, this account/name, API or file",
		"actor":  "Only changes by somebody whose description has this in it",
		"action": "Only this action, such as create, update, rotate, deactivate or delete",
		"kind":   "Only changes of this kind: api, account, token, file or store",
		"since":  "Only changes since a date, a time, or a time span ago, such as 7d",
	} {
		f.filters[name] = cmd.Flags().String(name, "", usage)
	}
	cmd.Flags().IntVar(&f.limit, "limit", defaultLogLimit, "How many lines at the most, before --follow")
	cmd.Flags().BoolVarP(&f.follow, "follow", "f", false, "Go on with new ones until interrupted")
	cmd.MarkFlagsMutuallyExclusive("follow", "store")
	return cmd
}

// query returns the parameters of the route.
func (f *logFlags) query() url.Values {
	query := make(url.Values)
	for name, value := range f.filters {
		if *value != "" {
			query.Set(name, *value)
		}
	}
	return query
}

func (f *logFlags) run(cmd *cobra.Command) error {
	return f.connection.with(reads, func(from *client) error {
		query := f.query()
		query.Set("limit", strconv.Itoa(f.limit))
		var entries []shownEntry
		if err := from.call(cmd.Context(), http.MethodGet, "/scopegate/log", query, "", nil, &entries); err != nil {
			return err
		}
		slices.Reverse(entries)
		if err := f.print(cmd.OutOrStdout(), entries); err != nil || !f.follow {
			return err
		}
		return f.goOn(cmd, from, entries)
	})
}

// retryFollow is how long --follow waits for a server that does not answer.
const retryFollow = time.Second

// goOn prints what comes, until it is interrupted. A server that is away for a while
// is told once and waited for.
func (f *logFlags) goOn(cmd *cobra.Command, from *client, shown []shownEntry) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	last, err := f.lastRevision(ctx, from, shown)
	if err != nil {
		return err
	}
	away := false
	for ctx.Err() == nil {
		query := f.query()
		query.Set("after", strconv.FormatUint(last, 10))
		if !away { // else it is to be seen at once that the server is back
			query.Set("wait", "30s")
		}
		query.Set("limit", strconv.Itoa(maxLogLimit))
		var entries []shownEntry
		err := from.call(ctx, http.MethodGet, "/scopegate/log", query, "", nil, &entries)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			if !away {
				notef(cmd, "waiting: %v", err)
			}
			away = true
			wait(ctx, retryFollow)
			continue
		case away:
			notef(cmd, "going on")
			away = false
		}
		if err := f.print(cmd.OutOrStdout(), entries); err != nil {
			return err
		}
		if n := len(entries); n > 0 {
			last = entries[n-1].Revision
		}
	}
	return nil
}

// lastRevision returns the revision after which new lines come.
func (f *logFlags) lastRevision(ctx context.Context, from *client, shown []shownEntry) (uint64, error) {
	if n := len(shown); n > 0 {
		return shown[n-1].Revision, nil
	}
	var s status
	err := from.get(ctx, "/scopegate/status", &s)
	return s.Revision, err
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// print prints lines of the log: for people, or as one JSON object each.
func (f *logFlags) print(w io.Writer, entries []shownEntry) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	people := forPeople(w)
	var errs []error
	for i := range entries {
		if f.asJSON {
			errs = append(errs, encoder.Encode(&entries[i]))
			continue
		}
		e := &entries[i]
		_, err := fmt.Fprintf(people, "%s  %d  %s %s %s, by %s\n", showTime(e.Time), e.Revision, e.Action, e.Kind, orDash(e.Name), e.Actor)
		errs = append(errs, err)
		for _, detail := range e.Details {
			fmt.Fprintf(people, "    %s\n", detail)
		}
	}
	return errors.Join(errs...)
}
