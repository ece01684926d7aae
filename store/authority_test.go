package store

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// authorityFile has an administrator's token, and others that may do less than it,
// the same and more.
const authorityFile = `format: 1
apis:
  orders:
    versions: ["v1", "v2"]
    operations: {list: "GET|POST /orders/{version}", one: "GET|PUT|DELETE /orders/{version}/{id}"}
accounts:
  acme:
    ids: [IRab12cd34]
    tokens:
      admin:
        description: d
        contact: {email: a@b.example}
        expires: 2027-06-01
        sources: [192.0.2.0/24]
        rate: {orders: 10/s, scopegate: 5/s}
        quota: {orders: 1000/day}
        scopes: [{api: orders, version: "v1", methods: [GET]}, {api: scopegate, methods: ["*"]}]
      less: {description: d, contact: {email: a@b.example}, expires: 2027-01-01, sources: [192.0.2.7], rate: 5/s, quota: {orders: 10/hour}, scopes: [{api: orders, version: "v1", methods: [GET], operations: [list]}]}
      more: {description: d, contact: {email: a@b.example}, expires: 2027-01-01, sources: [192.0.2.7], scopes: [{api: orders, version: "v1", methods: [GET, DELETE]}]}
      off: {description: d, contact: {email: a@b.example}, state: inactive, expires: 2027-01-01, sources: [192.0.2.7], scopes: [{api: orders, version: "v1", methods: [GET, DELETE]}]}
      legacy: {contact: {email: a@b.example}, access: read_only}
`

// authorityStore is a store with the file above, and the actor of its administrator.
func authorityStore(t *testing.T) (*Store, *testClock, Actor) {
	t.Helper()
	clock := &testClock{testNow}
	s := openStore(t, newPath(t), clock.options())
	apply(t, s, readFile(t, authorityFile))
	admin := must(t, func() (Token, error) { return s.Token("acme/admin") })
	return s, clock, Actor{Name: "token acme/admin", Token: admin.ID}
}

func readFile(t *testing.T, src string) *scopes.File {
	t.Helper()
	return must(t, func() (*scopes.File, error) { return scopes.Read("scopes.yaml", []byte(src), testNow) })
}

// limits returns a rate and a quota for all APIs together; "" for none.
func limits(rate, quota string) []scopes.Limit { return limitsOn("", rate, quota) }

func limitsOn(api, rate, quota string) []scopes.Limit {
	l := scopes.Limit{API: api}
	l.Rate, _ = scopes.ParseRate(rate)
	l.Quota, _ = scopes.ParseQuota(quota)
	return []scopes.Limit{l}
}

func sources(prefix string) []netip.Prefix {
	if !strings.Contains(prefix, "/") {
		prefix += "/32"
	}
	return []netip.Prefix{netip.MustParsePrefix(prefix)}
}

// edited returns an edit of a token.
func edited(change func(*scopes.Token)) func(*scopes.Token) error {
	return func(t *scopes.Token) error {
		change(t)
		return nil
	}
}

