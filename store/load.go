package store

import (
	"fmt"
	"log/slog"
)

// loader builds a snapshot from all records of a store.
type loader struct {
	compiler compiler
	snapshot *Snapshot
	accounts map[string]uint32 // name to position in the snapshot's
	builders []shardBuilder
	items    []indexed
	log      *slog.Logger
}

// load reads the whole store. A record that cannot be read is logged and left
// out: its token is refused. The map has the positions of the accounts.
func (s *Store) load(r reader) (*Snapshot, map[string]uint32, error) {
	catalog, err := r.catalog()
	if err != nil {
		return nil, nil, err
	}
	l := &loader{
		compiler: newCompiler(catalog),
		snapshot: &Snapshot{catalog: catalog, revision: r.state.revision, now: s.now},
		accounts: make(map[string]uint32),
		builders: make([]shardBuilder, shardCount),
		log:      s.log,
	}
	if err := r.bucket(bucketAccounts).ForEach(l.loadAccount); err != nil {
		return nil, nil, err
	}
	if err := r.bucket(bucketTokens).ForEach(l.loadToken); err != nil {
		return nil, nil, err
	}
	l.snapshot.shards = make([]*shard, shardCount)
	for i := range l.builders {
		l.snapshot.shards[i] = l.builders[i].build()
		l.builders[i] = shardBuilder{} // so that it can be collected
	}
	if l.compiler.missing > 0 {
		l.log.Warn("tokens have scopes for what no API has; these grant nothing", "scopes", l.compiler.missing)
	}
	return l.snapshot, l.accounts, nil
}

func (l *loader) loadAccount(name, value []byte) error {
	a, err := decodeAccount(name, value)
	if err != nil {
		l.skip("account", name, err)
		return nil
	}
	l.addAccount(a.name, a.ids)
	return nil
}

func (l *loader) addAccount(name string, ids []string) uint32 {
	at := uint32(len(l.snapshot.accounts)) //nolint:gosec // as many as fit into memory
	l.snapshot.accounts = append(l.snapshot.accounts, indexedAccount{name: name, ids: ids})
	l.accounts[name] = at
	return at
}

func (l *loader) loadToken(id, value []byte) error {
	h, _, err := decodeHead(id, value)
	if err == nil {
		l.items, err = l.compiler.compile(l.items[:0], id, &h)
	}
	if err != nil {
		l.snapshot.counts.Damaged++
		l.skip("token", id, err)
		return nil
	}
	l.snapshot.counts.add(h.flags, 1)
	if len(l.items) == 0 {
		return nil
	}
	account, ok := l.accounts[string(h.account)]
	if !ok { // its record is damaged: the account's other names are not known, and do not count
		account = l.addAccount(string(h.account), nil)
	}
	for i := range l.items {
		l.items[i].account = account
		if err := l.builders[shardOf(&l.items[i].digest)].add(&l.items[i]); err != nil {
			return err
		}
	}
	return nil
}

// skip tells of a record that is left out. The key is quoted: it may be damaged too.
func (l *loader) skip(kind string, key []byte, err error) {
	l.log.Error("a record of the store is damaged and is left out: requests that need it are refused",
		"kind", kind, "key", fmt.Sprintf("%q", key), "error", err)
}

// add counts a token with the given flags n times.
func (c *Counts) add(flags byte, n int) {
	switch {
	case flags&flagTerminal != 0:
	case flags&flagInactive != 0:
		c.Inactive += n
	default:
		c.Active += n
	}
}
