package store

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/scopegate/scopegate/scopes"
)

// ExportOptions select what is exported. The zero value exports all.
type ExportOptions struct {
	// Owner, if it is not nil, exports only what this owner's scope files declare.
	Owner *string
	// Account, if it is not "", exports only this account and its tokens, without
	// the APIs.
	Account string
}

// Export returns the store as a scope file, sorted by name, without credentials and
// without deleted tokens. Applied to the same store it changes nothing. What no
// scope file can say, such as a scope for an API that is no longer there, is left
// out, and the file's Warnings tell of it. The error wraps [ErrNotFound] where there
// is no such account.
func (s *Store) Export(o ExportOptions) (*scopes.File, error) {
	e := &exporter{options: o, file: &scopes.File{}, owners: make(map[string]bool), versions: make(map[string]bool)}
	err := s.view(func(r reader) error {
		e.reader = r
		if err := e.exportAPIs(); err != nil {
			return err
		}
		return e.exportAccounts()
	})
	if err != nil {
		return nil, err
	}
	switch owners := sortedKeys(e.owners); {
	case o.Owner != nil:
		e.file.Owner = *o.Owner
	case len(owners) == 1:
		e.file.Owner = owners[0]
	}
	return e.file, nil
}

// exporter makes one scope file.
type exporter struct {
	reader
	options ExportOptions
	file    *scopes.File
	catalog *scopes.Catalog
	owners  map[string]bool // of what is in the file
	// versions are those of all APIs. Where none has any, a token may be pinned to
	// whatever it is.
	versions map[string]bool
}

// selects reports whether what an owner has declared is exported, and remembers
// the owner.
func (e *exporter) selects(owner string) bool {
	if e.options.Owner != nil && *e.options.Owner != owner {
		return false
	}
	e.owners[owner] = true
	return true
}

func (e *exporter) warnf(format string, args ...any) {
	e.file.Warnings = append(e.file.Warnings, scopes.Problem{Text: fmt.Sprintf(format, args...)})
}

func (e *exporter) exportAPIs() error {
	apis, owners, err := e.ownedAPIs()
	if err != nil {
		return err
	}
	if e.catalog, err = scopes.NewCatalog(apis); err != nil {
		return fmt.Errorf("store: compiling the stored APIs: %w", err)
	}
	for i := range apis {
		for _, v := range apis[i].Versions {
			e.versions[v] = true
		}
	}
	if e.options.Account != "" {
		return nil
	}
	for i := range apis {
		if e.selects(owners[apis[i].Name]) {
			e.file.APIs = append(e.file.APIs, apis[i])
		}
	}
	return nil
}

func (e *exporter) exportAccounts() error {
	if name := e.options.Account; name != "" {
		a, err := e.account(name)
		if err != nil {
			return err
		}
		return e.exportAccount(a)
	}
	return e.bucket(bucketAccounts).ForEach(func(name, value []byte) error {
		a, err := decodeAccount(name, value)
		if err != nil {
			return damaged("account", string(name), err)
		}
		return e.exportAccount(a)
	})
}

func (e *exporter) exportAccount(a *account) error {
	exported := a.declared()
	states := exported.States()
	if states && !e.selects(a.owner) {
		exported, states = scopes.Account{Name: a.name}, false
	}
	prefix := []byte(a.name + "/")
	cursor := e.bucket(bucketNames).Cursor()
	for ref, _ := cursor.Seek(prefix); bytes.HasPrefix(ref, prefix); ref, _ = cursor.Next() {
		rec, err := e.named(string(ref))
		switch {
		case errors.Is(err, ErrDamaged):
			e.warnf("token %s is left out: %v", ref, err)
		case err != nil:
			return err
		default:
			e.exportToken(&exported, rec)
		}
	}
	if e.options.Owner == nil || states || len(exported.Tokens) > 0 {
		e.file.Accounts = append(e.file.Accounts, exported)
	}
	return nil
}

func (e *exporter) exportToken(a *scopes.Account, rec *record) {
	if rec.terminal || !e.selects(rec.owner) {
		return
	}
	t := rec.token
	if t.Contact.Email == "" {
		e.warnf("token %s is left out: nothing is known of it but that it is revoked", rec.ref())
		return
	}
	before := len(t.Scopes)
	t.Scopes = e.sound(rec, "scope", t.Scopes)
	if before > 0 && len(t.Scopes) == 0 {
		e.warnf("token %s is left out: none of its scopes grants anything", rec.ref())
		return
	}
	if t.Version != "" && len(e.versions) > 0 && !e.versions[t.Version] {
		e.warnf("token %s is pinned to version %q, which no API has any more; that is left out", rec.ref(), t.Version)
		t.Version = ""
	}
	e.trim(rec, &t)
	a.Tokens = append(a.Tokens, t)
}

// trim leaves out what an exported token has beside its scopes that a scope file cannot
// say.
func (e *exporter) trim(rec *record, t *scopes.Token) {
	t.Shadow = e.sound(rec, "shadow scope", t.Shadow)
	t.Keep.Scopes = slices.DeleteFunc(e.sound(rec, "kept scope", t.Keep.Scopes), func(s scopes.Scope) bool {
		lacks := t.Lacks(&s)
		if lacks != "" {
			e.warnf("token %s: the kept scope %s is left out: the token does not have %s", rec.ref(), scopeText(&s), lacks)
		}
		return lacks != ""
	})
	t.Limits = slices.DeleteFunc(slices.Clone(t.Limits), func(l scopes.Limit) bool {
		gone := l.API != "" && e.catalog.API(l.API) == nil
		if gone {
			e.warnf("token %s: its limit for API %s is left out: there is no such API", rec.ref(), l.API)
		}
		return gone
	})
}

// sound returns a token's scopes without those that name what the catalog does not have.
func (e *exporter) sound(rec *record, what string, list []scopes.Scope) []scopes.Scope {
	return slices.DeleteFunc(slices.Clone(list), func(s scopes.Scope) bool {
		why := e.stale(&s)
		if why != "" {
			e.warnf("token %s: the %s %s is left out, which grants nothing: %s", rec.ref(), what, scopeText(&s), why)
		}
		return why != ""
	})
}

// stale says what a scope names that the catalog does not have; "" if it has all.
func (e *exporter) stale(s *scopes.Scope) string {
	api := e.catalog.API(s.API)
	if api == nil {
		return "there is no API " + s.API
	}
	for _, v := range s.Versions {
		if !slices.Contains(api.Versions, v) {
			return fmt.Sprintf("API %s has no version %q", s.API, v)
		}
	}
	if len(s.Versions) == 0 && len(api.Versions) > 0 {
		return fmt.Sprintf("API %s has versions, and it names none", s.API)
	}
	for _, name := range s.Operations {
		if !slices.ContainsFunc(api.Operations, func(op scopes.Operation) bool { return op.Name == name }) {
			return fmt.Sprintf("API %s has no operation %s", s.API, name)
		}
	}
	return ""
}
