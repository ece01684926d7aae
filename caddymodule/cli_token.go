package caddymodule

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// Why a text names no token. They say nothing of the text: it may be a secret.
var (
	errNoName           = errors.New("expected a token as account/name, or by its id (tok_…)")
	errNoAccount        = errors.New("expected the name of an account")
	errCredentialAsName = errors.New("this is a credential; expected a token as account/name, or by its id (tok_…)")
)

func tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token COMMAND",
		Short: "Lists tokens, and changes one",
		Long: `Lists tokens, and changes one. A token is named account/name, or by its id (tok_…).

Where scopes are kept in a scope file, declare tokens there: see "apply". What is
changed here of a token that a file declares stays until the file changes it too.`,
		Example: `  caddy scopegate token list --account acme
  caddy scopegate token create acme/nightly-sync --description "Copies orders" \
      --contact data@acme.example --scope orders:v1:GET --issue
  caddy scopegate token rotate acme/nightly-sync --overlap 7d
  caddy scopegate token deactivate acme/nightly-sync`,
	}
	onlySubcommands(cmd)
	cmd.AddCommand(listCommand(), showCommand(), createCommand(), updateCommand(),
		issueCommand(), rotateCommand(), retireCommand(), importCommand(), deleteCommand(),
		switchCommand("activate", "Ends a deactivation: the token is accepted again", "is accepted again"),
		switchCommand("deactivate", "Refuses a token until it is activated, whatever a scope file says", "is refused until it is activated"))
	return cmd
}

func listCommand() *cobra.Command {
	var c connection
	var asJSON bool
	filters := make(map[string]*string)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Lists tokens by account and name, without those that were deleted",
		Example: `  caddy scopegate token list --account acme
  caddy scopegate token list --state inactive
  caddy scopegate token list --api orders --expiring 30d
  caddy scopegate token list --search warehouse
  caddy scopegate token list --access legacy --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := make(url.Values)
			for name, value := range filters {
				if *value != "" {
					query.Set(name, *value)
				}
			}
			var tokens []shownToken
			if err := c.with(reads, func(from *client) error {
				return from.call(cmd.Context(), http.MethodGet, "/scopegate/tokens", query, "", nil, &tokens)
			}); err != nil {
				return err
			}
			return showTable(cmd, asJSON, tokens, func(w io.Writer) { writeTokens(w, tokens) })
		},
	}
	c.flags(cmd)
	jsonFlag(cmd, &asJSON)
	for name, usage := range map[string]string{
		"account":  "Only the tokens of this account",
		"state":    "Only those that are active, inactive or deleted",
		"api":      "Only those that may use this API",
		"contact":  "Only those whose contact's address has this in it",
		"expiring": "Only those that expire within this time, such as 30d, or have expired",
		"search":   "Only those that have this in account/name, description or contact",
		"access":   "Only those that are scoped, legacy, read_only or read_write",
	} {
		filters[name] = cmd.Flags().String(name, "", usage)
	}
	return cmd
}

func showCommand() *cobra.Command {
	var c connection
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "show TOKEN",
		Short:   "Shows one token",
		Example: "  caddy scopegate token show acme/nightly-sync",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var t shownToken
			if err := c.withToken(reads, args[0], func(from *client, path string) error {
				return from.get(cmd.Context(), path, &t)
			}); err != nil {
				return err
			}
			return show(cmd, asJSON, t, func(w io.Writer) { writeToken(w, &t) })
		},
	}
	c.flags(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// switchCommand makes the command that activates or deactivates a token.
func switchCommand(action, short, outcome string) *cobra.Command {
	var c connection
	var asJSON bool
	cmd := &cobra.Command{
		Use:     action + " TOKEN",
		Short:   short,
		Example: "  caddy scopegate token " + action + " acme/nightly-sync",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var t shownToken
			if err := c.withToken(changes, args[0], func(to *client, path string) error {
				return to.post(cmd.Context(), path+"/"+action, &t)
			}); err != nil {
				return err
			}
			return show(cmd, asJSON, t, func(w io.Writer) { fmt.Fprintf(w, "%s (%s) %s.\n", t.Token, t.ID, outcome) })
		},
	}
	c.flags(cmd)
	c.waitFlag(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func deleteCommand() *cobra.Command {
	var c connection
	var asJSON, yes bool
	cmd := &cobra.Command{
		Use:   "delete TOKEN",
		Short: "Deletes a token for ever",
		Long: `Deletes a token for ever: its credentials are refused from now on, and neither they
nor its id can ever be used again. A scope file that still lists it does not bring
it back. To refuse a token for a while, deactivate it.`,
		Example: "  caddy scopegate token delete acme/nightly-sync",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var t shownToken
			if err := c.withToken(changes, args[0], func(to *client, path string) error {
				if !yes {
					var err error
					if path, err = confirmDelete(cmd, to, path); err != nil {
						return err
					}
				}
				return to.call(cmd.Context(), http.MethodDelete, path, nil, "", nil, &t)
			}); err != nil {
				return err
			}
			return show(cmd, asJSON, t, func(w io.Writer) { fmt.Fprintf(w, "%s (%s) is deleted.\n", t.Token, t.ID) })
		},
	}
	c.flags(cmd)
	c.waitFlag(cmd)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "Do not ask")
	return cmd
}

// errNotConfirmed: nothing was deleted, since nobody said so.
var errNotConfirmed = errors.New("nothing was deleted")

// confirmDelete asks whether to delete the token at a path, and returns the path
// of the one that was meant: by its id, since the name may be another token's
// when the answer comes. Without a terminal there is nobody to ask.
func confirmDelete(cmd *cobra.Command, from *client, path string) (string, error) {
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return "", fmt.Errorf("%w: there is no terminal to ask on; give --yes to delete the token for ever", errNotConfirmed)
	}
	var t shownToken
	if err := from.get(cmd.Context(), path, &t); err != nil {
		return "", err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "Delete %s (%s) for ever, with its credentials? [y/N] ", t.Token, t.ID)
	line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNotConfirmed, err)
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return "/scopegate/tokens/" + t.ID, nil
	}
	return "", errNotConfirmed
}

// withToken runs do with a client and the path of a token. What cannot name a
// token is refused here: if it is a secret, it gets into no URL and no log.
func (c *connection) withToken(use storeUse, ref string, do func(to *client, path string) error) error {
	if err := checkRef(ref); err != nil {
		return err
	}
	return c.with(use, func(to *client) error { return do(to, "/scopegate/tokens/"+ref) })
}
