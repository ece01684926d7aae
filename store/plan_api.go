package store

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/scopegate/scopegate/scopes"
)

// planAPIs plans the APIs of the file. Those that it does not have stay.
func (p *planner) planAPIs() error {
	old, err := p.catalog()
	if err != nil {
		return err
	}
	apis := slices.Clone(old.APIs())
	var changed []Change
	for i := range p.file.APIs {
		wanted := &p.file.APIs[i]
		live := old.API(wanted.Name)
		if live == nil {
			apis = append(apis, *wanted)
			changed = append(changed, Change{Kind: "api", Name: wanted.Name, Action: Create})
		} else if !bytes.Equal(encodeAPI(live), encodeAPI(wanted)) {
			apis[slices.IndexFunc(apis, func(a scopes.API) bool { return a.Name == wanted.Name })] = *wanted
			changed = append(changed, Change{Kind: "api", Name: wanted.Name, Action: Update, Details: diffAPI(live, wanted)})
		}
	}
	if p.next, err = scopes.NewCatalog(apis); err != nil {
		return fmt.Errorf("the APIs of the file do not fit together with those of the store: %w", err)
	}
	if len(changed) == 0 {
		return nil
	}
	if err := p.compareGrants(old, changed); err != nil {
		return err
	}
	for _, c := range changed {
		wanted := p.next.API(c.Name)
		p.step(c, func(ch *change) error { return ch.putAPI(c, wanted) })
	}
	return nil
}

// compareGrants finds out whose grants the changed APIs widen or narrow, by
// comparing what every active token may do on them before and after.
func (p *planner) compareGrants(old *scopes.Catalog, changed []Change) error {
	granted, err := p.grantedOn(changed)
	if err != nil {
		return err
	}
	for i := range changed {
		c := &changed[i]
		was, now := old.API(c.Name), p.next.API(c.Name)
		for _, list := range granted.scopes[c.Name] {
			token := &scopes.Token{Scopes: list}
			d := scopes.Compare(old, token, p.next, token)
			c.Widens, c.Narrows = c.Widens || d.Widens, c.Narrows || d.Narrows
		}
		for access := range granted.legacy {
			d := scopes.Compare(old, onEvery(was, access), p.next, onEvery(now, access))
			c.Widens, c.Narrows = c.Widens || d.Widens, c.Narrows || d.Narrows
		}
		if was != nil && was.AccountParam != "" && was.AccountParam != now.AccountParam {
			// Whoever may use the API is no longer kept to his own account.
			c.Widens = c.Widens || len(granted.scopes[c.Name])+len(granted.legacy) > 0
		}
	}
	return nil
}

// granted is what active tokens have been granted on some APIs, each thing once.
type granted struct {
	scopes map[string]map[string][]scopes.Scope // by API, then by their bytes: a token's scopes on the API
	legacy map[scopes.Access]bool
}

// grantedOn collects what active tokens may do on the changed APIs.
func (p *planner) grantedOn(changed []Change) (granted, error) {
	g := granted{scopes: make(map[string]map[string][]scopes.Scope), legacy: make(map[scopes.Access]bool)}
	for i := range changed {
		g.scopes[changed[i].Name] = make(map[string][]scopes.Scope)
	}
	err := p.bucket(bucketTokens).ForEach(func(id, value []byte) error {
		h, _, err := decodeHead(id, value)
		if err != nil || h.flags&(flagTerminal|flagInactive) != 0 { // what is damaged is granted nothing
			return p.cancelled()
		}
		if h.access != scopes.ScopedAccess {
			g.legacy[h.access] = true
			return p.cancelled()
		}
		g.add(h.scopes)
		return p.cancelled()
	})
	return g, err
}

// add adds a token's scopes, as appendScopes writes them.
func (g *granted) add(block []byte) {
	byAPI := make(map[string][]byte)
	for d := (decoder{rest: block}); len(d.rest) > 0; {
		one := d.block()
		api := (&decoder{rest: one}).string()
		if g.scopes[api] != nil {
			byAPI[api] = appendString(byAPI[api], one)
		}
	}
	for api, block := range byAPI {
		if _, known := g.scopes[api][string(block)]; !known {
			g.scopes[api][string(block)] = (&decoder{rest: block}).scopes()
		}
	}
}

// onEvery returns a token with scopes for all that an API has: what a legacy token
// may do there. It is nil without an API.
func onEvery(api *scopes.API, access scopes.Access) *scopes.Token {
	if api == nil {
		return nil
	}
	return &scopes.Token{Scopes: []scopes.Scope{{API: api.Name, Versions: api.Versions, Methods: access.Methods()}}}
}

// putAPI writes an API as a scope file declares it.
func (c *change) putAPI(planned Change, wanted *scopes.API) error {
	c.recompile = true
	c.audit(planned)
	return c.bucket(bucketAPIs).Put([]byte(wanted.Name), encodeAPI(wanted))
}
