package store

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/scopegate/scopegate/scopes"
)

// A record that all nodes share has the key of its bucket behind a letter that says
// which bucket.
const (
	keyToken   = 't'
	keyAccount = 'a'
	keyAPI     = 'p'
	keySource  = 's'
	keyCatalog = 'c' // one record: the revision of the last change of an API or a source
)

// records are all shared records, or some, by their keys.
type records map[string][]byte

// join returns what must be put into remote so that it has all that local has, for two
// states that went their own ways: a node's, and that of a sequencer that has lost or
// rewritten some of it. A nil value is to be taken out. Neither state is changed.
//
// Nothing that was taken away in either comes back: a deleted token stays deleted, a
// deactivation wins over whatever has not seen it, and a digest that is dead in one is
// dead. Joining the result with either once more changes nothing.
func join(remote, local records) (records, error) {
	j := joining{remote: remote, puts: make(records)}
	if len(local) == 0 {
		return j.puts, nil
	}
	for key, value := range local {
		if err := j.add(key, value); err != nil {
			return nil, err
		}
	}
	if len(j.puts) > 0 { // else all fits together as it is
		if err := j.settle(); err != nil {
			return nil, err
		}
	}
	j.joinCatalog(local)
	return j.puts, nil
}

// joining is one join.
type joining struct{ remote, puts records }

// get returns a record as it is so far.
func (j *joining) get(key string) ([]byte, bool) {
	if value, ok := j.puts[key]; ok {
		return value, true
	}
	value, ok := j.remote[key]
	return value, ok
}

// add joins a record of the local state. Those of the catalog are joined as a whole.
func (j *joining) add(key string, local []byte) error {
	remote, both := j.remote[key]
	switch {
	case key[0] != keyToken && key[0] != keyAccount, both && bytes.Equal(remote, local):
		return nil
	case !both:
		j.puts[key] = local
		return nil
	}
	joined, err := joinValues(key, remote, local)
	if err != nil {
		return err
	}
	if !bytes.Equal(joined, remote) {
		j.puts[key] = joined
	}
	return nil
}

func joinValues(key string, remote, local []byte) ([]byte, error) {
	id := []byte(key[1:])
	if key[0] == keyAccount {
		return joinAccounts(id, remote, local)
	}
	a, err := decodeRecord(id, remote)
	if err != nil {
		return nil, damaged("token", key[1:], err)
	}
	b, err := decodeRecord(id, local)
	if err != nil {
		return nil, damaged("token", key[1:], err)
	}
	return joinTokens(a, b).encode(), nil
}

// joinTokens joins two states of a token.
func joinTokens(a, b *record) *record {
	if supersedes(b, a) {
		a, b = b, a
	}
	joined := a.clone()
	for _, d := range b.dead {
		joined.kill(d)
	}
	for _, c := range b.credentials {
		switch {
		case joined.terminal:
			joined.kill(c.digest)
		case !c.ends.IsZero() && slices.Contains(joined.digests(), c.digest):
			joined.endAt(c.digest, c.ends)
		}
	}
	joined.takeDeactivation(b)
	if !bytes.Equal(joined.encode(), a.encode()) { // it is neither of them, and comes after both
		joined.version = max(a.version, b.version) + 1
	}
	return joined
}

// takeDeactivation makes a token inactive by what another state of it is inactive by,
// unless it has seen that.
func (r *record) takeDeactivation(from *record) {
	if r.terminal || !from.token.Inactive {
		return
	}
	unseen := from.unseenBy(r)
	if len(from.seen) == 0 && !r.token.Inactive { // an older version wrote it
		unseen = append(unseen, from.lastDeactivation())
	}
	if len(unseen) == 0 {
		return
	}
	r.token.Inactive, r.held = true, r.held || from.held
	for _, id := range unseen {
		r.noteDeactivation(id)
	}
}

// supersedes reports whether a token's state a counts where another one is b.
func supersedes(a, b *record) bool {
	if a.terminal != b.terminal {
		return a.terminal
	}
	order := cmp.Or(
		cmp.Compare(a.deactivations, b.deactivations),
		cmp.Compare(a.version, b.version),
		bytes.Compare(a.encode(), b.encode()),
	)
	return order > 0
}

// joinAccounts takes what was declared last. How many tokens are active is counted
// when all are known.
func joinAccounts(name, remote, local []byte) ([]byte, error) {
	a, err := decodeAccount(name, remote)
	if err != nil {
		return nil, damaged("account", string(name), err)
	}
	b, err := decodeAccount(name, local)
	if err != nil {
		return nil, damaged("account", string(name), err)
	}
	if cmp.Or(cmp.Compare(a.revision, b.revision), bytes.Compare(remote, local)) >= 0 {
		return remote, nil
	}
	return local, nil
}

