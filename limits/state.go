package limits

import (
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/scopegate/scopegate/scopes"
)

// numShards keep tokens from waiting for each other.
const numShards = 256

// shard has the states of some tokens.
type shard struct {
	mu     sync.Mutex        // guards what follows, and all that is in the states
	states map[string]*state // by the token's id
	most   int               // how many there may be before it is looked for those that say nothing
	_      [40]byte          // no two in one cache line
}

// state is what was taken of a token's limits.
type state struct {
	limits []scopes.Limit // those that the meters are for; the grant's, never modified
	meters []meter        // one for each
	told   *told          // what the other nodes know of it; nil on a single one
}

func (l *Limiter) shardOf(token string) *shard {
	return &l.shards[maphash.String(l.seed, token)%numShards]
}

// find returns the state of a token, made or adapted to its limits where need be.
func (s *shard) find(g *scopes.Grant, now, wall int64) *state {
	found, ok := s.states[g.ID]
	if !ok {
		found = &state{limits: g.Limits, meters: make([]meter, len(g.Limits))}
		s.add(strings.Clone(g.ID), found, now, wall) // g.ID keeps more alive than itself
	}
	if len(found.limits) != len(g.Limits) || &found.limits[0] != &g.Limits[0] {
		found.adapt(g.Limits, wall)
	}
	return found
}

// minStates is from how many states on a shard is swept.
const minStates = 64

// add adds a state. Each time that there are twice as many as were left the last time, those
// that say nothing are dropped before: so there are never more than twice as many as need
// be, and it costs each addition little.
func (s *shard) add(token string, added *state, now, wall int64) {
	if s.most = max(s.most, minStates); len(s.states) >= s.most {
		s.sweep(now, wall)
		s.most = max(minStates, 2*len(s.states))
	}
	if s.states == nil {
		s.states = make(map[string]*state)
	}
	s.states[token] = added
}

// sweep drops the states that say nothing: without them it would be decided alike.
func (s *shard) sweep(now, wall int64) {
	before := len(s.states)
	maps.DeleteFunc(s.states, func(_ string, found *state) bool { return found.isIdle(now, wall) })
	if len(s.states) < before/2 { // a map does not get smaller by itself
		kept := make(map[string]*state, len(s.states))
		maps.Copy(kept, s.states)
		s.states = kept
	}
}

// isIdle reports whether all rates have drained, all quotas' windows are over, and the other
// nodes know all.
func (s *state) isIdle(now, wall int64) bool {
	if s.told != nil && s.told.isOpen() {
		return false
	}
	for i := range s.meters {
		m, limit := &s.meters[i], &s.limits[i]
		if m.rate.level != 0 && drained(&limit.Rate, m.rate.level, now-m.rate.at) != 0 {
			return false
		}
		if m.quota.count != 0 && wall < m.quota.end {
			return false
		}
	}
	return true
}

// adapt makes the state one for changed limits, and keeps what was counted.
func (s *state) adapt(next []scopes.Limit, wall int64) {
	if slices.Equal(s.limits, next) {
		s.limits = next // the same, elsewhere
		return
	}
	meters := make([]meter, len(next))
	var shares []share
	if s.told != nil {
		shares = make([]share, 2*len(next))
	}
	for i := range next {
		at := indexOf(s.limits, next[i].API)
		if at < 0 {
			continue
		}
		from := &s.limits[at]
		meters[i].rate = s.meters[at].rate.changed(&from.Rate, &next[i].Rate)
		meters[i].quota = s.meters[at].quota.changed(from.Quota, next[i].Quota, wall)
		if s.told != nil {
			s.told.carry(shares[2*i:], at, from, &next[i])
		}
	}
	s.limits, s.meters = next, meters
	if s.told != nil {
		s.told.shares = shares
	}
}

// indexOf returns the position of the limit for an API; negative for none.
func indexOf(limits []scopes.Limit, api string) int {
	return slices.IndexFunc(limits, func(l scopes.Limit) bool { return l.API == api })
}