func TestAuthority(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	year := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	read := []scopes.Scope{{API: "orders", Versions: []string{"v1"}, Methods: scopes.MethodOf("GET")}}
	within := scopes.Token{Name: "new", Description: "d", Contact: scopes.Contact{Email: "a@b.example"}, Expires: year, Sources: sources("192.0.2.128/25"), Scopes: read, Limits: limits("10/s", "1000/day")}
	with := func(change func(*scopes.Token)) *scopes.Token {
		t := within
		change(&t)
		return &t
	}
	update := func(ref string, change func(*scopes.Token)) func(*Store, Actor) error {
		return func(s *Store, a Actor) error {
			_, _, err := s.Update(ctx, a, ref, edited(change), UpdateOptions{AllowWiden: true})
			return err
		}
	}
	create := func(token *scopes.Token) func(*Store, Actor) error {
		return func(s *Store, a Actor) error {
			_, err := s.Create(ctx, a, "globex", token)
			return err
		}
	}
	applied := func(old, now string, prune bool) func(*Store, Actor) error {
		return func(s *Store, a Actor) error {
			file := readFile(t, strings.Replace(authorityFile, old, now, 1))
			_, err := tryApply(s, file, PlanOptions{Prune: prune}, ApplyOptions{Actor: a, AllowWiden: true})
			return err
		}
	}
	for _, c := range []struct {
		name string
		do   func(*Store, Actor) error
		want string // of the refusal; "" if it is done
	}{
		{"create less", create(&within), ""},
		{"create with another method", create(with(func(t *scopes.Token) {
			t.Scopes = []scopes.Scope{{API: "orders", Versions: []string{"v1"}, Methods: scopes.MethodOf("PUT")}}
		})), "has no orders:v1:PUT"},
		{"create inactive with more", create(with(func(t *scopes.Token) {
			t.Inactive, t.Scopes = true, []scopes.Scope{{API: "orders", Versions: []string{"v2"}, Methods: scopes.MethodOf("GET")}}
		})), "has no orders:v2:GET"},
		{"create that outlives", create(with(func(t *scopes.Token) { t.Expires = time.Time{} })), "expires at 2027-06-01"},
		{"create for everywhere", create(with(func(t *scopes.Token) { t.Sources = nil })), "may be used from 192.0.2.0/24"},
		{"create legacy", create(with(func(t *scopes.Token) { t.Access, t.Scopes = scopes.ReadOnly, nil })), "has no access: read_only"},
		{"create without limits", create(with(func(t *scopes.Token) { t.Limits = nil })), "has the rate 10/s on API orders"},
		{"create without a quota", create(with(func(t *scopes.Token) { t.Limits = limits("10/s", "") })), "has the quota 1000/day on API orders"},
		{"create with a higher rate", create(with(func(t *scopes.Token) { t.Limits = limits("11/s", "1000/day") })), "has the rate 10/s on API orders"},
		{"create with limits on that API", create(with(func(t *scopes.Token) { t.Limits = limitsOn("orders", "10/s", "1000/day") })), ""},
		{"create with limits on another API", create(with(func(t *scopes.Token) { t.Limits = limitsOn("scopegate", "10/s", "1000/day") })), "has the rate 10/s on API orders"},
		{"more often", update("acme/less", func(t *scopes.Token) { t.Limits = limits("10/s", "1000/day") }), ""},
		{"more often than itself", update("acme/less", func(t *scopes.Token) { t.Limits = limits("11/s", "1000/day") }), "has the rate 10/s on API orders"},
		{"itself without limits", update("acme/admin", func(t *scopes.Token) { t.Limits = nil }), "has the rate 10/s on API orders"},
		{"limit more", update("acme/more", func(t *scopes.Token) { t.Limits = limits("100/s", "") }), ""},
		{"a shadow of more", update("acme/less", func(t *scopes.Token) {
			t.Shadow = []scopes.Scope{{API: "orders", Versions: []string{"v2"}, Methods: scopes.AllMethods}}
			t.Keep.All = true
		}), ""},
		{"deactivate more", func(s *Store, a Actor) error { _, err := s.Deactivate(ctx, a, "acme/more"); return err }, ""},
		{"delete legacy", func(s *Store, a Actor) error { _, err := s.Delete(ctx, a, "acme/legacy"); return err }, ""},
		{"narrow more", update("acme/more", func(t *scopes.Token) { t.Scopes = read[:1] }), ""},
		{"describe more", update("acme/more", func(t *scopes.Token) { t.Description = "other" }), ""},
		{"widen within its own", update("acme/less", func(t *scopes.Token) { t.Scopes = read }), ""},
		{"widen beyond", update("acme/less", func(t *scopes.Token) {
			t.Scopes = append(t.Scopes, scopes.Scope{API: "orders", Versions: []string{"v1"}, Methods: scopes.MethodOf("DELETE")})
		}), "has no orders:v1:DELETE"},
		{"widen itself", update("acme/admin", func(t *scopes.Token) {
			t.Scopes = append(t.Scopes, scopes.Scope{API: "orders", Versions: []string{"v2"}, Methods: scopes.MethodOf("GET")})
		}), "has no orders:v2:GET"},
		{"itself for longer", update("acme/admin", func(t *scopes.Token) { t.Expires = time.Time{} }), "expires at"},
		{"itself from everywhere", update("acme/admin", func(t *scopes.Token) { t.Sources = nil }), "may be used from"},
		{"more for longer", update("acme/more", func(t *scopes.Token) { t.Expires = year.AddDate(0, 1, 0) }), "has no orders:v1:DELETE"},
		{"more from more places", update("acme/more", func(t *scopes.Token) { t.Sources = sources("192.0.2.0/24") }), "has no orders:v1:DELETE"},
		{"less for longer, within its own", update("acme/less", func(t *scopes.Token) { t.Expires = year.AddDate(0, 1, 0) }), ""},
		{"legacy access for more", update("acme/less", func(t *scopes.Token) { t.Access, t.Scopes = scopes.ReadWrite, nil }), "has no access: read_write"},
		{"wider legacy access", update("acme/legacy", func(t *scopes.Token) { t.Access = scopes.ReadWrite }), "has no access: read_write"},
		{"activate more", func(s *Store, a Actor) error { _, err := s.Activate(ctx, a, "acme/off"); return err }, "has no orders:v1:DELETE"},
		{"issue for more", func(s *Store, a Actor) error { _, err := s.Issue(ctx, a, "acme/more"); return err }, "has no orders:v1:DELETE"},
		{"issue for legacy", func(s *Store, a Actor) error { _, err := s.Issue(ctx, a, "acme/legacy"); return err }, "has no access: read_only"},
		{"issue for less", func(s *Store, a Actor) error { _, err := s.Issue(ctx, a, "acme/less"); return err }, ""},
		{"issue for itself", func(s *Store, a Actor) error { _, err := s.Issue(ctx, a, "acme/admin"); return err }, ""},
		{"import into more", func(s *Store, a Actor) error {
			_, err := s.Import(ctx, a, "acme/more", scopes.DigestOf("a-known-credential"), "")
			return err
		}, "has no orders:v1:DELETE"},
		{"account with ids", func(s *Store, a Actor) error {
			_, err := s.CreateAccount(ctx, a, &scopes.Account{Name: "globex", IDs: []string{"other"}})
			return err
		}, "ids of account globex"},
		{"account", func(s *Store, a Actor) error {
			_, err := s.CreateAccount(ctx, a, &scopes.Account{Name: "globex"})
			return err
		}, ""},
		{"apply nothing", applied("", "", false), ""},
		{"apply an operation that moves", applied("GET|POST /orders/{version}\"", "GET|POST|PUT /orders/{version}\"", false), "APIs are not changed"},
		{"apply an API", applied("accounts:", "  more: {operations: {all: \"* /**\"}}\naccounts:", false), "APIs are not changed"},
		{"apply ids", applied("ids: [IRab12cd34]", "ids: [IRab12cd34, other]", false), "ids of account acme"},
		{"apply without ids", applied("    ids: [IRab12cd34]\n", "", false), "ids of account acme"},
		{"apply a credential for more", applied("more: {", "more: {credential: \""+scopes.DigestOf("a-known-credential").String()+"\", ", false), "has no orders:v1:DELETE"},
		{"apply a state", applied("off: {description: d, contact: {email: a@b.example}, state: inactive", "off: {description: d, contact: {email: a@b.example}, state: active", false), "has no orders:v1:DELETE"},
		{"apply with prune", applied("      legacy: {contact: {email: a@b.example}, access: read_only}\n", "", true), ""},
		{"apply for the server", func(s *Store, a Actor) error {
			_, err := tryApply(s, readFile(t, authorityFile), PlanOptions{}, ApplyOptions{Actor: a, Source: "/etc/scopes.yaml", Digest: [32]byte{1}})
			return err
		}, "not for a token to say"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, _, actor := authorityStore(t)
			before := s.Snapshot().Revision()
			wantRefusal(t, c.do(s, actor), c.want)
			if after := s.Snapshot().Revision(); c.want != "" && after != before {
				t.Errorf("the store went from revision %d to %d, want no change", before, after)
			}
		})
	}
}

