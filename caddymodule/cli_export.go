package caddymodule

import (
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func exportCommand() *cobra.Command {
	var c connection
	var owner, account string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Prints the store as a scope file",
		Long: `Prints what the store has as a scope file, sorted by name: APIs, accounts and
tokens, without credentials and without deleted tokens. Applied to the same store,
it changes nothing.

--owner prints only what the files of one owner declare; "" is the shared owner.
--account prints only one account, without the APIs.`,
		Example: `  caddy scopegate export > scopes.yaml
  caddy scopegate export --account acme
  caddy scopegate export | caddy scopegate plan -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := make(url.Values)
			for name, value := range map[string]string{"owner": owner, "account": account} {
				if cmd.Flags().Changed(name) {
					query.Set(name, value)
				}
			}
			return c.with(reads, func(to *client) error {
				var file []byte
				if err := to.call(cmd.Context(), http.MethodGet, "/scopegate/export", query, "", nil, &file); err != nil {
					return err
				}
				_, err := cmd.OutOrStdout().Write(file)
				return err
			})
		},
	}
	c.flags(cmd)
	cmd.Flags().StringVar(&owner, "owner", "", "Only what this owner's scope files declare")
	cmd.Flags().StringVar(&account, "account", "", "Only this account and its tokens")
	return cmd
}
