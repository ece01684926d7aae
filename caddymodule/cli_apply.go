package caddymodule

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"
)

func planCommand() *cobra.Command {
	var c connection
	var asJSON, prune bool
	cmd := &cobra.Command{
		Use:   "plan FILE…",
		Short: "Shows what applying scope files would change",
		Long: `Compares scope files with the store and prints one line for each change, without
making any. WIDEN marks a token that would be granted something that it was not,
NARROW one that would lose something, HELD one that stays inactive because it was
deactivated by hand.

The exit code is 0 if nothing differs and 2 if something does.
` + filesUsage,
		Example: `  caddy scopegate plan scopes.yaml
  caddy scopegate plan scopes/ --prune`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			files, err := readFiles(cmd, args)
			if err != nil {
				return err
			}
			var plan planned
			err = c.with(reads, func(to *client) error {
				return send(cmd, to, "/scopegate/plan", files, nil, url.Values{"prune": {fmt.Sprint(prune)}}, &plan)
			})
			if err != nil {
				return tellRefusal(cmd, err)
			}
			noteProblems(cmd, nil, plan.Warnings)
			if err := show(cmd, asJSON, plan, plan.write); err != nil || !plan.Differs {
				return err
			}
			return exitDiffers(cmd)
		},
	}
	c.flags(cmd)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().BoolVar(&prune, "prune", false, pruneUsage)
	return cmd
}

const (
	filesUsage = `
Several files are read as one: what one declares the others may use. A folder
stands for the *.yaml and *.yml in it, and - for standard input.`
	pruneUsage = "Also deactivate tokens, and remove APIs without any, that the files' owners declared before and the files no longer have"
)

// applying is what "apply" was told to do.
type applying struct {
	prune, allowWiden bool
	secretsOut        string // where new credentials are written; "" for nowhere
	revision          uint64 // that the store must have
	hasRevision       bool
}

func (a *applying) query() url.Values {
	query := url.Values{"prune": {fmt.Sprint(a.prune)}, "allow_widen": {fmt.Sprint(a.allowWiden)}}
	if a.hasRevision {
		query.Set("revision", fmt.Sprint(a.revision))
	}
	return query
}

func applyCommand() *cobra.Command {
	var c connection
	var how applying
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "apply FILE…",
		Short: "Applies scope files to the store",
		Long: `Makes the changes that "plan" shows, in one transaction: all of them or none.

A change that grants an existing token something that it was not granted is
refused, and all others with it, unless --allow-widen is given. With --revision,
the store must still be at the revision that "plan" has shown: then exactly what
was shown is applied. With --store, a store file that does not exist is created.

--secrets-out makes a credential for each token that is created and has none, and
writes them to a new file, one JSON object a line, before anything is applied.
` + filesUsage,
		Example: `  caddy scopegate apply scopes.yaml
  caddy scopegate apply scopes/ --allow-widen --prune
  caddy scopegate apply scopes.yaml --secrets-out secrets.jsonl`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			how.hasRevision = cmd.Flags().Changed("revision")
			files, err := readFiles(cmd, args)
			if err != nil {
				return err
			}
			var done planned
			err = c.with(creates, func(to *client) error {
				if how.secretsOut != "" {
					return how.withSecrets(cmd, to, files, &done)
				}
				return send(cmd, to, "/scopegate/apply", files, nil, how.query(), &done)
			})
			if err != nil {
				return tellRefusal(cmd, err)
			}
			noteProblems(cmd, nil, done.Warnings)
			return show(cmd, asJSON, done, done.writeApplied)
		},
	}
	c.flags(cmd)
	c.waitFlag(cmd)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().BoolVar(&how.prune, "prune", false, pruneUsage)
	cmd.Flags().BoolVar(&how.allowWiden, "allow-widen", false, "Let tokens be granted more than they were")
	cmd.Flags().StringVar(&how.secretsOut, "secrets-out", "", "New file, for only you to read, for the credentials of the tokens that are created")
	cmd.Flags().Uint64Var(&how.revision, "revision", 0, "Apply only if the store is still at this revision")
	return cmd
}

func driftCommand() *cobra.Command {
	var c connection
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "drift FILE…",
		Short: "Shows where the store is not as scope files say",
		Long: `Compares scope files with the store, and prints whatever is not as the files say,
however it came about: changed or made by hand, held, missing. "plan" instead shows
what applying the files would do, which leaves alone what was changed by hand.

The details read "file → store", and WIDEN marks what grants more than the files
say. The exit code is 0 if nothing differs and 2 if something does.
` + filesUsage,
		Example: "  caddy scopegate drift scopes.yaml",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			files, err := readFiles(cmd, args)
			if err != nil {
				return err
			}
			var drift planned
			err = c.with(reads, func(to *client) error {
				return send(cmd, to, "/scopegate/drift", files, nil, make(url.Values), &drift)
			})
			if err != nil {
				return tellRefusal(cmd, err)
			}
			noteProblems(cmd, nil, drift.Warnings)
			if err := show(cmd, asJSON, drift, drift.writeDrift); err != nil || !drift.Differs {
				return err
			}
			return exitDiffers(cmd)
		},
	}
	c.flags(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// tellRefusal prints what a refusal has beside its message, and returns the error.
func tellRefusal(cmd *cobra.Command, err error) error {
	told, ok := errors.AsType[*refusal](err)
	if !ok {
		return err
	}
	noteProblems(cmd, told.Problems, nil)
	for i := range told.Widens {
		writeChange(forPeople(cmd.ErrOrStderr()), &told.Widens[i])
	}
	if len(told.Widens) > 0 {
		return fmt.Errorf("%w\nNothing was applied. Once these changes are reviewed, repeat it with --allow-widen", err)
	}
	return err
}
