package caddymodule

import (
	"fmt"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// readScopes reads a scope file from its bytes and runs its tests. name is what
// errors call it. The error is [scopes.Problems], one for each place.
func readScopes(name string, src []byte, now time.Time) (*scopes.File, error) {
	file, err := scopes.Read(name, src, now)
	if err != nil {
		return nil, err
	}
	catalog, err := scopes.NewCatalog(file.APIs)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if problems := scopes.RunTests(file, catalog); len(problems) > 0 {
		return nil, problems
	}
	return file, nil
}
