package store

import (
	"encoding/binary"
	"math"
	"slices"
	"sync"

	"github.com/scopegate/scopegate/scopes"
)

// ruleTable has the rules of all tokens, each once. Most tokens share theirs, so it
// stays small enough for the processor's caches, and a decision has to wait for
// nothing but the token's own entry.
//
// It only grows: what snapshots have of it never changes. Rules that no token has
// any longer stay until all are compiled anew.
type ruleTable struct {
	mu    sync.Mutex // guards what follows, for the parts of a loader
	rules []scopes.Rule
	at    map[scopes.Rule]uint32
	runs  map[string]scopes.RuleRef // of tokens with many rules, by their positions
	first int                       // how many rules there were when the last snapshot was loaded
}

func newRuleTable() *ruleTable {
	return &ruleTable{at: make(map[scopes.Rule]uint32), runs: make(map[string]scopes.RuleRef)}
}

// all returns the rules that there are now.
func (t *ruleTable) all() []scopes.Rule {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clip(t.rules)
}

// add returns where rules stand in the table, and puts those there that it lacks.
func (t *ruleTable) add(rules []scopes.Rule) ([]uint32, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	positions := make([]uint32, len(rules))
	for i, rule := range rules {
		position, known := t.at[rule]
		if !known {
			if len(t.rules) >= math.MaxUint32-1 {
				return nil, errIndexFull
			}
			position = uint32(len(t.rules)) //nolint:gosec // checked above
			t.rules = append(t.rules, rule)
			t.at[rule] = position
		}
		positions[i] = position
	}
	return positions, nil
}

// refTo returns a reference to the rules at some positions. So many that they must
// stand in one run are put there once more, as a run.
func (t *ruleTable) refTo(positions []uint32) (scopes.RuleRef, error) {
	if len(positions) <= scopes.MaxRefs {
		return scopes.RefTo(positions...), nil
	}
	key := make([]byte, 0, 4*len(positions))
	for _, p := range positions {
		key = binary.LittleEndian.AppendUint32(key, p)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	ref, known := t.runs[string(key)]
	if known {
		return ref, nil
	}
	if len(t.rules) >= math.MaxUint32-len(positions) {
		return scopes.RuleRef{}, errIndexFull
	}
	ref = scopes.RefToRun(uint32(len(t.rules)), uint32(len(positions))) //nolint:gosec // checked above
	for _, p := range positions {
		t.rules = append(t.rules, t.rules[p])
	}
	t.runs[string(key)] = ref
	return ref, nil
}

// tableSlack is how many rules a table may have gathered before it is looked at.
const tableSlack = 1 << 16

// isStale reports whether most of the table may be rules that no token has any longer.
func (t *ruleTable) isStale() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.rules) > tableSlack+2*t.first
}
