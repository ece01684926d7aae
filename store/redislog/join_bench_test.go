package redislog

import (
	"context"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store"
	"github.com/scopegate/scopegate/store/redislog/redistest"
)

// BenchmarkJoin measures how long a node that is new takes until it may decide, among many
// tokens, and how long the first one took to tell what it had.
func BenchmarkJoin(b *testing.B) {
	const tokens, perAccount = 100_000, 20
	file := &scopes.File{}
	for i := range tokens / perAccount {
		account := scopes.Account{Name: fmt.Sprintf("account-%d", i)}
		for t := range perAccount {
			account.Tokens = append(account.Tokens, scopes.Token{
				Name: fmt.Sprintf("token-%d", t), Contact: scopes.Contact{Email: "it@acme.example"}, Access: scopes.ReadOnly,
				Credential: scopes.Digest(sha256.Sum256(fmt.Appendf(nil, "credential %d %d", i, t))),
			})
		}
		file.Accounts = append(file.Accounts, account)
	}
	server, ctx := redistest.Start(b), context.Background()
	open := func(o *store.ClusterOptions) *store.Store {
		s, err := store.Open(filepath.Join(b.TempDir(), "store.db"), store.Options{Cluster: o})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = s.Close() })
		return s
	}
	first := open(nil)
	plan, err := first.Plan(ctx, file, store.PlanOptions{})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := first.Apply(ctx, plan, store.ApplyOptions{AllowWiden: true}); err != nil {
		b.Fatal(err)
	}
	options := func() *store.ClusterOptions {
		return &store.ClusterOptions{Sequencer: openLog(b, server.URL()), Secret: "the secret of a benchmark", MaxStaleness: store.MinStaleness}
	}
	ready := func(s *store.Store) {
		for s.Stale(time.Now()) {
			select {
			case <-s.Changed():
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	begin := time.Now()
	if err := first.Follow(ctx, options()); err != nil {
		b.Fatal(err)
	}
	ready(first)
	b.ReportMetric(time.Since(begin).Seconds(), "first-s")
	for b.Loop() {
		next := open(options())
		ready(next)
		if got := next.Snapshot().Counts().Active; got != tokens {
			b.Fatalf("the new node has %d tokens", got)
		}
	}
}
