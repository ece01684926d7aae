package caddymodule

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func reportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "report COMMAND",
		Short:   "Tells which tokens need attention",
		Example: "  caddy scopegate report legacy",
	}
	onlySubcommands(cmd)
	cmd.AddCommand(reportLegacyCommand())
	return cmd
}

func reportLegacyCommand() *cobra.Command {
	var c connection
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "legacy",
		Short: "Lists the tokens with access to every API, and the scopes that equal it",
		Long: `Lists the legacy tokens: those with access to every API instead of scopes. With --json
each has the scopes that equal its access today, to begin with when it is made a
scoped token.`,
		Example: `  caddy scopegate report legacy
  caddy scopegate report legacy --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var report legacyReport
			if err := c.with(reads, func(from *client) error {
				return from.get(cmd.Context(), "/scopegate/reports/legacy", &report)
			}); err != nil {
				return err
			}
			return showTable(cmd, asJSON, report, report.write)
		},
	}
	c.flags(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// write prints the report for people.
func (l *legacyReport) write(w io.Writer) {
	if len(l.Tokens) == 0 {
		fmt.Fprintln(w, "No legacy tokens: every token has scopes.")
		return
	}
	fmt.Fprintln(w, "TOKEN\tSTATE\tACCESS\tAPIS\tOPERATIONS\tCONTACT")
	for i := range l.Tokens {
		t := &l.Tokens[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\n", t.Token, t.stateText(), t.Access, len(t.Scopes), t.Operations, t.Contact.Email)
	}
	fmt.Fprintf(w, "\nAPIs and operations are %s.\n", l.Basis)
}
