package caddymodule

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store"
)

// created is a token that was just made, and its credential if one was asked for.
type created struct {
	shownToken
	Credential string    `json:"credential,omitempty"`
	Warnings   []problem `json:"warnings,omitempty"`
}

// updated is a token after a change, and what the change was.
type updated struct {
	shownToken
	Change   store.Change `json:"change"`
	Warnings []problem    `json:"warnings,omitempty"`
}

// maxTokenBody bounds the body of a request to create or change a token, in bytes.
const maxTokenBody = 1 << 20

// createToken makes a token of the keys that one has in a scope file, and beside
// them "token", which is account/name, and "issue", to make its credential too.
func (m *management) createToken(r *http.Request) (any, error) {
	if _, err := parameters(r); err != nil {
		return nil, err
	}
	var body map[string]any
	if err := readJSON(r, maxTokenBody, &body); err != nil {
		return nil, err
	}
	ref, _ := body["token"].(string)
	if !isName.MatchString(ref) {
		return nil, failf(http.StatusBadRequest, `expected "token" as account/name`)
	}
	issue, isSwitch := body["issue"].(bool)
	if body["issue"] != nil && !isSwitch {
		return nil, failf(http.StatusBadRequest, `"issue" is true or false`)
	}
	delete(body, "token")
	delete(body, "issue")
	s, err := m.store()
	if err != nil {
		return nil, err
	}
	account, name, _ := strings.Cut(ref, "/")
	if err := m.mayCreate(r, s, account, issue || body["credential"] != nil); err != nil {
		return nil, err
	}
	token, warnings, err := readToken(s, account, name, body)
	if err != nil {
		return nil, err
	}
	t, err := s.Create(r.Context(), m.actor(r), account, token)
	if err != nil || !issue {
		return created{shownToken: showToken(&t), Warnings: warnings}, err
	}
	made, err := s.Issue(r.Context(), m.actor(r), t.ID)
	if err != nil {
		return nil, err
	}
	if t, err = s.Token(t.ID); err != nil {
		return nil, err
	}
	return created{showToken(&t), made.Credential.Reveal(), warnings}, nil
}

// mayCreate refuses, of an administrator's token, what other operations than that of
// creating are for: a credential, and an account.
func (m *management) mayCreate(r *http.Request, s *store.Store, account string, credential bool) error {
	if m.actor(r).Token == "" {
		return nil
	}
	if credential {
		return failf(http.StatusForbidden, "%w: creating a token gives it no credential here; issue or import one", store.ErrAuthority)
	}
	if _, err := s.Account(account); errors.Is(err, store.ErrNotFound) {
		return failf(http.StatusForbidden, "%w: creating a token makes no account here; create account %s first", store.ErrAuthority, account)
	}
	return nil
}

// updateToken changes the keys of a token that the body has; null unsets one.
func (m *management) updateToken(r *http.Request) (any, error) {
	values, err := parameters(r, "allow_widen")
	if err != nil {
		return nil, err
	}
	allowWiden, err := switched(values, "allow_widen")
	if err != nil {
		return nil, err
	}
	ref, err := pathRef(r)
	if err != nil {
		return nil, err
	}
	var body map[string]any
	if err := readJSON(r, maxTokenBody, &body); err != nil {
		return nil, err
	}
	if err := checkPatch(body); err != nil {
		return nil, err
	}
	s, err := m.store()
	if err != nil {
		return nil, err
	}
	named, err := s.Token(ref)
	if err != nil {
		return nil, err
	}
	var warnings []problem
	t, change, err := s.Update(r.Context(), m.actor(r), named.ID, func(t *scopes.Token) error {
		keys := tokenKeys(t)
		maps.Copy(keys, body)
		maps.DeleteFunc(keys, func(_ string, value any) bool { return value == nil })
		wanted, noted, err := readToken(s, named.Account, t.Name, keys)
		if err == nil {
			*t, warnings = *wanted, noted
		}
		return err
	}, store.UpdateOptions{AllowWiden: allowWiden})
	return updated{showToken(&t), change, warnings}, err
}

