package redislog

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store"
	"github.com/scopegate/scopegate/store/redislog/redistest"
)

// joinPart is how many tokens a scope file of BenchmarkJoin has.
const joinPart = 100_000

// joinFile returns a scope file of so many tokens, the first of which is number from.
func joinFile(from, count int) *scopes.File {
	const perAccount = 20
	file := &scopes.File{}
	for i := from / perAccount; i < (from+count)/perAccount; i++ {
		account := scopes.Account{Name: fmt.Sprintf("account-%d", i)}
		for t := range perAccount {
			account.Tokens = append(account.Tokens, scopes.Token{
				Name: fmt.Sprintf("token-%d", t), Contact: scopes.Contact{Email: "it@acme.example"}, Access: scopes.ReadOnly,
				Credential: scopes.Digest(sha256.Sum256(fmt.Appendf(nil, "credential %d %d", i, t))),
			})
		}
		file.Accounts = append(file.Accounts, account)
	}
	return file
}

func applyFile(tb testing.TB, s *store.Store, file *scopes.File) {
	tb.Helper()
	plan, err := s.Plan(tb.Context(), file, store.PlanOptions{})
	if err == nil {
		_, err = s.Apply(tb.Context(), plan, store.ApplyOptions{AllowWiden: true})
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// BenchmarkJoin measures how long a node that is new takes until it may decide, among many
// tokens, and how long the first one took to tell what it had. SCOPEGATE_SOAK=1 does so
// with a million.
func BenchmarkJoin(b *testing.B) {
	tokens := joinPart
	if os.Getenv("SCOPEGATE_SOAK") != "" {
		tokens = 1_000_000
	}
	server, ctx := redistest.Start(b), context.Background()
	open := func(o *store.ClusterOptions) *store.Store {
		s, err := store.Open(filepath.Join(b.TempDir(), "store.db"), store.Options{Cluster: o})
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
	first := open(nil)
	for from := 0; from < tokens; from += joinPart {
		applyFile(b, first, joinFile(from, joinPart))
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
	told := time.Since(begin)
	if err := first.Close(); err != nil { // a node has a machine of its own, and its memory
		b.Fatal(err)
	}
	for b.Loop() {
		next := open(options())
		ready(next)
		if got := next.Snapshot().Counts().Active; got != tokens {
			b.Fatalf("the new node has %d tokens", got)
		}
		b.StopTimer()
		if err := next.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(told.Seconds(), "first-s")
}
