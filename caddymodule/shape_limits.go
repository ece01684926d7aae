package caddymodule

import (
	"encoding/json"

	"github.com/scopegate/scopegate/scopes"
)

// shownLimit is a limit as JSON has it: a rate and a quota as a scope file has them.
type shownLimit struct {
	API   string `json:"api,omitempty"` // left out for all APIs together
	Rate  string `json:"rate,omitempty"`
	Quota string `json:"quota,omitempty"`
}

func showLimits(limits []scopes.Limit) []shownLimit {
	shown := make([]shownLimit, len(limits))
	for i, l := range limits {
		shown[i] = shownLimit{l.API, l.Rate.String(), l.Quota.String()}
	}
	return shown
}

// limitKeys puts a token's rates and quotas under the keys that a scope file has for them.
func limitKeys(keys map[string]any, limits []scopes.Limit) {
	rates, quotas := make(map[string]string), make(map[string]string)
	for _, l := range limits {
		if l.API == "" {
			l.API = scopes.AllAPIs
		}
		if !l.Rate.IsZero() {
			rates[l.API] = l.Rate.String()
		}
		if !l.Quota.IsZero() {
			quotas[l.API] = l.Quota.String()
		}
	}
	if len(rates) > 0 {
		keys["rate"] = rates
	}
	if len(quotas) > 0 {
		keys["quota"] = quotas
	}
}

// shownKeep is what of a token is kept, as JSON has it: true, or a list of scopes.
type shownKeep struct {
	all    bool
	scopes []shownScope
}

func showKeep(k *scopes.Keep) *shownKeep {
	if k.IsZero() {
		return nil
	}
	return &shownKeep{k.All, showScopes(k.Scopes)}
}

// MarshalJSON writes true, or the scopes.
func (k *shownKeep) MarshalJSON() ([]byte, error) {
	if k.all {
		return []byte("true"), nil
	}
	return json.Marshal(k.scopes)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (k *shownKeep) UnmarshalJSON(text []byte) error {
	if string(text) == "true" {
		k.all = true
		return nil
	}
	return json.Unmarshal(text, &k.scopes)
}

// keepKey returns what is kept as a scope file has it.
func keepKey(k *scopes.Keep) any {
	if k.All {
		return true
	}
	return scopeKeys(k.Scopes)
}

var (
	_ json.Marshaler   = (*shownKeep)(nil)
	_ json.Unmarshaler = (*shownKeep)(nil)
)
