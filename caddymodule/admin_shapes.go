package caddymodule

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store"
)

// The states of a token.
const (
	stateActive   = "active"
	stateInactive = "inactive"
	stateDeleted  = "deleted"
)

// shownToken is a token as JSON has it.
type shownToken struct {
	ID          string            `json:"id"`
	Token       string            `json:"token"` // account/name
	Account     string            `json:"account"`
	Name        string            `json:"name"`
	Description string            `json:"description,omitempty"`
	Contact     shownContact      `json:"contact"`
	Environment string            `json:"environment,omitempty"`
	State       string            `json:"state"`
	Held        bool              `json:"held"` // deactivated by hand: no scope file undoes that
	Version     string            `json:"version,omitempty"`
	Expires     time.Time         `json:"expires,omitzero"`
	RotateEvery string            `json:"rotate_every,omitempty"` // such as 90d
	Sources     []netip.Prefix    `json:"sources,omitempty"`
	Scopes      []shownScope      `json:"scopes,omitempty"`
	Access      string            `json:"access,omitempty"` // of a legacy token
	Shadow      []shownScope      `json:"shadow,omitempty"`
	Keep        *shownKeep        `json:"keep,omitempty"`
	Limits      []shownLimit      `json:"limits,omitempty"`
	Credentials []shownCredential `json:"credentials"`
	Owner       string            `json:"owner,omitempty"`
	Created     time.Time         `json:"created"`
	Updated     time.Time         `json:"updated"`
	Revision    uint64            `json:"revision"`
}

type shownContact struct {
	Name  string `json:"name,omitempty"`
	Email string `json:"email"`
}

type shownScope struct {
	API        string   `json:"api"`
	Versions   []string `json:"versions,omitempty"` // none for an API without versions
	Methods    []string `json:"methods"`
	Operations []string `json:"operations,omitempty"` // none for all
}

type shownCredential struct {
	LastFour string    `json:"last_four,omitempty"` // not known of one that was imported by its digest
	Created  time.Time `json:"created"`
	Ends     time.Time `json:"ends,omitzero"`
}

// shownAccount is an account as JSON has it.
type shownAccount struct {
	Name            string    `json:"name"`
	Title           string    `json:"title,omitempty"`
	IDs             []string  `json:"ids,omitempty"`
	MaxActiveTokens int       `json:"max_active_tokens"`
	ActiveTokens    int       `json:"active_tokens"` // those that count towards the maximum
	Created         time.Time `json:"created"`
	Updated         time.Time `json:"updated"`
	Revision        uint64    `json:"revision"`
}

func showToken(t *store.Token) shownToken {
	return shownToken{
		ID:          t.ID,
		Token:       t.Ref(),
		Account:     t.Account,
		Name:        t.Name,
		Description: t.Description,
		Contact:     shownContact(t.Contact),
		Environment: t.Environment,
		State:       stateOf(t),
		Held:        t.Held,
		Version:     t.Version,
		Expires:     t.Expires,
		RotateEvery: showInterval(t.RotateEvery),
		Sources:     t.Sources,
		Scopes:      showScopes(t.Scopes),
		Access:      t.Access.String(),
		Shadow:      showScopes(t.Shadow),
		Keep:        showKeep(&t.Keep),
		Limits:      showLimits(t.Limits),
		Credentials: showCredentials(t),
		Owner:       t.Owner,
		Created:     t.Created,
		Updated:     t.Updated,
		Revision:    t.Revision,
	}
}

func stateOf(t *store.Token) string {
	switch {
	case t.Deleted:
		return stateDeleted
	case t.Inactive:
		return stateInactive
	}
	return stateActive
}

func showScopes(list []scopes.Scope) []shownScope {
	shown := make([]shownScope, len(list))
	for i, s := range list {
		shown[i] = shownScope{s.API, s.Versions, s.Methods.Names(), s.Operations}
	}
	return shown
}

func showCredentials(t *store.Token) []shownCredential {
	shown := make([]shownCredential, len(t.Credentials))
	for i, c := range t.Credentials {
		shown[i] = shownCredential{c.LastFour, c.Created, c.Ends}
	}
	return shown
}

func showAccount(a *store.Account) shownAccount {
	return shownAccount{
		Name:            a.Name,
		Title:           a.Title,
		IDs:             a.IDs,
		MaxActiveTokens: a.ActiveLimit(),
		ActiveTokens:    a.ActiveTokens,
		Created:         a.Created,
		Updated:         a.Updated,
		Revision:        a.Revision,
	}
}

// showInterval returns a time span as a scope file has it, such as "90d" or
// "12h"; "" for none.
func showInterval(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == 0:
		return ""
	case d%day == 0:
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := d.String()
	if short, ok := strings.CutSuffix(s, "m0s"); ok {
		s = short + "m"
	}
	if short, ok := strings.CutSuffix(s, "h0m"); ok {
		s = short + "h"
	}
	return s
}
