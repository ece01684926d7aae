package reading

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

// ofSize returns a scope file of at least some bytes.
func ofSize(bytes int) []scopes.Source {
	file := "format: 1\naccounts:\n  acme: {title: Acme}\n#" + strings.Repeat("x", bytes)
	return []scopes.Source{{Name: "a.yaml", Data: []byte(file)}}
}

// It makes no difference how large a file is, but for where it is read.
func TestFilesApart(t *testing.T) {
	t.Parallel()
	for name, sources := range map[string][]scopes.Source{"small": ofSize(0), "large": ofSize(largeBytes)} {
		want, err := Files(sources, Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := FilesApart(t.Context(), sources, Options{})
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, want)
		}
	}
}

// Whoever waits no longer gets nothing.
func TestFilesApartCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	file, err := FilesApart(ctx, ofSize(largeBytes), Options{})
	if !errors.Is(err, context.Canceled) || file != nil {
		t.Errorf("got %v, %v, want %v", file, err, context.Canceled)
	}
}
