package scopes

import (
	"cmp"
	"fmt"
)

// RunTests decides on the requests of a file's tests section, with the file's
// tokens and the file's APIs as c has them, all of which are served, and the
// management API too. It returns a problem for each test that does not come out as
// it expects; none if all do.
func RunTests(f *File, c *Catalog) Problems {
	tokens := make(map[string]declared)
	for i := range f.Accounts {
		account := &f.Accounts[i]
		for j := range account.Tokens {
			tokens[account.Name+"/"+account.Tokens[j].Name] = declared{account, &account.Tokens[j]}
		}
	}
	view := c.Everything()
	var problems Problems
	for i := range f.Tests {
		t := &f.Tests[i]
		request := t.Request()
		grant := t.grant(tokens, c)
		if got := view.Decide(&request, &grant); got.Reason != t.Expect {
			problems = append(problems, Problem{
				File: cmp.Or(t.File, f.Name), Line: t.Line, Column: t.Column,
				Text: Redact(t.failure(got.Reason, why(view, &request, &grant))),
			})
		}
	}
	return problems
}

// declared is a token of a file with its account.
type declared struct {
	account *Account
	token   *Token
}

// Request is the request that the test describes. Its Target is "" if the URL is
// neither a path nor an http URL.
func (t *Test) Request() Request {
	host, target := splitURL(t.URL)
	return Request{Method: t.Method, Target: target, Host: host, Header: t.Headers, Source: t.From, Now: t.At}
}

// grant is that of the test's token, without what the test does not test.
func (t *Test) grant(tokens map[string]declared, c *Catalog) Grant {
	if t.Token == "" {
		return Grant{State: Anonymous}
	}
	d, ok := tokens[t.Token]
	if !ok {
		return Grant{}
	}
	g := GrantOf(d.account, d.token, c)
	if t.At.IsZero() {
		g.State, g.Expires = Active, 0
	}
	if !t.From.IsValid() {
		g.Sources = nil
	}
	g.HasShadow = false // a test is about what is enforced
	return g
}

// failure says what was asked, expected and decided.
func (t *Test) failure(got Reason, why string) string {
	who := "without a token"
	if t.Token != "" {
		who = "with " + t.Token
	}
	return fmt.Sprintf("%s %s %s: expected %s, got %s: %s", t.Method, t.URL, who, t.Expect, got, why)
}

// why is what the deciding check compared: the first that failed, or the last.
func why(v *View, r *Request, g *Grant) string {
	_, steps := v.Explain(r, g)
	detail := ""
	for _, step := range steps {
		detail = step.Detail
		if !step.Passed {
			break
		}
	}
	return detail
}
