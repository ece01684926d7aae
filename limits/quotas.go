package limits

import (
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// QuotaCount is how many requests were counted in one window of a quota: what is to be
// remembered over a restart. Rates need not be, for they drain.
type QuotaCount struct {
	Token string // its id
	API   string // "" for all APIs
	Per   scopes.Period
	Start time.Time // of the window
	Count int64
}

// Quotas returns all counts whose windows are not over. It takes each lock for a moment, so
// that requests do not wait for it.
func (l *Limiter) Quotas() []QuotaCount {
	wall := l.wall()
	var counts []QuotaCount
	for i := range l.shards {
		counts = l.shards[i].quotas(counts, wall)
	}
	return counts
}

func (s *shard) quotas(counts []QuotaCount, wall int64) []QuotaCount {
	s.mu.Lock()
	defer s.mu.Unlock()
	for token, found := range s.states {
		for i := range found.limits {
			limit, m := &found.limits[i], &found.meters[i].quota
			if m.count > 0 && wall < m.end {
				counts = append(counts, QuotaCount{token, limit.API, limit.Quota.Per, time.Unix(0, m.start).UTC(), m.count})
			}
		}
	}
	return counts
}

// Restore sets counts that [Limiter.Quotas] has returned before a restart. Those whose windows
// are over, and those of tokens that have been used since, are left out: so it is to be
// called before any request.
func (l *Limiter) Restore(counts []QuotaCount) {
	now, wall := l.clock().UnixNano(), l.wall()
	byToken := make(map[string][]QuotaCount)
	for _, c := range counts {
		if _, end := (scopes.Quota{Per: c.Per}).Window(c.Start); c.Count > 0 && end.UnixNano() > wall {
			byToken[c.Token] = append(byToken[c.Token], c)
		}
	}
	for token, counts := range byToken {
		shard := l.shardOf(token)
		shard.mu.Lock()
		if _, used := shard.states[token]; !used {
			shard.add(token, restored(counts), now, wall)
		}
		shard.mu.Unlock()
	}
}

// restored returns a state with quotas of which only the counts are known, until the token's
// first request.
func restored(counts []QuotaCount) *state {
	s := &state{limits: make([]scopes.Limit, len(counts)), meters: make([]meter, len(counts))}
	for i, c := range counts {
		s.limits[i] = scopes.Limit{API: c.API, Quota: scopes.Quota{Requests: c.Count, Per: c.Per}}
		start, end := s.limits[i].Quota.Window(c.Start)
		s.meters[i].quota = quotaMeter{c.Count, start.UnixNano(), end.UnixNano()}
	}
	return s
}

// wall returns the time of the calendar: that which all nodes have in common.
func (l *Limiter) wall() int64 {
	wall := l.clock().UnixNano()
	if s := l.sharing.Load(); s != nil {
		wall += s.ahead.Load()
	}
	return wall
}