// wantRefusal compares an error with a part of that of a refusal, or none.
func wantRefusal(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("got %v, want it done", err)
	case want != "" && (!errors.Is(err, ErrAuthority) || !strings.Contains(err.Error(), want)):
		t.Errorf("got %v, want a refusal with %q", err, want)
	}
}

// A token that is being rotated: its first credential has an end, which is not for
// everybody to put off.
func TestAuthorityOverRotation(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s, _, actor := authorityStore(t)
	for _, ref := range []string{"acme/more", "acme/less", "acme/admin"} {
		must(t, func() (Issued, error) { return s.Issue(ctx, tester, ref) })
	}
	for _, c := range []struct{ ref, want string }{{"acme/more", "has no orders:v1:DELETE"}, {"acme/less", ""}, {"acme/admin", ""}} {
		_, err := s.Rotate(ctx, actor, c.ref, time.Hour)
		wantRefusal(t, err, c.want)
	}
	if _, err := s.Retire(ctx, actor, "acme/less"); err != nil {
		t.Errorf("retire: got %v, want it done", err)
	}
	var c change
	c.authority = &authority{ref: "acme/admin"}
	old := &record{account: "acme", token: testToken("a"), credentials: []credential{{ends: testNow}}}
	now := old.clone()
	now.credentials[0].ends = testNow.Add(time.Hour)
	wantRefusal(t, c.authorize(old, now), "has no")
	c.authority.Authority = scopes.Authority{}
	now = old.clone()
	old.held, old.token.Inactive, now.token.Inactive = true, true, true
	wantRefusal(t, c.authorize(old, now), "has no")
}

