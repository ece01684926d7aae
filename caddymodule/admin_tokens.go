package caddymodule

import (
	"context"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store"
)

// action is what POST does to a token.
type action func(r *http.Request, s *store.Store, actor store.Actor, ref string) (any, error)

// actions are what POST can do to a token, by the last segment of the path.
var actions = map[string]action{
	"issue":      issueCredential,
	"rotate":     rotateCredential,
	"retire":     bodiless((*store.Store).Retire),
	"import":     importCredential,
	"activate":   bodiless((*store.Store).Activate),
	"deactivate": bodiless((*store.Store).Deactivate),
}

// bodiless makes an action of a change that needs to know nothing but which token.
func bodiless(change func(*store.Store, context.Context, store.Actor, string) (store.Token, error)) action {
	return func(r *http.Request, s *store.Store, actor store.Actor, ref string) (any, error) {
		if err := noBody(r); err != nil {
			return nil, err
		}
		t, err := change(s, r.Context(), actor, ref)
		return showToken(&t), err
	}
}

// token shows one token, deleted ones too.
func (m *management) token(r *http.Request) (any, error) {
	ref, err := pathRef(r)
	if err != nil {
		return nil, err
	}
	s, err := m.onlyStore(r)
	if err != nil {
		return nil, err
	}
	t, err := s.Token(ref)
	return showToken(&t), err
}

// deleteToken deletes a token for ever.
func (m *management) deleteToken(r *http.Request) (any, error) {
	ref, err := pathRef(r)
	if err != nil {
		return nil, err
	}
	s, err := m.onlyStore(r)
	if err != nil {
		return nil, err
	}
	t, err := s.Delete(r.Context(), m.actor(r), ref)
	return showToken(&t), err
}

// actOnID does what the last segment says to a token that is named by its id.
func (m *management) actOnID(r *http.Request) (any, error) {
	id, action := r.PathValue("first"), r.PathValue("second")
	if !isID.MatchString(id) {
		return nil, failf(http.StatusNotFound, "nothing can be sent to a token itself; expected /%s/ and what to do, such as activate",
			strings.Trim(r.URL.Path, "/"))
	}
	return m.act(r, id, action)
}

// actOnName does what the last segment says to a token that is named by account
// and name.
func (m *management) actOnName(r *http.Request) (any, error) {
	ref, err := pathRef(r)
	if err != nil {
		return nil, err
	}
	return m.act(r, ref, r.PathValue("action"))
}

func (m *management) act(r *http.Request, ref, name string) (any, error) {
	act, ok := actions[name]
	if !ok {
		return nil, failf(http.StatusNotFound, "unknown action %q; expected %s", name, orNone(slices.Sorted(maps.Keys(actions))))
	}
	if _, err := parameters(r); err != nil {
		return nil, err
	}
	s, err := m.store()
	if err != nil {
		return nil, err
	}
	return act(r, s, m.actor(r), ref)
}

// onlyStore returns the store for a request that has no parameters and no body.
func (m *management) onlyStore(r *http.Request) (*store.Store, error) {
	if _, err := parameters(r); err != nil {
		return nil, err
	}
	if err := noBody(r); err != nil {
		return nil, err
	}
	return m.store()
}

// pathRef returns the token that a path names: by account and name, or by its id.
func pathRef(r *http.Request) (string, error) {
	ref := r.PathValue("first")
	if second := r.PathValue("second"); second != "" {
		ref += "/" + second
	}
	if err := checkRef(ref); err != nil {
		return "", failf(http.StatusBadRequest, "%w", err)
	}
	return ref, nil
}

// The two ways to name a token.
var (
	isID      = regexp.MustCompile(`^tok_[0-9A-Za-z]{22}$`)
	isAccount = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	isName    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}/[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
)

// checkRef tells whether a text can name a token. The error does not repeat the
// text: it may be a credential that was taken for a name.
func checkRef(ref string) error {
	switch {
	case isID.MatchString(ref), isName.MatchString(ref):
		return nil
	case scopes.WellFormed(ref):
		return errCredentialAsName
	}
	return errNoName
}
