// Package reading reads scope files with all that belongs to it: the APIs that are known
// besides theirs, the OpenAPI documents that they name, and their tests.
//
// A gateway reads large files in a process of its own (see [FilesApart]). The parser's work
// on a hundred thousand tokens is seconds of a processor, and gigabytes of garbage: in the
// gateway's process requests wait for it, most of all for the garbage collector, and the
// memory stays with the gateway. In another one the operating system can be told that it
// may wait, and whatever a file does to the parser happens there.
package reading

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/scopes/openapi"
)

// Options are what reading needs besides the files. The zero value is fit for use.
type Options struct {
	// Now decides which expiries are in the past.
	Now time.Time
	// Known are APIs that the files may use without declaring them: see [scopes.Options].
	Known []scopes.API
	// Documents are the OpenAPI documents that the files name, by their paths. No others
	// are read, and no file is opened.
	Documents map[string]Document
}

// Document is an OpenAPI document, or why it cannot be read.
type Document struct {
	Data []byte
	Err  error
}

// Files reads scope files as one and runs their tests. The error is [scopes.Problems], one
// for each place, or says why the files' APIs do not go together.
func Files(sources []scopes.Source, o Options) (*scopes.File, error) {
	file, err := scopes.ReadAll(sources, scopes.Options{Now: o.Now, Known: o.Known, Documents: DocumentsOf(o.Documents)})
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

// largeBytes is how large files and documents are, all together, that are read in a process
// of their own. One of a MiB takes about as long as it takes to start a process.
const largeBytes = 1 << 20

// IsLarge reports whether files are so large, with their documents, that whoever has other
// work to do should leave them to [FilesApart].
func IsLarge(sources []scopes.Source, documents map[string]Document) bool {
	return sizeOf(sources, documents) >= largeBytes
}

// turn is held while files are read apart, which takes as much memory as they need: those
// of one call after those of another.
var turn = make(chan struct{}, 1)

// FilesApart is [Files] for a process that has other work to do meanwhile: what is large is
// read in another one, which runs the same program at a lower priority, and on one
// processor. Where none can be started, and on other systems than Linux, it is read here.
//
// The error is that of Files, that of the context once it ends, or wraps [ErrProcess].
func FilesApart(ctx context.Context, sources []scopes.Source, o Options) (*scopes.File, error) {
	if !IsLarge(sources, o.Documents) {
		return Files(sources, o)
	}
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	file, err := readApart(ctx, executable, patience(sources, o), sources, o)
	if errors.Is(err, errNotStarted) && ctx.Err() == nil {
		return Files(sources, o)
	}
	return file, err
}

func sizeOf(sources []scopes.Source, documents map[string]Document) (size int) {
	for i := range sources {
		size += len(sources[i].Data)
	}
	for _, d := range documents {
		size += len(d.Data)
	}
	return size
}

// DocumentsOf returns what reads scope files with some documents and no others.
func DocumentsOf(documents map[string]Document) scopes.Documents {
	return openapi.Documents(func(path string) ([]byte, error) {
		document, known := documents[path]
		if !known {
			return nil, errors.New("it was not given")
		}
		return document.Data, document.Err
	})
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
