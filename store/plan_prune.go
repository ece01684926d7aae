package store

import (
	"fmt"
	"slices"
	"strings"

	"github.com/scopegate/scopegate/scopes"
)

// planPrune plans to deactivate what the file's owners declared before, and the
// file no longer has. Such a token is then nobody's, and may be declared again.
func (p *planner) planPrune() error {
	wanted, owners := p.wantedTokens(), p.file.Owners()
	return p.bucket(bucketTokens).ForEach(func(id, value []byte) error {
		live, err := decodeRecord(id, value)
		if err != nil || live.terminal || live.declared == nil || !slices.Contains(owners, live.owner) || wanted[live.ref()] != nil {
			return p.cancelled() // what is damaged is refused in any case
		}
		return p.prune(live)
	})
}

// wantedTokens returns the tokens of the file by "account/name".
func (p *planner) wantedTokens() map[string]*scopes.Token {
	wanted := make(map[string]*scopes.Token)
	for i := range p.file.Accounts {
		a := &p.file.Accounts[i]
		for j := range a.Tokens {
			wanted[a.Name+"/"+a.Tokens[j].Name] = &a.Tokens[j]
		}
	}
	return wanted
}

func (p *planner) prune(live *record) error {
	now := live.clone()
	now.declared, now.owner, now.token.Inactive = nil, "", true
	c := Change{Kind: "token", Name: live.ref(), Action: Prune}
	if !live.token.Inactive {
		c.Details = []string{"the file no longer has it: active → inactive"}
	}
	if live.countsActive() {
		a, err := p.account(live.account)
		if err != nil {
			return err
		}
		if a != nil {
			a.active--
		}
	}
	c.Narrows = !live.token.Inactive
	p.stepUpdate(c, live, now)
	return nil
}

// unusedAPIs returns the APIs that the file's owners declared before, that the file
// no longer has, and that no token will have scopes for. A token that does keeps its
// API, and a warning says so.
func (p *planner) unusedAPIs(owners map[string]string) ([]string, error) {
	gone := make(map[string]bool)
	for name, owner := range owners {
		declared := slices.ContainsFunc(p.file.APIs, func(a scopes.API) bool { return a.Name == name })
		if !declared && slices.Contains(p.file.Owners(), owner) {
			gone[name] = true
		}
	}
	if len(gone) == 0 {
		return nil, nil
	}
	users, err := p.usersOf(gone)
	if err != nil {
		return nil, err
	}
	for _, name := range sortedKeys(users) {
		delete(gone, name)
		p.warnf("API %s is no longer in the file, and stays: %s; prune removes it once no token has scopes for it",
			name, usersText(users[name]))
	}
	return sortedKeys(gone), nil
}

// usersOf returns the tokens that will have scopes for some APIs, by the API.
func (p *planner) usersOf(apis map[string]bool) (map[string][]string, error) {
	users := make(map[string][]string)
	note := func(ref string, t *scopes.Token) {
		for _, list := range [][]scopes.Scope{t.Scopes, t.Shadow} {
			for i := range list {
				if api := list[i].API; apis[api] && !slices.Contains(users[api], ref) {
					users[api] = append(users[api], ref)
				}
			}
		}
	}
	wanted := p.wantedTokens()
	for _, ref := range sortedKeys(wanted) {
		note(ref, wanted[ref])
	}
	err := p.bucket(bucketTokens).ForEach(func(id, value []byte) error {
		live, err := decodeRecord(id, value)
		if err != nil || live.terminal { // what is damaged is refused in any case
			return p.cancelled()
		}
		p.legacy = p.legacy || live.token.Legacy() && !live.token.Inactive
		after := &live.token
		if want := wanted[live.ref()]; want != nil {
			merged := merge(live.declared, after, want)
			after = &merged
		}
		note(live.ref(), after)
		return p.cancelled()
	})
	return users, err
}

// usersText names the first tokens of some.
func usersText(refs []string) string {
	const most = 3
	if len(refs) <= most {
		return "token " + strings.Join(refs, ", ") + " has scopes for it"
	}
	return fmt.Sprintf("%s and %d more tokens have scopes for it", strings.Join(refs[:most], ", "), len(refs)-most)
}

// pruneAPIs plans to remove APIs that no token has scopes for. Legacy tokens lose
// them.
func (p *planner) pruneAPIs(names []string) {
	for _, name := range names {
		c := Change{Kind: "api", Name: name, Action: Prune, Narrows: p.legacy, Details: []string{"the file no longer has it"}}
		p.step(c, func(ch *change) error {
			ch.recompile = true
			ch.audit(c)
			ch.share(keyAPI, name)
			return ch.bucket(bucketAPIs).Delete([]byte(name))
		})
	}
}
