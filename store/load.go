package store

import (
	"fmt"
	"log/slog"
)

// loader builds a snapshot from all records of a store.
type loader struct {
	compiler compiler
	snapshot *Snapshot
	accounts map[string]uint32 // where each name stands in the snapshot's
	builders []shardBuilder
	items    []indexed
	log      *slog.Logger
}

// load reads the whole store. A record that cannot be read is logged and left
// out: its token is refused. The map tells where each account's name stands in the snapshot's.
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
	if err := l.loadAccounts(r); err != nil {
		return nil, nil, err
	}
	if err := r.bucket(bucketTokens).ForEach(l.loadToken); err != nil {
		return nil, nil, err
	}
	l.snapshot.shards = make([]shard, shardCount)
	for i := range l.builders {
		l.snapshot.shards[i] = l.builders[i].build()
		l.builders[i] = shardBuilder{} // so that it can be collected
	}
	if l.compiler.missing > 0 {
		l.log.Warn("tokens have scopes for what no API has; these grant nothing", "scopes", l.compiler.missing)
	}
	return l.snapshot, l.accounts, nil
}

func (l *loader) loadAccounts(r reader) error {
	var all []*account
	err := r.bucket(bucketAccounts).ForEach(func(name, value []byte) error {
		a, err := decodeAccount(name, value)
		if err != nil {
			l.skip("account", name, err)
			return nil
		}
		all = append(all, a)
		return nil
	})
	l.snapshot.accounts = l.snapshot.accounts.with(l.accounts, all)
	return err
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
	at, ok := l.accounts[string(h.account)]
	if !ok { // its record is damaged: the account's other names are not known, and do not count
		l.snapshot.accounts = l.snapshot.accounts.with(l.accounts, []*account{{name: string(h.account)}})
		at = l.accounts[string(h.account)]
	}
	for i := range l.items {
		l.items[i].account, l.items[i].accountLength = at, uint8(len(h.account)) //nolint:gosec // checked in decodeHead
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
