package caddymodule

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/scopegate/scopegate/notify"
	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store"
	"github.com/scopegate/scopegate/usage"
)

// searched is a search on a store and a file of usage that a test fills, and what it found.
type searched struct {
	*search
	store  *store.Store
	ledger *usage.Ledger
	api    *scopes.API
	found  []string // kind and token
	events []notify.Event
}

// newSearched makes one. Counting has begun long ago, and the tokens were made before.
func newSearched(tb testing.TB, tokens ...scopes.Token) *searched {
	tb.Helper()
	const age = 100 * day
	dir := tb.TempDir()
	old := func() time.Time { return time.Now().Add(-age) }
	s := &searched{api: &scopes.API{
		Name: "orders", Versions: []string{"v1", "v2"}, Operations: []scopes.Operation{{Name: "list", Methods: scopes.MethodOf("GET"), Path: "/orders/{version}"}},
		Deprecated: []scopes.Deprecation{{Version: "v1", Sunset: time.Now().Add(20 * day)}},
	}}
	var err error
	if s.store, err = store.Open(filepath.Join(dir, "s.db"), store.Options{Now: old}); err != nil {
		tb.Fatal(err)
	}
	file := &scopes.File{APIs: []scopes.API{*s.api}, Accounts: []scopes.Account{{Name: "acme", MaxActiveTokens: len(tokens) + 1, Tokens: tokens}}}
	plan, err := s.store.Plan(tb.Context(), file, store.PlanOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := s.store.Apply(tb.Context(), plan, store.ApplyOptions{Actor: store.Actor{Name: "test"}, AllowWiden: true}); err != nil {
		tb.Fatal(err)
	}
	if err := s.store.Close(); err != nil {
		tb.Fatal(err)
	}
	for _, now := range []func() time.Time{old, time.Now} { // made then, and used now
		if s.ledger, err = usage.Open(filepath.Join(dir, "u.db"), usage.Options{Now: now}); err != nil {
			tb.Fatal(err)
		}
		if now().Before(time.Now().Add(-day)) {
			err = s.ledger.Close()
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	if s.store, err = store.Open(filepath.Join(dir, "s.db"), store.Options{}); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _, _ = s.ledger.Close(), s.store.Close() })
	s.search = newSearch(func() *store.Store { return s.store }, s.ledger, func(events []notify.Event) error {
		s.events = append(s.events, events...)
		for i := range events {
			s.found = append(s.found, string(events[i].Kind)+" "+events[i].Token)
		}
		return nil
	}, slog.New(slog.DiscardHandler))
	return s
}

// use counts requests of a token, and how they were answered.
func (s *searched) use(t *testing.T, name, version string, times int, reason scopes.Reason, status int) {
	t.Helper()
	token, err := s.store.Token("acme/" + name)
	if err != nil {
		t.Fatal(err)
	}
	u := &usage.Use{
		Credential: scopes.DigestOf(name), Token: token.ID, API: s.api, Operation: &s.api.Operations[0], Version: version,
		Method: scopes.MethodOf("GET"), Reason: reason, Shadow: reason,
	}
	for range times {
		s.ledger.Meter.Decided(u, time.Now())
		if reason == scopes.Allowed {
			s.ledger.Meter.Answered(u, status, time.Millisecond, time.Now())
		}
	}
}

// finds looks again, at everything or only at what was changed, and holds what is found.
func (s *searched) finds(t *testing.T, want ...string) {
	t.Helper()
	s.found, s.events = nil, nil
	if err := s.look(s.store); err != nil {
		t.Fatal(err)
	}
	slices.Sort(s.found)
	if got := slices.Compact(s.found); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

func searchedToken(name string, access scopes.Access) scopes.Token {
	return scopes.Token{Name: name, Description: "d", Contact: scopes.Contact{Email: "a@b.example"}, Access: access}
}

// What was counted is found at the first look, and what is changed at the next.
func TestSearch(t *testing.T) {
	t.Parallel()
	scoped := searchedToken("scoped", scopes.ScopedAccess)
	scoped.Scopes = []scopes.Scope{{API: "orders", Versions: []string{"v1"}, Methods: scopes.MethodOf("GET")}}
	expiring := searchedToken("expiring", scopes.ReadOnly)
	expiring.Expires = time.Now().Add(29 * day)
	s := newSearched(t, scoped, expiring, searchedToken("busy", scopes.ReadOnly), searchedToken("failing", scopes.ReadOnly),
		searchedToken("legacy", scopes.ReadOnly), searchedToken("idle", scopes.ReadOnly))
	for _, name := range []string{"scoped", "expiring", "busy"} {
		s.use(t, name, "v2", 3, scopes.Allowed, 200)
	}
	s.use(t, "failing", "v2", 60, scopes.Allowed, 503)
	s.use(t, "failing", "v2", 60, scopes.MethodNotGranted, 0)
	s.use(t, "legacy", "v1", 1, scopes.Allowed, 200)
	s.finds(t, "errors acme/failing", "expiring acme/expiring", "unused acme/idle", "version_deprecated acme/legacy", "version_deprecated acme/scoped")

	if _, err := s.store.Deactivate(t.Context(), store.Actor{Name: "test"}, "acme/busy"); err != nil {
		t.Fatal(err)
	}
	s.finds(t, "deactivated acme/busy")
	s.finds(t)
	if _, err := s.store.Delete(t.Context(), store.Actor{Name: "test"}, "acme/idle"); err != nil {
		t.Fatal(err)
	}
	s.finds(t, "deleted acme/idle")

	s.use(t, "busy", "v2", 1, scopes.Inactive, 0) // after it was deactivated
	s.usage.last = time.Time{}
	s.finds(t, "deactivated acme/busy", "denied_after_change acme/busy", "errors acme/failing", "version_deprecated acme/legacy")
	s.usage.last = time.Time{}
	s.finds(t, "errors acme/failing", "version_deprecated acme/legacy") // the change was told of
	if _, err := s.store.CreateAccount(t.Context(), store.Actor{Name: "test"}, &scopes.Account{Name: "globex"}); err != nil {
		t.Fatal(err)
	}
	s.all.took = 0
	s.finds(t, "deactivated acme/busy", "deleted acme/idle", "expiring acme/expiring", "version_deprecated acme/scoped")
}

// BenchmarkSearch is what the looks cost with 100,000 tokens, of which every tenth is not used.
func BenchmarkSearch(b *testing.B) {
	const count = 100_000
	tokens := make([]scopes.Token, count)
	for i := range tokens {
		tokens[i] = searchedToken(fmt.Sprintf("token-%06d", i), scopes.ReadOnly)
	}
	s := newSearched(b, tokens...)
	all, err := s.store.Tokens(store.Filter{})
	if err != nil {
		b.Fatal(err)
	}
	for i := range all {
		if i%10 == 0 {
			continue
		}
		for _, reason := range []scopes.Reason{scopes.Allowed, scopes.MethodNotGranted} {
			s.ledger.Meter.Decided(&usage.Use{
				Credential: scopes.DigestOf(all[i].Name), Token: all[i].ID, API: s.api, Operation: &s.api.Operations[0], Version: "v2",
				Method: scopes.MethodOf("GET"), Reason: reason, Shadow: reason,
			}, time.Now())
		}
		if i%1000 == 1 {
			if err := s.ledger.Flush(); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("everything", func(b *testing.B) {
		for b.Loop() {
			s.all.last, s.all.took = time.Time{}, 0
			if err := s.look(s.store); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("usage", func(b *testing.B) {
		for b.Loop() {
			s.usage.last, s.usage.took = time.Time{}, 0
			if err := s.look(s.store); err != nil {
				b.Fatal(err)
			}
		}
	})
}
