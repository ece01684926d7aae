package caddymodule

import (
	"sync"
	"testing"

	"github.com/scopegate/scopegate/proxy"
	"github.com/scopegate/scopegate/scopes"
)

// A counter that is remembered is the one that its labels name, whoever asked for
// it first.
func TestDecisionCountersAreThoseOfTheirLabels(t *testing.T) {
	t.Parallel()
	counters := &newMetrics().decisions
	var askers sync.WaitGroup
	for range 4 {
		askers.Go(func() {
			for _, api := range []*scopes.API{nil, {Name: "orders"}, {Name: "ads"}} {
				for reason := range scopes.Reason(scopes.NumReasons) {
					for _, version := range []string{"", "v1", "v2"} {
						v := &proxy.Verdict{Decision: scopes.Decision{API: api, Version: version, Reason: reason}}
						want := counters.vec.WithLabelValues(apiName(v), version, decisionWord(v), reasonCode(v))
						for _, when := range []string{"first", "then"} {
							if got := counters.of(v); got != want {
								t.Errorf("%s: API %q, version %q, %v: another counter", when, apiName(v), version, reason)
							}
						}
					}
				}
			}
		})
	}
	askers.Wait()
}
