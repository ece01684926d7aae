package caddymodule

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scopegate/scopegate/store"
)

func planCommand() *cobra.Command {
	var c connection
	var asJSON, prune bool
	cmd := &cobra.Command{
		Use:   "plan FILE",
		Short: "Shows what applying a scope file would change",
		Long: `Compares a scope file with the store and prints one line for each change, without
making any. WIDEN marks a token that would be granted something that it was not,
NARROW one that would lose something, HELD one that stays inactive because it was
deactivated by hand.

The exit code is 0 if nothing differs and 2 if something does. FILE may be - for
standard input.`,
		Example: "  caddy scopegate plan scopes.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var plan planned
			err := c.with(reads, func(to *client) error {
				return send(cmd, to, "/scopegate/plan", args[0], url.Values{"prune": {fmt.Sprint(prune)}}, &plan)
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

const pruneUsage = "Also deactivate tokens that the file's owner declared before and the file no longer has"

func applyCommand() *cobra.Command {
	var c connection
	var asJSON, prune, allowWiden bool
	cmd := &cobra.Command{
		Use:   "apply FILE",
		Short: "Applies a scope file to the store",
		Long: `Makes the changes that "plan" shows, in one transaction: all of them or none.

A change that grants an existing token something that it was not granted is
refused, and all others with it, unless --allow-widen is given. With --store, a
store file that does not exist is created. FILE may be - for standard input.`,
		Example: `  caddy scopegate apply scopes.yaml
  caddy scopegate apply scopes.yaml --allow-widen --prune`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			query := url.Values{"prune": {fmt.Sprint(prune)}, "allow_widen": {fmt.Sprint(allowWiden)}}
			var done planned
			err := c.with(creates, func(to *client) error {
				return send(cmd, to, "/scopegate/apply", args[0], query, &done)
			})
			if err != nil {
				return tellRefusal(cmd, err)
			}
			noteProblems(cmd, nil, done.Warnings)
			return show(cmd, asJSON, done, done.writeApplied)
		},
	}
	c.flags(cmd)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().BoolVar(&prune, "prune", false, pruneUsage)
	cmd.Flags().BoolVar(&allowWiden, "allow-widen", false, "Let tokens be granted more than they were")
	return cmd
}

// send sends a scope file as it is.
func send(cmd *cobra.Command, to *client, path, name string, query url.Values, answer *planned) error {
	src, err := readScopeFile(cmd, name)
	if err != nil {
		return err
	}
	query.Set("name", name)
	return to.call(cmd.Context(), http.MethodPost, path, query, "application/yaml", src, answer)
}

// tellRefusal prints what a refusal has beside its message, and returns the error.
func tellRefusal(cmd *cobra.Command, err error) error {
	told, ok := errors.AsType[*refusal](err)
	if !ok {
		return err
	}
	noteProblems(cmd, told.Problems, nil)
	for i := range told.Widens {
		writeChange(cmd.ErrOrStderr(), &told.Widens[i])
	}
	if len(told.Widens) > 0 {
		return fmt.Errorf("%w\nNothing was applied. Once these changes are reviewed, repeat it with --allow-widen", err)
	}
	return err
}

// write prints a plan for people.
func (p planned) write(w io.Writer) {
	p.writeChanges(w)
	if !p.Differs {
		fmt.Fprintln(w, "Nothing to change: the store is as the file says.")
		return
	}
	changes, marked := p.summary()
	fmt.Fprintf(w, "%s%s; nothing was changed yet.\n", changes, marked)
}

// writeApplied prints for people what was done.
func (p planned) writeApplied(w io.Writer) {
	p.writeChanges(w)
	if !p.Differs {
		fmt.Fprintf(w, "Nothing to change: the store is as the file says, at revision %d.\n", p.Revision)
		return
	}
	changes, marked := p.summary()
	fmt.Fprintf(w, "%s applied%s; the store is at revision %d.\n", changes, marked, p.Revision)
}

func (p planned) writeChanges(w io.Writer) {
	for i := range p.Changes {
		writeChange(w, &p.Changes[i])
	}
}

// summary counts the changes, those that are held left out, for they change
// nothing, and says in brackets how many widen.
func (p planned) summary() (changes, marked string) {
	made, widens := 0, 0
	for i := range p.Changes {
		if p.Changes[i].Action != store.Hold {
			made++
		}
		if p.Changes[i].Widens {
			widens++
		}
	}
	if widens > 0 {
		marked = fmt.Sprintf(" (%d marked WIDEN)", widens)
	}
	return count(made, "change"), marked
}

// writeChange prints one change: a line, and one more for each detail.
func writeChange(w io.Writer, c *store.Change) {
	var marks []string
	if c.Widens {
		marks = append(marks, "WIDEN")
	}
	if c.Narrows {
		marks = append(marks, "NARROW")
	}
	if c.Held {
		marks = append(marks, "HELD")
	}
	line := fmt.Sprintf("%-10s  %-7s  %s  %s", c.Action, c.Kind, c.Name, strings.Join(marks, " "))
	fmt.Fprintln(w, strings.TrimRight(line, " "))
	for _, detail := range c.Details {
		fmt.Fprintf(w, "            %s\n", detail)
	}
}
