package store

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// model is what a store has to hold: the rules of a token's life once more, in the
// plainest way, without a file, an index or a log.
type model struct {
	now      time.Time
	accounts map[string]modelAccount
	// tokens are all that there ever were. Of those with one name the last has it.
	tokens []*modelToken
	dead   map[scopes.Digest]bool // of credentials that were deleted or rotated out, or have ended
	lacks  cells                  // that the APIs do not have at present
}

type modelAccount struct {
	limit  int    // max_active_tokens; 0 for the default
	stated bool   // by a scope file
	owner  string // of the file
}

type modelToken struct {
	id, account string
	spec        modelSpec
	held        bool
	deleted     bool
	credentials []modelCredential // the newest last
	declared    *modelSpec        // as a scope file had it last
	credential  scopes.Digest     // that the file brought along
	owner       string            // of the file
	// What the revocations log knows: the credentials that it had when it was
	// deactivated last, and those that were taken from it or will be.
	switchedOff, revoked []scopes.Digest
}

type modelCredential struct {
	digest scopes.Digest
	ends   time.Time // zero for never
}

// modelSpec is what is declared of a token. It is comparable.
type modelSpec struct {
	name        string
	inactive    bool
	environment string
	access      scopes.Access
	granted     cells // of a scoped token
	expires     time.Time
	sources     int // position in modelSources
	rate, quota int // positions in modelLimits
	shadow      cells
	keep        bool
}

// cells are the smallest things that the APIs of testFile can grant, a bit each.
type cells uint16

const (
	legacyReads = cells(1<<0 | 1<<3 | 1<<6 | 1<<7)
	createCells = cells(1<<1 | 1<<4) // of the operation create, which some files do not have
	everyCell   = cells(1<<len(modelCells) - 1)
)

// modelCells are the cells: orders v1 and v2, then ads 13 and 14.
var modelCells = [...]struct{ api, version, method, target string }{
	{"orders", "v1", "GET", "/orders/v1"},
	{"orders", "v1", "POST", "/orders/v1"},
	{"orders", "v1", "PUT", "/orders/v1/7"},
	{"orders", "v2", "GET", "/orders/v2"},
	{"orders", "v2", "POST", "/orders/v2"},
	{"orders", "v2", "PUT", "/orders/v2/7"},
	{"ads", "13", "GET", "/ads/"},
	{"ads", "14", "GET", "/ads/"},
}

// modelSources are what sources tokens have, each within those before it.
var modelSources = [][]netip.Prefix{
	nil, {netip.MustParsePrefix("10.0.0.0/8")}, {netip.MustParsePrefix("10.1.0.0/16")},
}

// modelLimits are the rates and quotas that tokens have, each lower than those before it.
var modelLimits = [][]scopes.Limit{
	nil,
	{{Rate: scopes.Rate{Requests: 100, Per: time.Second, Burst: 200}, Quota: scopes.Quota{Requests: 1000, Per: scopes.PerDay}}},
	{
		{Rate: scopes.Rate{Requests: 100, Per: time.Second, Burst: 100}, Quota: scopes.Quota{Requests: 30, Per: scopes.PerHour}},
		{API: "orders", Rate: scopes.Rate{Requests: 1, Per: time.Minute, Burst: 1}},
	},
}

func newModel() *model {
	return &model{now: testNow, accounts: make(map[string]modelAccount), dead: make(map[scopes.Digest]bool)}
}

// clone returns a copy that can be changed without changing m.
func (m *model) clone() *model {
	c := newModel()
	c.now, c.lacks = m.now, m.lacks
	maps.Copy(c.accounts, m.accounts)
	maps.Copy(c.dead, m.dead)
	for _, t := range m.tokens {
		c.tokens = append(c.tokens, t.clone())
	}
	return c
}

func (t *modelToken) clone() *modelToken {
	c := *t
	c.credentials, c.revoked = slices.Clone(t.credentials), slices.Clone(t.revoked)
	return &c
}

func (t *modelToken) ref() string { return t.account + "/" + t.spec.name }

// find returns the token that a reference names, or nil.
func (m *model) find(ref string) *modelToken {
	for _, t := range slices.Backward(m.tokens) {
		if t.id == ref || t.ref() == ref {
			return t
		}
	}
	return nil
}

// owner returns the token that has a credential, or nil.
func (m *model) owner(d scopes.Digest) *modelToken {
	for _, t := range m.tokens {
		for _, c := range t.credentials {
			if c.digest == d {
				return t
			}
		}
	}
	return nil
}

// active returns how many tokens of an account count towards its limit.
func (m *model) active(account string) int {
	n := 0
	for _, t := range m.tokens {
		if t.account == account && t.counts() {
			n++
		}
	}
	return n
}

func (t *modelToken) counts() bool {
	return !t.deleted && !t.spec.inactive && t.spec.access == scopes.ScopedAccess
}

func (m *model) limit(account string) int {
	if limit := m.accounts[account].limit; limit > 0 {
		return limit
	}
	return scopes.DefaultMaxActive
}

// full returns the accounts that exceed their limits, and more than they did before.
func (m *model) full(before *model) (errs []error) {
	for account := range m.accounts {
		if n := m.active(account); n > m.limit(account) &&
			(n > before.active(account) || m.limit(account) < before.limit(account)) {
			errs = append(errs, ErrLimit)
		}
	}
	return errs
}

// kill makes credentials dead that a token had.
func (m *model) kill(t *modelToken, gone ...modelCredential) {
	for _, c := range gone {
		m.dead[c.digest] = true
		t.revoked = append(t.revoked, c.digest)
		t.credentials = slices.DeleteFunc(t.credentials, func(has modelCredential) bool { return has.digest == c.digest })
	}
}

