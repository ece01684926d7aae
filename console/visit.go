package console

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"net/http"
)

// visit is one request of somebody who has signed in.
type visit struct {
	w       http.ResponseWriter
	r       *http.Request
	client  Client
	holder  string // "account/name" of the token
	session *session
	handler *Handler
}

// frame is what every page has around what it shows.
type frame struct {
	Title  string
	Here   string // the entry of the navigation that it belongs to
	Holder string
	Form   string // the form token
	Menu   []menuEntry
	Notice string // what was just done
	Data   any
}

// menuEntry leads to a page that the token may see.
type menuEntry struct {
	Name, Path string
}

// menu are all entries of the navigation, and what a token needs for them.
var menu = []struct {
	menuEntry
	method, target string
}{
	{menuEntry{"Overview", Root}, http.MethodGet, "/scopegate/status"},
	{menuEntry{"Tokens", Root + "tokens"}, http.MethodGet, "/scopegate/tokens"},
	{menuEntry{"Accounts", Root + "accounts"}, http.MethodGet, "/scopegate/accounts"},
	{menuEntry{"APIs", Root + "apis"}, http.MethodGet, "/scopegate/apis"},
	{menuEntry{"Nodes", Root + "nodes"}, http.MethodGet, "/scopegate/status"},
	{menuEntry{"Audit", Root + "audit"}, http.MethodGet, "/scopegate/log"},
	{menuEntry{"Explain", Root + "explain"}, http.MethodPost, "/scopegate/explain"},
}

// fromForm reports whether a request comes from a form of this session.
func (v *visit) fromForm() bool {
	expected := v.handler.sessions.formToken(v.session)
	return subtle.ConstantTimeCompare([]byte(v.r.PostForm.Get("form")), []byte(expected)) == 1
}

// notices are what a page says after something was done, by the parameter "done". They are
// fixed texts: an address can have a page say nothing else.
var notices = map[string]string{ //nolint:gosec // G101: none of them is a credential
	"account-created": "The account is created. It has no tokens yet.",
	"account-deleted": "The account is deleted.",
	"activated":       "The token is active: it is accepted again.",
	"deactivated":     "The token is deactivated: every request with it is refused.",
	"retired":         "The old credential is retired: only the new one is accepted.",
	"token-created":   "The token is created. It cannot be used until its credential is issued.",
	"token-deleted":   "The token is deleted for ever.",
}

// show answers with a page. Here is the entry of the navigation that it belongs to.
func (v *visit) show(status int, name, title, here string, data any) error {
	f := frame{Title: title, Here: here, Holder: v.holder, Form: v.handler.sessions.formToken(v.session), Data: data}
	f.Notice = notices[v.r.URL.Query().Get("done")]
	for _, entry := range menu {
		if v.client.May(entry.method, entry.target) {
			f.Menu = append(f.Menu, entry.menuEntry)
		}
	}
	var page bytes.Buffer
	if err := templates[name].ExecuteTemplate(&page, "inner", f); err != nil {
		return err
	}
	writePage(v.w, status, page.Bytes())
	return nil
}

// failed is what the page of a failure shows.
type failed struct {
	Heading, Text string
	Failure       *Failure // nil if no route has failed
	Need          *need    // what the token lacks, nil if that is not it
}

// fail answers with a page that says what went wrong.
func (v *visit) fail(err error) {
	told := failed{Heading: "This did not work", Text: "The server's log says why."}
	status := http.StatusInternalServerError
	switch failure, ok := errors.AsType[*Failure](err); {
	case errors.Is(err, errNotFound):
		status, told = http.StatusNotFound, failed{Heading: "Not found", Text: "There is no such page."}
	case ok && failure.Denied():
		status, told = failure.Status, failed{"Your token may not do this", "Nothing was done.", failure, needOf(failure.Method, failure.Target)}
	case ok:
		status, told = failure.Status, failed{told.Heading, failure.Message, failure, nil}
	default:
		v.handler.logger.Error("a page cannot be shown", "path", v.r.URL.Path, "error", err)
	}
	if err := v.show(status, "failed", told.Heading, "", told); err != nil {
		v.handler.refuse(v.w, http.StatusInternalServerError, told.Text)
	}
}

// done redirects to where the result of what was done can be seen, which says so.
func (v *visit) done(path, notice string) error {
	http.Redirect(v.w, v.r, path+"?done="+notice, http.StatusSeeOther)
	return nil
}

// signOut ends the session.
func signOut(v *visit) error {
	v.handler.sessions.end(v.session)
	http.SetCookie(v.w, newCookie(""))
	http.Redirect(v.w, v.r, Root+"sign-in", http.StatusSeeOther)
	return nil
}
