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
	"unsafe"

	"github.com/scopegate/scopegate/scopes"
)

func TestEntryIsOneCacheLine(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(entry{}); size != 64 {
		t.Errorf("an entry has %d bytes, want 64", size)
	}
}

// The table finds what was put in, and nothing else, whatever the digests have in
// common.
func TestShardFinds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		count  int
		digest func(i int) scopes.Digest
	}{
		{"none", 0, nil},
		{"one", 1, func(int) scopes.Digest { return scopes.Digest{1} }},
		{"random", 5000, func(i int) scopes.Digest { return scopes.DigestOf(fmt.Sprint(i)) }},
		{"all with the lowest key", 300, func(i int) scopes.Digest { return scopes.Digest{31: byte(i), 30: byte(i >> 8), 29: 1} }},
		{"all with the highest key", 300, func(i int) scopes.Digest {
			return scopes.Digest{4: 255, 5: 255, 6: 255, 7: 255, 31: byte(i), 30: byte(i >> 8)}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var b shardBuilder
			for i := range test.count {
				x := indexed{id: fmt.Appendf(nil, "tok_%022d", i), name: []byte("n"), version: []byte("v")}
				x.digest, x.kind = test.digest(i), kindOf(scopes.Active, 0)
				if err := b.add(&x); err != nil {
					t.Fatal(err)
				}
			}
			s := build(&b)
			for i := range test.count {
				d := test.digest(i)
				s.expect(&d) // of no consequence
				e := s.find(&d)
				if e == nil || e.digest != d {
					t.Fatalf("entry %d: got %+v", i, e)
				}
				var g scopes.Grant
				if s.grant(&g, e); g.ID != fmt.Sprintf("tok_%022d", i) || g.Version != "v" {
					t.Fatalf("entry %d: got %+v", i, g)
				}
			}
			for _, d := range []scopes.Digest{{}, {31: 7}, {7: 128}, {4: 255, 5: 255, 6: 255, 7: 255, 29: 3}, scopes.DigestOf("nobody's")} {
				if e := s.find(&d); e != nil {
					t.Errorf("%v: got %+v, want none", d, e)
				}
			}
		})
	}
}

// However the entries fall, a search is short.
func TestShardSearchesAreShort(t *testing.T) {
	t.Parallel()
	var b shardBuilder
	for i := range 100_000 {
		x := indexed{id: make([]byte, idBytes)}
		x.digest, x.kind = scopes.DigestOf(fmt.Sprint(i)), kindOf(scopes.Active, 0)
		if err := b.add(&x); err != nil {
			t.Fatal(err)
		}
	}
	s := build(&b)
	longest, total := 0, 0
	for i := range s.table {
		if s.table[i].kind == 0 {
			continue
		}
		steps := 1 + i - slotOf(keyOf(&s.table[i].digest), s.slots)
		longest, total = max(longest, steps), total+steps
	}
	if mean := float64(total) / 100_000; mean > 3 || longest > 64 {
		t.Errorf("a search takes %.2f entries, and up to %d", mean, longest)
	}
}

func TestGrantHasAllOfAToken(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	token := edit(testToken("a"), func(t *scopes.Token) {
		t.Version, t.Expires = "v1", testNow.AddDate(1, 0, 0)
		t.Sources = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	})
	account := acme(token)
	account.IDs = []string{"IRab12cd34"}
	apply(t, s, testFile(account, scopes.Account{Name: "beta", Tokens: []scopes.Token{testToken("b")}}))
	got := s.Snapshot().Grant(token.Credential)
	if got.Account != "acme" || got.Name != "a" || got.Version != "v1" || got.Expires != token.Expires.Unix() ||
		!slices.Equal(got.AccountIDs, account.IDs) || !slices.Equal(got.Sources, token.Sources) || len(slices.Collect(got.Rules.All())) != 1 {
		t.Errorf("got %+v", got)
	}
	if got := s.Snapshot().Grant(testToken("b").Credential); got.AccountIDs != nil || got.Account != "beta" {
		t.Errorf("b: got %+v", got)
	}
	before := s.Snapshot()
	account.IDs = []string{"IRother"}
	apply(t, s, testFile(account))
	if got := s.Snapshot().Grant(token.Credential); !slices.Equal(got.AccountIDs, account.IDs) {
		t.Errorf("with another id: got %+v", got.AccountIDs)
	}
	if got := before.Grant(token.Credential); !slices.Equal(got.AccountIDs, []string{"IRab12cd34"}) {
		t.Errorf("the snapshot before has changed: got %+v", got.AccountIDs)
	}
}

func TestGrantDoesNotAllocate(t *testing.T) { //nolint:paralleltest // it measures
	s := newTestStore(t)
	apply(t, s, testFile(acme(testToken("a"))))
	for _, credential := range []string{"secret of a", "nobody's"} {
		if allocs := testing.AllocsPerRun(100, func() {
			_ = s.Snapshot().Grant(scopes.DigestOf(credential))
		}); allocs != 0 {
			t.Errorf("%s: %v allocations, want 0", credential, allocs)
		}
	}
}

