package caddymodule

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// checked is what "validate" tells of a scope file.
type checked struct {
	Valid      bool      `json:"valid"`
	APIs       int       `json:"apis"`
	Operations int       `json:"operations"`
	Accounts   int       `json:"accounts"`
	Tokens     int       `json:"tokens"`
	Tests      int       `json:"tests"` // all of which passed, if the file is valid
	Problems   []problem `json:"problems,omitempty"`
	Warnings   []problem `json:"warnings,omitempty"`
}

func validateCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "validate FILE",
		Short: "Checks a scope file and runs its tests",
		Long: `Reads a scope file, compiles it, and runs its tests. It needs no server and
changes nothing. Each problem is told as file:line:column: text, and so is what is
legal but probably not meant. FILE may be - for standard input.`,
		Example: "  caddy scopegate validate scopes.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return validate(cmd, args[0], asJSON)
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func validate(cmd *cobra.Command, name string, asJSON bool) error {
	src, err := readScopeFile(cmd, name)
	if err != nil {
		return err
	}
	found := check(name, src)
	if !asJSON {
		noteProblems(cmd, found.Problems, found.Warnings)
	}
	if found.Valid || asJSON {
		err = show(cmd, asJSON, found, func(w io.Writer) { fmt.Fprintf(w, "%s is valid: %s\n", name, found) })
	}
	if err == nil && !found.Valid {
		err = fmt.Errorf("%s is not valid: %s", name, count(len(found.Problems), "problem"))
	}
	return err
}

func check(name string, src []byte) checked {
	file, err := readScopes(name, src, time.Now())
	if err != nil {
		return checked{Problems: problemsOf(err)}
	}
	found := checked{
		Valid:    true,
		APIs:     len(file.APIs),
		Accounts: len(file.Accounts),
		Tests:    len(file.Tests),
		Warnings: warningsOf(file, nil),
	}
	for i := range file.APIs {
		found.Operations += len(file.APIs[i].Operations)
	}
	for i := range file.Accounts {
		found.Tokens += len(file.Accounts[i].Tokens)
	}
	return found
}

// String returns what the file has, for people.
func (c checked) String() string {
	return fmt.Sprintf("%s, %s, %s, %s; %s passed", count(c.APIs, "API"), count(c.Operations, "operation"),
		count(c.Accounts, "account"), count(c.Tokens, "token"), count(c.Tests, "test"))
}

// readScopeFile reads a file, or standard input for "-".
func readScopeFile(cmd *cobra.Command, name string) (src []byte, err error) {
	if name == "-" {
		src, err = io.ReadAll(cmd.InOrStdin())
	} else {
		src, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the scope file: %w", err)
	}
	return src, nil
}
