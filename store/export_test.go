package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// What is exported changes nothing where it came from, and applying it twice
// changes nothing at all, whatever was done to the store before.
func TestExportAppliedIsNoChange(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			s := newTestStore(t)
			random := rand.New(rand.NewPCG(seed, 2))
			for range 12 {
				randomStep(t, s, random)
			}
			before := everything(t, s)
			f, written := exported(t, s)
			plan, err := s.Plan(context.Background(), f, PlanOptions{Prune: true})
			if err != nil {
				t.Fatalf("%v\n%s", err, written)
			}
			if !plan.Empty() || len(plan.Warnings) > 0 {
				t.Fatalf("applying the export would change %+v, warnings %q\n%s", plan.Changes, plan.Warnings, written)
			}
			apply(t, s, f)
			if after := everything(t, s); !reflect.DeepEqual(before, after) {
				t.Fatalf("applying the export has changed\n%+v\nto\n%+v", before, after)
			}
			revision := s.Snapshot().Revision()
			f, again := exported(t, s)
			apply(t, s, f)
			if now := s.Snapshot().Revision(); now != revision || !bytes.Equal(written, again) {
				t.Errorf("the second time: revision %d, want %d; exported\n%s\nwant\n%s", now, revision, again, written)
			}
		})
	}
}

