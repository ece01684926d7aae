package caddymodule

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// jsonFlag gives a command the flag --json.
func jsonFlag(cmd *cobra.Command, asJSON *bool) {
	cmd.Flags().BoolVar(asJSON, "json", false, "Print JSON, for programs")
}

// show prints what a command has to say: as one line of JSON, or as the text that
// write makes for people.
func show(cmd *cobra.Command, asJSON bool, value any, write func(io.Writer)) error {
	if asJSON {
		encoder := json.NewEncoder(cmd.OutOrStdout())
		encoder.SetEscapeHTML(false)
		return encoder.Encode(value)
	}
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	write(forPeople(table))
	return table.Flush()
}

// notef prints what is not the command's result, but about it.
func notef(cmd *cobra.Command, format string, args ...any) {
	fmt.Fprintf(forPeople(cmd.ErrOrStderr()), format+"\n", args...)
}

// noteProblems prints what is wrong with a scope file, or only worth a warning.
func noteProblems(cmd *cobra.Command, problems, warnings []problem) {
	for _, p := range problems {
		notef(cmd, "%s", p)
	}
	for _, w := range warnings {
		w.Text = "warning: " + w.Text
		notef(cmd, "%s", w)
	}
}

// showTime returns a time for people, "-" for none.
func showTime(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// orDash returns s, or "-" where a table would have a hole.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
