package caddymodule

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store"
)

// question is a request to explain: the decision on which request, by whom.
type question struct {
	Token   string      `json:"token"` // account/name or id; "" sends no credential
	Method  string      `json:"method"`
	URL     string      `json:"url"` // "/path" or "https://host/path"
	Headers http.Header `json:"headers"`
	From    string      `json:"from"` // the client's address; "" is in no source
	At      string      `json:"at"`   // a date or a time (RFC 3339); "" is now
}

// explanation is a decision with every step to it. It is made for all APIs and the
// management API: that a site serves only some of them, or takes credentials in
// other places, is not in it.
type explanation struct {
	Decision  string        `json:"decision"`         // "allow" or "deny"
	Reason    string        `json:"reason,omitempty"` // of a denial
	Token     string        `json:"token,omitempty"`  // account/name
	API       string        `json:"api,omitempty"`
	Version   string        `json:"version,omitempty"`
	Operation string        `json:"operation,omitempty"`
	SetHeader string        `json:"set_header,omitempty"` // in which the upstream is told the version
	Shadow    string        `json:"shadow,omitempty"`     // what the token's shadow scopes say to an allowed request: allow, or the reason
	Steps     []scopes.Step `json:"steps"`
	Note      string        `json:"note,omitempty"` // what else stands in the token's way
}

// maxQuestion bounds the body of a request to explain, in bytes.
const maxQuestion = 64 << 10

// explain tells what would be decided on a request, step by step.
func (m *management) explain(r *http.Request) (any, error) {
	q, err := readQuestion(r)
	if err != nil {
		return nil, err
	}
	request, err := q.request(time.Now())
	if err != nil {
		return nil, err
	}
	s, err := m.store()
	if err != nil {
		return nil, err
	}
	snapshot := s.Snapshot()
	if snapshot == nil {
		return nil, store.ErrClosed
	}
	grant, note, err := storedGrant(s, snapshot.Catalog(), q.Token)
	if err != nil {
		return nil, err
	}
	answer := explainTo(snapshot.Catalog(), &request, &grant)
	answer.Note = note
	return answer, nil
}

// readQuestion reads the body of a request to explain.
func readQuestion(r *http.Request) (question, error) {
	var q question
	if _, err := parameters(r); err != nil {
		return q, err
	}
	return q, readJSON(r, maxQuestion, &q)
}

// request turns the question into the request that it asks about.
func (q *question) request(now time.Time) (scopes.Request, error) {
	asked := scopes.Test{Method: q.Method, URL: q.URL, Headers: make(http.Header), At: now}
	for name, values := range q.Headers {
		name = http.CanonicalHeaderKey(name)
		asked.Headers[name] = append(asked.Headers[name], values...)
	}
	if q.From != "" {
		from, err := netip.ParseAddr(q.From)
		if err != nil || from.Zone() != "" {
			return scopes.Request{}, failf(http.StatusBadRequest, "from is a client's address, such as 203.0.113.7, not %q", q.From)
		}
		asked.From = from
	}
	if q.At != "" {
		at, err := parseMoment(q.At)
		if err != nil {
			return scopes.Request{}, failf(http.StatusBadRequest, "at is a date or a time, such as 2027-04-01 or 2027-04-01T12:00:00Z, not %q", q.At)
		}
		asked.At = at
	}
	request := asked.Request()
	if request.Method == "" || request.Target == "" {
		return scopes.Request{}, failf(http.StatusBadRequest, "expected a method, and a URL such as /orders/v1 or https://host/orders/v1")
	}
	return request, nil
}

// parseMoment reads a date, which is its first second in UTC, or a time.
func parseMoment(s string) (time.Time, error) {
	if date, err := time.Parse(time.DateOnly, s); err == nil {
		return date, nil
	}
	return time.Parse(time.RFC3339, s)
}

// storedGrant returns what a token of the store may do, and a note if something
// keeps it from being used that a decision does not tell.
func storedGrant(s *store.Store, catalog *scopes.Catalog, ref string) (grant scopes.Grant, note string, err error) {
	if ref == "" {
		return scopes.Grant{State: scopes.Anonymous}, "", nil
	}
	if err := checkRef(ref); err != nil {
		return scopes.Grant{}, "", failf(http.StatusBadRequest, "%w", err)
	}
	t, err := s.Token(ref)
	if err != nil {
		return scopes.Grant{}, "", err
	}
	if t.Deleted {
		return scopes.Grant{}, t.Ref() + " was deleted: nobody knows its credentials any more", nil
	}
	if len(t.Credentials) == 0 {
		note = t.Ref() + " has no credential yet, so nobody can use it: run caddy scopegate token issue " + t.Ref()
	}
	account, err := s.Account(t.Account)
	if err != nil {
		return scopes.Grant{}, "", err
	}
	grant = scopes.GrantOf(&account.Account, &t.Token, catalog)
	grant.ID = t.ID
	return grant, note, nil
}

// explainTo decides on a request and tells every step.
func explainTo(catalog *scopes.Catalog, r *scopes.Request, g *scopes.Grant) explanation {
	decision, steps := catalog.Everything().Explain(r, g)
	e := explanation{Decision: "deny", Version: decision.Version, SetHeader: decision.SetHeader, Steps: steps}
	if decision.Allowed() {
		e.Decision = "allow"
	} else {
		e.Reason = decision.Reason.String()
	}
	if decision.Allowed() && g.HasShadow {
		e.Shadow = decision.Shadow.String()
	}
	if g.Name != "" {
		e.Token = g.Account + "/" + g.Name
	}
	if decision.API != nil {
		e.API = decision.API.Name
	}
	if decision.Operation != nil {
		e.Operation = decision.Operation.Name
	}
	return e
}
