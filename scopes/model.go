package scopes

import (
	"net/netip"
	"time"
)

// Bounds of the model. The compiled forms count on them.
const (
	MaxVersions        = 64   // versions of an API
	MaxOperations      = 8192 // operations of an API
	MaxAPIs            = 65535
	DefaultMaxActive   = 20 // active scoped tokens of an account
	MinCredentialBytes = 16 // of an imported credential
	MaxCredentialBytes = 512
)

// File is a scope file as read by [Read]: valid by itself and consistent, with
// names in the order of the file. [ReadAll] makes one of several files.
type File struct {
	Name     string // as given to Read, such as a path; "" if there are several
	Owner    string // who prunes what the file declares; "" is the one shared owner
	APIs     []API
	Accounts []Account
	Tests    []Test
	Warnings []Problem // what is legal but probably not meant, such as an expiry in the past

	// Of several files: whose each thing is that is not Owner's, and who else has files.
	owners map[ownedKey]string
	others []string
}

// CountTokens returns how many tokens the file declares.
func (f *File) CountTokens() int {
	n := 0
	for i := range f.Accounts {
		n += len(f.Accounts[i].Tokens)
	}
	return n
}

// API is a named set of operations and the upstreams that serve it.
type API struct {
	Name        string
	Title       string
	Hosts       []string // lower case, with a port only where one was written; none means every host
	Versions    []string // none: the API is not versioned
	VersionFrom []VersionPlace
	// AccountParam is the path parameter that must equal the token's account; "" for none.
	AccountParam string
	// DefaultVersion is what a legacy token means that states no version; "" for none.
	DefaultVersion string
	// FoldCase (path_case: insensitive) ignores ASCII case in literal segments.
	FoldCase bool
	// EncodedSlash (encoded_slash: allow) makes %2F data inside a parameter.
	EncodedSlash bool
	// Deprecated are the versions that clients are to leave, by name, each once.
	Deprecated []Deprecation
	Upstreams  Upstreams
	Operations []Operation
}

// Operation is a named (methods, path template) of an API.
type Operation struct {
	Name    string
	Methods Methods // as declared: GET does not include HEAD here
	Path    string  // the template, such as "/orders/{version}/{id}"
}

// VersionPlace is a place besides {version} in the path where a request may
// state its version.
type VersionPlace struct {
	Kind PlaceKind
	Name string // a header's canonical name, or a query parameter's
}

// PlaceKind is the kind of a [VersionPlace].
type PlaceKind uint8

// The kinds of places.
const (
	InHeader PlaceKind = iota + 1
	InQuery
)

// String returns "header" or "query".
func (k PlaceKind) String() string {
	switch k {
	case InHeader:
		return "header"
	case InQuery:
		return "query"
	}
	return "unknown"
}

// Upstreams are the base addresses ("http://host:port") that serve an API:
// either the same ones for all versions, or a list for each.
type Upstreams struct {
	All       []string
	ByVersion map[string][]string
}

// For returns the addresses that serve the given version; none if there are none.
func (u Upstreams) For(version string) []string {
	if u.ByVersion != nil {
		return u.ByVersion[version]
	}
	return u.All
}

// Account is the tenant that owns tokens.
type Account struct {
	Name  string
	Title string
	IDs   []string // other names that an API's account parameter may have; Name always counts
	// MaxActiveTokens bounds the scoped tokens in state active; 0 means DefaultMaxActive.
	MaxActiveTokens int
	Tokens          []Token
}

// ActiveLimit returns the account's bound of active scoped tokens, the default filled in.
func (a *Account) ActiveLimit() int {
	if a.MaxActiveTokens > 0 {
		return a.MaxActiveTokens
	}
	return DefaultMaxActive
}

// Token is a token as declared: what it is for and what it may do. Ids and
// credentials are the store's.
type Token struct {
	Name        string
	Description string
	Contact     Contact
	Environment string // "production", "staging", "test" or ""
	Inactive    bool   // state: inactive
	Version     string // the version the token is pinned to; "" for none
	Expires     time.Time
	RotateEvery time.Duration
	Sources     []netip.Prefix // where it may be used from; none means everywhere
	Scopes      []Scope        // versions filled in: never empty for a versioned API
	Access      Access         // for a legacy token, which has no scopes
	Shadow      []Scope        // decided on and counted beside what the token may do, and not enforced
	Keep        Keep
	Limits      []Limit // sorted by API, each once
	// Credential is the digest of an imported credential; zero for none.
	Credential Digest
}

// Legacy reports whether the token has access to every API instead of scopes.
func (t *Token) Legacy() bool { return t.Access != ScopedAccess }

// Keep is what of a token stays although nobody uses it, such as what a yearly job needs.
type Keep struct {
	All    bool    // all that the token has
	Scopes []Scope // else these, which are a part of what it has
}

// IsZero reports whether nothing is kept.
func (k *Keep) IsZero() bool { return !k.All && len(k.Scopes) == 0 }

// Contact is the person or team to talk to about a token.
type Contact struct {
	Name  string
	Email string
}

// Scope is one thing that a token may do.
type Scope struct {
	API      string
	Versions []string // sorted as declared; empty only for an API without versions
	Methods  Methods  // GET includes HEAD, which is left out then
	// Operations are the only ones granted; none means all that the API has or will have.
	Operations []string
}

// Access is what a legacy token may do on every API and version. Stored records
// rely on the values.
type Access uint8

// The kinds of access.
const (
	ScopedAccess Access = iota // by its scopes: not a legacy token
	ReadOnly                   // GET and HEAD
	ReadWrite                  // every method
)

// String returns the word of the scope file, "" for ScopedAccess.
func (a Access) String() string {
	switch a {
	case ReadOnly:
		return "read_only"
	case ReadWrite:
		return "read_write"
	case ScopedAccess:
	}
	return ""
}

// Methods returns what a legacy token with this access may use; none for ScopedAccess.
func (a Access) Methods() Methods {
	switch a {
	case ReadOnly:
		return ReadMethods
	case ReadWrite:
		return AllMethods
	case ScopedAccess:
	}
	return 0
}

// Test is one line of a scope file's tests section.
type Test struct {
	File    string // in which it stands; "" for the file's name
	Line    int    // where it stands, counted from 1
	Column  int    // counted from 1, in characters
	Token   string // "account/name"; "" sends no credential
	Method  string
	URL     string              // absolute, or from the path on
	Headers map[string][]string // canonical names
	From    netip.Addr          // the zero Addr: sources are not tested
	At      time.Time           // the zero Time: state and expiry are not tested
	Expect  Reason
}
