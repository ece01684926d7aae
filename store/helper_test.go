package store

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// testNow is the time in tests that do not choose another.
var testNow = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func testOptions() Options {
	return Options{Now: func() time.Time { return testNow }}
}

// newPath returns the path of a store that is not there yet.
func newPath(tb testing.TB) string {
	tb.Helper()
	return filepath.Join(tb.TempDir(), "scopegate.db")
}

// openStore opens a store, and at the end of the test checks that the file is
// consistent and that the index agrees with it.
func openStore(tb testing.TB, path string, o Options) *Store {
	tb.Helper()
	s, err := Open(path, o)
	if err != nil {
		tb.Fatalf("Open: %v", err)
	}
	tb.Cleanup(func() { checkAndClose(tb, s) })
	return s
}

func newTestStore(tb testing.TB) *Store {
	tb.Helper()
	return openStore(tb, newPath(tb), testOptions())
}

func checkAndClose(tb testing.TB, s *Store) {
	tb.Helper()
	if s.failed() == nil {
		<-s.writer // what other nodes have changed is in the file before it is in the index
		checkStore(tb, s)
		s.unlock()
	}
	if err := s.Close(); err != nil {
		tb.Errorf("Close: %v", err)
	}
}

// checkStore checks that the file is consistent, that the index has all that the
// records say and nothing else, and that the counts hold.
func checkStore(tb testing.TB, s *Store) {
	tb.Helper()
	err := s.view(func(r reader) error {
		for err := range r.tx.Check() {
			tb.Errorf("bbolt: %v", err)
		}
		checkRecords(tb, s.Snapshot(), r)
		return nil
	})
	if err != nil {
		tb.Errorf("checking the store: %v", err)
	}
}

func checkRecords(tb testing.TB, snapshot *Snapshot, r reader) {
	tb.Helper()
	indexed, active := 0, make(map[string]int)
	var counts Counts
	damagedAccount := false
	catalog, err := r.catalog()
	if err != nil {
		tb.Fatal(err)
	}
	err = r.bucket(bucketTokens).ForEach(func(id, value []byte) error {
		rec, err := decodeRecord(id, value)
		if err != nil {
			counts.Damaged++
			return nil //nolint:nilerr // it is counted
		}
		counts.add(rec.flags(), 1)
		if _, err := r.account(rec.account); errors.Is(err, ErrDamaged) {
			damagedAccount = true
			return nil // its tokens are refused
		}
		indexed += len(rec.credentials)
		if rec.countsActive() {
			active[rec.account]++
		}
		checkGrants(tb, snapshot, catalog, rec)
		for _, d := range rec.dead {
			if g := snapshot.Grant(d); g.State != scopes.Unknown {
				tb.Errorf("token %s: a dead credential is granted %+v", rec.ref(), g)
			}
			if !r.isDead(d) {
				tb.Errorf("token %s: a dead credential is not in the bucket", rec.ref())
			}
		}
		return nil
	})
	if err != nil {
		tb.Error(err)
	}
	if snapshot.counts != counts {
		tb.Errorf("counts: got %+v, want %+v", snapshot.counts, counts)
	}
	if got := entriesOf(snapshot); got != indexed {
		tb.Errorf("the index has %d entries, want %d", got, indexed)
	}
	if counts.Damaged == 0 && !damagedAccount { // else it is not known what they count for
		checkAccounts(tb, r, active)
	}
}

func entriesOf(s *Snapshot) int {
	n := 0
	for i := range s.shards {
		for j := range s.shards[i].table {
			if s.shards[i].table[j].kind != 0 {
				n++
			}
		}
	}
	return n
}

