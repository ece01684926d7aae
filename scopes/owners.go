package scopes

import (
	"slices"
)

// ownedKey names what a [File] of several files has, and is not the first one's
// owner's.
type ownedKey struct {
	kind byte // 'a' for an API, 'c' for an account, 't' for a token
	name string
}

// Owners returns the owners of the files that were read, each once, in order.
func (f *File) Owners() []string {
	owners := []string{f.Owner}
	for _, owner := range f.owners {
		owners = append(owners, owner)
	}
	owners = append(owners, f.others...)
	slices.Sort(owners)
	return slices.Compact(owners)
}

// OwnerOfAPI returns the owner of the file that declares an API.
func (f *File) OwnerOfAPI(name string) string { return f.ownerOf('a', name) }

// OwnerOfAccount returns the owner of the file that states an account's own keys,
// and of the first that names it if none does.
func (f *File) OwnerOfAccount(name string) string { return f.ownerOf('c', name) }

// OwnerOfToken returns the owner of the file that declares a token, which is named
// "account/name".
func (f *File) OwnerOfToken(ref string) string { return f.ownerOf('t', ref) }

func (f *File) ownerOf(kind byte, name string) string {
	if owner, ok := f.owners[ownedKey{kind, name}]; ok {
		return owner
	}
	return f.Owner
}

// setOwner keeps whose something is.
func (f *File) setOwner(kind byte, name, owner string) {
	if owner == f.Owner {
		return
	}
	if f.owners == nil {
		f.owners = make(map[ownedKey]string)
	}
	f.owners[ownedKey{kind, name}] = owner
}

// States reports whether the account's own keys are stated: its title, ids or
// limit. An account may stand in several files, of which one states them.
func (a *Account) States() bool {
	return a.Title != "" || len(a.IDs) > 0 || a.MaxActiveTokens > 0
}
