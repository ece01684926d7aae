package store

import (
	"bytes"
	"slices"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// Filter selects tokens: those that have all that it asks for. The zero Filter
// selects all that are not deleted.
type Filter struct {
	Account string // "" for every account
	Deleted bool   // deleted ones too
	// OnlyDeleted selects, with Deleted, no others.
	OnlyDeleted bool
	// Active and Inactive select by state; neither selects both.
	Active, Inactive bool
	API              string    // that a scope names; a legacy token has every API but the built-in one. "" for any
	Contact          string    // the contact's address, or a part of it in any case; "" for any
	Access           string    // "scoped", "legacy", "read_only" or "read_write"; "" for any
	ExpiresBefore    time.Time // that expire before it, or have expired; zero for any
	// Search is a part of "account/name", of the description, or of the contact's name
	// or address, in any case; "" for any.
	Search string
	After  string // only what stands behind this "account/name"; "" for all
	Limit  int    // how many at the most; 0 for all
}

// fewNames is how many tokens are looked at in the order of their names before a limited
// list goes through all of them in the order in which they lie in the file. That takes
// a tenth of the time for each, and reads to the end.
const fewNames = 1000

// finder finds the tokens that a filter selects. It decodes no more of a record than
// the filter asks for.
type finder struct {
	reader
	filter          *Filter
	search, contact needle // of the filter
	prefix, after   []byte // of the names that are left
	unreadable      func(name string, err error)
	found           []Token
	at              glance // the token at hand
	text            []byte // room for what it is searched by
}

func newFinder(r reader, f *Filter, unreadable func(name string, err error)) *finder {
	find := &finder{
		reader: r, filter: f, search: newNeedle(f.Search), contact: newNeedle(f.Contact),
		after: []byte(f.After), unreadable: unreadable,
	}
	if f.Account != "" {
		find.prefix = []byte(f.Account + "/")
	}
	return find
}

// all finds the tokens, by account and name.
func (f *finder) all() error {
	if done := f.byName(); done {
		return nil
	}
	return f.byID()
}

func (f *finder) isFull() bool { return f.filter.Limit > 0 && len(f.found) >= f.filter.Limit }

// byName looks at tokens in the order of their names. It reports false where it has
// given up, for what is selected is rare.
func (f *finder) byName() (done bool) {
	cursor, tokens := f.bucket(bucketNames).Cursor(), f.bucket(bucketTokens)
	start := f.prefix
	if bytes.Compare(f.after, start) > 0 {
		start = f.after
	}
	looked := 0
	for name, id := cursor.Seek(start); name != nil && bytes.HasPrefix(name, f.prefix) && !f.isFull(); name, id = cursor.Next() {
		if len(f.after) > 0 && bytes.Compare(name, f.after) <= 0 {
			continue
		}
		if looked++; f.filter.Limit > 0 && looked > fewNames {
			return false
		}
		f.after = name
		switch err := f.look(id, tokens.Get(id)); {
		case err != nil:
			f.unreadable(string(name), err)
		case f.selects():
			rec, err := f.token(string(id))
			f.add(string(name), rec, err)
		}
	}
	return true
}

// byID looks at all tokens in the order of their ids, and adds those that come next by
// their names.
func (f *finder) byID() error {
	next := firstNames{want: f.filter.Limit - len(f.found)}
	names := f.bucket(bucketNames)
	var name []byte
	err := f.bucket(bucketTokens).ForEach(func(id, value []byte) error {
		if err := f.look(id, value); err != nil {
			f.unreadable(string(id), err)
			return nil
		}
		if !f.selects() {
			return nil
		}
		name = append(append(append(name[:0], f.at.account...), '/'), f.at.name...)
		if bytes.Compare(name, f.after) > 0 && bytes.HasPrefix(name, f.prefix) && next.takes(name) && bytes.Equal(names.Get(name), id) {
			next.add(string(name))
		}
		return nil
	})
	for _, name := range next.sorted() {
		rec, err := f.named(name)
		f.add(name, rec, err)
	}
	return err
}

func (f *finder) add(name string, rec *record, err error) {
	if err == nil && rec.ref() != name {
		err = damaged("token", name, errFields)
	}
	if err != nil {
		f.unreadable(name, err)
		return
	}
	f.found = append(f.found, rec.public())
}

// firstNames are the first ones, in their order, of many names.
type firstNames struct {
	want  int      // how many
	names []string // with some that may come too late
	end   string   // this one and those behind it do come too late; "" while that is not known
}

// takes reports whether a name can be one of the first ones.
func (n *firstNames) takes(name []byte) bool { return n.end == "" || string(name) < n.end }

func (n *firstNames) add(name string) {
	if n.names = append(n.names, name); len(n.names) >= 2*n.want {
		n.names = n.sorted()
		n.end = n.names[n.want-1]
	}
}

func (n *firstNames) sorted() []string {
	slices.Sort(n.names)
	return n.names[:min(n.want, len(n.names))]
}

// glance is what a filter looks at. It aliases the record.
type glance struct {
	head
	description, contactName, contactEmail []byte
}

// look reads a record as it holds now, without allocating.
func (f *finder) look(id, value []byte) (err error) {
	if f.pending[string(id)] != nil {
		rec, err := f.token(string(id))
		if err != nil {
			return err
		}
		value = rec.encode()
	}
	var d decoder
	if f.at.head, d, err = decodeHead(id, value); err != nil {
		return damaged("token", string(id), err)
	}
	for range f.at.count { // of credentials: when they were made, and how they end
		d.varint()
		d.block()
	}
	f.at.description, f.at.contactName, f.at.contactEmail = d.block(), d.block(), d.block()
	if d.bad {
		return damaged("token", string(id), errFields)
	}
	return nil
}

// selects reports whether the token at hand is one of those that are looked for.
func (f *finder) selects() bool {
	deleted, inactive := f.at.flags&flagTerminal != 0, f.at.flags&flagInactive != 0
	switch want := f.filter; {
	case deleted && !want.Deleted, !deleted && want.OnlyDeleted,
		want.Active && !want.Inactive && inactive,
		want.Inactive && !want.Active && !inactive,
		!want.ExpiresBefore.IsZero() && (f.at.expires == 0 || !timeOf(f.at.expires).Before(want.ExpiresBefore)):
		return false
	}
	return f.hasAccess() && f.hasAPI() && f.hasContact() && f.hasText()
}

func (f *finder) hasAccess() bool {
	legacy := f.at.access != scopes.ScopedAccess
	switch f.filter.Access {
	case "":
		return true
	case "scoped":
		return !legacy
	case "legacy":
		return legacy
	}
	return f.at.access.String() == f.filter.Access
}

func (f *finder) hasAPI() bool {
	if f.filter.API == "" || f.at.access != scopes.ScopedAccess && f.filter.API != scopes.Management {
		return true
	}
	for d := (decoder{rest: f.at.scopes}); len(d.rest) > 0; {
		scope := decoder{rest: d.block()}
		if string(scope.block()) == f.filter.API {
			return true
		}
	}
	return false
}

func (f *finder) hasContact() bool { return f.contact.in(f.at.contactEmail) }

// textEnd separates texts that are searched at once.
const textEnd = 0

func (f *finder) hasText() bool {
	if f.search.isAny() {
		return true
	}
	f.text = append(append(append(f.text[:0], f.at.account...), '/'), f.at.name...)
	for _, text := range [][]byte{f.at.description, f.at.contactName, f.at.contactEmail} {
		f.text = append(append(f.text, textEnd), text...)
	}
	return f.search.in(f.text)
}