// exported exports a store, and returns the file as it is read from what was written.
func exported(t *testing.T, s *Store) (*scopes.File, []byte) {
	t.Helper()
	f, err := s.Export(ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	written := f.Marshal()
	read, err := scopes.Read("export.yaml", written, testNow)
	if err != nil {
		t.Fatalf("%v\n%s", err, written)
	}
	return read, written
}

// everything returns what the store has, without what only tells when and by whom
// it was written last.
func everything(t *testing.T, s *Store) []any {
	t.Helper()
	tokens, err := s.Tokens(Filter{Deleted: true})
	if err != nil {
		t.Fatal(err)
	}
	var all []any
	for _, token := range tokens {
		token.Updated, token.Revision, token.Owner = time.Time{}, 0, ""
		all = append(all, token)
	}
	accounts, err := s.Accounts(AccountFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range accounts {
		a.Updated, a.Revision, a.Owner = time.Time{}, 0, ""
		all = append(all, a)
	}
	apis, err := s.APIs()
	if err != nil {
		t.Fatal(err)
	}
	return append(all, apis)
}

// randomStep applies a random file, or does something by hand.
func randomStep(t *testing.T, s *Store, r *rand.Rand) {
	t.Helper()
	ctx, ref := context.Background(), fmt.Sprintf("acme%d/t%d", r.IntN(3), r.IntN(6))
	var err error
	switch r.IntN(8) {
	case 0:
		_, err = s.Activate(ctx, tester, ref)
	case 1:
		_, err = s.Deactivate(ctx, tester, ref)
	case 2:
		_, err = s.Issue(ctx, tester, ref)
	case 3:
		_, err = s.Delete(ctx, tester, ref)
	default:
		_, err = tryApply(s, randomEstate(r), PlanOptions{Prune: r.IntN(3) == 0}, ApplyOptions{Actor: tester, AllowWiden: true})
	}
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrExists) && !errors.Is(err, ErrDead) {
		t.Fatal(err)
	}
}

// randomEstate returns a file of one of three owners.
func randomEstate(r *rand.Rand) *scopes.File {
	f := testFile()
	f.Owner = []string{"", "team", "others"}[r.IntN(3)]
	for i := range 3 {
		a := scopes.Account{Name: fmt.Sprintf("acme%d", i)}
		if r.IntN(2) == 0 {
			a.Title, a.IDs = fmt.Sprint("Title ", r.IntN(3)), []string{fmt.Sprint(a.Name, "-", r.IntN(2))}
		}
		for j := range r.IntN(6) {
			token := testToken(fmt.Sprint("t", j))
			token.Credential = scopes.Digest{}
			if r.IntN(3) == 0 {
				token.Credential = scopes.DigestOf(fmt.Sprint("secret ", i, j, r.IntN(2)))
			}
			token.Scopes = orders([]string{"GET", "PUT", "POST"}[:1+r.IntN(3)]...)
			token.Inactive = r.IntN(4) == 0
			token.Description = fmt.Sprint("line 1\nline ", r.IntN(2))
			if r.IntN(3) == 0 {
				token.Limits, token.Shadow = testLimits(), orders("GET")
				token.Keep.All = r.IntN(2) == 0
			}
			if r.IntN(4) == 0 {
				token.Expires = testNow.Add(time.Duration(r.IntN(100)) * time.Hour)
			}
			a.Tokens = append(a.Tokens, token)
		}
		f.Accounts = append(f.Accounts, a)
	}
	return f
}

// Each owner exports what is his, and an account is exported without the APIs.
func TestExportSelects(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	first := testFile(scopes.Account{Name: "acme", Title: "Acme", Tokens: []scopes.Token{testToken("a")}})
	first.Owner = "platform"
	apply(t, s, first)
	team := &scopes.File{Owner: "team", Accounts: []scopes.Account{acme(testToken("b")), {Name: "globex", Tokens: []scopes.Token{testToken("c")}}}}
	apply(t, s, team)
	platform, other, none := "platform", "team", "nobody"
	for _, test := range []struct {
		options ExportOptions
		want    string // what is in the file, in its order
	}{
		{ExportOptions{}, "ads orders acme(Acme) a b globex() c"},
		{ExportOptions{Owner: &platform}, "ads orders acme(Acme) a"},
		{ExportOptions{Owner: &other}, "acme() b globex() c"},
		{ExportOptions{Owner: &none}, ""},
		{ExportOptions{Account: "acme"}, "acme(Acme) a b"},
		{ExportOptions{Account: "acme", Owner: &other}, "acme() b"},
	} {
		f, err := s.Export(test.options)
		if err != nil {
			t.Fatal(err)
		}
		if got := contentOf(f); got != test.want {
			t.Errorf("%+v: got %q, want %q", test.options, got, test.want)
		}
	}
	if _, err := s.Export(ExportOptions{Account: "none"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown account: got %v, want ErrNotFound", err)
	}
}

func contentOf(f *scopes.File) string {
	var content []string
	for i := range f.APIs {
		content = append(content, f.APIs[i].Name)
	}
	for i := range f.Accounts {
		content = append(content, f.Accounts[i].Name+"("+f.Accounts[i].Title+")")
		for j := range f.Accounts[i].Tokens {
			content = append(content, f.Accounts[i].Tokens[j].Name)
		}
	}
	return strings.Join(content, " ")
}

// What no file can say any more is left out, and told.
func TestExportTellsWhatIsStale(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	apply(t, s, testFile(acme(testToken("a"), edit(testToken("b"), func(t *scopes.Token) {
		t.Scopes = append(t.Scopes, scopes.Scope{API: "ads", Versions: []string{"13"}, Methods: scopes.MethodOf("GET")})
		t.Version = "13"
	}))))
	less := testFile()
	less.APIs = less.APIs[1:] // ads
	less.APIs[0].Versions, less.APIs[0].DefaultVersion = []string{"14"}, ""
	less.APIs[0].Upstreams = scopes.Upstreams{}
	apply(t, s, less)
	f, _ := exported(t, s)
	if got := contentOf(f); got != "ads orders acme() a b" {
		t.Errorf("got %q", got)
	}
	f, err := s.Export(ExportOptions{})
	if err != nil || len(f.Warnings) != 2 || f.Accounts[0].Tokens[1].Version != "" || len(f.Accounts[0].Tokens[1].Scopes) != 1 {
		t.Errorf("got %+v, %v, want a scope and a version left out, with two warnings", f, err)
	}
}

// Nor is what a token keeps and no longer has, or has in its shadow or its limits of an
// API that changed.
func TestExportTrims(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	ads := scopes.Scope{API: "ads", Versions: []string{"13"}, Methods: scopes.MethodOf("GET")}
	apply(t, s, testFile(acme(edit(testToken("a"), func(t *scopes.Token) {
		t.Scopes = orders("GET", "PUT")
		t.Keep.Scopes = append(orders("GET"), orders("PUT")...)
		t.Shadow = append(orders("GET"), ads)
		t.Limits = testLimits()
	}))))
	if _, _, err := s.Update(context.Background(), tester, "acme/a", edited(func(t *scopes.Token) { t.Scopes = orders("GET") }), UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	err := s.change(context.Background(), tester, func(c *change) error {
		c.recompile = true
		c.record("prune", "api", "ads", nil)
		c.share(keyAPI, "ads")
		return c.bucket(bucketAPIs).Delete([]byte("ads"))
	})
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.Export(ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got := f.Accounts[0].Tokens[0]
	if len(f.Warnings) != 3 || !reflect.DeepEqual(got.Keep.Scopes, orders("GET")) || !reflect.DeepEqual(got.Shadow, orders("GET")) ||
		scopes.QuotaText(got.Limits) != "100000/day" || len(got.Limits) != 2 {
		t.Errorf("got %+v and the warnings %v, want a kept scope, a shadow scope and a limit left out", got, f.Warnings)
	}
	if _, err := scopes.Read("f", f.Marshal(), testNow); err != nil {
		t.Errorf("the file cannot be read: %v", err)
	}
}
