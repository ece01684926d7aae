package console

import (
	"errors"
	"net/http"
	"strings"
)

const tokensTarget = "/scopegate/tokens"

// newTokenForm returns the fields of the form to create a token. Its scopes are apart.
func newTokenForm() *form {
	return &form{Fields: []*field{
		{Name: "account", Key: "account", Label: "Account", Required: true, Most: 63, Example: "acme"},
		{Name: "name", Key: "name", Label: "Name", Required: true, Most: 63, Example: "nightly-sync", Hint: "Letters, digits, and . _ - after the first. It cannot be changed."},
		{Name: "description", Key: "description", Label: "What it is for", Required: true, Example: "Copies yesterday's orders into the warehouse."},
		{Name: "email", Key: "contact", Label: "Email of who is responsible", Type: "email", Required: true, Example: "data@acme.example", Hint: "They hear before the token expires, and when something is wrong with it."},
		{Name: "contact", Label: "Name of who is responsible", Example: "Data team"},
		{Name: "environment", Key: "environment", Label: "Environment", Options: []option{{"", "not said"}, {"production", "production"}, {"staging", "staging"}, {"test", "test"}}},
		{Name: "expires", Key: "expires", Label: "Expires", Type: "date", Hint: "At the beginning of that day, UTC."},
		{Name: "rotate_every", Key: "rotate_every", Label: "To be rotated every", Example: "90d", Hint: "A reminder: nothing is refused when it is over."},
		{Name: "version", Key: "version", Label: "Pinned to version", Example: "v1", Hint: "For APIs that read the version from a header: what requests that state none mean."},
		{Name: "sources", Key: "sources", Label: "May be used from", Example: "203.0.113.0/24 2001:db8::/32", Hint: "Addresses or networks, separated by spaces; from everywhere if nothing is given."},
	}}
}

// tokenForm is what the page to create a token shows.
type tokenForm struct {
	*form
	Choices       []*choice // what of the APIs was chosen
	Offered       []offer   // what else there is
	ScopesProblem string
	MayChoose     bool   // APIs can be looked at
	Exists        string // path of the token that has the name
}

// showTokenForm shows the form to create a token, with the account and an API that the
// address names.
func showTokenForm(v *visit) error {
	if err := v.mustMay(http.MethodPost, tokensTarget); err != nil {
		return err
	}
	query := v.r.URL.Query()
	p := &tokenForm{form: newTokenForm()}
	if account := query.Get("account"); isName.MatchString(account) {
		p.field("account").Value = account
	}
	if err := p.choose(v, nil, nil, query.Get("api")); err != nil {
		return err
	}
	return v.showTokenForm(http.StatusOK, p)
}

func (v *visit) showTokenForm(status int, p *tokenForm) error {
	return v.show(status, "token-create", "Create a token", Root+"tokens", p)
}

// What the buttons of the form do: create, add what is chosen in "offer", or remove a choice.
const (
	doAdd    = "add"
	doRemove = "remove "
)

// createToken does what the button of the form says. What was typed and chosen is in the
// form alone, so each step shows it again, and nothing is kept here.
func createToken(v *visit) error {
	if err := v.mustMay(http.MethodPost, tokensTarget); err != nil {
		return err
	}
	sent := v.r.PostForm
	p := &tokenForm{form: newTokenForm()}
	p.read(sent)
	do := sent.Get("do")
	chosen, added := sent["choice"], ""
	if do == doAdd {
		added = sent.Get("offer")
	}
	if removed, ok := strings.CutPrefix(do, doRemove); ok {
		chosen = without(chosen, removed)
	}
	if err := p.choose(v, chosen, sent["grant"], added); err != nil {
		return err
	}
	for _, c := range p.Choices {
		c.Later = hasText(sent["later"], c.Key)
	}
	if do == doAdd || strings.HasPrefix(do, doRemove) {
		return v.showTokenForm(http.StatusOK, p)
	}
	return p.create(v)
}

// create sends what the form says, and shows what is wrong with it where it belongs.
func (p *tokenForm) create(v *visit) error {
	body := p.body()
	if scopes, _ := body["scopes"].([]map[string]any); len(scopes) == 0 {
		p.ScopesProblem = "Choose at least one operation that the token may use."
	}
	for _, name := range []string{"account", "name"} {
		if one := p.field(name); one.Value != "" && !isName.MatchString(one.Value) {
			one.Problem = "Letters, digits, and . _ - after the first; 63 at most."
		}
	}
	if !p.check() || p.ScopesProblem != "" {
		return v.showTokenForm(http.StatusUnprocessableEntity, p)
	}
	_, err := send(v.client, http.MethodPost, tokensTarget, body, nil)
	failure, refused := errors.AsType[*Failure](err)
	ref := p.value("account") + "/" + p.value("name")
	switch {
	case err == nil:
		return v.done(p.afterwards(v, ref), "token-created")
	case !refused || failure.Denied():
		return err
	}
	p.refused(v, ref, failure)
	return v.showTokenForm(failure.Status, p)
}

// afterwards returns where to go when a token is created: to the button that makes its
// credential, if who has created it may do that.
func (*tokenForm) afterwards(v *visit, ref string) string {
	if v.client.May(http.MethodPost, tokensTarget+"/"+ref+"/issue") {
		return Root + "tokens/" + ref + "/issue"
	}
	return Root + "tokens/" + ref
}

// body returns the token as the route takes it: with the keys of a scope file.
func (p *tokenForm) body() map[string]any {
	contact := map[string]any{"email": p.value("email")}
	if name := p.value("contact"); name != "" {
		contact["name"] = name
	}
	body := map[string]any{"token": p.value("account") + "/" + p.value("name"), "contact": contact}
	for _, name := range []string{"description", "environment", "expires", "rotate_every", "version"} {
		if value := p.value(name); value != "" {
			body[name] = value
		}
	}
	if sources := separate(p.value("sources")); len(sources) > 0 {
		body["sources"] = sources
	}
	var scopes []map[string]any
	for _, c := range p.Choices {
		scopes = append(scopes, c.scopes()...)
	}
	body["scopes"] = scopes
	return body
}

// refused notes why the token was not created, where it belongs.
func (p *tokenForm) refused(v *visit, ref string, failure *Failure) {
	account := p.field("account")
	for _, f := range failure.Fields {
		if f.Key == "scopes" {
			p.ScopesProblem = f.Text
		}
	}
	switch {
	case failure.Status == http.StatusConflict && v.isThere(tokensTarget+"/"+ref):
		p.field("name").Problem = "The account has a token of this name already."
		p.Exists = Root + "tokens/" + ref
	case failure.Status == http.StatusConflict:
		account.Problem = failure.Message
	case failure.Status == http.StatusForbidden && v.client.May(http.MethodGet, "/scopegate/accounts/"+account.Value) && !v.isThere("/scopegate/accounts/"+account.Value):
		account.Problem = "There is no such account. Create it first."
	default:
		p.tell(failure)
		if p.Problem == p.ScopesProblem {
			p.Problem = ""
		}
	}
}

// isThere reports whether a route answers with something that is not deleted.
func (v *visit) isThere(target string) bool {
	var one struct {
		State string `json:"state"`
	}
	return ask(v.client, target, &one) == nil && one.State != stateDeleted
}

// separate returns what is separated by spaces, commas or line ends.
func separate(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' || r == ';' || r == '\n' || r == '\r' || r == '\t' })
}