// settle sees to what only all tokens together tell: that a name and a digest are one
// token's, that what is dead of one is dead of all, and how many are active.
func (j *joining) settle() error {
	s := settling{
		joining: j, names: make(map[string]*record), digests: make(map[scopes.Digest]*record),
		dead: make(map[scopes.Digest]bool), active: make(map[string]int),
	}
	if err := s.each(s.look); err != nil {
		return err
	}
	if err := s.each(s.mend); err != nil {
		return err
	}
	return s.countActive()
}

// settling is what is known of all tokens.
type settling struct {
	*joining
	names   map[string]*record // who keeps a name
	digests map[scopes.Digest]*record
	dead    map[scopes.Digest]bool
	active  map[string]int
}

// each calls fn with every token.
func (s *settling) each(fn func(*record)) error {
	keys := make(map[string]bool, len(s.remote)+len(s.puts))
	for _, some := range []records{s.remote, s.puts} {
		for key := range some {
			keys[key] = key[0] == keyToken
		}
	}
	for _, key := range sortedKeys(keys) {
		if !keys[key] {
			continue
		}
		value, _ := s.get(key)
		rec, err := decodeRecord([]byte(key[1:]), value)
		if err != nil {
			return damaged("token", key[1:], err)
		}
		fn(rec)
	}
	return nil
}

// look takes note of what a token has.
func (s *settling) look(rec *record) {
	for _, d := range rec.dead {
		s.dead[d] = true
	}
	if rec.terminal {
		return
	}
	if other := s.names[rec.ref()]; other == nil || keeps(rec, other) {
		s.names[rec.ref()] = rec
	}
	for _, d := range rec.digests() {
		if other := s.digests[d]; other == nil || keeps(rec, other) {
			s.digests[d] = rec
		}
	}
}

// keeps reports whether, of two tokens that cannot both have something, a has it: the
// one that was made first.
func keeps(a, b *record) bool {
	return cmp.Or(a.created.Compare(b.created), strings.Compare(a.id, b.id)) < 0
}

// mend takes from a token what is another's or dead, and counts it.
func (s *settling) mend(rec *record) {
	now, changed := rec.clone(), false
	for _, d := range rec.digests() {
		if s.dead[d] || s.digests[d].id != rec.id {
			changed = now.kill(d) || changed
		}
	}
	if !rec.terminal && s.names[rec.ref()].id != rec.id && !rec.held {
		now.token.Inactive, now.held, changed = true, true, true
		now.noteDeactivation(rec.contentID()) // the same on every node that finds it out
	}
	if changed {
		now.version++
		s.puts[string(keyToken)+now.id] = now.encode()
	}
	if _, known := s.active[now.account]; !known {
		s.active[now.account] = 0
	}
	if now.countsActive() {
		s.active[now.account]++
	}
}

// countActive writes into each account how many of its tokens are active.
func (s *settling) countActive() error {
	for _, some := range []records{s.remote, s.puts} {
		for key := range some {
			if key[0] == keyAccount {
				s.active[key[1:]] += 0
			}
		}
	}
	for _, name := range sortedKeys(s.active) {
		a, key := &account{name: name}, string(keyAccount)+name
		value, known := s.get(key)
		if known {
			var err error
			if a, err = decodeAccount([]byte(name), value); err != nil {
				return damaged("account", name, err)
			}
		}
		if known && a.active == s.active[name] {
			continue
		}
		a.active = s.active[name]
		s.puts[key] = a.encode()
	}
	return nil
}

// joinCatalog takes all APIs and sources from the state whose last change of one is the
// later, so that they fit together.
func (j *joining) joinCatalog(local records) {
	order := cmp.Compare(catalogRevision(local), catalogRevision(j.remote))
	if order == 0 {
		order = compareCatalogs(local, j.remote)
	}
	if order <= 0 {
		return
	}
	for key := range j.remote {
		if _, kept := local[key]; isCatalog(key) && !kept {
			j.puts[key] = nil
		}
	}
	for key, value := range local {
		if isCatalog(key) && !bytes.Equal(j.remote[key], value) {
			j.puts[key] = value
		}
	}
}

func isCatalog(key string) bool {
	return key[0] == keyAPI || key[0] == keySource || key[0] == keyCatalog
}

// catalogRevision returns the revision of the last change of an API or a source; 0 if it
// is not known.
func catalogRevision(all records) uint64 {
	d, err := unseal([]byte{keyCatalog}, all[string(keyCatalog)], 1)
	if err != nil {
		return 0
	}
	return d.uvarint()
}

// compareCatalogs puts two catalogs of the same revision into some order.
func compareCatalogs(a, b records) int { return bytes.Compare(catalogText(a), catalogText(b)) }

func catalogText(all records) []byte {
	var keys []string
	for key := range all {
		if isCatalog(key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	var text []byte
	for _, key := range keys {
		text = fmt.Appendf(text, "%q %x\n", key, all[key])
	}
	return text
}
