package scopes_test

import (
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

// TestShadowIsTheOtherDecision holds that the shadow of an allowed request is the
// decision on the same request with the shadow scopes as scopes, that the decision
// itself is what it was, and that a denial has no shadow of its own.
func TestShadowIsTheOtherDecision(t *testing.T) {
	t.Parallel()
	view, cases := decideCases(t)
	file, catalog := readImpactScopeFile(t)
	var shadows []scopes.RuleSet
	for _, g := range grantsByName(file, catalog) {
		shadows = append(shadows, g.Rules)
	}
	shadows = append(shadows, scopes.RuleSet{}) // of an API that is gone
	differ := 0
	for i := range cases {
		c := &cases[i]
		for _, shadow := range shadows {
			grant, other := c.grant, c.grant
			grant.Shadow, grant.HasShadow = shadow, true
			other.Rules, other.Access = shadow, scopes.ScopedAccess
			want := view.Decide(&c.request, &c.grant)
			if want.Shadow != want.Reason {
				t.Fatalf("%s: a token without shadow scopes has the shadow %s, want %s", c.name, want.Shadow, want.Reason)
			}
			if want.Allowed() {
				want.Shadow = view.Decide(&c.request, &other).Reason
			}
			got := view.Decide(&c.request, &grant)
			if got != want {
				t.Errorf("%s: got %s with shadow %s, want %s with %s", c.name, got.Reason, got.Shadow, want.Reason, want.Shadow)
			}
			if explained, _ := view.Explain(&c.request, &grant); explained != got {
				t.Errorf("%s: Explain tells the shadow %s, want %s", c.name, explained.Shadow, got.Shadow)
			}
			if got.Shadow != got.Reason {
				differ++
			}
		}
	}
	if differ == 0 {
		t.Error("no shadow differs from the decision")
	}
}

func TestShadowDoesNotAllocate(t *testing.T) { //nolint:paralleltest // it measures
	view, cases := decideCases(t)
	c := &cases[0]
	c.grant.Shadow, c.grant.HasShadow = c.grant.Rules, true
	if n := testing.AllocsPerRun(100, func() {
		if d := view.Decide(&c.request, &c.grant); d.Shadow != scopes.Allowed {
			t.Fatalf("the shadow is %s, want %s", d.Shadow, scopes.Allowed)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// TestTheZeroDecisionDenies, its shadow too.
func TestTheZeroDecisionDenies(t *testing.T) {
	t.Parallel()
	var d scopes.Decision
	if d.Allowed() || d.Shadow != d.Reason {
		t.Errorf("the zero Decision is %s with the shadow %s, want stale twice", d.Reason, d.Shadow)
	}
}
