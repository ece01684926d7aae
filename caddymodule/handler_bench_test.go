package caddymodule

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/scopegate/scopegate/proxy"
	"github.com/scopegate/scopegate/scopes"
)

const benchSecret = "benchmark-0123456789abcdef"

// oneToken is a store with one token.
type oneToken struct {
	catalog *scopes.Catalog
	grant   scopes.Grant
	digest  scopes.Digest
}

func (o *oneToken) Snapshot(time.Time) proxy.Snapshot { return o }

func (o *oneToken) Catalog() *scopes.Catalog { return o.catalog }

func (*oneToken) Expect(*scopes.Digest) {}

func (o *oneToken) GrantInto(g *scopes.Grant, d scopes.Digest) {
	if d == o.digest {
		*g = o.grant
	}
}

func newOneToken(b *testing.B) *oneToken {
	b.Helper()
	catalog, err := scopes.NewCatalog([]scopes.API{{
		Name: "orders", Versions: []string{"v1"},
		Operations: []scopes.Operation{{Name: "one", Methods: scopes.MethodOf("GET"), Path: "/orders/{version}/{id}"}},
	}})
	if err != nil {
		b.Fatal(err)
	}
	token := &scopes.Token{Name: "bench", Scopes: []scopes.Scope{
		{API: "orders", Versions: []string{"v1"}, Methods: scopes.MethodOf("GET")},
	}}
	o := &oneToken{catalog: catalog, digest: scopes.DigestOf(benchSecret)}
	o.grant = scopes.GrantOf(&scopes.Account{Name: "acme"}, token, catalog)
	o.grant.ID = "tok_0000000000000000000000"
	return o
}

// BenchmarkHandler measures all that the handler adds to a request on its way
// through Caddy: the decision, metrics, placeholders and headers. "nothing" is
// the benchmark's own part.
func BenchmarkHandler(b *testing.B) {
	h := &Handler{
		gateway: &proxy.Gateway{Source: newOneToken(b)}, metrics: newMetrics(), logger: zap.NewNop(),
	}
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	cases := []struct {
		name    string
		handler caddyhttp.HandlerFunc
		secret  string
	}{
		{"nothing", func(w http.ResponseWriter, r *http.Request) error { return next(w, r) }, benchSecret},
		{"allow", func(w http.ResponseWriter, r *http.Request) error { return h.ServeHTTP(w, r, next) }, benchSecret},
		{"deny", func(w http.ResponseWriter, r *http.Request) error { return h.ServeHTTP(w, r, next) }, "unknown-0123456789abcdef"},
	}
	for _, c := range cases {
		b.Run(c.name, func(b *testing.B) {
			template := httptest.NewRequest(http.MethodGet, "/orders/v1/7", nil)
			template.Header = http.Header{
				"User-Agent": {"benchmark"}, "Accept": {"*/*"}, "Authorization": {"Bearer " + c.secret},
			}
			w := httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				if err := c.handler(w, benchRequest(template)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// benchRequest gives a request what Caddy's server gives each.
func benchRequest(template *http.Request) *http.Request {
	ctx := context.WithValue(context.Background(), caddy.ReplacerCtxKey, caddy.NewEmptyReplacer())
	ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, map[string]any{})
	return template.Clone(ctx)
}
