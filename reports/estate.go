package reports

import (
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// Estate is all that there is at one moment.
type Estate struct {
	Catalog *scopes.Catalog
	Tokens  []Token // without deleted ones, by account and name
	Now     time.Time
}

// Token is a token with what is known of its life.
type Token struct {
	ID      string
	Account string
	scopes.Token
	Held        bool // deactivated by hand
	Created     time.Time
	Credentials []Credential // the newest last
}

// Credential is one of a token's credentials.
type Credential struct {
	LastFour string
	Tag      string // by which its uses are known
	Created  time.Time
	Ends     time.Time // zero for as long as the token lives
}

// Ref returns "account/name".
func (t *Token) Ref() string { return t.Account + "/" + t.Name }

// Subject is how a report names a token.
type Subject struct {
	ID      string `json:"id"`
	Token   string `json:"token"` // account/name
	Contact string `json:"contact,omitempty"`
}

func subjectOf(t *Token) Subject { return Subject{t.ID, t.Ref(), t.Contact.Email} }
