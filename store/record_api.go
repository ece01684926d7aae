package store

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// The versions of an API's record. The second has the owner, the third deprecated versions.
// A record that has none of these is written as the second, so that nodes which do not know
// the third go on until somebody deprecates something.
const (
	plainAPIVersion = 2
	apiVersion      = 3 // the newest one
)

// Flags of an API's record.
const (
	flagFoldCase byte = 1 << iota
	flagEncodedSlash
	flagByVersion // its upstreams are by version
)

// encodeAPI returns the sealed record of an API that an owner's file declares. Equal
// APIs of one owner have equal records.
func encodeAPI(a *scopes.API, owner string) []byte {
	var flags byte
	if a.FoldCase {
		flags |= flagFoldCase
	}
	if a.EncodedSlash {
		flags |= flagEncodedSlash
	}
	if a.Upstreams.ByVersion != nil {
		flags |= flagByVersion
	}
	format := byte(plainAPIVersion)
	if len(a.Deprecated) > 0 {
		format = apiVersion
	}
	b := []byte{format, flags}
	b = appendString(b, a.Title)
	b = appendStrings(b, a.Hosts)
	b = appendStrings(b, a.Versions)
	b = binary.AppendUvarint(b, uint64(len(a.VersionFrom)))
	for _, place := range a.VersionFrom {
		b = appendString(append(b, byte(place.Kind)), place.Name)
	}
	b = appendString(b, a.AccountParam)
	b = appendString(b, a.DefaultVersion)
	b = appendUpstreams(b, &a.Upstreams)
	b = binary.AppendUvarint(b, uint64(len(a.Operations)))
	for _, op := range a.Operations {
		b = appendString(b, op.Name)
		b = binary.AppendUvarint(b, uint64(op.Methods))
		b = appendString(b, op.Path)
	}
	b = appendString(b, owner)
	if format >= apiVersion {
		b = appendDeprecations(b, a.Deprecated)
	}
	return seal(a.Name, b)
}

func appendUpstreams(b []byte, u *scopes.Upstreams) []byte {
	b = appendStrings(b, u.All)
	b = binary.AppendUvarint(b, uint64(len(u.ByVersion)))
	for _, version := range slices.Sorted(maps.Keys(u.ByVersion)) {
		b = appendStrings(appendString(b, version), u.ByVersion[version])
	}
	return b
}

func decodeAPI(name, value []byte) (a *scopes.API, owner string, err error) {
	d, err := unseal(name, value, apiVersion)
	if err != nil {
		return nil, "", err
	}
	a = d.api(name)
	if value[0] > 1 {
		owner = d.string()
	}
	if value[0] >= apiVersion {
		a.Deprecated = d.deprecations()
	}
	return a, owner, d.end()
}

func (d *decoder) api(name []byte) *scopes.API {
	flags := d.byte()
	a := &scopes.API{
		Name: string(name), FoldCase: flags&flagFoldCase != 0, EncodedSlash: flags&flagEncodedSlash != 0,
		Title: d.string(), Hosts: d.strings(), Versions: d.strings(),
	}
	for n := d.count(); n > 0 && !d.bad; n-- {
		a.VersionFrom = append(a.VersionFrom, scopes.VersionPlace{Kind: scopes.PlaceKind(d.byte()), Name: d.string()})
	}
	a.AccountParam, a.DefaultVersion = d.string(), d.string()
	a.Upstreams.All = d.strings()
	if flags&flagByVersion != 0 {
		a.Upstreams.ByVersion = make(map[string][]string)
	}
	for n := d.count(); n > 0 && !d.bad; n-- {
		version := d.string()
		if upstreams := d.strings(); a.Upstreams.ByVersion != nil {
			a.Upstreams.ByVersion[version] = upstreams
		}
	}
	for n := d.count(); n > 0 && !d.bad; n-- {
		op := scopes.Operation{Name: d.string()}
		op.Methods = scopes.Methods(d.uvarint()) //nolint:gosec // what was written has 32 bits
		op.Path = d.string()
		a.Operations = append(a.Operations, op)
	}
	return a
}

// accountVersion is the newest version of an account's record, and the one written.
// The second has the owner.
const accountVersion = 2

// account is an account as it is stored.
type account struct {
	name   string
	title  string
	ids    []string
	limit  int // as declared; 0 for the default
	active int // tokens that count towards the limit
	// stated is set where a scope file states title, ids or limit, and owner is that
	// file's.
	stated   bool
	owner    string
	revision uint64
	created  time.Time
	updated  time.Time
}

func (a *account) encode() []byte {
	b := appendString([]byte{accountVersion}, a.title)
	b = appendStrings(b, a.ids)
	b = binary.AppendVarint(b, int64(a.limit))
	b = binary.AppendVarint(b, int64(a.active))
	b = binary.AppendUvarint(b, a.revision)
	b = appendTime(b, a.created)
	b = appendTime(b, a.updated)
	var stated byte
	if a.stated {
		stated = 1
	}
	return seal(a.name, appendString(append(b, stated), a.owner))
}

func decodeAccount(name, value []byte) (*account, error) {
	d, err := unseal(name, value, accountVersion)
	if err != nil {
		return nil, err
	}
	a := &account{name: string(name), title: d.string(), ids: d.strings()}
	a.limit, a.active = int(d.varint()), int(d.varint())
	a.revision, a.created, a.updated = d.uvarint(), d.time(), d.time()
	a.stated = true // all were, by files without an owner
	if value[0] > 1 {
		a.stated, a.owner = d.byte() != 0, d.string()
	}
	return a, d.end()
}

// declared returns the account as a scope file declares it, without tokens.
func (a *account) declared() scopes.Account {
	return scopes.Account{Name: a.name, Title: a.title, IDs: a.ids, MaxActiveTokens: a.limit}
}

func (a *account) public() Account {
	return Account{
		Account: a.declared(), Owner: a.owner, ActiveTokens: a.active,
		Created: a.created, Updated: a.updated, Revision: a.revision,
	}
}

// entryVersion is the newest version of an audit entry, and the one written.
const entryVersion = 2

const entryKeyBytes = 12

// entryKey sorts the entries by revision, those of one change in their order.
func entryKey(revision uint64, position int) []byte {
	key := binary.BigEndian.AppendUint64(nil, revision)
	return binary.BigEndian.AppendUint32(key, uint32(position)) //nolint:gosec // a change has fewer
}

func (e *Entry) encode(key []byte) []byte { return e.encodeIn(nil, key) }

// encodeIn is encode in memory that may be used for it.
func (e *Entry) encodeIn(memory, key []byte) []byte {
	b := appendTime(append(memory[:0], entryVersion), e.Time)
	for _, s := range []string{e.Actor, e.Action, e.Kind, e.Name} {
		b = appendString(b, s)
	}
	return seal(string(key), appendStrings(b, e.Details))
}

func decodeEntry(key, value []byte) (Entry, error) {
	d, err := unseal(key, value, entryVersion)
	if err != nil {
		return Entry{}, err
	}
	if len(key) != entryKeyBytes {
		return Entry{}, errFields
	}
	e := Entry{Revision: binary.BigEndian.Uint64(key), Time: d.time()}
	for _, s := range []*string{&e.Actor, &e.Action, &e.Kind, &e.Name} {
		*s = d.string()
	}
	e.Details = d.entryDetails(value[0])
	return e, d.end()
}
