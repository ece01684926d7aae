package caddymodule

import (
	"fmt"
	"slices"
	"strings"

	"github.com/scopegate/scopegate/scopes"
)

// The readers of flags that may be repeated. Each returns what stands under the flag's
// key in a scope file.

// unlessNone returns a reader that reads a single "none" as nil, which unsets the key.
func unlessNone(read func(flag string, given []string) (any, error)) func(string, []string) (any, error) {
	return func(flag string, given []string) (any, error) {
		if slices.Equal(given, []string{"none"}) {
			return nil, nil //nolint:nilnil // that it is unset is no error
		}
		return read(flag, given)
	}
}

// readScopeFlags reads scopes as a command line has them.
func readScopeFlags(flag string, given []string) (any, error) {
	list := make([]map[string]any, len(given))
	for i, text := range given {
		parts := strings.Split(text, ":")
		if len(parts) < 3 || len(parts) > 4 || parts[0] == "" || parts[2] == "" {
			return nil, fmt.Errorf("--%s: expected API:VERSION:METHODS[:OPERATIONS], such as orders:v1:GET,PUT, found %q", flag, text)
		}
		scope := map[string]any{"api": parts[0], "methods": strings.Split(parts[2], ",")}
		if parts[1] != "" {
			scope["version"] = strings.Split(parts[1], ",")
		}
		if len(parts) == 4 {
			scope["operations"] = strings.Split(parts[3], ",")
		}
		list[i] = scope
	}
	return list, nil
}

// readKeepFlags reads what is kept: all, or scopes.
func readKeepFlags(flag string, given []string) (any, error) {
	if slices.Equal(given, []string{keepAll}) {
		return true, nil
	}
	return readScopeFlags(flag, given)
}

// readBoundFlags reads rates or quotas: 100/s for all APIs, orders=10/s for one.
func readBoundFlags(flag string, given []string) (any, error) {
	bounds := make(map[string]string)
	for _, text := range given {
		api, bound, named := strings.Cut(text, "=")
		if !named {
			api, bound = scopes.AllAPIs, text
		}
		if _, twice := bounds[api]; twice {
			return nil, fmt.Errorf("--%s: one for all APIs, and one for each API, found %q beside another", flag, text)
		}
		bounds[api] = bound
	}
	return bounds, nil
}
