package store

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/scopegate/scopegate/scopes"
)

// planAPIs plans the APIs of the file. Those that it does not have stay, but for
// those to be pruned, which it returns.
func (p *planner) planAPIs(o PlanOptions) (pruned []string, err error) {
	apis, owners, err := p.ownedAPIs()
	if err != nil {
		return nil, err
	}
	old, err := scopes.NewCatalog(apis)
	if err != nil {
		return nil, fmt.Errorf("store: compiling the stored APIs: %w", err)
	}
	if o.Prune {
		if pruned, err = p.unusedAPIs(owners); err != nil {
			return nil, err
		}
	}
	p.apis = dated(p.file.APIs, old, p.today)
	changed := p.diffAPIs(old, owners)
	if err := p.compile(old, pruned); err != nil {
		return nil, err
	}
	if err := p.compareGrants(old, changed); err != nil {
		return nil, err
	}
	for _, c := range changed {
		wanted := p.next.API(c.Name)
		p.step(c.Change, func(ch *change) error {
			ch.recompile = true
			return ch.putAPI(c.Change, wanted, c.owner)
		})
	}
	return pruned, nil
}

// apiChange is a change of an API that is not judged yet, and whose the API will be.
type apiChange struct {
	Change
	owner string
}

// diffAPIs returns what differs between the APIs of the file and those of the store.
func (p *planner) diffAPIs(old *scopes.Catalog, owners map[string]string) []*apiChange {
	var changed []*apiChange
	for i := range p.apis {
		wanted := &p.apis[i]
		c := &apiChange{Change{Kind: "api", Name: wanted.Name, Action: Create}, p.file.OwnerOfAPI(wanted.Name)}
		live := old.API(wanted.Name)
		if live == nil {
			changed = append(changed, c)
			continue
		}
		c.Action, c.owner = Update, p.heir("API "+wanted.Name, owners[wanted.Name], c.owner)
		switch {
		case !bytes.Equal(encodeAPI(live, ""), encodeAPI(wanted, "")):
			c.Details = diffAPI(live, wanted)
			changed = append(changed, c)
		case c.owner != owners[wanted.Name]:
			c.Details = []string{"its owner is now " + c.owner}
			p.plan.steps = append(p.plan.steps, func(ch *change) error { return ch.putAPI(c.Change, wanted, c.owner) })
		}
	}
	return changed
}

// compile compiles the APIs as they will be, once with those that are pruned and
// once without.
func (p *planner) compile(old *scopes.Catalog, pruned []string) (err error) {
	apis := slices.Clone(old.APIs())
	for i := range p.apis {
		wanted := &p.apis[i]
		if at := slices.IndexFunc(apis, func(a scopes.API) bool { return a.Name == wanted.Name }); at >= 0 {
			apis[at] = *wanted
		} else {
			apis = append(apis, *wanted)
		}
	}
	kept := slices.DeleteFunc(slices.Clone(apis), func(a scopes.API) bool { return slices.Contains(pruned, a.Name) })
	if p.next, err = scopes.NewCatalog(kept); err != nil {
		return fmt.Errorf("%w: the APIs of the file do not fit together with those of the store: %w", ErrConflict, err)
	}
	p.both = p.next
	if len(pruned) == 0 {
		return nil
	}
	if p.both, err = scopes.NewCatalog(apis); err != nil { // one takes the place of another
		p.both = old
	}
	return nil
}

// compareGrants finds out whose grants the changed APIs widen or narrow, by
// comparing what every active token may do on them before and after.
func (p *planner) compareGrants(old *scopes.Catalog, changed []*apiChange) error {
	if len(changed) == 0 {
		return nil
	}
	granted, err := p.grantedOn(changed)
	if err != nil {
		return err
	}
	for _, c := range changed {
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
		inUse := len(granted.scopes[c.Name])+len(granted.legacy) > 0
		c.Widens = c.Widens || inUse && loosens(was, now)
		c.admits = was != nil && now != nil && inUse &&
			!bytes.Equal(appendUpstreams(nil, &was.Upstreams), appendUpstreams(nil, &now.Upstreams))
	}
	return nil
}

// loosens reports whether an API takes requests that it did not take, or is no longer
// bound to the account of whoever may use it, for reasons that no operation shows.
func loosens(was, now *scopes.API) bool {
	if was == nil || now == nil {
		return false
	}
	return was.AccountParam != "" && was.AccountParam != now.AccountParam ||
		now.FoldCase && !was.FoldCase || now.EncodedSlash && !was.EncodedSlash ||
		len(was.Hosts) > 0 && (len(now.Hosts) == 0 || hasMore(was.Hosts, now.Hosts))
}

// granted is what tokens have been granted on some APIs, each thing once.
type granted struct {
	scopes map[string]map[string][]scopes.Scope // by API, then by their bytes: a token's scopes on the API
	legacy map[scopes.Access]bool
}

// grantedOn collects what tokens may do on the changed APIs.
func (p *planner) grantedOn(changed []*apiChange) (granted, error) {
	g := granted{scopes: make(map[string]map[string][]scopes.Scope), legacy: make(map[scopes.Access]bool)}
	for i := range changed {
		g.scopes[changed[i].Name] = make(map[string][]scopes.Scope)
	}
	err := p.bucket(bucketTokens).ForEach(func(id, value []byte) error {
		h, _, err := decodeHead(id, value)
		if err != nil || h.flags&flagTerminal != 0 { // what is damaged is granted nothing
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
func (c *change) putAPI(planned Change, wanted *scopes.API, owner string) error {
	c.audit(planned)
	c.share(keyAPI, wanted.Name)
	return c.bucket(bucketAPIs).Put([]byte(wanted.Name), encodeAPI(wanted, owner))
}
