package caddymodule

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func notifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "notify COMMAND",
		Short:   "Manages the messages that people get of tokens",
		Example: "  caddy scopegate notify test",
	}
	onlySubcommands(cmd)
	cmd.AddCommand(notifyTestCommand())
	return cmd
}

func notifyTestCommand() *cobra.Command {
	var c connection
	var to string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "test",
		Short: "Sends a test message by each channel, and tells what came of it",
		Long: `Has the running server send a test message by each channel that its block notify names,
at once, and tells what came of it. Mail goes to the operator, or to the address in --to.
The exit code is 1 if one was not delivered.`,
		Example: `  caddy scopegate notify test
  caddy scopegate notify test --to data@acme.example
  caddy scopegate notify test --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.store != "" {
				return errors.New("messages are sent by a running server, not from a store file; leave out --store")
			}
			query := make(url.Values)
			if cmd.Flags().Changed("to") {
				query.Set("to", to)
			}
			var tests messageTests
			if err := c.with(reads, func(at *client) error {
				return at.call(cmd.Context(), http.MethodPost, "/scopegate/notify/test", query, "", nil, &tests)
			}); err != nil {
				return err
			}
			if err := showTable(cmd, asJSON, tests, tests.write); err != nil {
				return err
			}
			return tests.failure()
		},
	}
	c.flags(cmd)
	cmd.Flags().StringVar(&to, "to", "", "Where mail goes (default: the operator)")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// failure says how many messages were not delivered; nil if all were.
func (t *messageTests) failure() error {
	failed := 0
	for i := range t.Results {
		if !t.Results[i].Delivered {
			failed++
		}
	}
	if failed == 0 {
		return nil
	}
	return fmt.Errorf("%s of %d not delivered", count(failed, "message"), len(t.Results))
}

// write prints what came of each message, for people.
func (t *messageTests) write(w io.Writer) {
	fmt.Fprintln(w, "CHANNEL\tTO\tRESULT")
	for i := range t.Results {
		r := &t.Results[i]
		result := fmt.Sprintf("delivered in %.1f s", r.Seconds)
		if !r.Delivered {
			result = "failed: " + r.Error
		}
		to := r.To
		if to == "" {
			to = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", r.Channel, to, result)
	}
}
