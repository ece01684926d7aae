package store

import (
	"encoding/binary"
	"fmt"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/scopegate/scopegate/scopes"
)

// The buckets of a store, and what they hold.
var (
	bucketMeta     = []byte("scopegate") // the format, and the state
	bucketAPIs     = []byte("apis")      // name → API
	bucketAccounts = []byte("accounts")  // name → account
	bucketTokens   = []byte("tokens")    // id → record
	bucketNames    = []byte("names")     // account/name → id of the token that has the name, or had it last
	bucketDead     = []byte("dead")      // digest → id of the token that had it
	bucketSources  = []byte("sources")   // source → digest of the scope file that was applied last
	bucketAudit    = []byte("audit")     // revision, position → Entry

	buckets = [][]byte{
		bucketMeta, bucketAPIs, bucketAccounts, bucketTokens, bucketNames, bucketDead, bucketSources, bucketAudit,
	}

	keyFormat = []byte("format") // four bytes, never sealed, so that any version can read it
	keyState  = []byte("state")
)

// format is the layout of the buckets that this code writes.
const format = 1

// state is what the store knows of itself.
type state struct {
	id       string // of the store, which its revocations log carries too
	revision uint64 // of the last change
}

// stateVersion is the newest version of the state's record, and the one written.
const stateVersion = 1

func (s *state) encode() []byte {
	b := appendString([]byte{stateVersion}, s.id)
	return seal(string(keyState), binary.AppendUvarint(b, s.revision))
}

func decodeState(value []byte) (state, error) {
	d, err := unseal(keyState, value, stateVersion)
	if err != nil {
		return state{}, err
	}
	s := state{id: d.string(), revision: d.uvarint()}
	return s, d.end()
}

// reader reads records in a transaction. What it returns does not refer to the
// file.
type reader struct {
	tx     *bolt.Tx
	state  state
	opened map[string]*bolt.Bucket
	// pending are revocations that the file does not have yet, by the token's id.
	pending map[string]*revocation
}

// errNotOurs: bbolt can read it, but no Scopegate wrote it.
var errNotOurs = fmt.Errorf("%w: it is a bbolt file of something else; name another file", ErrForeign)

func newReader(tx *bolt.Tx) (reader, error) {
	meta := tx.Bucket(bucketMeta)
	if meta == nil {
		return reader{}, errNotOurs
	}
	state, err := decodeState(meta.Get(keyState))
	if err != nil {
		return reader{}, damaged("store", "state", err)
	}
	return reader{tx: tx, state: state, opened: make(map[string]*bolt.Bucket, len(buckets))}, nil
}

// bucket returns a bucket, the same at each call: in a transaction that only reads, bbolt makes
// a new one for each.
func (r reader) bucket(name []byte) *bolt.Bucket {
	b := r.opened[string(name)]
	if b == nil {
		b = r.tx.Bucket(name)
		r.opened[string(name)] = b
	}
	return b
}

// damaged says which record cannot be read.
func damaged(kind, name string, err error) error {
	return fmt.Errorf("%w: the record of %s %q: %w; restore a backup", ErrDamaged, kind, name, err)
}

// token returns the token with the given id.
func (r reader) token(id string) (*record, error) {
	value := r.bucket(bucketTokens).Get([]byte(id))
	if value == nil {
		return nil, fmt.Errorf("token %q: %w", id, ErrNotFound)
	}
	rec, err := decodeRecord([]byte(id), value)
	if err != nil {
		return nil, damaged("token", id, err)
	}
	if p := r.pending[id]; p != nil {
		p.apply(rec)
	}
	return rec, nil
}

// stored returns a token as its record has it, without what is pending.
func (r reader) stored(id string) (*record, error) {
	r.pending = nil
	return r.token(id)
}

// named returns the token that has a name, or the deleted one that had it last.
func (r reader) named(ref string) (*record, error) {
	id := r.bucket(bucketNames).Get([]byte(ref))
	if id == nil {
		return nil, fmt.Errorf("token %q: %w", ref, ErrNotFound)
	}
	rec, err := r.token(string(id))
	if err != nil {
		return nil, err
	}
	if rec.ref() != ref {
		return nil, damaged("token", ref, errFields)
	}
	return rec, nil
}

// find returns a token by "account/name" or by id.
func (r reader) find(ref string) (*record, error) {
	if isID(ref) {
		return r.token(ref)
	}
	if account, name, ok := strings.Cut(ref, "/"); !ok || account == "" || name == "" {
		return nil, fmt.Errorf("token %q: %w; name it as account/name, or by its id tok_…", ref, ErrNotFound)
	}
	return r.named(ref)
}

func (r reader) account(name string) (*account, error) {
	value := r.bucket(bucketAccounts).Get([]byte(name))
	if value == nil {
		return nil, fmt.Errorf("account %q: %w", name, ErrNotFound)
	}
	a, err := decodeAccount([]byte(name), value)
	if err != nil {
		return nil, damaged("account", name, err)
	}
	return a, nil
}

func (r reader) apis() ([]scopes.API, error) {
	apis, _, err := r.ownedAPIs()
	return apis, err
}

// ownedAPIs returns all APIs by name, and the owner of each.
func (r reader) ownedAPIs() (apis []scopes.API, owners map[string]string, err error) {
	owners = make(map[string]string)
	err = r.bucket(bucketAPIs).ForEach(func(name, value []byte) error {
		a, owner, err := decodeAPI(name, value)
		if err != nil {
			return damaged("API", string(name), err)
		}
		apis = append(apis, *a)
		owners[a.Name] = owner
		return nil
	})
	return apis, owners, err
}

func (r reader) catalog() (*scopes.Catalog, error) {
	apis, err := r.apis()
	if err != nil {
		return nil, err
	}
	catalog, err := scopes.NewCatalog(apis)
	if err != nil {
		return nil, fmt.Errorf("store: compiling the stored APIs: %w", err)
	}
	return catalog, nil
}

// isDead reports whether a digest was deleted or rotated out.
func (r reader) isDead(d scopes.Digest) bool {
	return r.bucket(bucketDead).Get(d[:]) != nil
}
