package store

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/scopegate/scopegate/scopes"
)

// prepare writes what the change has collected, builds what is to be published,
// and makes room in the revocations log. After it only the commit is left, and the
// log's lines, which then cannot fail for want of room.
func (c *change) prepare() (*Snapshot, error) {
	if err := errors.Join(c.clearOutbox(), c.leaveHistory()); err != nil {
		return nil, err
	}
	if len(c.entries) == 0 && (c.store.replica.Load() == nil || len(c.touched) == 0) { // not worth a revision
		c.revision = c.store.revision
		return c.store.snapshot.Load(), nil
	}
	if err := errors.Join(c.putAccounts(), c.markCatalog()); err != nil {
		return nil, err
	}
	if err := c.putEntries(); err != nil {
		return nil, err
	}
	c.state.revision = c.revision
	if err := c.bucket(bucketMeta).Put(keyState, c.state.encode()); err != nil {
		return nil, err
	}
	next, err := c.nextSnapshot()
	if err != nil {
		return nil, err
	}
	next.revision = c.revision
	if err := c.store.journal.makeRoom(c.logLines()); err != nil && len(c.revocations) > 0 {
		return nil, fmt.Errorf("%w, and nothing was changed: the revocations log: %w", ErrWrite, err)
	}
	return next, nil
}

// putAccounts writes the accounts that the change touched, unless they would have
// more active tokens than they may.
func (c *change) putAccounts() error {
	if err := checkNames(&c.store.snapshot.Load().accounts, c.accounts); err != nil {
		return err
	}
	for _, name := range sortedKeys(c.accounts) {
		a, before := c.accounts[name], c.before[name]
		if slices.Equal(a.encode(), before.encode()) {
			continue
		}
		if err := checkLimit(&before, a); err != nil {
			return err
		}
		c.share(keyAccount, name)
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

// leaveHistory takes a node out of its cluster's history where it is changed on its own:
// when it follows the others again, what both have is joined.
func (c *change) leaveHistory() error {
	if c.store.replica.Load() != nil {
		return nil
	}
	was, err := c.reader.standing()
	if err != nil || was.Epoch == "" {
		return err
	}
	was.Epoch = ""
	return c.putStanding(&was)
}

// clearOutbox empties the outbox of what the change takes along.
func (c *change) clearOutbox() error {
	if c.store.replica.Load() == nil || c.store.pending.Load() == nil {
		return nil
	}
	return c.putOutbox(nil)
}

func (c *change) putEntries() error {
	audit := c.bucket(bucketAudit)
	audit.FillPercent = fullPages // the keys of later entries are behind all others
	for i := range c.entries {
		key := entryKey(c.revision, i)
		c.scratch = c.entries[i].encodeIn(c.scratch, key)
		if err := audit.Put(key, bytes.Clone(c.scratch)); err != nil {
			return err
		}
	}
	return nil
}

// nextSnapshot builds the snapshot that has the change. Grants are compiled against
// one catalog, so another catalog means compiling all of them again.
func (c *change) nextSnapshot() (*Snapshot, error) {
	if c.filled != nil {
		return c.filled.finish(), nil
	}
	current := c.store.snapshot.Load()
	if c.recompile || current.table.isStale() {
		l, err := c.store.newLoader(c.reader)
		if err != nil {
			return nil, err
		}
		err = l.newPart(1).load(c.reader, "", "")
		return l.finish(), err
	}
	names := c.indexAccounts(current.accounts)
	without, more, err := c.indexTokens(current, &names)
	if err != nil {
		return nil, err
	}
	next, err := current.with(without, more)
	if err != nil {
		return nil, err
	}
	next.accounts = names
	next.counts.Damaged -= c.repaired
	for _, t := range c.tokens {
		if t.old != nil {
			next.counts.add(t.old.flags(), -1)
		}
		next.counts.add(t.now.flags(), 1)
	}
	return next, nil
}

// indexAccounts returns the accounts for the next snapshot: the same ones, unless
// the change touches what a snapshot has of one.
func (c *change) indexAccounts(names accountNames) accountNames {
	var changed []*account
	for _, name := range sortedKeys(c.accounts) {
		a := c.accounts[name]
		if names.renames(a) {
			changed = append(changed, a)
		}
	}
	if len(changed) == 0 {
		return names
	}
	return names.with(changed)
}

// indexTokens returns what the change takes out of the index, and what it adds.
func (c *change) indexTokens(current *Snapshot, names *accountNames) (without map[scopes.Digest]bool, more []indexed, err error) {
	without, more = make(map[scopes.Digest]bool), make([]indexed, 0, len(c.tokens))
	compiler := newCompiler(current.catalog, current.table)
	for name, t := range c.tokens {
		for _, d := range t.old.digests() {
			without[d] = true
		}
		id := []byte(name)
		h, _, err := decodeHead(id, c.bucket(bucketTokens).Get(id))
		if err != nil {
			return nil, nil, err
		}
		at, ok := names.find([]byte(t.now.account))
		if !ok { // its account's record is damaged
			continue
		}
		first := len(more)
		if more, err = compiler.compile(more, id, &h); err != nil {
			return nil, nil, err
		}
		for i := range more[first:] {
			more[first+i].place(at, len(t.now.account))
		}
	}
	return without, more, nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
