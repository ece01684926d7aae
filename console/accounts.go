package console

import (
	"net/http"
	"strconv"
	"time"
)

// account is what the routes of accounts answer, as far as pages show it.
type account struct {
	Name            string    `json:"name"`
	Title           string    `json:"title"`
	IDs             []string  `json:"ids"`
	MaxActiveTokens int       `json:"max_active_tokens"`
	ActiveTokens    int       `json:"active_tokens"`
	Created         time.Time `json:"created"`
	Updated         time.Time `json:"updated"`
}

// Full reports whether no token can be created or activated any more.
func (a *account) Full() bool { return a.ActiveTokens >= a.MaxActiveTokens }

// rowsOnPage is how many rows a list has on a page.
const rowsOnPage = 50

// accountsPage is what the list of accounts shows.
type accountsPage struct {
	Accounts      []account
	Search, After string
	Next          string // address of the next page
	MayCreate     bool
}

// listAccounts shows the accounts by name, a page at a time.
func listAccounts(v *visit) error {
	query := v.r.URL.Query()
	p := accountsPage{Search: query.Get("search"), After: query.Get("after")}
	target := targetOf("/scopegate/accounts", map[string]string{"limit": strconv.Itoa(rowsOnPage), "search": p.Search, "after": p.After})
	header, err := send(v.client, http.MethodGet, target, nil, &p.Accounts)
	if err != nil {
		return err
	}
	if after := nextPage(header); after != "" {
		p.Next = targetOf(Root+"accounts", map[string]string{"search": p.Search, "after": after})
	}
	p.MayCreate = v.client.May(http.MethodPost, "/scopegate/accounts")
	return v.show(http.StatusOK, "accounts", "Accounts", Root+"accounts", p)
}

// scope is a scope of a token.
type scope struct {
	API        string   `json:"api"`
	Versions   []string `json:"versions"`
	Methods    []string `json:"methods"`
	Operations []string `json:"operations"`
}

// accountPage is what the page of one account shows.
type accountPage struct {
	account
	Tokens             []tokenRow
	MayList, More      bool // its tokens; there are more than these
	MayCreate, MayDrop bool
}

// showAccount shows one account with its tokens.
func showAccount(v *visit) error {
	p, err := readAccount(v)
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "account", p.Name, Root+"accounts", p)
}

// readAccount asks for what the pages about one account show.
func readAccount(v *visit) (*accountPage, error) {
	name, err := v.named("account")
	if err != nil {
		return nil, err
	}
	var p accountPage
	if err := ask(v.client, "/scopegate/accounts/"+name, &p.account); err != nil {
		return nil, err
	}
	p.MayCreate = v.client.May(http.MethodPost, "/scopegate/tokens")
	p.MayDrop = v.client.May(http.MethodDelete, "/scopegate/accounts/"+name)
	if p.MayList = v.client.May(http.MethodGet, "/scopegate/tokens"); !p.MayList {
		return &p, nil
	}
	target := targetOf("/scopegate/tokens", map[string]string{"account": name, "limit": strconv.Itoa(rowsOnPage)})
	header, err := send(v.client, http.MethodGet, target, nil, &p.Tokens)
	p.More = nextPage(header) != ""
	return &p, err
}

// showAccountDeletion shows what deleting an account means, and the button.
func showAccountDeletion(v *visit) error {
	p, err := readAccountToDelete(v)
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "account-delete", "Delete "+p.Name, Root+"accounts", p)
}

func readAccountToDelete(v *visit) (*accountPage, error) {
	name, err := v.named("account")
	if err != nil {
		return nil, err
	}
	if err := v.mustMay(http.MethodDelete, "/scopegate/accounts/"+name); err != nil {
		return nil, err
	}
	if !v.client.May(http.MethodGet, "/scopegate/accounts/"+name) {
		return &accountPage{account: account{Name: name}}, nil
	}
	return readAccount(v)
}

// deleteAccount deletes an account that has no tokens.
func deleteAccount(v *visit) error {
	p, err := readAccountToDelete(v)
	if err != nil {
		return err
	}
	if _, err := send(v.client, http.MethodDelete, "/scopegate/accounts/"+p.Name, nil, nil); err != nil {
		return err
	}
	return v.done(Root+"accounts", "account-deleted")
}
