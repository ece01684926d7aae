package caddymodule

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/scopegate/scopegate/reports"
)

// cleaned is what "cleanup" tells.
type cleaned struct {
	reports.UnusedReport
	Deactivated []string `json:"deactivated"` // account/name
}

func cleanupCommand() *cobra.Command {
	var c connection
	var unused string
	var yes, asJSON bool
	cmd := &cobra.Command{
		Use:   "cleanup",
		Short: "Deactivates the tokens that nobody uses",
		Long: `Lists the active tokens that are older than the given time and had no request in it, and
with --yes deactivates them: that is undone by "token activate". A token that says keep is
listed and left. Where counting does not cover the time, nothing is deactivated.`,
		Example: `  caddy scopegate cleanup --unused 90d
  caddy scopegate cleanup --unused 90d --yes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			use := reads
			if yes {
				use = changes
			}
			found := cleaned{Deactivated: []string{}}
			err := c.with(use, func(to *client) error {
				f := windowFlags{window: unused}
				if err := f.ask(cmd.Context(), to, "reports/unused", false, &found.UnusedReport); err != nil || !yes {
					return err
				}
				return found.deactivate(cmd, to)
			})
			if err != nil && len(found.Deactivated) == 0 {
				return err
			}
			return errors.Join(err, showTable(cmd, asJSON, found, func(w io.Writer) { found.write(w, yes) }))
		},
	}
	c.flags(cmd)
	c.waitFlag(cmd)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().StringVar(&unused, "unused", "", "How long they have not been used, such as 90d")
	cmd.Flags().BoolVar(&yes, "yes", false, "Deactivate them")
	_ = cmd.MarkFlagRequired("unused") // it exists
	return cmd
}

// deactivate deactivates what is not kept, one token after the other.
func (c *cleaned) deactivate(cmd *cobra.Command, to *client) error {
	for _, t := range c.Tokens {
		if t.Kept {
			continue
		}
		if err := to.post(cmd.Context(), "/scopegate/tokens/"+t.ID+"/deactivate", new(shownToken)); err != nil {
			return fmt.Errorf("deactivating %s: %w", t.Token, err)
		}
		c.Deactivated = append(c.Deactivated, t.Token)
	}
	return nil
}

func (c *cleaned) write(w io.Writer, yes bool) {
	writeUnused(w, &c.UnusedReport)
	if yes {
		fmt.Fprintf(w, "%s deactivated; \"token activate\" undoes it.\n", count(len(c.Deactivated), "token"))
		return
	}
	fmt.Fprintln(w, "Nothing was changed; --yes deactivates those that are not kept.")
}
