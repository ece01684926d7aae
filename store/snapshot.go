package store

import (
	"slices"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// Snapshot is one consistent state of all APIs and tokens. It is immutable and
// safe for concurrent use.
type Snapshot struct {
	catalog  *scopes.Catalog
	revision uint64
	counts   Counts
	shards   []shard // shardCount
	accounts accountNames
	rules    []scopes.Rule // of the tokens; a part of table
	table    *ruleTable    // the writer's
	now      func() time.Time
}

// Catalog returns the compiled APIs. The grants are compiled against it.
func (s *Snapshot) Catalog() *scopes.Catalog { return s.catalog }

// Revision returns the number of the last change that the snapshot has.
func (s *Snapshot) Revision() uint64 { return s.revision }

// Counts returns the numbers of tokens by state.
func (s *Snapshot) Counts() Counts { return s.counts }

// Grant returns what the credential with the given digest may do; the zero Grant
// for one that no token has, or has no longer. It does not allocate.
func (s *Snapshot) Grant(d scopes.Digest) (g scopes.Grant) {
	s.GrantInto(&g, d)
	return g
}

// GrantInto is Grant with a zero Grant of the caller's, which is filled in: it is too
// large to be copied for each request.
func (s *Snapshot) GrantInto(g *scopes.Grant, d scopes.Digest) {
	shard := &s.shards[shardOf(&d)]
	e := shard.find(&d)
	if e == nil {
		return
	}
	if e.extra != 0 {
		x := &shard.extras[e.extra-1]
		if x.ends != 0 && s.now().Unix() >= x.ends {
			return
		}
		if x.hasShadow {
			g.Shadow = scopes.RulesAt(s.rules, x.shadow)
		}
	}
	shard.grant(g, e)
	g.Account = s.accounts.text[e.account : e.account+uint32(e.accountLength)]
	if len(s.accounts.ids) > 0 {
		g.AccountIDs = s.accounts.ids[e.account]
	}
	g.Rules = scopes.RulesAt(s.rules, e.rules)
}

// Expect has the processor fetch what GrantInto will need for a digest, while the
// caller does something else: with many tokens that lies in memory, far away, and
// waiting for it would be a large part of a decision.
func (s *Snapshot) Expect(d *scopes.Digest) { s.shards[shardOf(d)].expect(d) }

// tokenOf returns the id of the token that has a credential, whether it is still
// accepted or not, and "" if no token has it.
func (s *Snapshot) tokenOf(d scopes.Digest) string {
	shard := &s.shards[shardOf(&d)]
	if e := shard.find(&d); e != nil {
		return shard.idOf(e)
	}
	return ""
}

// hasEnded reports whether a token has a credential whose end has come.
func (s *Snapshot) hasEnded(d scopes.Digest, now time.Time) bool {
	shard := &s.shards[shardOf(&d)]
	e := shard.find(&d)
	if e == nil || e.extra == 0 {
		return false
	}
	ends := shard.extras[e.extra-1].ends
	return ends != 0 && now.Unix() >= ends
}

// with returns a copy of the snapshot in which some credentials are missing and
// some are new. Only the shards concerned are copied.
func (s *Snapshot) with(without map[scopes.Digest]bool, more []indexed) (*Snapshot, error) {
	next := *s
	next.shards = slices.Clone(s.shards)
	next.rules = s.table.all()
	byShard := make(map[int][]*indexed)
	for d := range without {
		byShard[shardOf(&d)] = nil
	}
	for i := range more {
		at := shardOf(&more[i].digest)
		byShard[at] = append(byShard[at], &more[i])
	}
	for at, added := range byShard {
		changed, err := s.shards[at].with(without, added)
		if err != nil {
			return nil, err
		}
		next.shards[at] = changed
	}
	return &next, nil
}

// without returns a copy of the snapshot that has none of the revoked credentials.
func (s *Snapshot) without(revoked map[string]*revocation) (*Snapshot, error) {
	gone := make(map[scopes.Digest]bool)
	for _, r := range revoked {
		for _, d := range r.revoked() {
			gone[d] = true
		}
	}
	return s.with(gone, nil)
}
