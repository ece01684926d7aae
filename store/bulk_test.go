package store

import (
	"fmt"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

// A plan that is applied in bulk does what it does otherwise: tokens are made,
// changed and pruned, and the store is whole at the end.
func TestApplyInBulk(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	estate := func(from, to int, methods ...string) *scopes.File {
		f := testFile()
		for i := from; i < to; i++ {
			if i == from || i%tokensPerAccount == 0 {
				f.Accounts = append(f.Accounts, scopes.Account{Name: fmt.Sprintf("acme-%d", i/tokensPerAccount)})
			}
			a := &f.Accounts[len(f.Accounts)-1]
			a.Tokens = append(a.Tokens, edit(testToken(fmt.Sprint("t", i)), func(t *scopes.Token) { t.Scopes = orders(methods...) }))
		}
		return f
	}
	apply(t, s, estate(0, manySteps+100, "GET"))
	apply(t, s, estate(50, manySteps+200, "GET", "PUT"))
	if _, err := tryApply(s, estate(manySteps+150, manySteps+200, "GET"), PlanOptions{Prune: true}, ApplyOptions{Actor: tester}); err != nil {
		t.Fatal(err)
	}
	for i, want := range map[int]scopes.State{0: scopes.Deactivated, 60: scopes.Deactivated, manySteps + 199: scopes.Active} {
		if got := stateOf(s, fmt.Sprint("secret of t", i)); got != want {
			t.Errorf("token %d: got state %d, want %d", i, got, want)
		}
	}
	if counts := s.Snapshot().Counts(); counts.Active != 50 || counts.Inactive != manySteps+150 {
		t.Errorf("got %+v, want 50 active ones, %d inactive ones", counts, manySteps+150)
	}
}
