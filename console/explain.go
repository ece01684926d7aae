package console

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/scopegate/scopegate/scopes"
)

// explanation is a decision with every step to it, as the route tells it.
type explanation struct {
	Decision  string `json:"decision"`
	Reason    string `json:"reason"`
	Token     string `json:"token"`
	API       string `json:"api"`
	Version   string `json:"version"`
	Operation string `json:"operation"`
	SetHeader string `json:"set_header"`
	Shadow    string `json:"shadow"`
	Note      string `json:"note"`
	Steps     []step `json:"steps"`
}

// step is one check of a decision.
type step struct {
	Check  string `json:"check"`
	Passed bool   `json:"passed"`
	Detail string `json:"detail"`
}

// Deciding returns the number of the step that has denied it, and -1 if none has.
func (e *explanation) Deciding() int {
	if e.Decision == "allow" {
		return -1
	}
	return slices.IndexFunc(e.Steps, func(s step) bool { return !s.Passed && s.Check != scopes.ShadowCheck })
}

// explainPage is what the page shows.
type explainPage struct {
	*form
	Headers        string
	HeadersProblem string
	Answer         *explanation
	Link           string // address of this answer
}

var explainMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// newExplainForm returns the form, as the parameters of an address or a form fill it.
func newExplainForm(typed url.Values) *explainPage {
	method := &field{Name: "method", Label: "Method", Required: true, Value: "GET"}
	for _, name := range explainMethods {
		method.Options = append(method.Options, option{name, name})
	}
	p := &explainPage{form: &form{Fields: []*field{
		{Name: "token", Label: "Token", Example: "acme/nightly-sync", Hint: "By account and name, or by id; nothing for a request without a credential. Not its credential."},
		method,
		{Name: "url", Label: "URL", Required: true, Example: "https://api.example.com/orders/v1/7", Hint: "With the host, if an API answers only to some; a path is enough otherwise."},
		{Name: "from", Label: "Client's address", Example: "203.0.113.7", Hint: "For tokens that may be used from some addresses only."},
	}}}
	p.read(typed)
	if method.Value == "" {
		method.Value = http.MethodGet
	}
	if !slices.Contains(explainMethods, method.Value) {
		method.Options = append(method.Options, option{method.Value, method.Value})
	}
	p.Headers = strings.ReplaceAll(strings.Join(typed["header"], "\n"), "\r\n", "\n")
	return p
}

// secretHeaders are those that hold what is secret, and say nothing to a decision here: who
// sends the request is chosen by name.
var secretHeaders = []string{"Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key"}

// header reads the header fields, one a line, and notes what is wrong with them.
func (p *explainPage) header() http.Header {
	h := make(http.Header)
	for line := range strings.Lines(p.Headers) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			p.HeadersProblem = "Each line is a name and a value, such as IR-Version: 14."
			return nil
		}
		name = http.CanonicalHeaderKey(strings.TrimSpace(name))
		if slices.Contains(secretHeaders, name) {
			p.Headers = "" // whatever it holds is shown again nowhere
			p.HeadersProblem = name + " is not needed, and is secret, so it is removed: who sends the request is said by the token's name."
			return nil
		}
		h.Add(name, strings.TrimSpace(value))
	}
	return h
}

// hasSecret reports whether a credential was typed somewhere. It is shown again nowhere, and
// gets into no address.
func (p *explainPage) hasSecret() bool {
	found := p.forget(&p.Headers)
	for _, f := range p.Fields {
		found = p.forget(&f.Value) || found
	}
	return found
}

// forget removes credentials from a text, and reports whether there were any.
func (*explainPage) forget(text *string) bool {
	clean := scopes.Redact(*text)
	found := clean != *text
	*text = clean
	return found
}

// ask has the route explain what the form says.
func (p *explainPage) ask(v *visit) error {
	if p.hasSecret() {
		p.Problem = "There was a credential in it, which is removed. Name the token by account and name: its credential is for its clients alone. If it got into an address, rotate the token."
		return nil
	}
	header := p.header()
	if !p.check() || p.HeadersProblem != "" {
		return nil
	}
	question := map[string]any{
		"token": p.value("token"), "method": p.value("method"), "url": p.value("url"), "headers": header, "from": p.value("from"),
	}
	var answer explanation
	_, err := send(v.client, http.MethodPost, "/scopegate/explain", question, &answer)
	failure, refused := errors.AsType[*Failure](err)
	switch {
	case err == nil:
		p.Answer, p.Link = &answer, p.link()
	case refused && !failure.Denied():
		p.Problem = failure.Message
	default:
		return err
	}
	return nil
}

// link returns the address of the answer.
func (p *explainPage) link() string {
	asked := map[string]string{"header": p.Headers}
	for _, f := range p.Fields {
		asked[f.Name] = f.Value
	}
	return targetOf(Root+"explain", asked)
}

// showExplain shows the form, and the answer if the address has a question.
func showExplain(v *visit) error {
	if err := v.mustMay(http.MethodPost, "/scopegate/explain"); err != nil {
		return err
	}
	query := v.r.URL.Query()
	p := newExplainForm(query)
	status := http.StatusOK
	if query.Has("url") {
		if err := p.ask(v); err != nil {
			return err
		}
		if p.Answer == nil {
			status = http.StatusBadRequest
		}
	}
	return v.show(status, "explain", "Explain", Root+"explain", p)
}

// postExplain answers the form by the address of its answer, which can be passed on; unless
// there is something wrong or secret in it.
func postExplain(v *visit) error {
	p := newExplainForm(v.r.PostForm)
	if err := p.ask(v); err != nil {
		return err
	}
	if p.Answer == nil {
		return v.show(http.StatusUnprocessableEntity, "explain", "Explain", Root+"explain", p)
	}
	http.Redirect(v.w, v.r, p.Link, http.StatusSeeOther)
	return nil
}
