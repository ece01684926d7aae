package caddymodule

import (
	"net/http"
	"time"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store"
)

// issued is a credential that was just made, with the token that it belongs to.
type issued struct {
	ID         string `json:"id"`
	Token      string `json:"token"`
	Credential string `json:"credential"`
}

func showIssued(i store.Issued) issued { return issued{i.ID, i.Token, i.Credential.Reveal()} }

// issueCredential makes the first credential of a token.
func issueCredential(r *http.Request, s *store.Store, actor store.Actor, ref string) (any, error) {
	if err := noBody(r); err != nil {
		return nil, err
	}
	made, err := s.Issue(r.Context(), actor, ref)
	return showIssued(made), err
}

// rotation says how to rotate.
type rotation struct {
	Overlap string `json:"overlap,omitempty"` // how long the old credential is accepted, such as 7d; "" for no longer
}

// imported is a credential that was made elsewhere. Only its digest is sent.
type imported struct {
	Digest   string `json:"digest"`
	LastFour string `json:"last_four,omitempty"`
}

// maxCredentialBody bounds the body of a request about a credential, in bytes.
const maxCredentialBody = 4 << 10

// rotateCredential gives a token a new credential.
func rotateCredential(r *http.Request, s *store.Store, actor store.Actor, ref string) (any, error) {
	var how rotation
	if r.ContentLength != 0 {
		if err := readJSON(r, maxCredentialBody, &how); err != nil {
			return nil, err
		}
	}
	var overlap time.Duration
	if how.Overlap != "" {
		var err error
		if overlap, err = scopes.ParseInterval(how.Overlap); err != nil {
			return nil, failf(http.StatusBadRequest, "overlap: %w", err)
		}
	}
	made, err := s.Rotate(r.Context(), actor, ref, overlap)
	return showIssued(made), err
}

// importCredential gives a token a credential that was made elsewhere.
func importCredential(r *http.Request, s *store.Store, actor store.Actor, ref string) (any, error) {
	var sent imported
	if err := readJSON(r, maxCredentialBody, &sent); err != nil {
		return nil, err
	}
	digest, err := scopes.ParseDigest(sent.Digest)
	if err != nil { // it does not show what was sent: that may be the secret
		return nil, failf(http.StatusBadRequest, "the digest: %w", err)
	}
	if n := len(sent.LastFour); n != 0 && n != 4 {
		return nil, failf(http.StatusBadRequest, "last_four has 4 characters, or is left out")
	}
	t, err := s.Import(r.Context(), actor, ref, digest, sent.LastFour)
	return showToken(&t), err
}
