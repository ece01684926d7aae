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
	Held    bool // deactivated by hand: no scope file undoes that
	Deleted bool // for ever; the name is held against scope files
	// Deactivation tells the deactivation by which it is inactive from all others, on every node
	// alike. It is "" for a token that is active or deleted, or was not changed since it was made.
	Deactivation string
	Owner        string // of the scope file that last declared it
	Credentials  []Credential
	Created      time.Time
	Updated      time.Time
	Revision     uint64 // of the last change
}

// Ref returns "account/name".
func (t *Token) Ref() string { return t.Account + "/" + t.Name }

// Credential is what may be told of a token's credential.
type Credential struct {
	LastFour string // "" for one that was imported by its digest
	Tag      string // tells it apart from the token's others, by [scopes.Digest.Tag]
	Created  time.Time
	Ends     time.Time // when it is no longer accepted; zero for as long as the token lives
}

// Account is an account as the store holds it. Its Tokens are empty.
type Account struct {
	scopes.Account
	Owner        string // of the scope file that states its title, ids or limit
	ActiveTokens int    // scoped tokens in state active
	Created      time.Time
	Updated      time.Time
	Revision     uint64 // of the last change
}

// AccountFilter selects accounts: those that have all that it asks for. The zero
// AccountFilter selects all.
type AccountFilter struct {
	Search string // a part of the name, the title or an id, in any case; "" for any
	After  string // only what stands behind this name; "" for all
	Limit  int    // how many at the most; 0 for all
}

func (f *AccountFilter) isFull(accounts []Account) bool {
	return f.Limit > 0 && len(accounts) >= f.Limit
}

// Actor is who makes a change.
type Actor struct {
	Name string // for the audit log, in the words of the caller
	// Token is the id of the administrator's token on whose authority the change is
	// made: it can take away, and give what it has itself. "" may do everything.
	Token string
	// Recheck is called inside the transaction, before anything is changed: it
	// decides once more whether Token may make this change, and its error refuses
	// it. It may read the store, but not change it. Nil checks no more than that
	// the token is in force.
	Recheck func() error
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
	Actor    string   // who, in the words of the caller
	Action   string   // such as "update" or "issue"
	Kind     string   // "api", "account", "token", "file" or "store"
	Name     string   // of the API, account or file, or "account/name"
	Details  []string // before and after of all that differs, a line each; never a credential or its digest
}

// LogQuery selects entries of the audit log: those that have all that it asks for.
type LogQuery struct {
	After, Before uint64    // revisions that are not in it; 0 for none
	Since         time.Time // the zero Time for all
	Actor         string    // a part of it, in any case; "" for anybody
	Action, Kind  string    // "" for any
	Name          string    // an account stands for its tokens too; "" for any
	Limit         int       // how many at the most; 0 for all
	// OldestFirst begins with the oldest, not with the newest. The last change is
	// whole then, beyond the Limit too, so that one can go on behind it.
	OldestFirst bool
}

func (q *LogQuery) isFull(entries []Entry) bool { return q.Limit > 0 && len(entries) >= q.Limit }
