package caddymodule

import (
	"fmt"
	"slices"

	"github.com/scopegate/scopegate/scopes"
)

// readAllScopes reads scope files as one and runs their tests, with the APIs that
// are known besides theirs. The error is [scopes.Problems], one for each place.
func readAllScopes(sources []scopes.Source, o scopes.Options) (*scopes.File, error) {
	file, err := scopes.ReadAll(sources, o)
	if err != nil {
		return nil, err
	}
	catalog, err := scopes.NewCatalog(append(slices.Clone(file.APIs), usedAPIs(file, o.Known)...))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file.Name, err)
	}
	if problems := scopes.RunTests(file, catalog); len(problems) > 0 {
		return nil, problems
	}
	return file, nil
}

// usedAPIs returns those of the known APIs that a file's tokens have scopes for, and
// that it does not declare.
func usedAPIs(file *scopes.File, known []scopes.API) []scopes.API {
	used := make(map[string]bool)
	for i := range file.Accounts {
		for j := range file.Accounts[i].Tokens {
			for _, s := range file.Accounts[i].Tokens[j].Scopes {
				used[s.API] = true
			}
		}
	}
	for i := range file.APIs {
		delete(used, file.APIs[i].Name)
	}
	return slices.DeleteFunc(slices.Clone(known), func(a scopes.API) bool { return !used[a.Name] })
}
