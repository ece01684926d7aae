package caddymodule

import (
	"net/http"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store"
)

// legacyReport is what is known of the tokens that have access to every API.
type legacyReport struct {
	// Basis says what the scopes rest on.
	Basis  string        `json:"basis"`
	Tokens []legacyToken `json:"tokens"`
}

// legacyToken is a legacy token with the scopes that it would need instead.
type legacyToken struct {
	shownToken
	Scopes     []shownScope `json:"scopes"`
	Operations int          `json:"operations"` // that it may use today
}

// everythingToday: what a legacy token does is not counted, so what it would need is
// not known.
const everythingToday = "all that the access covers today: this version does not count what tokens use"

// reportLegacy lists the legacy tokens with the scopes that equal their access.
func (m *management) reportLegacy(r *http.Request) (any, error) {
	s, err := m.onlyStore(r)
	if err != nil {
		return nil, err
	}
	tokens, err := s.Tokens(store.Filter{Access: "legacy"})
	if err != nil {
		return nil, err
	}
	apis, err := s.APIs()
	if err != nil {
		return nil, err
	}
	report := legacyReport{Basis: everythingToday, Tokens: make([]legacyToken, len(tokens))}
	for i := range tokens {
		shown := &report.Tokens[i]
		shown.shownToken = showToken(&tokens[i])
		shown.Scopes, shown.Operations = equalScopes(apis, tokens[i].Access)
	}
	return report, nil
}

// equalScopes returns scopes for all that an access covers, and how many operations
// that are.
func equalScopes(apis []scopes.API, access scopes.Access) (equal []shownScope, operations int) {
	for i := range apis {
		api := &apis[i]
		var methods scopes.Methods
		for _, op := range api.Operations {
			if has := op.Methods & access.Methods(); has != 0 {
				methods |= has
				operations++
			}
		}
		if methods != 0 {
			equal = append(equal, shownScope{API: api.Name, Versions: api.Versions, Methods: methods.Names()})
		}
	}
	return equal, operations
}
