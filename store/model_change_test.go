package store

import (
	"maps"
	"slices"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// The changes of a model. Each returns the model as it is afterwards, or, where the
// change must be refused, the errors that may say so.

// create makes a token by hand. Its id is not known yet.
func (m *model) create(account string, s modelSpec, d scopes.Digest) (*model, []error) {
	next := m.clone()
	t := &modelToken{account: account, spec: s}
	var errs []error
	if old := m.find(t.ref()); old != nil && !old.deleted {
		errs = append(errs, ErrExists)
	}
	if !d.IsZero() {
		errs = append(errs, m.taken(d)...)
		t.credentials = []modelCredential{{digest: d}}
	}
	if s.inactive {
		t.switchOff()
	}
	next.needAccount(account)
	next.tokens = append(next.tokens, t)
	return next.unless(append(errs, next.full(m)...))
}

// needAccount makes an account if there is none.
func (m *model) needAccount(name string) {
	if _, known := m.accounts[name]; !known {
		m.accounts[name] = modelAccount{}
	}
}

// taken returns why a token cannot get a credential.
func (m *model) taken(d scopes.Digest) []error {
	switch {
	case m.dead[d]:
		return []error{ErrDead}
	case m.owner(d) != nil:
		return []error{ErrExists}
	}
	return nil
}

func (m *model) unless(errs []error) (*model, []error) {
	if len(errs) > 0 {
		return nil, errs
	}
	return m, nil
}

// change makes a change to a token that is not deleted.
func (m *model) change(ref string, fn func(*model, *modelToken) []error) (*model, []error) {
	next := m.clone()
	t := next.find(ref)
	switch {
	case t == nil:
		return nil, []error{ErrNotFound}
	case t.deleted:
		return nil, []error{ErrDead}
	}
	errs := fn(next, t)
	return next.unless(append(errs, next.full(m)...))
}

func (m *model) update(ref string, s modelSpec, allowWiden bool) (*model, []error) {
	return m.change(ref, func(next *model, t *modelToken) (errs []error) {
		s.name, s.inactive = t.spec.name, t.spec.inactive
		if s.widens(&t.spec, next.lacks) && !allowWiden {
			errs = append(errs, ErrWiden)
		}
		t.spec = s
		return errs
	})
}

func (m *model) issue(ref string, d scopes.Digest) (*model, []error) {
	return m.change(ref, func(_ *model, t *modelToken) []error {
		if len(t.credentials) > 0 {
			return []error{ErrExists}
		}
		t.credentials = []modelCredential{{digest: d}}
		return nil
	})
}

func (m *model) rotate(ref string, overlap time.Duration, d scopes.Digest) (*model, []error) {
	return m.change(ref, func(next *model, t *modelToken) []error {
		switch len(t.credentials) {
		case 0:
			return []error{ErrNotFound}
		case maxCredentials:
			return []error{ErrConflict}
		}
		if overlap > 0 {
			if ends := t.credentials[0].ends; ends.IsZero() || ends.After(m.now.Add(overlap)) {
				t.credentials[0].ends = m.now.Add(overlap)
			}
			t.revoked = append(t.revoked, t.credentials[0].digest)
		} else {
			next.kill(t, t.credentials[0])
		}
		t.credentials = append(t.credentials, modelCredential{digest: d})
		return nil
	})
}

func (m *model) retire(ref string) (*model, []error) {
	return m.change(ref, func(next *model, t *modelToken) []error {
		if len(t.credentials) < maxCredentials {
			return []error{ErrConflict}
		}
		next.kill(t, t.credentials[0])
		return nil
	})
}

func (m *model) imported(ref string, d scopes.Digest) (*model, []error) {
	return m.change(ref, func(_ *model, t *modelToken) []error {
		errs := m.taken(d)
		if len(t.credentials) > 0 {
			errs = append(errs, ErrExists)
		}
		t.credentials = []modelCredential{{digest: d}}
		return errs
	})
}

func (m *model) activate(ref string) (*model, []error) {
	return m.change(ref, func(_ *model, t *modelToken) []error {
		t.spec.inactive, t.held = false, false
		return nil
	})
}

func (m *model) deactivate(ref string) (*model, []error) {
	return m.change(ref, func(_ *model, t *modelToken) []error {
		if !t.held {
			t.held = true
			t.switchOff()
		}
		return nil
	})
}

func (m *model) delete(ref string) (*model, []error) {
	next := m.clone()
	t := next.find(ref)
	if t == nil {
		return nil, []error{ErrNotFound}
	}
	t.deleted, t.spec.inactive = true, true
	next.kill(t, slices.Clone(t.credentials)...)
	return next, nil
}

func (m *model) createAccount(name string, limit int) (*model, []error) {
	if _, known := m.accounts[name]; known {
		return nil, []error{ErrExists}
	}
	next := m.clone()
	next.accounts[name] = modelAccount{limit: limit}
	return next, nil
}

func (m *model) deleteAccount(name string) (*model, []error) {
	if _, known := m.accounts[name]; !known {
		return nil, []error{ErrNotFound}
	}
	if slices.ContainsFunc(m.tokens, func(t *modelToken) bool { return t.account == name && !t.deleted }) {
		return nil, []error{ErrConflict}
	}
	next := m.clone()
	delete(next.accounts, name)
	return next, nil
}

// modelFile is a scope file. A token of it may bring a credential along.
type modelFile struct {
	owner    string
	lacks    cells // createCells if the file has no operation create
	accounts []modelFileAccount
}

type modelFileAccount struct {
	name   string
	limit  int // 0: the file states nothing of the account
	tokens []modelFileToken
}

type modelFileToken struct {
	spec       modelSpec
	credential scopes.Digest
}

// file returns the file as it is read.
func (f *modelFile) file() *scopes.File {
	var accounts []scopes.Account
	for _, a := range f.accounts {
		account := scopes.Account{Name: a.name, MaxActiveTokens: a.limit}
		for _, ft := range a.tokens {
			token := ft.spec.token()
			token.Credential = ft.credential
			account.Tokens = append(account.Tokens, token)
		}
		accounts = append(accounts, account)
	}
	file := testFile(accounts...)
	file.Owner = f.owner
	if orders := &file.APIs[0]; f.lacks != 0 {
		orders.Operations = slices.DeleteFunc(orders.Operations, func(op scopes.Operation) bool { return op.Name == "create" })
	}
	return file
}

func (m *model) apply(f *modelFile, prune, allowWiden bool) (*model, []error) {
	a := &modelApply{owner: f.owner, before: m, next: m.clone(), declared: make(map[string]bool), claimed: make(map[scopes.Digest]bool)}
	a.next.lacks = f.lacks
	for _, t := range m.tokens {
		a.widens = a.widens || !t.deleted && t.spec.cells()&m.lacks&^f.lacks != 0
	}
	for _, account := range f.accounts {
		a.account(account.name, account.limit)
		for i := range account.tokens {
			a.token(account.name, &account.tokens[i])
		}
	}
	if prune {
		a.prune()
	}
	a.errs = append(a.errs, a.next.full(m)...)
	if a.widens && !allowWiden {
		a.errs = append(a.errs, ErrWiden)
	}
	return a.next.unless(a.errs)
}

// modelApply applies one file.
type modelApply struct {
	owner        string
	before, next *model
	declared     map[string]bool // by "account/name"
	claimed      map[scopes.Digest]bool
	widens       bool
	errs         []error
}

// account applies what a file states of an account. What it does not state is left
// alone, unless it did so before.
func (a *modelApply) account(name string, limit int) {
	a.next.needAccount(name)
	switch had := a.next.accounts[name]; {
	case limit > 0 && had.stated:
		a.next.accounts[name] = modelAccount{limit, true, a.heir(had.owner)}
	case limit > 0:
		a.next.accounts[name] = modelAccount{limit, true, a.owner}
	case had.stated && had.owner == a.owner:
		a.next.accounts[name] = modelAccount{}
	}
}

// heir returns whose a thing is that another's file declared before.
func (a *modelApply) heir(before string) string {
	if a.owner == "" {
		return before
	}
	return a.owner
}

func (a *modelApply) token(account string, wanted *modelFileToken) {
	ref := account + "/" + wanted.spec.name
	a.declared[ref] = true
	t := a.next.find(ref)
	switch {
	case t == nil:
		t = &modelToken{account: account, spec: wanted.spec, owner: a.owner}
		a.next.tokens = append(a.next.tokens, t)
		a.credential(t, wanted.credential)
		if t.spec.inactive {
			t.switchOff()
		}
	case t.deleted:
		return
	default:
		was := t.spec
		t.spec = wanted.spec.merge(t.declared, &was)
		t.spec.inactive = t.spec.inactive || t.held
		a.widens = a.widens || t.spec.widens(&was, a.next.lacks)
		a.credential(t, wanted.credential)
		if t.spec.inactive && !was.inactive {
			t.switchOff()
		}
	}
	if t.declared != nil {
		t.owner = a.heir(t.owner)
	} else {
		t.owner = a.owner
	}
	spec := wanted.spec
	t.declared = &spec
	if !wanted.credential.IsZero() {
		t.credential = wanted.credential
	}
}

// credential gives a token the credential that the file has for it, in place of the
// one that it had before. A dead one is ignored.
func (a *modelApply) credential(t *modelToken, d scopes.Digest) {
	has := func(d scopes.Digest) func(modelCredential) bool {
		return func(c modelCredential) bool { return c.digest == d }
	}
	if d.IsZero() || a.before.dead[d] || slices.ContainsFunc(t.credentials, has(d)) {
		return
	}
	if a.claimed[d] || a.before.owner(d) != nil {
		a.errs = append(a.errs, ErrExists)
	}
	a.claimed[d] = true
	if at := slices.IndexFunc(t.credentials, has(t.credential)); at >= 0 {
		a.next.kill(t, t.credentials[at])
	}
	if len(t.credentials) == maxCredentials {
		a.errs = append(a.errs, ErrConflict)
	}
	t.credentials = append(t.credentials, modelCredential{digest: d})
}

func (a *modelApply) prune() {
	for _, t := range a.next.tokens {
		if t.deleted || t.declared == nil || t.owner != a.owner || a.declared[t.ref()] {
			continue
		}
		t.declared, t.credential, t.owner = nil, scopes.Digest{}, ""
		if !t.spec.inactive {
			t.switchOff()
		}
	}
}

// restored returns what is there after an older copy of the store was put in its
// place: what the copy has, less what was taken away since. Of tokens that the copy
// does not have, what was revoked is known, and nothing else.
func (m *model) restored(older *model) *model {
	next := older.clone()
	next.now = m.now
	maps.Copy(next.dead, m.dead)
	for _, t := range m.tokens {
		if old := next.find(t.id); old != nil {
			next.revoke(old, t)
		} else if t.deleted || t.spec.inactive || len(t.revoked) > 0 {
			next.tokens = append(next.tokens, t.stub(next.dead))
			next.needAccount(t.account)
		}
	}
	next.advance(0)
	return next
}

// revoke takes from an older state of a token what the newer one no longer has.
func (m *model) revoke(old, now *modelToken) {
	if now.deleted && !old.deleted {
		old.deleted = true
		old.spec.inactive = true
	}
	old.spec.inactive = old.spec.inactive || now.spec.inactive
	old.held = old.held || now.held
	for _, d := range now.revoked {
		if !slices.Contains(old.revoked, d) { // each restore would double them
			old.revoked = append(old.revoked, d)
		}
	}
	old.switchedOff = now.switchedOff
	for i := range old.credentials {
		for _, c := range now.credentials {
			if c.digest == old.credentials[i].digest {
				old.credentials[i].ends = c.ends
			}
		}
	}
	for _, d := range now.revoked { // its end may be to come, and is not where the copy does not have it
		if !slices.ContainsFunc(old.credentials, func(c modelCredential) bool { return c.digest == d }) {
			m.dead[d] = true
		}
	}
	old.credentials = slices.DeleteFunc(old.credentials, func(c modelCredential) bool { return m.dead[c.digest] })
}

// stub returns what is known of a token from the revocations log alone. A credential
// whose end was to come has none to come any more.
func (t *modelToken) stub(dead map[scopes.Digest]bool) *modelToken {
	stub := &modelToken{
		id: t.id, account: t.account, held: t.held, deleted: t.deleted,
		spec:    modelSpec{name: t.spec.name, inactive: true},
		revoked: t.revoked,
	}
	for _, d := range t.revoked {
		dead[d] = true
	}
	for _, d := range t.switchedOff {
		if t.spec.inactive && !dead[d] {
			stub.credentials = append(stub.credentials, modelCredential{digest: d})
		}
	}
	stub.switchOff()
	return stub
}
