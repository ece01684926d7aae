package caddymodule

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/scopegate/scopegate/reports"
	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/scopes/reading"
)

func suggestCommand() *cobra.Command {
	var c connection
	var f windowFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "suggest [FILE…]",
		Short: "Prints the least scopes that cover what tokens were used for",
		Long: `Prints the least scopes that cover what the active tokens were used for in the window,
and what they keep. With scope files it prints a patch to them, which "plan" then shows as
NARROW only; without, the scopes of each token.

There is none for a token that was made within the window, or not used in it; nor if
counting does not cover the window. A token's keep names what stays although it is not used.`,
		Example: `  caddy scopegate suggest
  caddy scopegate suggest scopes.yaml | git apply -p0
  caddy scopegate suggest --token acme/nightly-sync --window 30d`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			var found reports.Suggestions
			if err := c.with(reads, func(from *client) error {
				return f.ask(cmd.Context(), from, "suggest", false, &found)
			}); err != nil {
				return err
			}
			if len(args) > 0 && !asJSON {
				return suggestPatch(cmd, args, &found)
			}
			return show(cmd, asJSON, found, func(w io.Writer) { writeSuggestions(w, &found) })
		},
	}
	c.flags(cmd)
	f.add(cmd, "90d")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// writeSuggestions prints suggestions for people.
func writeSuggestions(w io.Writer, s *reports.Suggestions) {
	for i := range s.Tokens {
		t := &s.Tokens[i]
		fmt.Fprintf(w, "%s\t%d → %d operations\n", t.Token, t.Before, t.After)
		for _, scope := range t.Scopes {
			one := shownScope(scope)
			fmt.Fprintf(w, "    %s\n", one.text())
		}
		for _, note := range t.Notes {
			fmt.Fprintf(w, "    %s\n", note)
		}
	}
	for _, t := range s.Left {
		fmt.Fprintf(w, "%s\tas it is: %s\n", t.Token, t.Why)
	}
	fmt.Fprintf(w, "\n%s\n", suggested(s))
	writeBasis(w, &s.Basis)
}

func suggested(s *reports.Suggestions) string {
	if len(s.Tokens) == 0 {
		return "No token should have less than it has."
	}
	return fmt.Sprintf("%s can have less: %d operations instead of %d.", count(len(s.Tokens), "token"), s.After, s.Before)
}

// suggestPatch prints a patch to scope files, and what it does beside it.
func suggestPatch(cmd *cobra.Command, args []string, s *reports.Suggestions) error {
	files, err := readFiles(cmd, args)
	if err != nil {
		return err
	}
	wanted := make(map[string][]scopes.Scope, len(s.Tokens))
	for i := range s.Tokens {
		wanted[s.Tokens[i].Token] = scopesOf(s.Tokens[i].Scopes)
	}
	var patch bytes.Buffer
	after := make([]scopes.Source, len(files))
	for i, file := range files {
		edits, err := scopes.Rescope(file.Data, wanted)
		if err != nil {
			return fmt.Errorf("%s: %w", file.Name, err)
		}
		patch.WriteString(reports.Patch(file.Name, file.Data, edits))
		after[i] = scopes.Source{Name: file.Name, Data: reports.Apply(file.Data, edits)}
	}
	if err := onlyScopesDiffer(files, after, wanted); err != nil {
		return err
	}
	notef(cmd, "%s", suggested(s))
	for _, t := range s.Left {
		notef(cmd, "%s stays as it is: %s", t.Token, t.Why)
	}
	_, err = cmd.OutOrStdout().Write(patch.Bytes())
	return err
}

func scopesOf(list []reports.Scope) []scopes.Scope {
	all := make([]scopes.Scope, len(list))
	for i := range list {
		all[i] = list[i].Declared()
	}
	return all
}

// errPatch is a fault of this program, not of the file.
var errPatch = errors.New("the patch would change more than the scopes; edit the file by hand, after what suggest prints without it")

// onlyScopesDiffer checks that edited scope files are those before, but for the scopes that
// were wanted.
func onlyScopesDiffer(before, after []scopes.Source, wanted map[string][]scopes.Scope) error {
	options := scopes.Options{Now: time.Now(), Documents: reading.DocumentsOf(readDocuments(before...))}
	old, err := scopes.ReadAll(before, options)
	if err != nil {
		return err
	}
	edited, err := scopes.ReadAll(after, options)
	if err != nil {
		return fmt.Errorf("%w (%w)", errPatch, err)
	}
	for i := range old.Accounts {
		account := &old.Accounts[i]
		for j := range account.Tokens {
			if list, ok := wanted[account.Name+"/"+account.Tokens[j].Name]; ok {
				account.Tokens[j].Scopes = list
			}
		}
	}
	if !bytes.Equal(old.Marshal(), edited.Marshal()) {
		return errPatch
	}
	return nil
}
