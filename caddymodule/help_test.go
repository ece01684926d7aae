package caddymodule_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// commandTree returns the root of all our commands, and each of them by its path.
func commandTree() (root *cobra.Command, all map[string]*cobra.Command) {
	root = &cobra.Command{Use: "caddy"}
	registered := caddycmd.Commands()["scopegate"]
	ours := &cobra.Command{Use: registered.Name + " " + registered.Usage, Short: registered.Short, Long: registered.Long}
	registered.CobraFunc(ours)
	root.AddCommand(ours)
	all = make(map[string]*cobra.Command)
	var add func(*cobra.Command)
	add = func(cmd *cobra.Command) {
		all[cmd.CommandPath()] = cmd
		for _, sub := range cmd.Commands() {
			add(sub)
		}
	}
	add(ours)
	return root, all
}

// Every command says what it does and shows how: its examples are commands that
// there are, with flags and arguments that they take.
func TestEveryCommandHasHelp(t *testing.T) {
	t.Parallel()
	_, all := commandTree()
	for path, cmd := range all {
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: its short text is %q; expected one without a full stop", path, cmd.Short)
		}
		for line := range strings.Lines(cmd.Long + "\n" + cmd.Example) {
			if len([]rune(line)) > 120 {
				t.Errorf("%s: a line is too long for a terminal: %s", path, line)
			}
		}
		examples := examplesOf(cmd)
		if len(examples) == 0 {
			t.Errorf("%s has no example", path)
		}
		for _, example := range examples {
			checkExample(t, path, example)
		}
	}
}

// examplesOf returns the example commands of a command, each in one line.
func examplesOf(cmd *cobra.Command) []string {
	var examples []string
	for line := range strings.Lines(strings.ReplaceAll(cmd.Example, "\\\n", " ")) {
		if line = strings.TrimSpace(line); line != "" {
			examples = append(examples, line)
		}
	}
	return examples
}

var shellWord = regexp.MustCompile(`'[^']*'|"[^"]*"|(?:\$\([^)]*\)|[^\s'"])+`)

// checkExample has the commands read an example of the command at path, without
// running it.
func checkExample(t *testing.T, path, example string) {
	t.Helper()
	shown := false
	for part := range strings.SplitSeq(example, " | ") {
		part, _, _ = strings.Cut(part, " > ")
		var words []string
		for _, word := range shellWord.FindAllString(part, -1) {
			words = append(words, strings.Trim(word, `'"`))
		}
		if len(words) == 0 || words[0] != "caddy" {
			continue // another program
		}
		root, _ := commandTree()
		cmd, rest, err := root.Find(words[1:])
		if err == nil {
			err = cmd.ParseFlags(rest)
		}
		if err == nil {
			err = cmd.ValidateArgs(cmd.Flags().Args())
		}
		if err == nil {
			err = cmd.ValidateFlagGroups()
		}
		if err != nil {
			t.Errorf("%s: the example does not work: %s: %v", path, part, err)
			return
		}
		shown = shown || strings.HasPrefix(cmd.CommandPath(), path)
	}
	if !shown {
		t.Errorf("%s: the example is of another command: %s", path, example)
	}
}

// "caddy manpage" writes a page for every command, and nothing of a text is lost to
// the markup that it goes through.
func TestManPages(t *testing.T) {
	t.Parallel()
	g := newGateway(t, "", "")
	folder := filepath.Join(g.dir, "man8")
	if out, err := g.command(t.Context(), "manpage", "--directory", folder).CombinedOutput(); err != nil {
		t.Fatalf("caddy manpage: %v\n%s", err, out)
	}
	_, all := commandTree()
	for path, cmd := range all {
		page := plainRoff(readFile(t, filepath.Join(folder, strings.ReplaceAll(path, " ", "-")+".8")))
		texts := []string{cmd.UseLine(), cmd.Short, cmd.Long, cmd.Example}
		cmd.Flags().VisitAll(func(flag *pflag.Flag) {
			texts = append(texts, "--"+flag.Name, flag.Usage)
		})
		for _, text := range texts {
			for line := range strings.Lines(text) {
				if want := plainRoff(line); !strings.Contains(page, want) {
					t.Errorf("the page of %s does not say %q", path, strings.TrimSpace(line))
				}
			}
		}
	}
}

// plainRoff returns the letters and marks of a text, without those of its markup.
func plainRoff(text string) string {
	return strings.Join(strings.Fields(regexp.MustCompile(`(?m)^\.\S+|\\f[BIPR]|\\&|\\`).ReplaceAllString(text, "")), " ")
}
