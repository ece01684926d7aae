package caddymodule

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

func accountCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "account COMMAND",
		Short: "Lists accounts, and makes or deletes one",
		Long: `Lists accounts, and makes or deletes one. An account is the tenant that owns tokens; a
scope file and "token create" make the accounts that they name.`,
		Example: `  caddy scopegate account list
  caddy scopegate account create globex --title "Globex Corp" --id IRab12cd34`,
	}
	onlySubcommands(cmd)
	cmd.AddCommand(accountListCommand(), accountShowCommand(), accountCreateCommand(), accountDeleteCommand())
	return cmd
}

func accountListCommand() *cobra.Command {
	var c connection
	var asJSON bool
	var search string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "Lists accounts by name",
		Example: "  caddy scopegate account list\n  caddy scopegate account list --search corp",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := make(url.Values)
			if search != "" {
				query.Set("search", search)
			}
			var accounts []shownAccount
			if err := c.with(reads, func(from *client) error {
				return from.call(cmd.Context(), http.MethodGet, "/scopegate/accounts", query, "", nil, &accounts)
			}); err != nil {
				return err
			}
			return showTable(cmd, asJSON, accounts, func(w io.Writer) { writeAccounts(w, accounts) })
		},
	}
	c.flags(cmd)
	cmd.Flags().StringVar(&search, "search", "", "Only those that have this in their name, title or ids")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func accountShowCommand() *cobra.Command {
	return oneAccountCommand(reads, &cobra.Command{
		Use:     "show ACCOUNT",
		Short:   "Shows one account",
		Example: "  caddy scopegate account show acme",
	}, http.MethodGet, writeAccount)
}

func accountDeleteCommand() *cobra.Command {
	return oneAccountCommand(changes, &cobra.Command{
		Use:   "delete ACCOUNT",
		Short: "Deletes an account that has no tokens any more",
		Long: `Deletes an account that has no tokens but deleted ones. A scope file that declares it
makes it again.`,
		Example: "  caddy scopegate account delete acme",
	}, http.MethodDelete, func(w io.Writer, a *shownAccount) { fmt.Fprintf(w, "%s is deleted.\n", a.Name) })
}

// oneAccountCommand completes a command about one account.
func oneAccountCommand(use storeUse, cmd *cobra.Command, method string, write func(io.Writer, *shownAccount)) *cobra.Command {
	var c connection
	var asJSON bool
	cmd.Args = cobra.ExactArgs(1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !isAccount.MatchString(args[0]) {
			return errNoAccount
		}
		var a shownAccount
		if err := c.with(use, func(to *client) error {
			return to.call(cmd.Context(), method, "/scopegate/accounts/"+args[0], nil, "", nil, &a)
		}); err != nil {
			return err
		}
		return show(cmd, asJSON, a, func(w io.Writer) { write(w, &a) })
	}
	c.flags(cmd)
	if use != reads {
		c.waitFlag(cmd)
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func accountCreateCommand() *cobra.Command {
	var c connection
	var asJSON bool
	var wanted wantedAccount
	cmd := &cobra.Command{
		Use:     "create ACCOUNT",
		Short:   "Makes an account without tokens",
		Example: `  caddy scopegate account create globex --title "Globex Corp" --id IRab12cd34 --max-active-tokens 50`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if wanted.Name = args[0]; !isAccount.MatchString(wanted.Name) {
				return errNoAccount
			}
			var a shownAccount
			if err := c.with(changes, func(to *client) error {
				return to.sendJSON(cmd.Context(), http.MethodPost, "/scopegate/accounts", nil, wanted, &a)
			}); err != nil {
				return err
			}
			return show(cmd, asJSON, a, func(w io.Writer) { fmt.Fprintf(w, "%s is created.\n", a.Name) })
		},
	}
	c.flags(cmd)
	c.waitFlag(cmd)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().StringVar(&wanted.Title, "title", "", "The account's name for people")
	cmd.Flags().StringArrayVar(&wanted.IDs, "id", nil, "Another name that an API's account parameter may have; may be repeated")
	cmd.Flags().IntVar(&wanted.MaxActiveTokens, "max-active-tokens", 0, "How many scoped tokens may be active (default 20)")
	return cmd
}

// writeAccounts prints a table of accounts. Columns are separated by tabs.
func writeAccounts(w io.Writer, accounts []shownAccount) {
	fmt.Fprintln(w, "ACCOUNT\tACTIVE TOKENS\tIDS\tTITLE")
	for i := range accounts {
		a := &accounts[i]
		fmt.Fprintf(w, "%s\t%d of %d\t%s\t%s\n", a.Name, a.ActiveTokens, a.MaxActiveTokens,
			orDash(strings.Join(a.IDs, " ")), orDash(a.Title))
	}
}

// writeAccount prints all of one account.
func writeAccount(w io.Writer, a *shownAccount) {
	fmt.Fprintf(w, "account\t%s\n", a.Name)
	if a.Title != "" {
		fmt.Fprintf(w, "title\t%s\n", a.Title)
	}
	for _, id := range a.IDs {
		fmt.Fprintf(w, "id\t%s\n", id)
	}
	fmt.Fprintf(w, "active tokens\t%d of %d\n", a.ActiveTokens, a.MaxActiveTokens)
	fmt.Fprintf(w, "created\t%s\n", showTime(a.Created))
	fmt.Fprintf(w, "updated\t%s, revision %d\n", showTime(a.Updated), a.Revision)
}
