package caddymodule

import (
	"net/http"
	"strings"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store"
)

// account shows one account.
func (m *management) account(r *http.Request) (any, error) {
	s, name, err := m.namedAccount(r)
	if err != nil {
		return nil, err
	}
	account, err := s.Account(name)
	return showAccount(&account), err
}

// deleteAccount removes an account that has no tokens but deleted ones.
func (m *management) deleteAccount(r *http.Request) (any, error) {
	s, name, err := m.namedAccount(r)
	if err != nil {
		return nil, err
	}
	account, err := s.Account(name)
	if err != nil {
		return nil, err
	}
	return showAccount(&account), s.DeleteAccount(r.Context(), m.actor(r), name)
}

func (m *management) namedAccount(r *http.Request) (*store.Store, string, error) {
	name := r.PathValue("account")
	if !isAccount.MatchString(name) {
		return nil, "", failf(http.StatusBadRequest, "expected the name of an account")
	}
	s, err := m.onlyStore(r)
	return s, name, err
}

// wantedAccount is an account to create.
type wantedAccount struct {
	Name            string   `json:"name"`
	Title           string   `json:"title,omitempty"`
	IDs             []string `json:"ids,omitempty"`
	MaxActiveTokens int      `json:"max_active_tokens,omitempty"`
}

// maxAccountBody bounds the body of a request to create an account, in bytes.
const maxAccountBody = 64 << 10

// createAccount makes an account without tokens.
func (m *management) createAccount(r *http.Request) (any, error) {
	if _, err := parameters(r); err != nil {
		return nil, err
	}
	var wanted wantedAccount
	if err := readJSON(r, maxAccountBody, &wanted); err != nil {
		return nil, err
	}
	account := scopes.Account{Name: wanted.Name, Title: wanted.Title, IDs: wanted.IDs, MaxActiveTokens: wanted.MaxActiveTokens}
	if err := checkAccount(&account); err != nil {
		return nil, err
	}
	s, err := m.store()
	if err != nil {
		return nil, err
	}
	created, err := s.CreateAccount(r.Context(), m.actor(r), &account)
	return showAccount(&created), err
}

// checkAccount checks an account to create, each key by itself, so that it can be told
// which one is wrong.
func checkAccount(a *scopes.Account) error {
	const valid = "a" // or the name would be told with each key
	named := a.Name
	if !isAccount.MatchString(named) {
		named = valid
	}
	var wrong []wrongField
	for _, part := range []struct {
		key string
		of  scopes.Account
	}{
		{"name", scopes.Account{Name: a.Name}},
		{"title", scopes.Account{Name: valid, Title: a.Title}},
		{"ids", scopes.Account{Name: named, IDs: a.IDs}},
		{"max_active_tokens", scopes.Account{Name: valid, MaxActiveTokens: a.MaxActiveTokens}},
	} {
		if err := scopes.CheckAccount(&part.of); err != nil {
			for _, p := range problemsOf(err) {
				wrong = append(wrong, wrongField{part.key, p.Text})
			}
		}
	}
	return unprocessable(wrong)
}

// unprocessable says what is wrong with something that was sent as JSON; nil for nothing.
// Places in it mean nothing to whoever sent it from a command or a form, but keys do.
func unprocessable(wrong []wrongField) error {
	if len(wrong) == 0 {
		return nil
	}
	texts := make([]string, len(wrong))
	for i, field := range wrong {
		texts[i] = field.Text
	}
	return &refusal{status: http.StatusUnprocessableEntity, Message: strings.Join(texts, "; "), Fields: wrong}
}
