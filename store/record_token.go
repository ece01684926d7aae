package store

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// appendToken appends what a scope file declares of a token, but for its name and
// its credential. Two tokens are declared alike if and only if these bytes are equal.
func appendToken(b []byte, t *scopes.Token) []byte { return appendTokenAs(b, t, tokenVersion) }

// appendTokenAs is appendToken for a record of some version.
func appendTokenAs(b []byte, t *scopes.Token, format byte) []byte {
	var inactive byte
	if t.Inactive {
		inactive = 1
	}
	b = append(b, inactive, byte(t.Access))
	b = appendTime(b, t.Expires)
	b = appendString(b, t.Version)
	b = appendSources(b, t.Sources)
	b = appendScopes(b, t.Scopes)
	b = appendAbout(b, t)
	if format >= tokenVersion {
		b = appendScopes(b, t.Shadow)
		b = appendLimits(b, t.Limits)
		b = appendKeep(b, &t.Keep)
	}
	return b
}

func (d *decoder) token(name string, format byte) *scopes.Token {
	t := &scopes.Token{Name: name}
	t.Inactive = d.byte() != 0
	t.Access = scopes.Access(d.byte())
	t.Expires = d.time()
	t.Version = d.string()
	inner := decoder{rest: d.block()}
	t.Sources = inner.sources()
	d.bad = d.bad || inner.end() != nil || t.Access > scopes.ReadWrite
	t.Scopes = d.scopesBlock()
	d.about(t)
	if format >= tokenVersion {
		t.Shadow = d.scopesBlock()
		inner = decoder{rest: d.block()}
		t.Limits = inner.limits()
		d.bad = d.bad || inner.end() != nil
		t.Keep = d.keep()
	}
	return t
}

// appendAbout appends what is said about a token and no decision depends on.
func appendAbout(b []byte, t *scopes.Token) []byte {
	for _, s := range []string{t.Description, t.Contact.Name, t.Contact.Email, t.Environment} {
		b = appendString(b, s)
	}
	return binary.AppendVarint(b, int64(t.RotateEvery))
}

func (d *decoder) about(t *scopes.Token) {
	for _, s := range []*string{&t.Description, &t.Contact.Name, &t.Contact.Email, &t.Environment} {
		*s = d.string()
	}
	t.RotateEvery = time.Duration(d.varint())
}

// appendSources appends a block of prefixes: their address length, address and bits.
func appendSources(b []byte, sources []netip.Prefix) []byte {
	var block []byte
	for _, p := range sources {
		address := p.Addr().AsSlice()
		block = append(block, byte(len(address)))                 //nolint:gosec // 4 or 16
		block = append(append(block, address...), byte(p.Bits())) //nolint:gosec // at most 128
	}
	return appendString(b, block)
}

func (d *decoder) sources() []netip.Prefix {
	var sources []netip.Prefix
	for len(d.rest) > 0 {
		address, _ := netip.AddrFromSlice(d.fixed(int(d.byte())))
		p := netip.PrefixFrom(address, int(d.byte()))
		if d.bad || !p.IsValid() {
			d.fail()
			return nil
		}
		sources = append(sources, p)
	}
	return sources
}

// usualScopes and usualToken are how many bytes of scopes, and of a whole token, are
// encoded without memory of their own.
const (
	usualScopes = 256
	usualToken  = 512
)

// appendScopes appends a block of scopes, each a block of its own, so that equal
// scopes can be told by their bytes.
func appendScopes(b []byte, list []scopes.Scope) []byte {
	var blockRoom [usualScopes]byte
	var oneRoom [usualScopes]byte
	block := blockRoom[:0]
	for i := range list {
		one := appendString(oneRoom[:0], list[i].API)
		one = binary.AppendUvarint(one, uint64(list[i].Methods))
		one = appendStrings(one, list[i].Versions)
		one = appendStrings(one, list[i].Operations)
		block = appendString(block, one)
	}
	return appendString(b, block)
}

func (d *decoder) scopes() []scopes.Scope {
	var list []scopes.Scope
	for len(d.rest) > 0 {
		s, err := decodeScope(d.block())
		if d.bad || err != nil {
			d.fail()
			return nil
		}
		list = append(list, s)
	}
	return list
}

// scopesBlock reads a block of scopes with its length.
func (d *decoder) scopesBlock() []scopes.Scope {
	inner := decoder{rest: d.block()}
	list := inner.scopes()
	d.bad = d.bad || inner.end() != nil
	return list
}

// decodeScope reads one of the blocks in a block of scopes.
func decodeScope(block []byte) (scopes.Scope, error) {
	d := decoder{rest: block}
	s := scopes.Scope{API: d.string()}
	methods := d.uvarint()
	if methods > uint64(^scopes.Methods(0)) {
		return scopes.Scope{}, errFields
	}
	s.Methods = scopes.Methods(methods)
	s.Versions, s.Operations = d.strings(), d.strings()
	return s, d.end()
}
