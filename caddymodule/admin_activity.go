package caddymodule

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/scopegate/scopegate/reports"
	"github.com/scopegate/scopegate/store"
)

// maxActivityTokens bounds of how many tokens the activity is told at once.
const maxActivityTokens = 100

// activity tells how many requests there were over time: of all tokens, or of those that
// are named.
func (m *management) activity(r *http.Request) (any, error) {
	values, err := parameters(r, "window", "token", "tokens")
	if err != nil {
		return nil, err
	}
	if err := noBody(r); err != nil {
		return nil, err
	}
	window, err := readWindow(values, week)
	if err != nil {
		return nil, err
	}
	refs, err := activityTokens(values)
	if err != nil {
		return nil, err
	}
	s, err := m.store()
	if err != nil {
		return nil, err
	}
	tokens, err := namedTokens(s, refs)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	source, missing, err := m.counted(r.Context(), now)
	if err != nil {
		return nil, err
	}
	report, err := reports.ReportActivity(source, now, window, tokens)
	if err == nil {
		report.Missing = missing
	}
	return report, err
}

// activityTokens reads which tokens are asked for; none for all.
func activityTokens(values url.Values) (refs []string, err error) {
	if values.Get("tokens") != "" {
		refs = strings.Split(values.Get("tokens"), ",")
	}
	if one := values.Get("token"); one != "" {
		refs = append(refs, one)
	}
	if len(refs) > maxActivityTokens {
		return nil, failf(http.StatusBadRequest, "tokens names at most %d tokens, not %d", maxActivityTokens, len(refs))
	}
	for _, ref := range refs {
		if err := checkRef(ref); err != nil {
			return nil, failf(http.StatusBadRequest, "tokens: %w", err)
		}
	}
	return refs, nil
}

// namedTokens returns tokens by their names or ids, each once.
func namedTokens(s *store.Store, refs []string) ([]reports.Token, error) {
	var tokens []reports.Token
	for _, ref := range refs {
		t, err := s.Token(ref)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(tokens, func(known reports.Token) bool { return known.ID == t.ID }) {
			tokens = append(tokens, reportedToken(&t))
		}
	}
	return tokens, nil
}
