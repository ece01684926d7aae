package caddymodule

import (
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func clusterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "cluster COMMAND",
		Short:   "Manages what several nodes have in common",
		Example: "  caddy scopegate cluster reset --force",
	}
	onlySubcommands(cmd)
	cmd.AddCommand(resetCommand())
	return cmd
}

func resetCommand() *cobra.Command {
	var c connection
	var force bool
	cmd := &cobra.Command{
		Use:   "reset --force",
		Short: "Drops every API, account and token, on every node, for ever",
		Long: `Drops every API, account and token, on every node, for ever, nodes that are away
included: they drop theirs when they come back. Afterwards apply the scope file. A Redis
that has lost its data needs no reset: the nodes fill it again.`,
		Example: "  caddy scopegate cluster reset --force",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var done waited
			query := make(url.Values)
			if force {
				query.Set("force", "true")
			}
			if err := c.with(changes, func(to *client) error {
				return to.call(cmd.Context(), http.MethodPost, "/scopegate/cluster/reset", query, "", nil, &done)
			}); err != nil {
				return err
			}
			return show(cmd, false, done, func(w io.Writer) {
				fmt.Fprintf(w, "The cluster is empty, at revision %d. Apply the scope file now.\n", done.Revision)
			})
		},
	}
	c.flags(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "Do it")
	return cmd
}
