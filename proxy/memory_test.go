package proxy

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// memory is a source whose only snapshot is itself.
type memory struct {
	catalog *scopes.Catalog
	grants  map[scopes.Digest]scopes.Grant
}

func (m *memory) Snapshot(time.Time) Snapshot                { return m }
func (*memory) Expect(*scopes.Digest)                        {}
func (m *memory) GrantInto(g *scopes.Grant, d scopes.Digest) { *g = m.grants[d] }
func (m *memory) Catalog() *scopes.Catalog                   { return m.catalog }

// gateway returns a gateway with the defaults, whose clock stands still.
func (m *memory) gateway() *Gateway {
	return &Gateway{Source: m, Now: func() time.Time { return testTime }}
}

// closed is a source that has nothing to decide on yet.
type closed struct{}

func (closed) Snapshot(time.Time) Snapshot { return nil }

var testTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const testScopes = `
format: 1
apis:
  orders:
    versions: ["v1", "v2"]
    upstream: [http://127.0.0.1:9000]
    operations:
      list: GET /orders/{version}
      one:  GET|PUT|DELETE /orders/{version}/{id}
  actions:
    versions: ["13", "14"]
    version_from: [header IR-Version, query IrVersion]
    upstream: [http://127.0.0.1:9001]
    operations:
      list: GET|POST /actions
accounts:
  acme:
    tokens:
      reader:
        description: Reads.
        contact: {email: it@acme.example}
        version: "14"
        scopes:
          - {api: orders, version: "v1", methods: [GET]}
          - {api: actions, methods: [GET, POST]}
      office:
        description: Reads, from the office.
        contact: {email: it@acme.example}
        sources: [192.0.2.0/24]
        scopes: [{api: orders, version: "v1", methods: [GET]}]
      off:
        description: Is deactivated.
        contact: {email: it@acme.example}
        state: inactive
        scopes: [{api: orders, version: "v1", methods: [GET]}]
`

// newMemory returns a source with the APIs and tokens of testScopes. The id of the
// token reader is "tok_reader", its credential secretOf("reader"), and so on.
func newMemory(tb testing.TB) *memory {
	tb.Helper()
	file, err := scopes.Read("scopes.yaml", []byte(testScopes), testTime)
	if err != nil {
		tb.Fatal(err)
	}
	catalog, err := scopes.NewCatalog(file.APIs)
	if err != nil {
		tb.Fatal(err)
	}
	m := &memory{catalog: catalog, grants: make(map[scopes.Digest]scopes.Grant)}
	for i := range file.Accounts {
		account := &file.Accounts[i]
		for j := range account.Tokens {
			token := &account.Tokens[j]
			grant := scopes.GrantOf(account, token, catalog)
			grant.ID = "tok_" + token.Name
			m.grants[scopes.DigestOf(secretOf(token.Name))] = grant
		}
	}
	return m
}

func secretOf(token string) string { return "the-secret-of-" + token }

// parse reads a request as a server does. Lines of raw end in "\n"; the end of the
// header is added.
func parse(tb testing.TB, raw string) *http.Request {
	tb.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(raw, "\n", "\r\n") + "\r\n\r\n")))
	if err != nil {
		tb.Fatalf("reading %q: %v", raw, err)
	}
	r.RemoteAddr = "198.51.100.7:40000"
	return r
}
