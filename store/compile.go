package store

import "github.com/scopegate/scopegate/scopes"

// maxCached bounds the compiled scopes that a compiler keeps: tokens share most
// of them.
const maxCached = 1 << 16

// compiler makes index entries of stored records: the one way from a record to
// what is decided with, at boot and after a change.
type compiler struct {
	catalog *scopes.Catalog
	// cache has the rules of scopes that were compiled before, by their bytes.
	cache map[string][]scopes.Rule
	// missing counts scopes that name what the catalog does not have. They grant
	// nothing.
	missing int
	rules   []scopes.Rule // of the record at hand
}

func newCompiler(catalog *scopes.Catalog) compiler {
	return compiler{catalog: catalog, cache: make(map[string][]scopes.Rule)}
}

// compile appends the entries of a record, one for each credential, without their
// account. They refer to the compiler and to the value: use them before the next
// call and the end of the transaction.
func (c *compiler) compile(dst []indexed, id []byte, h *head) ([]indexed, error) {
	if h.flags&flagTerminal != 0 || h.count == 0 {
		return dst, nil
	}
	x := indexed{id: id, name: h.name, version: h.version}
	x.expires, x.access, x.state = h.expires, h.access, scopes.Active
	if h.flags&flagInactive != 0 {
		x.state = scopes.Deactivated
	}
	d := decoder{rest: h.sources}
	if x.sources = d.sources(); d.end() != nil {
		return dst, errFields
	}
	var err error
	if c.rules, err = c.appendRules(c.rules[:0], h.scopes); err != nil {
		return dst, err
	}
	x.rules = c.rules
	for i := range h.count {
		x.digest, x.ends = h.credentials[i].digest, h.credentials[i].ends
		dst = append(dst, x)
	}
	return dst, nil
}

// appendRules appends the rules of a block of scopes.
func (c *compiler) appendRules(dst []scopes.Rule, block []byte) ([]scopes.Rule, error) {
	d := decoder{rest: block}
	for len(d.rest) > 0 {
		one := d.block()
		rules, ok := c.cache[string(one)]
		if !ok {
			scope, err := decodeScope(one)
			if d.bad || err != nil {
				return dst, errFields
			}
			var missing []string
			rules, missing = c.catalog.Rules(nil, &scopes.Token{Scopes: []scopes.Scope{scope}})
			if c.missing += len(missing); len(missing) == 0 {
				c.remember(one, rules)
			}
		}
		dst = append(dst, rules...)
	}
	return dst, nil
}

func (c *compiler) remember(scope []byte, rules []scopes.Rule) {
	if len(c.cache) == maxCached {
		clear(c.cache)
	}
	c.cache[string(scope)] = rules
}
