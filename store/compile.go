package store

import "github.com/scopegate/scopegate/scopes"

// maxCached bounds the compiled scopes that a compiler keeps: tokens share most
// of them.
const maxCached = 1 << 16

// compiler makes index entries of stored records: the one way from a record to
// what is decided with, at boot and after a change.
type compiler struct {
	catalog *scopes.Catalog
	table   *ruleTable
	// cache has the rules of scopes that were compiled before, by their bytes.
	cache map[string][]uint32
	// missing counts scopes that name what the catalog does not have. They grant
	// nothing.
	missing int
	limits  map[string][]scopes.Limit // by their bytes: many tokens share them
	rules   []uint32                  // of the record at hand, as positions in the table
}

func newCompiler(catalog *scopes.Catalog, table *ruleTable) compiler {
	return compiler{catalog: catalog, table: table, cache: make(map[string][]uint32), limits: make(map[string][]scopes.Limit)}
}

// compile appends the entries of a record, one for each credential, without their
// account. They refer to the value: use them before the end of the transaction.
func (c *compiler) compile(dst []indexed, id []byte, h *head) ([]indexed, error) {
	if h.flags&flagTerminal != 0 || h.count == 0 {
		return dst, nil
	}
	x := indexed{id: id, name: h.name, version: h.version}
	state := scopes.Active
	if h.flags&flagInactive != 0 {
		state = scopes.Deactivated
	}
	x.kind = kindOf(state, h.access)
	if x.expiry = expiryOf(h.expires); x.expiry == expiryLater {
		x.expires = h.expires
	}
	d := decoder{rest: h.sources}
	if x.sources = d.sources(); d.end() != nil {
		return dst, errFields
	}
	var err error
	if x.rules, err = c.refTo(h.scopes); err != nil {
		return dst, err
	}
	if x.hasShadow = len(h.shadow) > 0; x.hasShadow {
		if x.shadow, err = c.refTo(h.shadow); err != nil {
			return dst, err
		}
	}
	if x.limits, err = c.limitsOf(h.limits); err != nil {
		return dst, err
	}
	for i := range h.count {
		x.digest, x.ends = h.credentials[i].digest, h.credentials[i].ends
		dst = append(dst, x)
	}
	return dst, nil
}

// refTo returns a reference to the rules of a block of scopes.
func (c *compiler) refTo(block []byte) (ref scopes.RuleRef, err error) {
	if c.rules, err = c.appendRules(c.rules[:0], block); err != nil {
		return ref, err
	}
	return c.table.refTo(c.rules)
}

// limitsOf returns the limits in a block, the same ones for the same bytes.
func (c *compiler) limitsOf(block []byte) ([]scopes.Limit, error) {
	if known, ok := c.limits[string(block)]; ok || len(block) == 0 {
		return known, nil
	}
	d := decoder{rest: block}
	limits := d.limits()
	if d.end() != nil {
		return nil, errFields
	}
	if len(c.limits) == maxCached {
		clear(c.limits)
	}
	c.limits[string(block)] = limits
	return limits, nil
}

// appendRules appends the rules of a block of scopes.
func (c *compiler) appendRules(dst []uint32, block []byte) ([]uint32, error) {
	d := decoder{rest: block}
	for len(d.rest) > 0 {
		one := d.block()
		positions, ok := c.cache[string(one)]
		if !ok {
			scope, err := decodeScope(one)
			if d.bad || err != nil {
				return dst, errFields
			}
			rules, missing := c.catalog.Rules(nil, &scopes.Token{Scopes: []scopes.Scope{scope}})
			if positions, err = c.table.add(rules); err != nil {
				return dst, err
			}
			if c.missing += len(missing); len(missing) == 0 {
				c.remember(one, positions)
			}
		}
		dst = append(dst, positions...)
	}
	return dst, nil
}

func (c *compiler) remember(scope []byte, positions []uint32) {
	if len(c.cache) == maxCached {
		clear(c.cache)
	}
	c.cache[string(scope)] = positions
}