// A credential that is being replaced is accepted until the overlap is over.
func TestACredentialEndsByItself(t *testing.T) {
	t.Parallel()
	now := testNow
	s := openStore(t, newPath(t), Options{Now: func() time.Time { return now }})
	apply(t, s, testFile(acme(testToken("a"))))
	err := s.change(context.Background(), tester, func(c *change) error {
		old, err := c.find("acme/a")
		if err != nil {
			return err
		}
		next := old.clone()
		next.credentials[0].ends = testNow.Add(time.Hour)
		next.credentials = append(next.credentials, credential{digest: scopes.DigestOf("the next secret"), created: c.now})
		return c.putToken(old, next, "rotate")
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		after     time.Duration
		old, next scopes.State
	}{
		{0, scopes.Active, scopes.Active},
		{time.Hour - time.Second, scopes.Active, scopes.Active},
		{time.Hour, scopes.Unknown, scopes.Active},
	} {
		now = testNow.Add(step.after)
		if old, next := stateOf(s, "secret of a"), stateOf(s, "the next secret"); old != step.old || next != step.next {
			t.Errorf("after %v: got states %d and %d, want %d and %d", step.after, old, next, step.old, step.next)
		}
	}
}

// A token whose account's record is damaged is refused. It can still be revoked.
func TestDamagedAccount(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	storeFile{t, path}.damageRecord(bucketAccounts, "acme")
	s, log := openLogged(t, path)
	if got := stateOf(s, "secret of a"); got != scopes.Unknown {
		t.Errorf("got state %d, want Unknown", got)
	}
	if !strings.Contains(log.String(), "kind=account") {
		t.Errorf("the log does not tell: %q", log.String())
	}
	if _, err := s.Activate(context.Background(), tester, "acme/b"); !errors.Is(err, ErrDamaged) {
		t.Errorf("Activate: got %v, want ErrDamaged", err)
	}
	for _, do := range []func(context.Context, Actor, string) (Token, error){s.Deactivate, s.Delete} {
		mustDo(t, do, "acme/a")
		if got := stateOf(s, "secret of a"); got != scopes.Unknown {
			t.Errorf("got state %d, want Unknown", got)
		}
	}
}

func TestAccountNames(t *testing.T) {
	t.Parallel()
	var names accountNames
	const count = 3000
	for i := range count {
		before := names
		name := fmt.Sprint("account-", i)
		names = names.with([]*account{{name: name}})
		names = names.with([]*account{{name: fmt.Sprint("account-", i/2), ids: []string{fmt.Sprint(i)}}})
		if _, ok := before.find([]byte(name)); ok {
			t.Fatalf("%s is in what was there before it", name)
		}
	}
	if names.count != count {
		t.Errorf("got %d names, want %d", names.count, count)
	}
	for i := range count {
		name := fmt.Sprint("account-", i)
		at, ok := names.find([]byte(name))
		if !ok || names.text[at:int(at)+len(name)] != name {
			t.Fatalf("%s: got %d, %t", name, at, ok)
		}
		if want := []string{fmt.Sprint(2*i + 1)}; i < count/2 && !slices.Equal(names.ids[at], want) {
			t.Errorf("%s: got ids %v, want %v", name, names.ids[at], want)
		}
	}
	for _, name := range []string{"", "account", "account-", "account-30000", "b"} {
		if at, ok := names.find([]byte(name)); ok {
			t.Errorf("%q: got %d, want none", name, at)
		}
	}
}

// An expiry comes back from an entry as it was, however far away; one from before
// the index's time has come.
func TestExpiry(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		unix, want int64
		later      bool
	}{
		{unix: 0, want: 0},
		{unix: 1, want: expiryStart + 1},
		{unix: expiryStart, want: expiryStart + 1},
		{unix: expiryStart + 1, want: expiryStart + 1},
		{unix: testNow.Unix(), want: testNow.Unix()},
		{unix: expiryEnd - 1, want: expiryEnd - 1},
		{unix: expiryEnd, later: true},
		{unix: 1 << 40, later: true},
	} {
		got := expiryOf(test.unix)
		if later := got == expiryLater; later != test.later || !later && got.unix() != test.want {
			t.Errorf("%d: got %d (later %v), want %d (later %v)", test.unix, got.unix(), later, test.want, test.later)
		}
	}
}

// A token of the year 9999, and one with more rules than fit into an entry, are
// found as they were stored; the store's own check at the test's end compares them.
func TestIndexOfRareTokens(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	distant, many := testToken("distant"), testToken("many")
	distant.Expires = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
	many.Scopes = nil
	for _, method := range []string{"GET", "PUT", "POST", "DELETE", "PATCH"} {
		many.Scopes = append(many.Scopes, scopes.Scope{API: "orders", Versions: []string{"v1"}, Methods: scopes.MethodOf(method)})
	}
	apply(t, s, testFile(acme(distant, many)))
	for range 3 { // each time the entry is made anew, of the rules that are there
		if err := describe(s, "acme/many"); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := len(s.Snapshot().rules), 1+2*len(many.Scopes); got > want {
		t.Errorf("the table has %d rules, want at most %d: each once, and one run", got, want)
	}
	if got := s.Snapshot().Grant(distant.Credential).Expires; got != distant.Expires.Unix() {
		t.Errorf("got expiry %d, want %d", got, distant.Expires.Unix())
	}
}

// Rules that no token has any longer do not stay for ever.
func TestRuleTableIsMadeAnew(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	apply(t, s, testFile(acme(testToken("a"))))
	table := s.Snapshot().table
	table.rules = append(table.rules, make([]scopes.Rule, tableSlack+2)...)
	if err := describe(s, "acme/a"); err != nil {
		t.Fatal(err)
	}
	if got := len(s.Snapshot().rules); got != 1 {
		t.Errorf("the table has %d rules, want 1", got)
	}
}