// checkPatch refuses what is changed in another way.
func checkPatch(body map[string]any) error {
	for key := range body {
		var instead string
		switch key {
		case "state":
			instead = "activate and deactivate"
		case "credential":
			instead = "issue, rotate and import"
		case "token":
			instead = "nothing: a token keeps its name"
		default:
			continue
		}
		return failf(http.StatusBadRequest, "%q is not changed here, but by %s", key, instead)
	}
	return nil
}

// readToken reads a token of the keys that one has in a scope file.
func readToken(s *store.Store, account, name string, keys map[string]any) (*scopes.Token, []problem, error) {
	snapshot := s.Snapshot()
	if snapshot == nil {
		return nil, nil, store.ErrClosed
	}
	src, lines, err := oneKeyALine(keys)
	if err != nil {
		return nil, nil, err
	}
	token, noted, err := scopes.ReadToken(snapshot.Catalog().APIs(), account, name, src, time.Now())
	if err != nil {
		return nil, nil, unprocessable(keyed(problemsOf(err), lines))
	}
	var warnings []problem
	for _, w := range noted {
		warnings = append(warnings, problem{Text: w.Text})
	}
	return token, warnings, nil
}

// oneKeyALine writes keys and their values as JSON, one of them a line after the first one,
// and returns which: so the place of a problem tells the key.
func oneKeyALine(keys map[string]any) (src []byte, lines []string, err error) {
	lines = slices.Sorted(maps.Keys(keys))
	for i, key := range lines {
		line, err := json.Marshal(map[string]any{key: keys[key]})
		if err != nil {
			return nil, nil, err
		}
		if i > 0 {
			src = append(src, ',')
		}
		src = append(append(src, '\n'), line[1:len(line)-1]...)
	}
	return append(append([]byte("{"), src...), '}'), lines, nil
}

// keyed tells which keys problems are about, that stand one a line after the first one.
func keyed(problems []problem, lines []string) []wrongField {
	wrong := make([]wrongField, len(problems))
	for i, p := range problems {
		wrong[i].Text = p.Text
		const first = 2
		if at := p.Line - first; at >= 0 && at < len(lines) {
			wrong[i].Key = lines[at]
		}
	}
	return wrong
}

// tokenKeys returns a token as a scope file declares it, without state and credential.
func tokenKeys(t *scopes.Token) map[string]any {
	keys := map[string]any{"contact": shownContact(t.Contact)}
	for key, value := range map[string]string{
		"description": t.Description, "environment": t.Environment, "version": t.Version,
		"rotate_every": showInterval(t.RotateEvery), "access": t.Access.String(),
	} {
		if value != "" {
			keys[key] = value
		}
	}
	if !t.Expires.IsZero() {
		keys["expires"] = t.Expires.Format(time.RFC3339)
	}
	if len(t.Sources) > 0 {
		keys["sources"] = t.Sources
	}
	if !t.Legacy() {
		keys["scopes"] = scopeKeys(t.Scopes)
	}
	if len(t.Shadow) > 0 {
		keys["shadow"] = scopeKeys(t.Shadow)
	}
	if !t.Keep.IsZero() {
		keys["keep"] = keepKey(&t.Keep)
	}
	limitKeys(keys, t.Limits)
	return keys
}

// scopeKeys returns scopes as a scope file has them.
func scopeKeys(list []scopes.Scope) []map[string]any {
	all := make([]map[string]any, len(list))
	for i, s := range list {
		all[i] = map[string]any{"api": s.API, "methods": s.Methods.Names()}
		if len(s.Versions) > 0 {
			all[i]["version"] = s.Versions
		}
		if len(s.Operations) > 0 {
			all[i]["operations"] = s.Operations
		}
	}
	return all
}
