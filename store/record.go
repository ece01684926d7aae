package store

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// The versions of a token's record. The second has the latest deactivations, the third
// shadow scopes, limits and what is kept. A record that has none of these is written as
// the second, so that nodes which do not know the third go on until somebody uses it.
const (
	plainVersion = 2
	tokenVersion = 3 // the newest one
)

const (
	maxCredentials = 2   // of a token: the second while one is being rotated
	maxTextBytes   = 255 // of the names of an account and a token, and of a version; the index counts on it
)

// Flags of a record.
const (
	flagTerminal byte = 1 << iota // deleted; wins every merge
	flagInactive
	flagHeld   // deactivated by hand
	flagsKnown = flagTerminal | flagInactive | flagHeld
)

// record is a token as it is stored: all that is known of it, digests included.
type record struct {
	id      string
	account string
	token   scopes.Token // as it is now; its Credential is zero
	// terminal: the token was deleted. The record stays, so that nothing revives it.
	terminal bool
	held     bool
	// credentials are at most maxCredentials, the newest last.
	credentials []credential
	dead        []scopes.Digest // those it had; they are never accepted again
	// declared is the token as a scope file last had it, with its Credential: what
	// a newer file is compared with. Nil if no file ever had it.
	declared *scopes.Token
	owner    string // of that file
	// What a merge of two histories goes by: the record that has seen more
	// deactivations wins, then the one with the higher version.
	version       uint64
	deactivations uint64
	seen          []deactivationID // the latest of them, the last one last; at most maxSeen
	revision      uint64           // of the last change
	created       time.Time
	updated       time.Time
}

// deactivationID tells a deactivation from all others, those in histories that went
// another way included.
type deactivationID [8]byte

// maxSeen bounds how many deactivations a record remembers. An activation counts as not
// having seen those that were forgotten.
const maxSeen = 16

// noteDeactivation takes note that the record has seen a deactivation.
func (r *record) noteDeactivation(id deactivationID) {
	if slices.Contains(r.seen, id) {
		return
	}
	r.deactivations++
	r.seen = append(slices.Clone(r.seen), id)
	r.seen = r.seen[max(0, len(r.seen)-maxSeen):]
}

// sharesDeactivation reports whether a record is inactive already by the deactivation that a
// later state of it is inactive by. Where that has no ids, an older version wrote it: that the
// record is inactive is enough then.
func (r *record) sharesDeactivation(later *record) bool {
	if r == nil || !r.token.Inactive {
		return false
	}
	return len(later.seen) == 0 || slices.Contains(r.seen, later.lastDeactivation())
}

// unseenBy returns the deactivations that the record has seen and another has not.
func (r *record) unseenBy(other *record) (unseen []deactivationID) {
	known := r.seen
	if len(other.seen) == maxSeen { // it has forgotten those before its first
		known = known[max(0, slices.Index(known, other.seen[0])):]
	}
	for _, id := range known {
		if !slices.Contains(other.seen, id) {
			unseen = append(unseen, id)
		}
	}
	return unseen
}

// lastDeactivation returns the one that the record is inactive by, if it is.
func (r *record) lastDeactivation() deactivationID {
	if len(r.seen) == 0 { // an older version wrote it
		return r.contentID()
	}
	return r.seen[len(r.seen)-1]
}

// contentID returns an id that is the same for the same record.
func (r *record) contentID() deactivationID {
	content := sha256.Sum256(r.encode())
	return deactivationID(content[:])
}

type credential struct {
	digest   scopes.Digest
	ends     time.Time // when it is no longer accepted; zero for never
	created  time.Time
	lastFour string
}

func (r *record) ref() string { return r.account + "/" + r.token.Name }

// countsActive reports whether the token counts towards its account's limit.
func (r *record) countsActive() bool {
	return r != nil && !r.terminal && !r.token.Inactive && !r.token.Legacy()
}

// clone returns a copy that can be changed without changing r. What the declared
// token refers to is shared: it is replaced, never modified.
func (r *record) clone() *record {
	c := *r
	c.credentials = slices.Clone(r.credentials)
	c.dead = slices.Clone(r.dead)
	return &c
}

