package caddymodule

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/scopegate/scopegate/store"
)

// completionTime bounds how long a completion waits for a server: a person has
// pressed a key.
const completionTime = 2 * time.Second

// argumentCompletions complete arguments by what a command's usage calls them. Where
// it takes several files, these are scope files or OpenAPI documents.
var argumentCompletions = map[string]cobra.CompletionFunc{
	"TOKEN":        completeToken,
	"ACCOUNT/NAME": completeOwner,
	"ACCOUNT":      completeAccount,
	"FILE":         cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault),
	"FILE…":        cobra.FixedCompletions([]string{"yaml", "yml", "json"}, cobra.ShellCompDirectiveFilterFileExt),
	"METHOD":       cobra.FixedCompletions([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}, cobra.ShellCompDirectiveNoFileComp),
}

// flagCompletions complete the values of flags by the flags' names.
var flagCompletions = map[string]cobra.CompletionFunc{
	"token":       completeToken,
	"account":     completeAccount,
	"api":         completeAPI,
	"scope":       completeScope,
	"shadow":      completeScope,
	"kind":        oneOf("api", "account", "token", "file", "store"),
	"state":       oneOf("active", "inactive", "deleted"),
	"access":      oneOf("scoped", "legacy", "read_only", "read_write"),
	"environment": oneOf("production", "staging", "test"),
	"adapter":     oneOf("caddyfile"),
}

// fileFlags are the flags whose values are files, which the shell completes.
var fileFlags = []string{"config", "store", "scopes", "secrets-out"}

func oneOf(values ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
}

// completeAll has the shell complete the arguments and flags of a command and of
// all below it.
func completeAll(cmd *cobra.Command) {
	arguments := strings.Fields(cmd.Use)[1:]
	if !cmd.HasSubCommands() {
		cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			return completeArgument(arguments, cmd, args, word)
		}
	}
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		complete := flagCompletions[flag.Name]
		switch {
		case flag.NoOptDefVal != "" || slices.Contains(fileFlags, flag.Name):
			return
		case complete == nil:
			complete = cobra.NoFileCompletions
		}
		_ = cmd.RegisterFlagCompletionFunc(flag.Name, complete) // fails where the command has its own
	})
	for _, sub := range cmd.Commands() {
		completeAll(sub)
	}
}

// completeArgument completes the argument that comes after args. The last one may
// be repeated where it ends in "…".
func completeArgument(arguments []string, cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	at := len(args)
	if last := len(arguments) - 1; at > last && last >= 0 && strings.HasSuffix(arguments[last], "…") {
		at = last
	}
	if at < len(arguments) {
		if complete := argumentCompletions[arguments[at]]; complete != nil {
			return complete(cmd, args, word)
		}
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// ask asks the routes where the flags of a command say that they are. Without an
// answer there is nothing to complete with, and nobody to tell.
func ask(cmd *cobra.Command, path string, query url.Values, answer any) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	value := func(name string) string {
		if flag := cmd.Flags().Lookup(name); flag != nil {
			return flag.Value.String()
		}
		return ""
	}
	c := connection{address: value("address"), config: value("config"), adapter: value("adapter"), store: value("store")}
	_ = c.with(reads, func(from *client) error {
		return from.call(ctx, http.MethodGet, path, query, "", nil, answer)
	})
}

// completeAccount completes the name of an account.
func completeAccount(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	var accounts []shownAccount
	ask(cmd, "/scopegate/accounts", nil, &accounts)
	var found []string
	for i := range accounts {
		if a := &accounts[i]; strings.HasPrefix(a.Name, word) {
			found = append(found, cobra.CompletionWithDesc(a.Name, a.Title))
		}
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}

// completeOwner completes the account of a token, up to the slash.
func completeOwner(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	found, _ := completeAccount(cmd, args, word)
	for i := range found {
		name, title, _ := strings.Cut(found[i], "\t")
		found[i] = cobra.CompletionWithDesc(name+"/", title)
	}
	return found, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeToken completes account/name: first the account, then the name, so that
// no more than one account's tokens are asked for.
func completeToken(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	account, _, ok := strings.Cut(word, "/")
	if !ok {
		return completeOwner(cmd, args, word)
	}
	var tokens []shownToken
	ask(cmd, "/scopegate/tokens", url.Values{"account": {account}}, &tokens)
	var found []string
	for i := range tokens {
		if t := &tokens[i]; strings.HasPrefix(t.Token, word) {
			found = append(found, cobra.CompletionWithDesc(t.Token, t.Description))
		}
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}

// completeAPI completes the name of an API that the store has.
func completeAPI(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	return apisNamed(cmd, word, ""), cobra.ShellCompDirectiveNoFileComp
}

// completeScope completes the API of a scope, up to the colon. What comes then is
// not completed: shells take what is before a colon for another word.
func completeScope(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	if strings.Contains(word, ":") {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return apisNamed(cmd, word, ":"), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// apisNamed returns the names of the APIs that begin with a word, each with an end.
// The audit log tells them: there is no route that lists APIs.
func apisNamed(cmd *cobra.Command, word, end string) []string {
	var changes []shownEntry
	ask(cmd, "/scopegate/log", url.Values{"kind": {"api"}, "limit": {strconv.Itoa(maxLogLimit)}}, &changes)
	var found []string
	seen := make(map[string]bool)
	for i := range changes { // the newest first
		change := &changes[i]
		if seen[change.Name] || !strings.HasPrefix(change.Name, word) {
			continue
		}
		if seen[change.Name] = true; change.Action != string(store.Prune) {
			found = append(found, change.Name+end)
		}
	}
	return found
}
