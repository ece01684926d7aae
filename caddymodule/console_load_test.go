package caddymodule_test

import (
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store"
	counts "github.com/scopegate/scopegate/usage"
)

// fillEstate makes the store of a gateway with n tokens that were used for a month, before
// it is started: each a day or two, the first ones every day.
func (g *gateway) fillEstate(t *testing.T, n int) {
	t.Helper()
	now := time.Now()
	made := now.AddDate(0, -4, 0)
	s, err := store.Open(g.store, store.Options{Now: func() time.Time { return made }})
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(estateFile(n), "accounts:\n", "apis:\n  raw: {operations: {all: \"* /raw/**\"}}\naccounts:\n", 1)
	file, err := scopes.Read("estate.yaml", []byte(text), made)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := s.Plan(t.Context(), file, store.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Apply(t.Context(), plan, store.ApplyOptions{Actor: store.Actor{Name: "test"}, File: "estate.yaml"}); err != nil {
		t.Fatal(err)
	}
	tokens, err := s.Tokens(store.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	api := s.Snapshot().Catalog().API("raw")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var at time.Time
	ledger, err := counts.Open(g.store+".usage", counts.Options{Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	const days, often, oneIn = 30, 50, 20
	for day := days; day >= 0; day-- {
		at = now.AddDate(0, 0, -day).Add(-time.Minute)
		for i := range tokens {
			if i >= often && random.IntN(oneIn) > 0 {
				continue
			}
			use := counts.Use{Token: tokens[i].ID, API: api, Operation: &api.Operations[0], Method: scopes.MethodOf("GET"), Reason: scopes.Allowed, Shadow: scopes.Allowed}
			ledger.Meter.Decided(&use, at)
			ledger.Meter.Answered(&use, http.StatusOK, time.Millisecond, at)
		}
		if err := ledger.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := ledger.Close(); err != nil {
		t.Fatal(err)
	}
}

var assetPaths = regexp.MustCompile(`(?:href|src)="(/console/assets/[^"]+\.(?:css|js))"`)

// TestConsoleOfManyTokens: pages are light, and do not wait for reports over all tokens.
// SCOPEGATE_SOAK=1 looks at 100,000 tokens and at how long pages take: the gateway is another
// process, so that is with the way there and back.
func TestConsoleOfManyTokens(t *testing.T) {
	t.Parallel()
	tokens, visits := often(500, 100_000), often(3, 60)
	g := newGateway(t, adminSite("", freeAddr(t)), roleFile())
	g.fillEstate(t, tokens)
	g.start(t)
	b := signIn(t, g, "admin")
	const light, quick = 100 << 10, 100 * time.Millisecond
	for _, path := range []string{
		"", "?window=30d", "tokens", "tokens?after=estate-7/token-150", "tokens?search=no-token-is-like-that", "tokens?search=token-99", "tokens?state=inactive",
		"tokens?account=estate-7", "tokens?api=raw&access=scoped", "tokens?expiring=30d", "tokens/estate-7/token-150", "tokens/ops/admin", "accounts", "accounts?search=estate-7",
		"accounts/estate-7", "apis", "apis/raw", "nodes", "audit", "explain",
	} {
		took := make([]time.Duration, visits)
		var page reply
		for i := range took {
			begun := time.Now()
			page = b.get(t, "/console/"+path)
			took[i] = time.Since(begun)
		}
		if page.status != http.StatusOK {
			t.Errorf("/console/%s is answered %d %s", path, page.status, page.body)
			continue
		}
		weight := len(page.body)
		for _, asset := range assetPaths.FindAllStringSubmatch(page.body, -1) {
			weight += len(b.get(t, asset[1]).body)
		}
		slices.Sort(took)
		p50, p95 := took[len(took)/2], took[len(took)*95/100]
		t.Logf("%d tokens: /console/%-40s p50 %7s, p95 %7s, %3d KiB with style and script", tokens, path, p50.Round(100*time.Microsecond), p95.Round(100*time.Microsecond), weight>>10)
		if weight > light {
			t.Errorf("/console/%s has %d bytes with style and script, want at most %d", path, weight, light)
		}
		if p95 > quick && visits > 3 && !raceDetector {
			t.Errorf("/console/%s takes %v at p95, want at most %v", path, p95, quick)
		}
	}
}
