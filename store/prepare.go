package store

import (
	"fmt"
	"maps"
	"slices"

	"github.com/scopegate/scopegate/scopes"
)

// published is what readers see of a change, once it is committed.
type published struct {
	snapshot *Snapshot
	accounts map[string]uint32 // where each name stands in the snapshot's
}

// prepare writes what the change has collected, builds what is to be published,
// and writes revocations onto the disk. After it only the commit is left.
func (c *change) prepare() (*published, error) {
	if len(c.entries) == 0 { // not worth a revision
		c.revision = c.store.revision
		return &published{c.store.snapshot.Load(), c.store.accounts}, nil
	}
	if err := c.putAccounts(); err != nil {
		return nil, err
	}
	if err := c.putEntries(); err != nil {
		return nil, err
	}
	c.state.revision = c.revision
	if err := c.bucket(bucketMeta).Put(keyState, c.state.encode()); err != nil {
		return nil, err
	}
	next, err := c.publication()
	if err != nil {
		return nil, err
	}
	next.snapshot.revision = c.revision
	if len(c.revocations) == 0 {
		return next, nil
	}
	if err := c.store.journal.append(c.revocations, true); err != nil {
		return nil, fmt.Errorf("%w, and nothing was changed: the revocations log: %w", ErrWrite, err)
	}
	return next, nil
}

// putAccounts writes the accounts that the change touched, unless they would have
// more active tokens than they may.
func (c *change) putAccounts() error {
	for _, name := range sortedKeys(c.accounts) {
		a, before := c.accounts[name], c.before[name]
		if slices.Equal(a.encode(), before.encode()) {
			continue
		}
		if err := checkLimit(&before, a); err != nil {
			return err
		}
		if err := c.bucket(bucketAccounts).Put([]byte(name), a.encode()); err != nil {
			return err
		}
	}
	return nil
}

// checkLimit refuses more active scoped tokens than an account may have, and a
// limit lower than what it has. An account that is over it for another reason may
// stay so.
func checkLimit(before, now *account) error {
	was, declared := before.declared(), now.declared()
	limit := declared.ActiveLimit()
	if now.active <= limit || now.active <= before.active && limit >= was.ActiveLimit() {
		return nil
	}
	return fmt.Errorf("%w: account %s would have %d active scoped tokens, and max_active_tokens is %d; deactivate or delete some, or raise it",
		ErrLimit, now.name, now.active, limit)
}

func (c *change) putEntries() error {
	for i := range c.entries {
		key := entryKey(c.revision, i)
		if err := c.bucket(bucketAudit).Put(key, c.entries[i].encode(key)); err != nil {
			return err
		}
	}
	return nil
}

// publication builds the next snapshot. Grants are compiled against one catalog, so
// a new one means compiling all of them again.
func (c *change) publication() (*published, error) {
	if c.recompile {
		snapshot, accounts, err := c.store.load(c.reader)
		return &published{snapshot, accounts}, err
	}
	p := &published{snapshot: c.store.snapshot.Load(), accounts: c.store.accounts}
	names := c.indexAccounts(p)
	without, more, err := c.indexTokens(p.accounts)
	if err != nil {
		return nil, err
	}
	if p.snapshot, err = p.snapshot.with(without, more); err != nil {
		return nil, err
	}
	p.snapshot.accounts = names
	p.snapshot.counts.Damaged -= c.repaired
	for _, t := range c.tokens {
		if t.old != nil {
			p.snapshot.counts.add(t.old.flags(), -1)
		}
		p.snapshot.counts.add(t.now.flags(), 1)
	}
	return p, nil
}

// indexAccounts returns the accounts for the next snapshot, and sets p.accounts
// where there are new ones.
func (c *change) indexAccounts(p *published) accountNames {
	names := p.snapshot.accounts
	var changed []*account
	for _, name := range sortedKeys(c.accounts) {
		if at, ok := p.accounts[name]; !ok || !slices.Equal(names.ids[at], c.accounts[name].ids) {
			changed = append(changed, c.accounts[name])
		}
	}
	if len(changed) == 0 {
		return names
	}
	p.accounts = maps.Clone(p.accounts)
	return names.with(p.accounts, changed)
}

// indexTokens returns what the change takes out of the index, and what it adds.
func (c *change) indexTokens(accounts map[string]uint32) (without map[scopes.Digest]bool, more []indexed, err error) {
	without = make(map[scopes.Digest]bool)
	catalog := c.store.snapshot.Load().catalog
	for id, t := range c.tokens {
		for _, d := range t.old.digests() {
			without[d] = true
		}
		h, _, err := decodeHead([]byte(id), c.bucket(bucketTokens).Get([]byte(id)))
		if err != nil {
			return nil, nil, err
		}
		compiler := newCompiler(catalog) // one each, for its entries share its memory
		items, err := compiler.compile(nil, []byte(id), &h)
		if err != nil {
			return nil, nil, err
		}
		for i := range items {
			items[i].account, items[i].accountLength = accounts[t.now.account], uint8(len(t.now.account)) //nolint:gosec // checked in decodeHead
		}
		more = append(more, items...)
	}
	return without, more, nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
