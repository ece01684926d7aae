package caddymodule

import (
	"context"
	"runtime"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/scopes/reading"
)

// garbageOfFile is how much of what planning and applying a scope file leaves behind is
// collected together: a hundred thousand tokens leave 0.7 GB, and the runtime may begin at
// 70 % of what it is told. Each collection goes through all that the file holds, on the
// processors that requests need.
const garbageOfFile = 1 << 30

// readScopes reads scope files as [reading.FilesApart] does. What is left from reading many
// tokens is collected at once, as long as it is little: then there is room for all that
// comes next.
func readScopes(ctx context.Context, sources []scopes.Source, o reading.Options) (*scopes.File, error) {
	const many = 10_000
	file, err := reading.FilesApart(ctx, sources, o)
	if err != nil {
		return nil, err
	}
	if file.CountTokens() >= many {
		runtime.GC()
	}
	return file, nil
}
