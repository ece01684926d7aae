package reports_test

import (
	"slices"
	"testing"
	"time"

	"github.com/scopegate/scopegate/reports"
	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/usage"
)

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// counted is what a source has.
type counted struct {
	since   time.Time
	samples []usage.Sample
}

func (c *counted) Since() (time.Time, error) { return c.since, nil }

func (c *counted) Each(q usage.Query, fn func(*usage.Sample)) error {
	for i := range c.samples {
		if s := &c.samples[i]; !s.At.Before(q.From) && !s.At.After(q.To) && (q.Tokens == nil || s.Key.Reason == usage.ReasonLost || slices.Contains(q.Tokens, s.Key.Token)) {
			fn(s)
		}
	}
	return nil
}

// add counts some requests some time ago.
func (c *counted) add(key usage.Key, requests uint64, ago time.Duration) {
	at := now.Add(-ago)
	counts := usage.Counts{Requests: requests}
	if key.Reason == "allow" {
		counts.Status[2] = requests
		counts.Latency[5] = requests
	}
	c.samples = append(c.samples, usage.Sample{Key: &key, At: at.Truncate(time.Hour), First: at, Last: at, Counts: &counts})
}

// collect reads the window before now. It needs the tokens that have limits.
func (c *counted) collect(t *testing.T, window time.Duration, limited ...reports.Token) *reports.Usage {
	t.Helper()
	u, err := reports.Collect(c, &reports.Estate{Tokens: limited, Now: now}, window, "")
	if err != nil {
		t.Fatal(err)
	}
	return u
}

const day = 24 * time.Hour

// counting is a source that began a year ago.
func counting() *counted { return &counted{since: now.Add(-365 * day)} }

func catalogOf(t *testing.T, apis ...scopes.API) *scopes.Catalog {
	t.Helper()
	catalog, err := scopes.NewCatalog(apis)
	if err != nil {
		t.Fatal(err)
	}
	return catalog
}

// orders is an API with three operations in two versions.
func orders() scopes.API {
	get, put := scopes.MethodOf("GET"), scopes.MethodOf("PUT")
	return scopes.API{Name: "orders", Versions: []string{"v1", "v2"}, Operations: []scopes.Operation{
		{Name: "list", Methods: get, Path: "/{version}/orders"},
		{Name: "one", Methods: get | put, Path: "/{version}/orders/{id}"},
		{Name: "log", Methods: scopes.AllMethods, Path: "/{version}/log"},
	}}
}

// newToken is a token that was made a year ago.
func newToken(name string, list ...scopes.Scope) reports.Token {
	return reports.Token{
		ID: "tok_" + name, Account: "acme", Created: now.Add(-365 * day),
		Token:       scopes.Token{Name: name, Scopes: list, Contact: scopes.Contact{Email: name + "@acme.example"}},
		Credentials: []reports.Credential{{LastFour: "abcd", Tag: "tag-of-" + name, Created: now.Add(-365 * day)}},
	}
}

func everything() scopes.Scope {
	return scopes.Scope{API: "orders", Versions: []string{"v1", "v2"}, Methods: scopes.AllMethods}
}

// use is what is counted of a request.
func use(token, version, operation, method string) usage.Key {
	return usage.Key{
		Token: "tok_" + token, Credential: "tag-of-" + token, API: "orders", Version: version, Operation: operation,
		Method: method, Reason: "allow",
	}
}

// declared returns scopes as a scope file has them.
func declared(list []reports.Scope) []scopes.Scope {
	all := make([]scopes.Scope, len(list))
	for i := range list {
		all[i] = list[i].Declared()
	}
	return all
}
