package console

import (
	"errors"
	"net/http"
	"strconv"
)

// newAccountForm returns the form to create an account. Other ids of it are for the scope
// file: no token may give an account those.
func newAccountForm() *form {
	return &form{Fields: []*field{
		{Name: "name", Key: "name", Label: "Name", Required: true, Most: 63, Example: "acme", Hint: "Letters, digits, and . _ - after the first. It cannot be changed."},
		{Name: "title", Key: "title", Label: "Title", Example: "Acme Corp", Hint: "What people call it."},
		{Name: "max", Key: "max_active_tokens", Label: "Active tokens at most", Type: "number", Example: "20", Hint: "Scoped tokens; 20 if nothing is given."},
	}}
}

const accountsTarget = "/scopegate/accounts"

// showAccountForm shows the form to create an account.
func showAccountForm(v *visit) error {
	if err := v.mustMay(http.MethodPost, accountsTarget); err != nil {
		return err
	}
	return v.show(http.StatusOK, "account-create", "Create an account", Root+"accounts", newAccountForm())
}

// wantedAccount is an account to create, as the route takes it.
type wantedAccount struct {
	Name            string `json:"name"`
	Title           string `json:"title,omitempty"`
	MaxActiveTokens int    `json:"max_active_tokens,omitempty"`
}

// createAccount creates an account.
func createAccount(v *visit) error {
	if err := v.mustMay(http.MethodPost, accountsTarget); err != nil {
		return err
	}
	f := newAccountForm()
	f.read(v.r.PostForm)
	wanted := wantedAccount{Name: f.value("name"), Title: f.value("title")}
	if most := f.field("max"); most.Value != "" {
		var err error
		if wanted.MaxActiveTokens, err = strconv.Atoi(most.Value); err != nil || wanted.MaxActiveTokens < 1 {
			most.Problem = "This is a whole number, such as 20."
		}
	}
	if !f.check() {
		return v.show(http.StatusUnprocessableEntity, "account-create", "Create an account", Root+"accounts", f)
	}
	_, err := send(v.client, http.MethodPost, accountsTarget, wanted, nil)
	failure, refused := errors.AsType[*Failure](err)
	switch {
	case err == nil:
		return v.done(Root+"accounts/"+wanted.Name, "account-created")
	case !refused || failure.Denied():
		return err
	}
	f.tell(failure)
	return v.show(failure.Status, "account-create", "Create an account", Root+"accounts", f)
}