// advance lets time pass.
func (m *model) advance(d time.Duration) {
	m.now = m.now.Add(d)
	for _, t := range m.tokens {
		for _, c := range slices.Clone(t.credentials) {
			if !c.ends.IsZero() && !m.now.Before(c.ends) {
				m.kill(t, c)
			}
		}
	}
}

// switchOff deactivates a token.
func (t *modelToken) switchOff() {
	t.spec.inactive = true
	t.switchedOff = nil
	for _, c := range t.credentials {
		t.switchedOff = append(t.switchedOff, c.digest)
	}
}

// cells returns all that a token of this spec may do.
func (s *modelSpec) cells() cells {
	switch s.access {
	case scopes.ReadOnly:
		return legacyReads
	case scopes.ReadWrite:
		return everyCell
	case scopes.ScopedAccess:
	}
	return s.granted
}

// widens reports whether a token may do something, or be used when or from where it
// could not be before, with APIs that lack some cells.
func (s *modelSpec) widens(before *modelSpec, lacks cells) bool {
	switch {
	case s.inactive && !before.inactive:
		return false
	case before.inactive && !s.inactive:
		return s.cells()&^lacks != 0
	}
	return s.cells()&^before.cells()&^lacks != 0 || s.sources < before.sources || s.rate < before.rate || s.quota < before.quota ||
		!before.expires.IsZero() && (s.expires.IsZero() || s.expires.After(before.expires))
}

// merge returns what a scope file makes of a live spec that it had as base before.
func (s *modelSpec) merge(base, live *modelSpec) modelSpec {
	if base == nil {
		return *s
	}
	merged := *live
	if s.inactive != base.inactive {
		merged.inactive = s.inactive
	}
	if s.environment != base.environment {
		merged.environment = s.environment
	}
	if s.access != base.access || s.granted != base.granted {
		merged.access, merged.granted = s.access, s.granted
	}
	if !s.expires.Equal(base.expires) {
		merged.expires = s.expires
	}
	if s.sources != base.sources {
		merged.sources = s.sources
	}
	s.mergeBeside(base, &merged)
	return merged
}

// mergeBeside merges what a token has beside what it may do.
func (s *modelSpec) mergeBeside(base, merged *modelSpec) {
	if s.rate != base.rate {
		merged.rate = s.rate
	}
	if s.quota != base.quota {
		merged.quota = s.quota
	}
	if s.shadow != base.shadow {
		merged.shadow = s.shadow
	}
	if s.keep != base.keep {
		merged.keep = s.keep
	}
}

// token returns the spec as a token.
func (s *modelSpec) token() scopes.Token {
	t := scopes.Token{
		Name: s.name, Description: "of a model", Contact: scopes.Contact{Email: "data@acme.example"},
		Inactive: s.inactive, Environment: s.environment, Access: s.access,
		Expires: s.expires, Sources: modelSources[s.sources],
		Limits: scopes.JoinLimits(modelLimits[s.rate], modelLimits[s.quota]),
		Shadow: s.shadow.scopes(), Keep: scopes.Keep{All: s.keep},
	}
	if s.access == scopes.ScopedAccess {
		t.Scopes = s.granted.scopes()
	}
	return t
}

// scopes returns scopes that grant the cells.
func (c cells) scopes() []scopes.Scope {
	var list []scopes.Scope
	for i, m := range modelCells {
		if c&(1<<i) == 0 {
			continue
		}
		if n := len(list); n > 0 && list[n-1].API == m.api && list[n-1].Versions[0] == m.version {
			list[n-1].Methods |= scopes.MethodOf(m.method)
			continue
		}
		list = append(list, scopes.Scope{API: m.api, Versions: []string{m.version}, Methods: scopes.MethodOf(m.method)})
	}
	return list
}

// modelClients are addresses that are in the modelSources up to the same position.
var modelClients = [...]netip.Addr{
	netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("10.2.0.1"), netip.MustParseAddr("10.1.0.1"),
}

// decide returns the reason that a request gets, for one of modelCells, from one of
// modelClients, sent with a credential.
func (m *model) decide(d scopes.Digest, want, from int) scopes.Reason {
	t := m.owner(d)
	switch {
	case t == nil:
		return scopes.UnknownToken
	case t.spec.inactive:
		return scopes.Inactive
	case !t.spec.expires.IsZero() && !m.now.Before(t.spec.expires):
		return scopes.Expired
	case t.spec.sources > from:
		return scopes.SourceNotAllowed
	}
	return m.reach(t.spec.cells(), want)
}

// decideShadow returns the shadow of a decision that came to a reason.
func (m *model) decideShadow(d scopes.Digest, want int, reason scopes.Reason) scopes.Reason {
	t := m.owner(d)
	if reason != scopes.Allowed || t.spec.shadow == 0 {
		return reason
	}
	return m.reach(t.spec.shadow, want)
}

// reach returns how far granted cells come in granting one.
func (m *model) reach(granted cells, want int) scopes.Reason {
	reason := scopes.APINotGranted
	if granted&^m.lacks&(1<<want) != 0 {
		return scopes.Allowed
	}
	for i, c := range modelCells {
		switch {
		case granted&(1<<i) == 0 || c.api != modelCells[want].api:
		case c.version == modelCells[want].version:
			return scopes.MethodNotGranted
		default:
			reason = scopes.VersionNotGranted
		}
	}
	return reason
}