// encode returns the sealed record.
func (r *record) encode() []byte { return r.encodeIn(make([]byte, 0, usualToken)) }

// encodeIn is encode in memory that may be used for it. What the index needs stands first,
// so that a boot reads no further.
func (r *record) encodeIn(memory []byte) []byte {
	b := memory[:0]
	format := r.format()
	b = append(b, format, r.flags(), byte(r.token.Access))
	b = appendTime(b, r.token.Expires)
	b = appendString(b, r.account)
	b = appendString(b, r.token.Name)
	b = appendString(b, r.token.Version)
	b = append(b, byte(len(r.credentials))) //nolint:gosec // at most maxCredentials
	for i := range r.credentials {
		b = append(b, r.credentials[i].digest[:]...)
		b = appendTime(b, r.credentials[i].ends)
	}
	b = appendSources(b, r.token.Sources)
	b = appendScopes(b, r.token.Scopes)
	if format >= tokenVersion {
		b = appendScopes(b, r.token.Shadow)
		b = appendLimits(b, r.token.Limits)
	}

	for i := range r.credentials {
		b = appendTime(b, r.credentials[i].created)
		b = appendString(b, r.credentials[i].lastFour)
	}
	b = appendAbout(b, &r.token)
	if format >= tokenVersion {
		b = appendKeep(b, &r.token.Keep)
	}
	for _, n := range []uint64{r.version, r.deactivations, r.revision} {
		b = binary.AppendUvarint(b, n)
	}
	b = appendTime(b, r.created)
	b = appendTime(b, r.updated)
	b = binary.AppendUvarint(b, uint64(len(r.dead)))
	for i := range r.dead {
		b = append(b, r.dead[i][:]...)
	}
	b = r.appendDeclared(b, format)
	b = binary.AppendUvarint(b, uint64(len(r.seen)))
	for i := range r.seen {
		b = append(b, r.seen[i][:]...)
	}
	return seal(r.id, b)
}

// format returns the version that the record needs.
func (r *record) format() byte {
	if isPlain(&r.token) && (r.declared == nil || isPlain(r.declared)) {
		return plainVersion
	}
	return tokenVersion
}

// isPlain reports whether a token has nothing that only the third version has.
func isPlain(t *scopes.Token) bool {
	return len(t.Shadow) == 0 && len(t.Limits) == 0 && t.Keep.IsZero()
}

func (r *record) flags() byte {
	var f byte
	for _, flag := range []struct {
		set bool
		bit byte
	}{{r.terminal, flagTerminal}, {r.token.Inactive, flagInactive}, {r.held, flagHeld}} {
		if flag.set {
			f |= flag.bit
		}
	}
	return f
}

// How the declared token is stored: mostly it is what the token is.
const (
	declaredNever byte = iota
	declaredSame
	declaredOther
)

func (r *record) appendDeclared(b []byte, format byte) []byte {
	if r.declared == nil {
		return append(b, declaredNever)
	}
	var declaredRoom, liveRoom [usualToken]byte
	declared, live := appendTokenAs(declaredRoom[:0], r.declared, format), appendTokenAs(liveRoom[:0], &r.token, format)
	if slices.Equal(declared, live) {
		b = append(b, declaredSame)
	} else {
		b = appendString(append(b, declaredOther), declared)
	}
	b = appendString(b, r.owner)
	if r.declared.Credential.IsZero() {
		return append(b, 0)
	}
	return append(append(b, 1), r.declared.Credential[:]...)
}

// decodeRecord reads a sealed record. Its error says what is wrong, not with which.
func decodeRecord(id, value []byte) (*record, error) {
	r := new(record)
	if err := r.decode(id, value); err != nil {
		return nil, err
	}
	return r, nil
}

