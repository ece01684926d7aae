package usage

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// clock is a clock that a test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 25, 10, 30, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

func (c *clock) Add(d time.Duration) { c.Set(c.Now().Add(d)) }

// openTest opens a ledger in a folder, until the end of the test.
func openTest(t *testing.T, folder string, o Options) *Ledger {
	t.Helper()
	l, err := Open(filepath.Join(folder, "usage.db"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

var orders = &scopes.API{Name: "orders", Versions: []string{"v1"}, Operations: []scopes.Operation{{Name: "list"}, {Name: "one"}}}

// listing is the use of an operation by a token.
func listing(token string) *Use {
	return &Use{
		Credential: scopes.DigestOf("credential-of-" + token), Token: token, API: orders, Operation: &orders.Operations[0], Version: "v1",
		Method: scopes.MethodOf("GET"), Reason: scopes.Allowed, Shadow: scopes.Allowed,
	}
}

// always is a query for all that there is.
func always() Query { return Query{To: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)} }

// totals returns what a ledger has counted of each key.
func totals(t *testing.T, l *Ledger, q Query) map[Key]Counts {
	t.Helper()
	found := make(map[Key]Counts)
	if err := l.Each(q, func(s *Sample) {
		c := found[*s.Key]
		c.Add(s.Counts)
		found[*s.Key] = c
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

// requests returns how many requests of a token were counted.
func requests(t *testing.T, l *Ledger, token string) (all uint64) {
	t.Helper()
	for key, c := range totals(t, l, Query{To: always().To, Tokens: []string{token}}) {
		if key.Token == token {
			all += c.Requests
		}
	}
	return all
}
