package store

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
)

// loader builds a snapshot from all records of a store. A record that cannot be
// read is logged and left out: its token is refused.
type loader struct {
	snapshot *Snapshot
	tokens   int // about how many there are
	parts    []*loaderPart
	log      *slog.Logger
}

// loaderPart has a part of the tokens.
type loaderPart struct {
	*loader
	compiler compiler
	builders []shardBuilder
	counts   Counts
	items    []indexed // of the record at hand
}

func (s *Store) newLoader(r reader) (*loader, error) {
	catalog, err := r.catalog()
	if err != nil {
		return nil, err
	}
	l := &loader{
		snapshot: &Snapshot{catalog: catalog, revision: r.state.revision, now: s.now, table: newRuleTable()},
		tokens:   int(r.bucket(bucketTokens).Sequence()), //nolint:gosec // it counts them
		log:      s.log,
	}
	return l, l.loadAccounts(r)
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
	l.snapshot.accounts = l.snapshot.accounts.with(all)
	return err
}

// split returns ids that cut a store's tokens into as many parts as there are
// processors, each but the first with the id that it begins at.
func (l *loader) split() []string {
	const few = 10_000
	parts := min(runtime.GOMAXPROCS(0), len(idDigits))
	if l.tokens < few {
		parts = 1
	}
	starts := make([]string, parts)
	for i := 1; i < parts; i++ {
		starts[i] = idPrefix + idDigits[i*len(idDigits)/parts:][:1]
	}
	return starts
}

// loadAll loads the tokens of an open store, in parts at the same time. Each part
// has a transaction of its own, so nothing may change the store meanwhile.
func (l *loader) loadAll(s *Store) error {
	starts := l.split()
	errs := make([]error, len(starts))
	var loading sync.WaitGroup
	for i, from := range starts {
		to := "" // the end
		if i+1 < len(starts) {
			to = starts[i+1]
		}
		part := l.newPart(len(starts))
		loading.Go(func() {
			errs[i] = s.view(func(r reader) error { return part.load(r, from, to) })
		})
	}
	loading.Wait()
	return errors.Join(errs...)
}

func (l *loader) newPart(of int) *loaderPart {
	p := &loaderPart{loader: l, compiler: newCompiler(l.snapshot.catalog, l.snapshot.table), builders: make([]shardBuilder, shardCount)}
	each := l.tokens/shardCount/of + 1
	each += each / 8 // they are not all alike
	for i := range p.builders {
		p.builders[i] = newShardBuilder(each)
	}
	l.parts = append(l.parts, p)
	return p
}

// load loads the tokens whose ids begin at from and end before to; "" is the end.
func (p *loaderPart) load(r reader, from, to string) error {
	cursor := r.bucket(bucketTokens).Cursor()
	for id, value := cursor.Seek([]byte(from)); id != nil && (to == "" || string(id) < to); id, value = cursor.Next() {
		if err := p.loadToken(id, value); err != nil {
			return err
		}
	}
	return nil
}

func (p *loaderPart) loadToken(id, value []byte) error {
	h, _, err := decodeHead(id, value)
	if err == nil {
		p.items, err = p.compiler.compile(p.items[:0], id, &h)
	}
	if err != nil {
		p.counts.Damaged++
		p.skip("token", id, err)
		return nil
	}
	p.counts.add(h.flags, 1)
	if len(p.items) == 0 {
		return nil
	}
	at, ok := p.snapshot.accounts.find(h.account)
	if !ok {
		p.skip("token", id, fmt.Errorf("its account %q cannot be read", h.account))
		return nil
	}
	for i := range p.items {
		p.items[i].place(at, len(h.account))
		if err := p.builders[shardOf(&p.items[i].digest)].add(&p.items[i]); err != nil {
			return err
		}
	}
	return nil
}

// finish returns the snapshot with what all parts have loaded.
func (l *loader) finish() *Snapshot {
	l.snapshot.shards = make([]shard, shardCount)
	var building sync.WaitGroup
	for first := range l.parts { // as many at the same time
		building.Go(func() {
			for i := first; i < shardCount; i += len(l.parts) {
				l.snapshot.shards[i] = l.build(i)
			}
		})
	}
	building.Wait()
	l.snapshot.rules = l.snapshot.table.all()
	l.snapshot.table.first = len(l.snapshot.rules)
	missing := 0
	for _, p := range l.parts {
		l.snapshot.counts.Active += p.counts.Active
		l.snapshot.counts.Inactive += p.counts.Inactive
		l.snapshot.counts.Damaged += p.counts.Damaged
		missing += p.compiler.missing
	}
	if missing > 0 {
		l.log.Warn("tokens have scopes for what no API has; these grant nothing", "scopes", missing)
	}
	return l.snapshot
}

// build builds one shard, and gives up what it was built from.
func (l *loader) build(at int) shard {
	builders := make([]*shardBuilder, len(l.parts))
	for i, p := range l.parts {
		builders[i] = &p.builders[at]
	}
	built := build(builders...)
	for _, p := range l.parts {
		p.builders[at] = shardBuilder{}
	}
	return built
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
