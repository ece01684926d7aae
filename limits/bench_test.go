package limits

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

func BenchmarkTake(b *testing.B) {
	for _, test := range []struct {
		name   string
		limits []scopes.Limit
	}{
		{"rate", []scopes.Limit{limit(b, "", "1000000000/s", "")}},
		{"refused", []scopes.Limit{limit(b, "", "1/h", "")}},
		{"rate and quota, token and API", []scopes.Limit{limit(b, "", "1000000000/s", "1000000000/day"), limit(b, "orders", "1000000000/s", "1000000000/hour")}},
	} {
		b.Run(test.name, func(b *testing.B) {
			l, g, now := newLimiter(b, Options{}), grantWith(test.limits...), testNow
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(100)
				l.Take(g, "orders", now)
			}
		})
	}
}

// BenchmarkTakeTogether has both processors take from one token, and then each from its own.
func BenchmarkTakeTogether(b *testing.B) {
	for _, tokens := range []int64{1, 1000} {
		b.Run(fmt.Sprintf("%d tokens", tokens), func(b *testing.B) {
			l, limits := newLimiter(b, Options{}), []scopes.Limit{limit(b, "", "1000000000/s", "")}
			var worker atomic.Int64
			b.ReportAllocs()
			b.RunParallel(func(p *testing.PB) {
				grants := make([]scopes.Grant, tokens)
				for i := range grants {
					grants[i] = scopes.Grant{ID: fmt.Sprintf("tok_%022d", i), Limits: limits}
				}
				now := testNow
				for i := worker.Add(tokens / 2); p.Next(); i++ {
					now = now.Add(100 * time.Nanosecond)
					l.Take(&grants[i%tokens], "orders", now)
				}
			})
		})
	}
}
