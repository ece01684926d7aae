package usage

import (
	"strings"

	"github.com/scopegate/scopegate/scopes"
)

// Use is one request as far as it is counted: what was asked for, by whom, and what was
// decided. It is filled in from a decision; what it refers to must not be modified.
type Use struct {
	// Credential is the digest of what the request was sent with. It only counts if a
	// token has it, so that nobody can make up rows.
	Credential scopes.Digest
	Token      string // the token's id; "" if no token has the credential
	API        *scopes.API
	Operation  *scopes.Operation
	Version    string
	Method     scopes.Methods // just one
	Reason     scopes.Reason
	// Shadow is what the token's shadow scopes would decide; Reason if it has none.
	Shadow scopes.Reason
	// Through: the request was let through although it was denied, in a site's shadow.
	Through bool
}

// Key tells rows apart. Each of its texts is "" where a request had none.
type Key struct {
	Token      string // the id
	Credential string // the tag of the credential's digest, "" if no token has it
	API        string
	Version    string
	Operation  string
	Method     string // "other" for one that has no name in a scope file
	Reason     string // the code, "allow" too
	Shadow     string // the code that shadow scopes would have given; "" if that is Reason
	Through    bool   // denied, but let through in a site's shadow
}

// Allowed reports whether the requests were allowed.
func (k *Key) Allowed() bool { return k.Reason == scopes.Allowed.String() }

// otherMethod is how a method is called that has no name in a scope file. A client can
// make up any number of them.
const otherMethod = "other"

func (u *Use) key() Key {
	k := Key{Token: u.Token, Version: u.Version, Method: methodName(u.Method), Reason: u.Reason.String(), Through: u.Through}
	if u.Token != "" {
		k.Credential = u.Credential.Tag()
	}
	if u.API != nil {
		k.API = u.API.Name
	}
	if u.Operation != nil {
		k.Operation = u.Operation.Name
	}
	if u.Shadow != u.Reason {
		k.Shadow = u.Shadow.String()
	}
	return k
}

func methodName(method scopes.Methods) string {
	if names := method.Names(); len(names) == 1 {
		return names[0]
	}
	return otherMethod
}

// through stands in an encoded key for Key.Through.
const through = "t"

// keySeparator is in no name: a scope file has no control characters.
const keySeparator = "\x00"

// encode returns the key as the file has it. Those of one token stand together.
func (k *Key) encode() string {
	flag := ""
	if k.Through {
		flag = through
	}
	return strings.Join([]string{k.Token, k.Credential, k.API, k.Version, k.Operation, k.Method, k.Reason, k.Shadow, flag}, keySeparator)
}

func decodeKey(s string) (k Key, ok bool) {
	parts := strings.Split(s, keySeparator)
	texts := [...]*string{&k.Token, &k.Credential, &k.API, &k.Version, &k.Operation, &k.Method, &k.Reason, &k.Shadow}
	if len(parts) != len(texts)+1 {
		return Key{}, false
	}
	for i, text := range texts {
		*text = parts[i]
	}
	k.Through = parts[len(texts)] == through
	return k, true
}

// Compare orders keys by token, API, version, operation, method and the rest.
func (k *Key) Compare(other *Key) int { return strings.Compare(k.encode(), other.encode()) }