// The token's power is looked at where nobody else changes anything.
func TestAuthorityInForce(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, c := range []struct {
		name, want string
		meanwhile  func(*testing.T, *Store, *testClock, *Actor)
	}{
		{"deactivated", "no longer in force", func(t *testing.T, s *Store, _ *testClock, _ *Actor) {
			t.Helper()
			must(t, func() (Token, error) { return s.Deactivate(ctx, tester, "acme/admin") })
		}},
		{"deleted", "no longer in force", func(t *testing.T, s *Store, _ *testClock, _ *Actor) {
			t.Helper()
			must(t, func() (Token, error) { return s.Delete(ctx, tester, "acme/admin") })
		}},
		{"expired", "no longer in force", func(_ *testing.T, _ *Store, clock *testClock, _ *Actor) {
			clock.now = time.Date(2027, 6, 1, 0, 0, 0, 0, time.UTC)
		}},
		{"unknown", "not found", func(_ *testing.T, _ *Store, _ *testClock, a *Actor) { a.Token = "tok_0123456789012345678901" }},
		{"denied when asked again", "changed its mind", func(_ *testing.T, _ *Store, _ *testClock, a *Actor) {
			a.Recheck = func() error { return errors.New("changed its mind") }
		}},
		{"narrowed", "has no orders:v1:GET", func(t *testing.T, s *Store, _ *testClock, _ *Actor) {
			t.Helper()
			narrow := edited(func(t *scopes.Token) { t.Scopes = t.Scopes[1:] })
			if _, _, err := s.Update(ctx, tester, "acme/admin", narrow, UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
		}},
		{"in force", "", func(*testing.T, *Store, *testClock, *Actor) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, clock, actor := authorityStore(t)
			c.meanwhile(t, s, clock, &actor)
			_, err := s.Issue(ctx, actor, "acme/less")
			wantRefusal(t, err, c.want)
		})
	}
}

// Two administrators at the same time: what one gives after the other took it away
// from him is not given.
func TestAuthorityRace(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s, _, actor := authorityStore(t)
	var racing sync.WaitGroup
	const tries = 20
	made := make([]error, tries)
	start := make(chan struct{})
	racing.Go(func() {
		<-start
		narrow := edited(func(t *scopes.Token) { t.Scopes = t.Scopes[1:] })
		if _, _, err := s.Update(ctx, tester, "acme/admin", narrow, UpdateOptions{}); err != nil {
			t.Error(err)
		}
	})
	for i := range tries {
		racing.Go(func() {
			<-start
			token := testToken(fmt.Sprintf("new%d", i))
			token.Credential, token.Sources, token.Expires, token.Inactive = scopes.Digest{}, sources("192.0.2.7"), testNow.AddDate(0, 1, 0), true
			token.Scopes = []scopes.Scope{{API: "orders", Versions: []string{"v1"}, Methods: scopes.MethodOf("GET")}}
			_, made[i] = s.Create(ctx, actor, "globex", &token)
		})
	}
	close(start)
	racing.Wait()
	narrowed := must(t, func() (Token, error) { return s.Token("acme/admin") }).Revision
	for i, err := range made {
		token, missing := s.Token(fmt.Sprintf("globex/new%d", i))
		switch {
		case err == nil && (missing != nil || token.Revision > narrowed):
			t.Errorf("token %d was made at revision %d, after the one that took the right to it, %d (error %v)", i, token.Revision, narrowed, missing)
		case err != nil && (!errors.Is(err, ErrAuthority) || missing == nil):
			t.Errorf("token %d: got error %v, and the token %v", i, err, token.Ref())
		}
	}
}

