package caddymodule

import "github.com/spf13/cobra"

func statusCommand() *cobra.Command {
	var c connection
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Shows the store and the nodes that decide with it",
		Example: "  caddy scopegate status --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s status
			if err := c.with(reads, func(from *client) error {
				return from.get(cmd.Context(), "/scopegate/status", &s)
			}); err != nil {
				return err
			}
			return show(cmd, asJSON, s, s.write)
		},
	}
	c.flags(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}