func checkGrants(tb testing.TB, snapshot *Snapshot, catalog *scopes.Catalog, rec *record) {
	tb.Helper()
	rules, _ := catalog.Rules(nil, &rec.token)
	shadow, _ := catalog.Rules(nil, &scopes.Token{Scopes: rec.token.Shadow})
	for _, c := range rec.credentials {
		got := snapshot.Grant(c.digest)
		state := scopes.Active
		if rec.token.Inactive {
			state = scopes.Deactivated
		}
		if !c.ends.IsZero() && !snapshot.now().Before(c.ends) {
			if got.State != scopes.Unknown {
				tb.Errorf("token %s: a credential that has ended is granted %+v", rec.ref(), got)
			}
			continue
		}
		if got.ID != rec.id || got.Account != rec.account || got.Name != rec.token.Name || got.State != state ||
			got.Access != rec.token.Access || got.Version != rec.token.Version || got.Expires != unixOf(rec.token.Expires) ||
			!slices.Equal(got.Sources, rec.token.Sources) || !slices.Equal(slices.Collect(got.Rules.All()), rules) ||
			got.HasShadow != (len(rec.token.Shadow) > 0) || !slices.Equal(slices.Collect(got.Shadow.All()), shadow) ||
			!slices.Equal(got.Limits, rec.token.Limits) {
			tb.Errorf("token %s: the index has %+v, the record %+v", rec.ref(), got, rec.token)
		}
	}
}

func checkAccounts(tb testing.TB, r reader, active map[string]int) {
	tb.Helper()
	err := r.bucket(bucketAccounts).ForEach(func(name, value []byte) error {
		a, err := decodeAccount(name, value)
		if err != nil {
			return err
		}
		if a.active != active[a.name] {
			tb.Errorf("account %s counts %d active tokens, and has %d", a.name, a.active, active[a.name])
		}
		return nil
	})
	if err != nil {
		tb.Error(err)
	}
}

// testFile returns a scope file with two APIs and the given accounts.
func testFile(accounts ...scopes.Account) *scopes.File {
	get, post := scopes.MethodOf("GET"), scopes.MethodOf("POST")
	return &scopes.File{
		APIs: []scopes.API{
			{
				Name: "orders", Title: "Orders", Versions: []string{"v1", "v2"},
				Upstreams: scopes.Upstreams{All: []string{"http://127.0.0.1:9000"}},
				Operations: []scopes.Operation{
					{Name: "list", Methods: get, Path: "/orders/{version}"},
					{Name: "create", Methods: post, Path: "/orders/{version}"},
					{Name: "one", Methods: get | scopes.MethodOf("PUT"), Path: "/orders/{version}/{id}"},
				},
			},
			{
				Name: "ads", Versions: []string{"13", "14"}, AccountParam: "sid", DefaultVersion: "13",
				VersionFrom: []scopes.VersionPlace{{Kind: scopes.InHeader, Name: "Ir-Version"}},
				Upstreams:   scopes.Upstreams{ByVersion: map[string][]string{"13": {"http://127.0.0.1:13"}, "14": {"http://127.0.0.1:14"}}},
				Operations:  []scopes.Operation{{Name: "list", Methods: get, Path: "/ads/{sid}"}},
			},
		},
		Accounts: accounts,
	}
}

// testToken returns a scoped token that may GET orders v1, with an imported credential.
func testToken(name string) scopes.Token {
	return scopes.Token{
		Name: name, Description: "for tests", Contact: scopes.Contact{Email: "data@acme.example"},
		Scopes:     []scopes.Scope{{API: "orders", Versions: []string{"v1"}, Methods: scopes.MethodOf("GET")}},
		Credential: scopes.DigestOf("secret of " + name),
	}
}

func acme(tokens ...scopes.Token) scopes.Account {
	return scopes.Account{Name: "acme", Tokens: tokens}
}

// apply plans and applies a file, and fails the test if that fails.
func apply(tb testing.TB, s *Store, f *scopes.File) Result {
	tb.Helper()
	result, err := tryApply(s, f, PlanOptions{}, ApplyOptions{Actor: tester, AllowWiden: true})
	if err != nil {
		tb.Fatalf("applying the file: %v", err)
	}
	return result
}

func tryApply(s *Store, f *scopes.File, po PlanOptions, ao ApplyOptions) (Result, error) {
	plan, err := s.Plan(context.Background(), f, po)
	if err != nil {
		return Result{}, err
	}
	return s.Apply(context.Background(), plan, ao)
}

// stateOf returns the state that a credential is granted.
func stateOf(s *Store, credential string) scopes.State {
	return s.Snapshot().Grant(scopes.DigestOf(credential)).State
}

// lines collects what is logged.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// seeded is a deterministic source of what should be random.
type seeded struct{ *rand.ChaCha8 }

func newSeededBy(seed uint64) io.Reader {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return seeded{rand.NewChaCha8(key)}
}

var _ io.Writer = (*lines)(nil)

// tester makes the changes of tests.
var tester = Actor{Name: "test"}
