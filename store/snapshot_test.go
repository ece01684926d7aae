package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

// After any changes, the index, the counts and the accounts agree with the records,
// and so they do after opening the file again.
func TestRandomChanges(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			path := newPath(t)
			s, err := Open(path, testOptions())
			if err != nil {
				t.Fatal(err)
			}
			random := rand.New(rand.NewPCG(seed, 0)) // the same each time
			for i := range 150 {
				if err := randomChange(s, random); err != nil {
					t.Fatalf("change %d: %v", i, err)
				}
				if i%25 == 0 {
					checkStore(t, s)
				}
			}
			checkAndClose(t, s)
			openStore(t, path, testOptions())
		})
	}
}

// randomChange makes a change that may as well be refused for a reason of its own.
func randomChange(s *Store, random *rand.Rand) error {
	ctx := context.Background()
	ref := fmt.Sprintf("account-%d/t%d", random.IntN(3), random.IntN(8))
	var err error
	switch random.IntN(8) {
	case 0, 1, 2:
		_, err = tryApply(s, randomFile(random), PlanOptions{Prune: random.IntN(4) == 0}, ApplyOptions{AllowWiden: true})
	case 3:
		_, err = s.Issue(ctx, tester, ref)
	case 4, 5:
		_, err = s.Deactivate(ctx, tester, ref)
	case 6:
		_, err = s.Activate(ctx, tester, ref)
	default:
		if random.IntN(3) == 0 {
			_, err = s.Delete(ctx, tester, ref)
		}
	}
	for _, expected := range []error{ErrNotFound, ErrExists, ErrDead, ErrLimit, ErrConflict} {
		if errors.Is(err, expected) {
			return nil
		}
	}
	return err
}

func randomFile(random *rand.Rand) *scopes.File {
	file := testFile()
	if random.IntN(3) == 0 {
		file.APIs[0].Versions = file.APIs[0].Versions[:1+random.IntN(2)]
	}
	for a := range 3 {
		account := scopes.Account{Name: fmt.Sprint("account-", a), MaxActiveTokens: 4 + random.IntN(3)}
		if random.IntN(2) == 0 {
			account.IDs = []string{fmt.Sprint("id-", random.IntN(3))}
		}
		for i := range 8 {
			if random.IntN(3) > 0 {
				account.Tokens = append(account.Tokens, randomToken(random, a, i))
			}
		}
		file.Accounts = append(file.Accounts, account)
	}
	return file
}

func randomToken(random *rand.Rand, account, i int) scopes.Token {
	token := testToken(fmt.Sprint("t", i))
	token.Inactive = random.IntN(3) == 0
	token.Description = fmt.Sprint(random.IntN(3))
	token.Credential = scopes.DigestOf(fmt.Sprint(account, i, random.IntN(3)))
	if random.IntN(4) == 0 {
		token.Scopes, token.Access = nil, scopes.ReadOnly
	}
	if random.IntN(4) == 0 {
		token.Sources = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	}
	if token.Access == scopes.ScopedAccess {
		token.Scopes = orders("GET", []string{"POST", "PUT"}[random.IntN(2)])
	}
	return token
}

// Readers see one consistent state at any time, while changes are made and after
// the store was closed.
func TestReadersDuringChanges(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	s, err := Open(path, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	apply(t, s, testFile(acme(testToken("a"), testToken("b"))))
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				snapshot := s.Snapshot()
				if snapshot == nil {
					return // closed
				}
				// a and b change their states together.
				a, b := snapshot.Grant(testToken("a").Credential), snapshot.Grant(testToken("b").Credential)
				if a.State != b.State || len(slices.Collect(a.Rules.All())) != len(slices.Collect(b.Rules.All())) || a.Account != "acme" {
					t.Errorf("got %+v and %+v in one snapshot", a, b)
				}
				select {
				case <-stop:
					return
				default:
				}
				if _, err := s.Tokens(Filter{}); err != nil && !errors.Is(err, ErrClosed) {
					t.Errorf("Tokens: %v", err)
				}
			}
		})
	}
	for i := range 60 {
		file := testFile(acme(testToken("a"), testToken("b")))
		for j := range file.Accounts[0].Tokens {
			file.Accounts[0].Tokens[j].Inactive = i%2 == 0
			if i%3 == 0 {
				file.Accounts[0].Tokens[j].Scopes = nil
			}
		}
		apply(t, s, file)
	}
	checkStore(t, s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	close(stop)
	readers.Wait()
	if err := s.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
	if _, err := s.Token("acme/a"); !errors.Is(err, ErrClosed) {
		t.Errorf("Token: got %v, want ErrClosed", err)
	}
	if _, err := s.Deactivate(context.Background(), tester, "acme/a"); !errors.Is(err, ErrClosed) {
		t.Errorf("Deactivate: got %v, want ErrClosed", err)
	}
	if _, err := s.Plan(context.Background(), testFile(), PlanOptions{}); !errors.Is(err, ErrClosed) {
		t.Errorf("Plan: got %v, want ErrClosed", err)
	}
	if _, err := s.Status(); !errors.Is(err, ErrClosed) {
		t.Errorf("Status: got %v, want ErrClosed", err)
	}
}
