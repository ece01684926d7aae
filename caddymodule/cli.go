package caddymodule

import (
	"fmt"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "scopegate",
		Usage: "COMMAND",
		Short: "Manages the scoped tokens of a Scopegate gateway",
		Long: `
Manages what Scopegate remembers: APIs, accounts, and tokens with their scopes.

Commands talk to the admin endpoint of the running server: the one at --address,
else the one that the configuration in --config names, else Caddy's default. When
no server runs, --store opens its store file instead.

Tables are for people; --json is for programs. The exit code is 0 if the command
did what it says, 1 if it failed, and 2 if "plan" or "drift" found a difference.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Example = `  caddy scopegate validate scopes.yaml
  caddy scopegate plan scopes.yaml
  caddy scopegate apply scopes.yaml --allow-widen
  caddy scopegate token issue acme/nightly-sync
  caddy scopegate token rotate acme/nightly-sync --overlap 7d
  caddy scopegate explain --token acme/nightly-sync GET /orders/v1/7`
			onlySubcommands(cmd)
			cmd.AddCommand(
				validateCommand(), planCommand(), applyCommand(), exportCommand(), driftCommand(),
				explainCommand(), statusCommand(), tokenCommand(), accountCommand(), reportCommand(), suggestCommand(), cleanupCommand(), logCommand(),
				importDocumentsCommand(),
				backupCommand(), restoreCommand(), clusterCommand(), notifyCommand(),
			)
			completeAll(cmd)
		},
	})
}

// onlySubcommands makes a command that does nothing by itself: it shows its help,
// and a misspelt subcommand is an error rather than help with exit code 0.
func onlySubcommands(cmd *cobra.Command) {
	cmd.Args = cobra.ArbitraryArgs
	cmd.SuggestionsMinimumDistance = 2
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		problem := fmt.Sprintf("there is no command %q", cmd.CommandPath()+" "+args[0])
		if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
			problem += "; did you mean " + strings.Join(similar, " or ") + "?"
		}
		return fmt.Errorf("%s\nRun %q for the commands that there are", problem, cmd.CommandPath()+" --help")
	}
}

// exitDiffers ends the process with the code that says: there is a difference. It
// is no error, so nothing is printed.
func exitDiffers(cmd *cobra.Command) error {
	const differs = 2
	cmd.SilenceErrors = true
	run := caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return differs, nil })
	return run(cmd, nil)
}
