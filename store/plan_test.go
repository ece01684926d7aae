package store

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// edit returns a copy of a token with a change.
func edit(t scopes.Token, change func(*scopes.Token)) scopes.Token {
	t.Scopes = slices.Clone(t.Scopes)
	change(&t)
	return t
}

func orders(methods ...string) []scopes.Scope {
	s := scopes.Scope{API: "orders", Versions: []string{"v1"}}
	for _, m := range methods {
		s.Methods |= scopes.MethodOf(m)
	}
	return []scopes.Scope{s}
}

func TestPlanOfAChangedToken(t *testing.T) {
	t.Parallel()
	base := testToken("a")
	base.Expires = testNow.AddDate(0, 1, 0)
	base.Sources = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	base.Limits = []scopes.Limit{{Rate: scopes.Rate{Requests: 100, Per: time.Second, Burst: 100}, Quota: scopes.Quota{Requests: 1000, Per: scopes.PerDay}}}
	limited := func(change func(*scopes.Limit)) func(*scopes.Token) {
		return func(t *scopes.Token) {
			t.Limits = slices.Clone(t.Limits)
			change(&t.Limits[0])
		}
	}
	tests := []struct {
		name   string
		change func(*scopes.Token)
		action Action // "" for no change
		widens bool
		narrow bool
		detail string
	}{
		{"nothing", func(*scopes.Token) {}, "", false, false, ""},
		{"description", func(t *scopes.Token) { t.Description = "else" }, Update, false, false, "description: changed"},
		{"contact", func(t *scopes.Token) { t.Contact.Name = "Data team" }, Update, false, false, "contact: data@acme.example → Data team <data@acme.example>"},
		{"environment", func(t *scopes.Token) { t.Environment = "test" }, Update, false, false, "environment: none → test"},
		{"rotate_every", func(t *scopes.Token) { t.RotateEvery = 90 * 24 * time.Hour }, Update, false, false, "rotate_every: never → 90d"},
		{"a method more", func(t *scopes.Token) { t.Scopes = orders("GET", "PUT") }, Update, true, false, "scopes: orders:v1:GET → orders:v1:GET,PUT"},
		{"no scopes", func(t *scopes.Token) { t.Scopes = nil }, Update, false, true, "scopes: orders:v1:GET → none"},
		{"another method", func(t *scopes.Token) { t.Scopes = orders("POST") }, Update, true, true, "→ orders:v1:POST"},
		{"a method that no operation has", func(t *scopes.Token) { t.Scopes = orders("GET", "PURGE") }, Update, false, false, "PURGE"},
		{"another version", func(t *scopes.Token) { t.Scopes[0].Versions = []string{"v2"} }, Update, true, true, "orders:v2:"},
		{"one operation", func(t *scopes.Token) { t.Scopes[0].Operations = []string{"list"} }, Update, false, true, "orders:v1:GET:list"},
		{"legacy", func(t *scopes.Token) { t.Scopes, t.Access = nil, scopes.ReadOnly }, Update, true, false, "→ read_only"},
		{"pinned", func(t *scopes.Token) { t.Version = "v1" }, Update, false, false, "pinned to version v1"},
		{"inactive", func(t *scopes.Token) { t.Inactive = true }, Deactivate, false, true, "state: active → inactive"},
		{"a later end", func(t *scopes.Token) { t.Expires = t.Expires.AddDate(1, 0, 0) }, Update, true, false, "expires: 2026-12-01T12:00:00Z → 2027-12-01T12:00:00Z"},
		{"no end", func(t *scopes.Token) { t.Expires = time.Time{} }, Update, true, false, "→ never"},
		{"an earlier end", func(t *scopes.Token) { t.Expires = testNow }, Update, false, true, "expires:"},
		{"from everywhere", func(t *scopes.Token) { t.Sources = nil }, Update, true, false, "sources: 10.0.0.0/8 → everywhere"},
		{"from a part", func(t *scopes.Token) { t.Sources = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")} }, Update, false, true, "10.1.0.0/16"},
		{"from elsewhere", func(t *scopes.Token) { t.Sources = []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")} }, Update, true, true, "2001:db8::/32"},
		{"a higher rate", limited(func(l *scopes.Limit) { l.Rate.Burst = 200 }), Update, true, false, "rate: 100/s → 100/s burst 200"},
		{"a lower rate", limited(func(l *scopes.Limit) { l.Rate.Per = time.Minute }), Update, false, true, "rate: 100/s → 100/min"},
		{"no rate", limited(func(l *scopes.Limit) { l.Rate = scopes.Rate{} }), Update, true, false, "rate: 100/s → none"},
		{"a higher quota", limited(func(l *scopes.Limit) { l.Quota.Requests++ }), Update, true, false, "quota: 1000/day → 1001/day"},
		{"a lower quota", limited(func(l *scopes.Limit) { l.Quota.Per = scopes.PerMonth }), Update, false, true, "quota: 1000/day → 1000/month"},
		{"a rate for an API more", func(t *scopes.Token) {
			t.Limits = append(slices.Clone(t.Limits), scopes.Limit{API: "orders", Rate: scopes.Rate{Requests: 10, Per: time.Second, Burst: 10}})
		}, Update, false, true, `rate: 100/s → {"*": 100/s, orders: 10/s}`},
		{"a shadow", func(t *scopes.Token) { t.Shadow = orders("GET", "DELETE") }, Update, false, false, "shadow: none → orders:v1:GET,DELETE"},
		{"keep all", func(t *scopes.Token) { t.Keep.All = true }, Update, false, false, "keep: none → all"},
		{"keep a part", func(t *scopes.Token) { t.Keep.Scopes = orders("GET") }, Update, false, false, "keep: none → orders:v1:GET"},
		{"another credential", func(t *scopes.Token) { t.Credential = scopes.DigestOf("another") }, Update, false, false, "in place of the one"},
		{"no credential", func(t *scopes.Token) { t.Credential = scopes.Digest{} }, "", false, false, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newTestStore(t)
			apply(t, s, testFile(acme(base)))
			plan, err := s.Plan(context.Background(), testFile(acme(edit(base, test.change))), PlanOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if test.action == "" {
				if !plan.Empty() || len(plan.Changes) > 0 {
					t.Fatalf("got %+v, want nothing", plan.Changes)
				}
			} else {
				if len(plan.Changes) != 1 {
					t.Fatalf("got %+v, want one change", plan.Changes)
				}
				c := plan.Changes[0]
				if c.Action != test.action || c.Widens != test.widens || c.Narrows != test.narrow ||
					len(c.Details) != 1 || !strings.Contains(c.Details[0], test.detail) {
					t.Errorf("got %+v, want %s, widens %t, narrows %t, %q", c, test.action, test.widens, test.narrow, test.detail)
				}
			}
			_, err = s.Apply(context.Background(), plan, ApplyOptions{})
			if got := errors.Is(err, ErrWiden); got != test.widens {
				t.Errorf("applying it without AllowWiden: got %v, want ErrWiden: %t", err, test.widens)
			}
			_, err = s.Apply(context.Background(), plan, ApplyOptions{AllowWiden: true})
			if test.widens && err != nil {
				t.Errorf("applying it with AllowWiden: %v", err)
			}
			revision := s.Snapshot().Revision()
			again, err := s.Plan(context.Background(), testFile(acme(edit(base, test.change))), PlanOptions{})
			if err != nil || !again.Empty() || len(again.steps) != 0 {
				t.Errorf("planning it again: got %+v, %v, want nothing to do", again, err)
			}
			if result, err := s.Apply(context.Background(), again, ApplyOptions{}); err != nil || result.Revision != revision {
				t.Errorf("applying it again: got revision %d, %v, want %d", result.Revision, err, revision)
			}
		})
	}
}

func TestPlanErrors(t *testing.T) {
	t.Parallel()
	many := make([]scopes.Token, scopes.DefaultMaxActive+1)
	for i := range many {
		many[i] = testToken(fmt.Sprint("t", i))
	}
	same := testToken("b")
	same.Credential = scopes.DigestOf("secret of a")
	tooMany := testFile(acme(many...))
	lowered := testFile(acme())
	lowered.Accounts[0].MaxActiveTokens = 1
	colliding := testFile()
	colliding.APIs = []scopes.API{{
		Name: "other", Versions: []string{"v1"},
		Operations: []scopes.Operation{{Name: "same", Methods: scopes.MethodOf("GET"), Path: "/orders/{version}/{number}"}},
	}}
	tests := []struct {
		name string
		file *scopes.File
		want error
		says string
	}{
		{"too many tokens", tooMany, ErrLimit, "acme would have 23 active scoped tokens, and max_active_tokens is 20"},
		{"a limit below what there is", lowered, ErrLimit, "acme would have 2 active scoped tokens, and max_active_tokens is 1"},
		{"the credential of another token", testFile(acme(same)), ErrExists, "the credential of token acme/b is token acme/a's"},
		{"one credential for two tokens", testFile(acme(
			edit(testToken("x"), func(t *scopes.Token) { t.Credential = scopes.Digest{1} }),
			edit(testToken("y"), func(t *scopes.Token) { t.Credential = scopes.Digest{1} }),
		)), ErrExists, "acme/y is token acme/x's"},
		{"operations that collide", colliding, nil, "orders/one"},
	}
	s := newTestStore(t)
	apply(t, s, testFile(acme(testToken("a"), testToken("b0"))))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := s.Plan(context.Background(), test.file, PlanOptions{})
			var conflicts scopes.Conflicts
			if err == nil || !strings.Contains(err.Error(), test.says) ||
				test.want != nil && !errors.Is(err, test.want) || test.want == nil && !errors.As(err, &conflicts) {
				t.Errorf("got %v, want %v that says %q", err, test.want, test.says)
			}
		})
	}
}

func TestPlanOfAPIs(t *testing.T) {
	t.Parallel()
	legacy := edit(testToken("legacy"), func(t *scopes.Token) { t.Scopes, t.Access = nil, scopes.ReadOnly })
	tests := []struct {
		name   string
		tokens []scopes.Token
		change func(*scopes.File)
		widens bool
		narrow bool
		detail string
	}{
		{"title", []scopes.Token{testToken("a")}, func(f *scopes.File) { f.APIs[0].Title = "All orders" }, false, false, "title: Orders → All orders"},
		{"an operation more that a token is granted", []scopes.Token{testToken("a")}, func(f *scopes.File) {
			f.APIs[0].Operations = append(f.APIs[0].Operations, scopes.Operation{Name: "all", Methods: scopes.MethodOf("GET"), Path: "/all/{version}"})
		}, true, false, "+ all: GET /all/{version}"},
		{"an operation more that nobody is granted", []scopes.Token{testToken("a")}, func(f *scopes.File) {
			f.APIs[0].Operations = append(f.APIs[0].Operations, scopes.Operation{Name: "drop", Methods: scopes.MethodOf("DELETE"), Path: "/all/{version}"})
		}, false, false, "+ drop"},
		{"an operation less", []scopes.Token{testToken("a")}, func(f *scopes.File) { f.APIs[0].Operations = f.APIs[0].Operations[:2] }, false, true, "- one: GET|PUT /orders/{version}/{id}"},
		{"an operation that moves", []scopes.Token{testToken("a")}, func(f *scopes.File) { f.APIs[0].Operations[0].Path = "/list/{version}" }, true, true, "list: GET /orders/{version} → list: GET /list/{version}"},
		{"operations in another order", []scopes.Token{testToken("a")}, func(f *scopes.File) { slices.Reverse(f.APIs[0].Operations) }, false, false, "operations: another order"},
		{"a method more for a legacy token", []scopes.Token{legacy}, func(f *scopes.File) {
			f.APIs[0].Operations[1].Methods |= scopes.MethodOf("GET")
			f.APIs[0].Operations[0].Methods = scopes.MethodOf("PUT")
		}, false, false, "create: GET|POST"},
		{"a new version for a legacy token", []scopes.Token{legacy}, func(f *scopes.File) { f.APIs[0].Versions = append(f.APIs[0].Versions, "v3") }, true, false, "versions: v1 v2 → v1 v2 v3"},
		{"a new version for a scoped token", []scopes.Token{testToken("a")}, func(f *scopes.File) { f.APIs[0].Versions = append(f.APIs[0].Versions, "v3") }, false, false, "versions: v1 v2 → v1 v2 v3"},
		{"an inactive token", []scopes.Token{edit(legacy, func(t *scopes.Token) { t.Inactive = true })}, func(f *scopes.File) { f.APIs[0].Versions = append(f.APIs[0].Versions, "v3") }, true, false, "versions"},
		{"any case of letters", []scopes.Token{legacy}, func(f *scopes.File) { f.APIs[0].FoldCase = true }, true, false, "path_case: sensitive → insensitive"},
		{"encoded slashes", []scopes.Token{testToken("a")}, func(f *scopes.File) { f.APIs[0].EncodedSlash = true }, true, false, "encoded_slash: refuse → allow"},
		{"a host, where there was none", []scopes.Token{testToken("a")}, func(f *scopes.File) { f.APIs[0].Hosts = []string{"a.example"} }, false, false, "hosts: none → a.example"},
		{"no account parameter, and nobody is granted anything", nil, func(f *scopes.File) { f.APIs[1].AccountParam = "" }, false, false, "account_param: sid → none"},
		{"no account parameter", []scopes.Token{legacy}, func(f *scopes.File) { f.APIs[1].AccountParam = "" }, true, false, "account_param: sid → none"},
		{"upstream", nil, func(f *scopes.File) { f.APIs[1].Upstreams.ByVersion["13"] = []string{"http://127.0.0.1:1"} }, false, false, "upstream: changed"},
		{"the rest", nil, func(f *scopes.File) { f.APIs[0].FoldCase, f.APIs[0].EncodedSlash = true, true }, false, false, "path_case: sensitive → insensitive"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newTestStore(t)
			apply(t, s, testFile(acme(test.tokens...)))
			file := testFile(acme(test.tokens...))
			test.change(file)
			plan, err := s.Plan(context.Background(), file, PlanOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if len(plan.Changes) != 1 {
				t.Fatalf("got %+v, want one change", plan.Changes)
			}
			c := plan.Changes[0]
			if c.Kind != "api" || c.Action != Update || c.Widens != test.widens || c.Narrows != test.narrow ||
				!strings.Contains(strings.Join(c.Details, "\n"), test.detail) {
				t.Errorf("got %+v, want widens %t, narrows %t, %q", c, test.widens, test.narrow, test.detail)
			}
			if _, err := s.Apply(context.Background(), plan, ApplyOptions{AllowWiden: true}); err != nil {
				t.Fatal(err)
			}
			apis, err := s.APIs()
			if err != nil || len(apis) != 2 || string(encodeAPI(&apis[1], "")) != string(encodeAPI(&file.APIs[0], "")) {
				t.Errorf("afterwards: got %+v, %v", apis, err)
			}
			if again, err := s.Plan(context.Background(), file, PlanOptions{}); err != nil || !again.Empty() {
				t.Errorf("planning it again: got %+v, %v, want nothing", again, err)
			}
		})
	}
}

func TestApplyOfAStalePlan(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := newTestStore(t)
	apply(t, s, testFile(acme(testToken("a"))))
	plan, err := s.Plan(ctx, testFile(acme(testToken("a"), testToken("b"))), PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	mustDo(t, s.Deactivate, "acme/a")
	if _, err := s.Apply(ctx, plan, ApplyOptions{}); !errors.Is(err, ErrMoved) {
		t.Errorf("got %v, want ErrMoved", err)
	}
	if _, err := s.Token("acme/b"); !errors.Is(err, ErrNotFound) {
		t.Errorf("b: got %v, want ErrNotFound", err)
	}
}

func TestAppliedDigest(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	if _, ok, err := s.AppliedDigest("scopes.yaml"); ok || err != nil {
		t.Errorf("of nothing: got %t, %v", ok, err)
	}
	for i := range byte(3) {
		file := testFile(acme(testToken("a")))
		if _, err := tryApply(s, file, PlanOptions{}, ApplyOptions{Source: "scopes.yaml", Digest: [32]byte{i}}); err != nil {
			t.Fatal(err)
		}
		if digest, ok, err := s.AppliedDigest("scopes.yaml"); digest != [32]byte{i} || !ok || err != nil {
			t.Errorf("got %x, %t, %v, want %d", digest, ok, err, i)
		}
		if got := s.Snapshot().Revision(); got != 1 {
			t.Errorf("got revision %d, want 1: only the source is news", got)
		}
	}
}

// Under a review a file lets nobody in without widening either.
func TestReviewRefusesWhatAdmits(t *testing.T) {
	t.Parallel()
	mallory := testToken("a")
	mallory.Credential = scopes.DigestOf("mallory's secret")
	for name, change := range map[string]func(*scopes.File){
		"a credential in place of another": func(f *scopes.File) { f.Accounts[0].Tokens = []scopes.Token{mallory} },
		"a new token with a credential":    func(f *scopes.File) { f.Accounts[0].Tokens = append(f.Accounts[0].Tokens, testToken("b")) },
		"another upstream":                 func(f *scopes.File) { f.APIs[0].Upstreams.All = []string{"http://mallory.example:80"} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTestStore(t)
			apply(t, s, testFile(acme(testToken("a"))))
			file := testFile(acme(testToken("a")))
			change(file)
			if _, err := tryApply(s, file, PlanOptions{}, ApplyOptions{Actor: tester, Review: true}); !errors.Is(err, ErrWiden) {
				t.Errorf("under a review: got %v, want ErrWiden", err)
			}
			if _, err := tryApply(s, file, PlanOptions{}, ApplyOptions{Actor: tester, Review: true, AllowWiden: true}); err != nil {
				t.Errorf("allowed: %v", err)
			}
		})
	}
}

// What a held token would be granted counts, for it may be activated.
func TestWideningAHeldToken(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	apply(t, s, testFile(acme(testToken("a"))))
	mustDo(t, s.Deactivate, "acme/a")
	wide := testToken("a")
	wide.Scopes[0].Methods = scopes.AllMethods
	if _, err := tryApply(s, testFile(acme(wide)), PlanOptions{}, ApplyOptions{Actor: tester}); !errors.Is(err, ErrWiden) {
		t.Errorf("got %v, want ErrWiden", err)
	}
}
