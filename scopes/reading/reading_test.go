package reading_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/scopes/reading"
)

var now = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

const raw = `format: 1
apis:
  raw: {operations: {all: "* /raw/**"}}
accounts:
  acme:
    tokens:
`

// usesCarts are accounts whose token has a scope for an API that they do not declare.
const usesCarts = `accounts:
  other:
    tokens:
      t: {description: d, contact: {email: a@b.example}, scopes: [{api: carts, methods: [GET]}]}
`

const ordersDocument = `{"openapi": "3.0.3", "info": {"title": "Orders", "version": "1"}, "paths": {
	"/orders": {"get": {"operationId": "listOrders", "responses": {"200": {"description": "ok"}}}}}}`

// large returns a scope file that is read apart, with some more text at its end.
func large(more string) []byte {
	var b strings.Builder
	b.WriteString(raw)
	for i := range 20 {
		fmt.Fprintf(&b, "      token-%d: {description: d, contact: {email: a@b.example}, scopes: [{api: raw, methods: [GET]}]}\n", i)
		fmt.Fprintf(&b, "      # %s\n", strings.Repeat("a long comment ", 4000))
	}
	b.WriteString(more)
	return []byte(b.String())
}

// It makes no difference where files are read: the same comes of it, whether they are
// valid or not.
func TestFilesApart(t *testing.T) {
	t.Parallel()
	known := []scopes.API{{Name: "carts", Operations: []scopes.Operation{{Name: "list", Methods: scopes.MethodOf("GET"), Path: "/carts"}}}}
	documents := map[string]reading.Document{
		"orders.json": {Data: []byte(ordersDocument)},
		"gone.json":   {Err: errors.New("it is gone")},
	}
	second := func(text string) []scopes.Source {
		return []scopes.Source{{Name: "a.yaml", Data: large("")}, {Name: "b.yaml", Data: []byte("format: 1\n" + text)}}
	}
	for _, c := range []struct {
		name, fails string // "" is read
		sources     []scopes.Source
	}{
		{"one file", "", []scopes.Source{{Name: "a.yaml", Data: large("")}}},
		{"an owner", "", second("owner: b\n" + usesCarts)},
		{"a document", "", second("apis:\n  orders: {openapi: orders.json}\n")},
		{"a document that is gone", "it is gone", second("apis:\n  orders: {openapi: gone.json}\n")},
		{"a document that was not given", "it was not given", second("apis:\n  orders: {openapi: other.json}\n")},
		{"problems", `a token needs "contact"`, []scopes.Source{{Name: "a.yaml", Data: large("      worse: {description: d}\n")}}},
		{"tests that fail", "POST /raw/x", []scopes.Source{{Name: "a.yaml", Data: large("tests:\n  - {token: acme/token-1, request: POST /raw/x, expect: allow}\n")}}},
		{"APIs that do not go together", "carts/list", second("apis:\n  other: {operations: {mine: GET /carts}}\n" + usesCarts)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := reading.Options{Now: now, Known: known, Documents: documents}
			want, wantErr := reading.Files(c.sources, o)
			if (wantErr == nil) != (c.fails == "") || wantErr != nil && !strings.Contains(wantErr.Error(), c.fails) {
				t.Fatalf("read here: got %v, want %q", wantErr, c.fails)
			}
			got, err := reading.FilesApart(t.Context(), c.sources, o)
			if fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Fatalf("read apart: got\n%v\nwant\n%v", err, wantErr)
			}
			wantProblems, content := errors.AsType[scopes.Problems](wantErr)
			if problems, ok := errors.AsType[scopes.Problems](err); ok != content || !reflect.DeepEqual(problems, wantProblems) {
				t.Errorf("got %#v, want %#v", err, wantErr)
			}
			if !reflect.DeepEqual(got, want) {
				t.Error("it is not the same file")
			}
		})
	}
}

// Whoever waits no longer has the process ended.
func TestFilesApartCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	file, err := reading.FilesApart(ctx, []scopes.Source{{Name: "a.yaml", Data: large("")}}, reading.Options{Now: now})
	if !errors.Is(err, context.Canceled) || file != nil {
		t.Errorf("got %v, %v, want %v", file, err, context.Canceled)
	}
}
