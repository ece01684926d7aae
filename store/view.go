package store

import (
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// Token is a token as the store holds it, without anything secret: neither
// credentials nor digests.
type Token struct {
	ID      string // "tok_" and 22 base62 characters
	Account string
	// Token is what was declared; its Credential is always zero, and its Inactive
	// is the state now.
	scopes.Token
	Held        bool   // deactivated by hand: no scope file undoes that
	Deleted     bool   // for ever; the name is held against scope files
	Owner       string // of the scope file that last declared it
	Credentials []Credential
	Created     time.Time
	Updated     time.Time
	Revision    uint64 // of the last change
}

// Ref returns "account/name".
func (t *Token) Ref() string { return t.Account + "/" + t.Name }

// Credential is what may be told of a token's credential.
type Credential struct {
	LastFour string // "" for one that was imported by its digest
	Created  time.Time
	Ends     time.Time // when it is no longer accepted; zero for as long as the token lives
}

// Account is an account as the store holds it. Its Tokens are empty.
type Account struct {
	scopes.Account
	ActiveTokens int // scoped tokens in state active
	Created      time.Time
	Updated      time.Time
	Revision     uint64 // of the last change
}

// Actor is who makes a change.
type Actor struct {
	Name string // for the audit log, in the words of the caller
}

// Filter selects tokens. The zero Filter selects all that are not deleted.
type Filter struct {
	Account string // "" for every account
	Deleted bool   // deleted ones too
}

// Issued is a credential that was just made: the only time that it is known.
type Issued struct {
	ID         string
	Token      string // "account/name"
	Credential scopes.Credential
}

// Status is the state of the store at one moment.
type Status struct {
	Path     string
	Revision uint64 // of the last committed change; 0 for an empty store
	ReadOnly bool
	Size     int64 // of the file, in bytes
	APIs     int
	Accounts int
	Tokens   Counts
}

// Counts are numbers of tokens by state. Deleted ones are in neither.
type Counts struct {
	Active   int
	Inactive int
	Damaged  int // records that cannot be read; their tokens are refused
}

// Entry is one line of the audit log: what a change did to one thing.
type Entry struct {
	Revision uint64 // entries of one change share it
	Time     time.Time
	Actor    string // who, in the words of the caller
	Action   string // such as "update" or "issue"
	Kind     string // "api", "account", "token" or "store"
	Name     string // of the API or account, or "account/name"
	Detail   string
}
