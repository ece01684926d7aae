package store

import (
	"context"
	"errors"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

// What was changed by hand stays, until the file changes the same thing.
func TestTheFileDoesNotRevertWhatItDidNotChange(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := newTestStore(t)
	a := edit(testToken("a"), func(t *scopes.Token) { t.Inactive = true })
	apply(t, s, testFile(acme(a)))
	mustDo(t, s.Activate, "acme/a")
	apply(t, s, testFile(acme(a)))
	apply(t, s, testFile(acme(edit(a, func(t *scopes.Token) { t.Description = "else" }))))
	if got := stateOf(s, "secret of a"); got != scopes.Active {
		t.Errorf("activated by hand, the file as before: got state %d, want Active", got)
	}

	mustDo(t, s.Deactivate, "acme/a")
	a.Inactive = false
	plan, err := s.Plan(ctx, testFile(acme(a)), PlanOptions{})
	if err != nil || len(plan.Changes) != 1 || !plan.Changes[0].Held || plan.Changes[0].Widens {
		t.Fatalf("deactivated by hand, the file says active: got %+v, %v, want it held", plan, err)
	}
	if _, err := s.Apply(ctx, plan, ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	plan, err = s.Plan(ctx, testFile(acme(a)), PlanOptions{})
	if err != nil || !plan.Empty() || len(plan.Changes) != 1 || plan.Changes[0].Action != Hold {
		t.Errorf("once more: got %+v, %v, want hold and nothing to do", plan, err)
	}
	if got := stateOf(s, "secret of a"); got != scopes.Deactivated {
		t.Errorf("a file undid a deactivation: got state %d", got)
	}
	mustDo(t, s.Activate, "acme/a")
	if got := stateOf(s, "secret of a"); got != scopes.Active {
		t.Errorf("activated: got state %d, want Active", got)
	}
}

func TestDeletedStaysDeleted(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := newTestStore(t)
	apply(t, s, testFile(acme(testToken("a"))))
	deleted := mustDo(t, s.Delete, "acme/a")
	other := edit(testToken("other"), func(t *scopes.Token) { t.Credential = scopes.DigestOf("secret of a") })
	result := apply(t, s, testFile(acme(testToken("a"), other)))
	if len(result.Warnings) != 2 || len(result.Changes) != 1 || result.Changes[0].Name != "acme/other" {
		t.Errorf("got %+v, want two warnings, and the other token", result)
	}
	if got := stateOf(s, "secret of a"); got != scopes.Unknown {
		t.Errorf("a dead credential came back: got state %d", got)
	}
	if again := apply(t, s, testFile(acme(testToken("a"), other))); len(again.Changes) != 0 || len(again.Warnings) != 2 {
		t.Errorf("once more: got %+v, want the warnings only", again)
	}
	if _, err := s.Issue(ctx, tester, "acme/a"); !errors.Is(err, ErrDead) {
		t.Errorf("Issue: got %v, want ErrDead", err)
	}
	tokens, err := s.Tokens(Filter{})
	if err != nil || len(tokens) != 1 || tokens[0].Ref() != "acme/other" {
		t.Errorf("Tokens: got %+v, %v, want the other one", tokens, err)
	}
	tokens, err = s.Tokens(Filter{Account: "acme", Deleted: true})
	if err != nil || len(tokens) != 2 || tokens[0].ID != deleted.ID || !tokens[0].Deleted {
		t.Errorf("Tokens with deleted ones: got %+v, %v", tokens, err)
	}
	if tokens, err := s.Tokens(Filter{Account: "acm"}); err != nil || len(tokens) != 0 {
		t.Errorf("Tokens of acm: got %+v, %v, want none", tokens, err)
	}
}

func TestPrune(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	apply(t, s, testFile(acme(testToken("a"), testToken("b"))))
	theirs := testFile(acme(testToken("theirs")))
	theirs.Owner = "them"
	apply(t, s, theirs)
	less := testFile(acme(testToken("a")))
	result, err := tryApply(s, less, PlanOptions{Prune: true}, ApplyOptions{})
	if err != nil || len(result.Changes) != 1 || result.Changes[0].Action != Prune || result.Changes[0].Name != "acme/b" {
		t.Fatalf("got %+v, %v, want b pruned", result, err)
	}
	for name, want := range map[string]scopes.State{"a": scopes.Active, "b": scopes.Deactivated, "theirs": scopes.Active} {
		if got := stateOf(s, "secret of "+name); got != want {
			t.Errorf("%s: got state %d, want %d", name, got, want)
		}
	}
	if again, err := s.Plan(context.Background(), less, PlanOptions{Prune: true}); err != nil || len(again.Changes) != 0 {
		t.Errorf("once more: got %+v, %v, want nothing", again, err)
	}
	plan, err := s.Plan(context.Background(), testFile(acme(testToken("a"), testToken("b"))), PlanOptions{Prune: true})
	if err != nil || len(plan.Changes) != 1 || plan.Changes[0].Action != Activate || !plan.Changes[0].Widens {
		t.Errorf("declared again: got %+v, %v, want it activated, as widening", plan, err)
	}
}

func TestOwnersAreTold(t *testing.T) {
	t.Parallel()
	s := newTestStore(t)
	apply(t, s, testFile(acme(testToken("a"))))
	theirs := testFile(acme(testToken("a")))
	theirs.Owner = "them"
	if result := apply(t, s, theirs); len(result.Warnings) != 1 || len(result.Changes) != 0 {
		t.Errorf("got %+v, want a warning", result)
	}
	if token, err := s.Token("acme/a"); err != nil || token.Owner != "them" {
		t.Errorf("got %+v, %v, want it to be theirs", token, err)
	}
}
