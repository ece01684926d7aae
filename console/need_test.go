package console

import (
	"net/http"
	"strings"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

// Whatever is denied, there is a scope to ask for.
func TestNeedOf(t *testing.T) {
	t.Parallel()
	for _, op := range scopes.ManagementAPI().Operations {
		path := strings.NewReplacer("{", "", "}", "").Replace(op.Path)
		got := needOf(op.Methods.Names()[0], path+"?limit=1")
		if got == nil || got.Operation != op.Name {
			t.Errorf("%s %s: got %v, want %s", op.Methods, op.Path, got, op.Name)
		}
	}
	if got := needOf(http.MethodPost, "/scopegate/tokens/acme/x/rotate").Scope(); got != "{api: scopegate, methods: [POST], operations: [tokens/rotate]}" {
		t.Errorf("got %s", got)
	}
	for _, target := range []string{"/scopegate/nothing", "/", "", "/scopegate/tokens/acme/../x"} {
		if got := needOf(http.MethodGet, target); got != nil {
			t.Errorf("%q: got %v, want nothing", target, got)
		}
	}
}

func TestNextPage(t *testing.T) {
	t.Parallel()
	for link, want := range map[string]string{
		"": "", `</scopegate/accounts?limit=50&after=acme>; rel="next"`: "acme", `</scopegate/tokens?after=acme%2Fx&limit=1>; rel="next"`: "acme/x",
		`</scopegate/tokens?after=a>; rel="prev"`: "", `<%>; rel="next"`: "",
	} {
		h := http.Header{}
		if link != "" {
			h.Set("Link", link)
		}
		if got := nextPage(h); got != want {
			t.Errorf("%s: got %q, want %q", link, got, want)
		}
	}
}
