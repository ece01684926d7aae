package store

import "testing"

// BenchmarkTokens measures a page of 50 tokens of 100,000, and the whole list: the pages
// that take longest are those that few or no tokens belong to.
func BenchmarkTokens(b *testing.B) {
	const page = 50
	for _, c := range []struct {
		name   string
		filter Filter
		want   int
	}{
		{"first page", Filter{Limit: page}, page},
		{"late page", Filter{Limit: page, After: "account-004000/token-19"}, page},
		{"all match", Filter{Limit: page, Active: true, Search: "MANY tokens"}, page},
		{"one matches", Filter{Limit: page, Search: "account-004900/token-07"}, 1},
		{"nothing matches", Filter{Limit: page, Search: "not in any of them"}, 0},
		{"no contact", Filter{Limit: page, Contact: "nobody"}, 0},
		{"an API that one has late", Filter{Limit: page, API: "api-07", After: "account-003000/token-00"}, page},
		{"none are deleted", Filter{Limit: page, Deleted: true, OnlyDeleted: true}, 0},
		{"everything", Filter{}, 100_000},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := openEstate(b, 100_000)
			b.ReportAllocs()
			for b.Loop() {
				tokens, err := s.Tokens(c.filter)
				if err != nil || len(tokens) != c.want {
					b.Fatalf("got %d tokens (%v), want %d", len(tokens), err, c.want)
				}
			}
		})
	}
}
