package store

import (
	"slices"

	"pgregory.net/rapid"

	"github.com/scopegate/scopegate/scopes"
)

// check compares the store with the model.
func (w *world) check(t *rapid.T) {
	w.steps++
	w.checkAccounts(t)
	for _, want := range w.model.tokens {
		w.checkToken(t, want)
	}
	snapshot := w.store.Snapshot()
	view := snapshot.Catalog().View()
	for _, d := range w.seen {
		w.checkGrant(t, view, d, snapshot.Grant(d))
	}
	checkStore(w.tb, w.store)
}

func (w *world) checkAccounts(t *rapid.T) {
	accounts, err := w.store.Accounts(AccountFilter{})
	if err != nil {
		t.Fatal(err)
	}
	if len(accounts) != len(w.model.accounts) {
		t.Errorf("got %d accounts, want %d", len(accounts), len(w.model.accounts))
	}
	for _, got := range accounts {
		if account, known := w.model.accounts[got.Name]; !known || got.MaxActiveTokens != account.limit || got.Owner != account.owner {
			t.Errorf("account %s: got %+v, want %+v, %v", got.Name, got, account, known)
		}
		if want := w.model.active(got.Name); got.ActiveTokens != want {
			t.Errorf("account %s: got %d active tokens, want %d", got.Name, got.ActiveTokens, want)
		}
	}
}

func (w *world) checkToken(t *rapid.T, want *modelToken) {
	got, err := w.store.Token(want.id)
	if err != nil {
		t.Errorf("token %s (%s): %v", want.ref(), want.id, err)
		return
	}
	spec := want.spec.token()
	spec.Description, spec.Contact = got.Description, got.Contact // which the revocations log does not have
	if got.Ref() != want.ref() || got.Deleted != want.deleted || got.Owner != want.owner || got.Held != (want.held && !want.deleted) ||
		len(diffToken(&spec, &got.Token)) > 0 {
		t.Errorf("token %s: got %+v, want %+v", want.ref(), got, want)
	}
	accepted := slices.DeleteFunc(got.Credentials, func(c Credential) bool { return !c.Ends.IsZero() && !w.model.now.Before(c.Ends) })
	same := slices.EqualFunc(accepted, want.credentials, func(g Credential, m modelCredential) bool { return g.Ends.Equal(m.ends) })
	if !same {
		t.Errorf("token %s: got credentials %+v, want %+v", want.ref(), got.Credentials, want.credentials)
	}
	if w.model.find(want.ref()) != want || want.deleted {
		return
	}
	if named, err := w.store.Token(want.ref()); err != nil || named.ID != want.id {
		t.Errorf("the name %s: got %s, %v, want %s", want.ref(), named.ID, err, want.id)
	}
}

// checkGrant compares what a credential may do with what it should.
func (w *world) checkGrant(t *rapid.T, view *scopes.View, d scopes.Digest, got scopes.Grant) {
	owner := w.model.owner(d)
	account, id := "nobody", ""
	if owner != nil {
		account, id = owner.account, owner.id
	}
	if got.ID != id {
		t.Errorf("credential %d: got token %q, want %q", slices.Index(w.seen, d), got.ID, id)
		return
	}
	if owner != nil {
		if want := scopes.JoinLimits(modelLimits[owner.spec.rate], modelLimits[owner.spec.quota]); !slices.Equal(got.Limits, want) {
			t.Errorf("credential %d: got limits %+v, want %+v", slices.Index(w.seen, d), got.Limits, want)
		}
	}
	for i, c := range modelCells {
		target := c.target
		if c.api == "ads" {
			target += account
		}
		from := i % len(modelClients)
		decision := view.Decide(&scopes.Request{
			Method: c.method, Target: target, Host: "gw.example.com", Header: map[string][]string{"Ir-Version": {c.version}},
			Source: modelClients[from], Now: w.model.now,
		}, &got)
		want := w.model.decide(d, i, from)
		if shadow := w.model.decideShadow(d, i, want); decision.Reason != want || decision.Shadow != shadow {
			t.Errorf("credential %d of %+v: %s %s gets %v, in its shadow %v, want %v, %v",
				slices.Index(w.seen, d), owner, c.method, target, decision.Reason, decision.Shadow, want, shadow)
		}
	}
}