// decode fills in r, whatever it was before.
func (r *record) decode(id, value []byte) error {
	h, rest, err := decodeHead(id, value)
	if err != nil {
		return err
	}
	*r = record{
		id: string(id), account: string(h.account),
		terminal: h.flags&flagTerminal != 0, held: h.flags&flagHeld != 0,
		token: scopes.Token{
			Name: string(h.name), Version: string(h.version), Access: h.access,
			Inactive: h.flags&flagInactive != 0, Expires: timeOf(h.expires),
		},
	}
	d := &decoder{rest: h.sources}
	r.token.Sources = d.sources()
	inner := &decoder{rest: h.scopes}
	r.token.Scopes = inner.scopes()
	shadow, limits := &decoder{rest: h.shadow}, &decoder{rest: h.limits}
	r.token.Shadow, r.token.Limits = shadow.scopes(), limits.limits()
	if d.end() != nil || inner.end() != nil || shadow.end() != nil || limits.end() != nil {
		return errFields
	}
	r.decodeRest(&rest, &h)
	return rest.end()
}

func (r *record) decodeRest(d *decoder, h *head) {
	for i := range h.credentials[:h.count] {
		c := credential{digest: h.credentials[i].digest, ends: timeOf(h.credentials[i].ends)}
		c.created, c.lastFour = d.time(), d.string()
		r.credentials = append(r.credentials, c)
	}
	d.about(&r.token)
	if h.format >= tokenVersion {
		r.token.Keep = d.keep()
	}
	r.version, r.deactivations, r.revision = d.uvarint(), d.uvarint(), d.uvarint()
	r.created, r.updated = d.time(), d.time()
	for n := d.count(); n > 0 && !d.bad; n-- {
		r.dead = append(r.dead, d.digest())
	}
	r.decodeDeclared(d, h.format)
	if h.format < plainVersion {
		return
	}
	for n := d.count(); n > 0 && !d.bad; n-- {
		var id deactivationID
		copy(id[:], d.fixed(len(id)))
		r.seen = append(r.seen, id)
	}
}

func (r *record) decodeDeclared(d *decoder, format byte) {
	switch d.byte() {
	case declaredNever:
		return
	case declaredSame:
		same := r.token
		r.declared = &same
	case declaredOther:
		inner := decoder{rest: d.block()}
		r.declared = inner.token(r.token.Name, format)
		d.bad = d.bad || inner.end() != nil
	default:
		d.fail()
		return
	}
	r.owner = d.string()
	if d.byte() == 1 {
		r.declared.Credential = d.digest()
	}
}

// head is the first part of a record: what the index needs. Its slices alias the
// value, so it must not outlive the transaction.
type head struct {
	format      byte // the record's version
	flags       byte
	access      scopes.Access
	expires     int64 // Unix seconds; 0 for never
	account     []byte
	name        []byte
	version     []byte
	credentials [maxCredentials]struct {
		digest scopes.Digest
		ends   int64 // Unix seconds; 0 for never
	}
	count   int    // of credentials
	sources []byte // as appendSources writes them, without the length
	scopes  []byte // as appendScopes writes them, without the length
	shadow  []byte // the same
	limits  []byte // as appendLimits writes them, without the length
}

// decodeHead checks a sealed record as a whole, and reads its first part without
// allocating. The decoder that it returns stands behind it.
func decodeHead(id, value []byte) (h head, rest decoder, err error) {
	d, err := unseal(id, value, tokenVersion)
	if err != nil {
		return head{}, decoder{}, err
	}
	h.format = value[0]
	h.flags, h.access = d.byte(), scopes.Access(d.byte())
	h.expires = d.varint()
	h.account, h.name, h.version = d.block(), d.block(), d.block()
	h.count = int(d.byte())
	if h.count > maxCredentials {
		return head{}, decoder{}, errFields
	}
	for i := range h.count {
		h.credentials[i].digest = d.digest()
		h.credentials[i].ends = d.varint()
	}
	h.sources, h.scopes = d.block(), d.block()
	if h.format >= tokenVersion {
		h.shadow, h.limits = d.block(), d.block()
	}
	if d.bad || h.flags&^flagsKnown != 0 || h.access > scopes.ReadWrite || len(id) != idBytes ||
		len(h.account) > maxTextBytes || len(h.name) > maxTextBytes || len(h.version) > maxTextBytes {
		return head{}, decoder{}, errFields
	}
	return h, d, nil
}

func (d *decoder) digest() scopes.Digest {
	var digest scopes.Digest
	copy(digest[:], d.fixed(len(digest)))
	return digest
}