// What gives nothing now must not have a scope file give it later: to a token of a
// name that the file knows, or to one that was narrowed by hand.
func TestAuthorityOverFiles(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	read := []scopes.Scope{{API: "orders", Versions: []string{"v1"}, Methods: scopes.MethodOf("GET")}}
	small := testToken("more")
	small.Credential, small.Scopes, small.Sources, small.Expires = scopes.Digest{}, read, sources("192.0.2.7"), testNow.AddDate(0, 1, 0)
	small.Limits = limits("5/s", "1000/day")
	recreate := func(s *Store, ref string, actor Actor) error {
		if _, err := s.Delete(ctx, actor, ref); err != nil {
			return err
		}
		token := small
		_, token.Name, _ = strings.Cut(ref, "/")
		_, err := s.Create(ctx, actor, "acme", &token)
		return err
	}
	narrow := func(t *testing.T, s *Store) {
		t.Helper()
		if _, _, err := s.Update(ctx, tester, "acme/more", edited(func(t *scopes.Token) { t.Scopes = read }), UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	asItIs := strings.Replace(authorityFile, "sources: [192.0.2.7], scopes: [{api: orders, version: \"v1\", methods: [GET, DELETE]}]", "sources: [192.0.2.7], scopes: [{api: orders, version: \"v1\", methods: [GET]}]", 1)
	without := regexp.MustCompile(`(?m)^      more: .*\n`).ReplaceAllString(authorityFile, "")
	for _, c := range []struct {
		name, want string
		do         func(*testing.T, *Store, Actor) error
	}{
		{"the name of a more powerful token", "has no orders:v1:DELETE", func(_ *testing.T, s *Store, a Actor) error { return recreate(s, "acme/more", a) }},
		{"the name of a legacy token", "has no access: read_only", func(_ *testing.T, s *Store, a Actor) error { return recreate(s, "acme/legacy", a) }},
		{"the name of a lesser token", "", func(_ *testing.T, s *Store, a Actor) error { return recreate(s, "acme/less", a) }},
		{"a file that says what is, over one that says more", "has less than the file", func(t *testing.T, s *Store, a Actor) error {
			t.Helper()
			narrow(t, s)
			_, err := tryApply(s, readFile(t, asItIs), PlanOptions{}, ApplyOptions{Actor: a, AllowWiden: true})
			return err
		}},
		{"a prune of what a file says more of", "has less than the file", func(t *testing.T, s *Store, a Actor) error {
			t.Helper()
			narrow(t, s)
			_, err := tryApply(s, readFile(t, without), PlanOptions{Prune: true}, ApplyOptions{Actor: a, AllowWiden: true})
			return err
		}},
		{"a prune of what is as the file says", "", func(t *testing.T, s *Store, a Actor) error {
			t.Helper()
			_, err := tryApply(s, readFile(t, without), PlanOptions{Prune: true}, ApplyOptions{Actor: a, AllowWiden: true})
			return err
		}},
		{"the same file again", "", func(t *testing.T, s *Store, a Actor) error {
			t.Helper()
			narrow(t, s)
			_, err := tryApply(s, readFile(t, authorityFile), PlanOptions{}, ApplyOptions{Actor: a, AllowWiden: true})
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, _, actor := authorityStore(t)
			wantRefusal(t, c.do(t, s, actor), c.want)
		})
	}
}
