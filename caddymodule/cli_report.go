package caddymodule

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func reportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "report COMMAND",
		Short: "Tells what tokens are used for, and which need attention",
		Long: `Tells what tokens are used for, and which need attention. Each report rests on a window
of time before now, which it states: --window takes a longer or a shorter one. What was
counted is kept by hour for 35 days, and by day for 400.`,
		Example: `  caddy scopegate report usage
  caddy scopegate report errors --window 24h
  caddy scopegate report overprivileged --token acme/nightly-sync
  caddy scopegate report rotation --json`,
	}
	onlySubcommands(cmd)
	cmd.AddCommand(
		reportOf("attention", "Tells which tokens somebody should look at", `Counts the active tokens that expire within 30 days, whose credential is due for rotation,
that fail, use a deprecated version, have no credential, are unused, or may do twice what
they do; and lists the ten most urgent of each.`, "90d", writeAttention),
		reportOf("usage", "Shows what each token was used for", `Shows how often each token was used, how often it was refused, how its requests were
answered and how fast, the most used first. With --token it goes to the operation.`, "7d", writeUsage),
		reportOf("errors", "Lists who is refused, why, and since when", `Lists what was refused, or would have been by a site in shadow: which token, the reason,
the operation, how often, and when first and last in the window. A line without a token is
of requests that had no known credential.`, "7d", writeErrors),
		reportOf("unused", "Lists the active tokens that nobody uses", `Lists the active tokens that are older than the window and had no request in it, not even
one that was refused. Where counting does not cover the window, it says so and lists none.`, "90d", writeUnused),
		reportOf("overprivileged", "Compares what tokens may do with what they do", `Compares what each active token may do with what it was used for. An operation counts once
for each version and method. With --token it goes to the operation; "suggest" has the
scopes that would be enough.`, "90d", writeOverprivileged),
		reportOf("rotation", "Lists the credentials that are due for rotation", `Lists the active tokens whose credential is older than their rotate_every, one quarter if
they have none, or will be within 30 days; and those that are being rotated, with whether
the new credential is in use and the old one still is.`, "90d", writeRotation),
		reportOf("legacy", "Lists the tokens with access to every API, and the scopes that they need", `Lists the legacy tokens: those with access to every API instead of scopes. With --json
each has the scopes that cover what it was used for in the window.`, "90d", writeLegacy),
		reportOf("contacts", "Lists whom to ask about tokens", `Lists the contacts of the active tokens, who has the most first, and the tokens of which
nobody can be asked.`, "", writeContacts),
		reportOf("shadow", "Tells when it is safe to enforce what is in shadow", `Holds what tokens with shadow scopes were used for in the window against these scopes, and
lists what sites in shadow have let through.`, "30d", writeShadow),
		reportOf("deprecated", "Lists who still uses versions that are deprecated", `Lists the versions that the scope file has as deprecated, each with its sunset, with how many
active tokens may use it, and with those that have used it in the window: when last, and whom
to ask. With --token or --json also those that may use it and have not.`, "30d", writeDeprecated),
	)
	return cmd
}

// windowFlags are the flags of what looks back.
type windowFlags struct{ window, token string }

func (f *windowFlags) add(cmd *cobra.Command, window string) {
	if window != "" {
		cmd.Flags().StringVar(&f.window, "window", window, "How far to look back, such as 24h, 30d or 12w; at most 400d")
	}
	cmd.Flags().StringVar(&f.token, "token", "", "Only this token: account/name, or its id")
}

// ask gets a report of the window, to the operation if it is of one token.
func (f *windowFlags) ask(ctx context.Context, from *client, path string, detail bool, report any) error {
	query := make(url.Values)
	if f.window != "" {
		query.Set("window", f.window)
	}
	if f.token != "" {
		if err := checkRef(f.token); err != nil {
			return err
		}
		query.Set("token", f.token)
	}
	if detail || f.token != "" {
		query.Set("detail", "")
	}
	return from.call(ctx, http.MethodGet, "/scopegate/"+path, query, "", nil, report)
}

// reportOf returns the command for a report.
func reportOf[R any](name, short, long, window string, write func(io.Writer, *R)) *cobra.Command {
	var c connection
	var f windowFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:     name,
		Short:   short,
		Long:    long,
		Example: "  caddy scopegate report " + name + "\n  caddy scopegate report " + name + " --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			report := new(R)
			if err := c.with(reads, func(from *client) error {
				return f.ask(cmd.Context(), from, "reports/"+name, asJSON, report)
			}); err != nil {
				return err
			}
			return showTable(cmd, asJSON, report, func(w io.Writer) { write(w, report) })
		},
	}
	c.flags(cmd)
	f.add(cmd, window)
	jsonFlag(cmd, &asJSON)
	return cmd
}
