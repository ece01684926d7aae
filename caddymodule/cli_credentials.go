package caddymodule

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/scopegate/scopegate/scopes"
)

func issueCommand() *cobra.Command {
	return credentialCommand(&cobra.Command{
		Use:   "issue TOKEN",
		Short: "Makes the credential of a token, and prints it once",
		Long: `Makes the credential of a token that has none, and prints it on standard output.
It is shown this once: what is stored is only its digest and last four characters.`,
		Example: `  caddy scopegate token issue acme/nightly-sync
  caddy scopegate token issue acme/nightly-sync --json`,
	}, func(cmd *cobra.Command, to *client, path string, made *issued) error {
		return to.post(cmd.Context(), path+"/issue", made)
	})
}

func rotateCommand() *cobra.Command {
	var how rotation
	cmd := credentialCommand(&cobra.Command{
		Use:   "rotate TOKEN",
		Short: "Gives a token a new credential, and prints it once",
		Long: `Gives a token a new credential, and prints it on standard output, once. The old one
ends at once, unless --overlap lets clients change over: then both are accepted until
the overlap is over or "retire" ends it.`,
		Example: `  caddy scopegate token rotate acme/nightly-sync --overlap 7d
  caddy scopegate token rotate acme/nightly-sync`,
	}, func(cmd *cobra.Command, to *client, path string, made *issued) error {
		return to.sendJSON(cmd.Context(), http.MethodPost, path+"/rotate", nil, how, made)
	})
	cmd.Flags().StringVar(&how.Overlap, "overlap", "", "How long the old credential is still accepted, such as 7d (default: no longer)")
	return cmd
}

// credentialCommand completes a command that makes a credential.
func credentialCommand(cmd *cobra.Command, do func(cmd *cobra.Command, to *client, path string, made *issued) error) *cobra.Command {
	var c connection
	var asJSON bool
	cmd.Args = cobra.ExactArgs(1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var made issued
		if err := c.withToken(changes, args[0], func(to *client, path string) error {
			return do(cmd, to, path, &made)
		}); err != nil {
			return err
		}
		return showCredential(cmd, asJSON, made, made)
	}
	c.flags(cmd)
	c.waitFlag(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// showCredential prints a credential: value as JSON, or the credential alone.
func showCredential(cmd *cobra.Command, asJSON bool, made issued, value any) error {
	if !asJSON {
		notef(cmd, "The credential of %s (%s). It is shown this once: keep it now.", made.Token, made.ID)
	}
	if err := show(cmd, asJSON, value, func(w io.Writer) { fmt.Fprintln(w, made.Credential) }); err != nil {
		return fmt.Errorf("the credential was made, and is lost, for it could not be printed: %w", err)
	}
	return nil
}

func retireCommand() *cobra.Command {
	cmd := switchCommand("retire", "Ends the old credential of a token that is being rotated",
		"has only its new credential: the old one is refused")
	cmd.Long = `Ends the old credential of a token that is being rotated with an overlap, before the
overlap is over. It is never accepted again.`
	return cmd
}

func importCommand() *cobra.Command {
	var c connection
	var asJSON bool
	var digest string
	cmd := &cobra.Command{
		Use:   "import TOKEN",
		Short: "Gives a token a credential that was made elsewhere",
		Long: `Gives a token that has no credential one that another system made: by its digest, or
read from standard input, where it is hashed; the server never gets it. It is never
an argument, for those are seen by everybody on the machine.`,
		Example: `  pass show acme/nightly-sync | caddy scopegate token import acme/nightly-sync
  caddy scopegate token import acme/nightly-sync --digest sha256:9f86d081…0f00a08`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			sent := imported{Digest: digest}
			if digest == "" {
				secret, err := readSecret(cmd)
				if err != nil {
					return err
				}
				sent = imported{secret.Digest().String(), secret.LastFour()}
			}
			var t shownToken
			if err := c.withToken(changes, args[0], func(to *client, path string) error {
				return to.sendJSON(cmd.Context(), http.MethodPost, path+"/import", nil, sent, &t)
			}); err != nil {
				return err
			}
			return show(cmd, asJSON, t, func(w io.Writer) {
				fmt.Fprintf(w, "%s (%s) is used with the credential that was imported.\n", t.Token, t.ID)
			})
		},
	}
	c.flags(cmd)
	c.waitFlag(cmd)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().StringVar(&digest, "digest", "", "SHA-256 of the credential, as sha256: and 64 hexadecimal digits, instead of standard input")
	return cmd
}

// readSecret reads a credential from standard input: a line, without its end.
func readSecret(cmd *cobra.Command) (scopes.Credential, error) {
	if term.IsTerminal(int(os.Stdin.Fd())) {
		notef(cmd, "Type or paste the credential, and press Enter. It is not hidden.")
	}
	line, err := bufio.NewReader(io.LimitReader(cmd.InOrStdin(), scopes.MaxCredentialBytes+2)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return scopes.Credential{}, fmt.Errorf("reading the credential: %w", err)
	}
	return scopes.ImportCredential(strings.TrimRight(line, "\r\n"))
}
