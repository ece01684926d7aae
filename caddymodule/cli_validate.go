package caddymodule

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/scopes/reading"
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
		Use:   "validate FILE…",
		Short: "Checks scope files and runs their tests",
		Long: `Reads scope files, compiles them, and runs their tests. It needs no server and
changes nothing. Each problem is told as file:line:column: text, and so is what is
legal but probably not meant.
` + filesUsage,
		Example: `  caddy scopegate validate scopes.yaml
  caddy scopegate validate scopes/`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return validate(cmd, args, asJSON)
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func validate(cmd *cobra.Command, args []string, asJSON bool) error {
	files, err := readFiles(cmd, args)
	if err != nil {
		return err
	}
	found := check(files)
	if !asJSON {
		noteProblems(cmd, found.Problems, found.Warnings)
	}
	if found.Valid || asJSON {
		err = show(cmd, asJSON, found, func(w io.Writer) {
			if len(files) > 1 {
				fmt.Fprintf(w, "%s are valid: %s\n", count(len(files), "file"), found)
				return
			}
			fmt.Fprintf(w, "%s is valid: %s\n", files[0].Name, found)
		})
	}
	if err == nil && !found.Valid {
		err = errors.New(invalid(files, len(found.Problems)))
	}
	return err
}

func check(files []scopes.Source) checked {
	file, err := reading.Files(files, reading.Options{Now: time.Now(), Documents: readDocuments(files...)})
	if err != nil {
		return checked{Problems: problemsOf(err)}
	}
	found := checked{
		Valid:    true,
		APIs:     len(file.APIs),
		Accounts: len(file.Accounts),
		Tokens:   file.CountTokens(),
		Tests:    len(file.Tests),
		Warnings: warningsOf(file, nil),
	}
	for i := range file.APIs {
		found.Operations += len(file.APIs[i].Operations)
	}
	return found
}

// String returns what the file has, for people.
func (c checked) String() string {
	return fmt.Sprintf("%s, %s, %s, %s; %s passed", count(c.APIs, "API"), count(c.Operations, "operation"),
		count(c.Accounts, "account"), count(c.Tokens, "token"), count(c.Tests, "test"))
}
