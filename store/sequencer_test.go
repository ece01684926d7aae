package store

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// memorySequencer orders the changes of stores in one process, and can lose, rewrite and
// forge what it has: what a Redis does only now and then.
type memorySequencer struct {
	mu      sync.Mutex
	head    Head
	has     bool
	filling bool // somebody is about to
	records map[string][]byte
	log     []logged
	began   time.Time
	reports map[string]Report
	epochs  map[string]string    // that nodes were in, by their ids
	until   map[string]time.Time // when their reports run out
	nodes   []*memoryNode
	clock   atomic.Int64 // nanoseconds after testNow
}

type logged struct {
	position Position
	keys     []string
	audit    []byte
}

// memoryNode is a sequencer as one node reaches it.
type memoryNode struct {
	*memorySequencer
	wakeups chan []Keyed
	pulls   atomic.Int64
	mu      sync.Mutex
	down    bool // it cannot be reached
	swallow bool // the next commit is made, and its answer lost
	deaf    bool // no wake-up comes
}

func newMemorySequencer() *memorySequencer {
	return &memorySequencer{records: make(map[string][]byte), reports: make(map[string]Report), epochs: make(map[string]string), until: make(map[string]time.Time)}
}

// now is the time for the sequencer and all nodes.
func (m *memorySequencer) now() time.Time { return testNow.Add(time.Duration(m.clock.Load())) }

// pass lets time pass.
func (m *memorySequencer) pass(d time.Duration) { m.clock.Add(int64(d)) }

func (m *memorySequencer) node() *memoryNode {
	n := &memoryNode{memorySequencer: m, wakeups: make(chan []Keyed, 16)}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.nodes = append(m.nodes, n)
	return n
}

func (n *memoryNode) set(fn func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fn()
}

func (n *memoryNode) isDown() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.down
}

// wake tells the node of a change, and of what was changed if it is not nil.
func (n *memoryNode) wake(changed []Keyed) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down || n.deaf {
		return
	}
	select {
	case n.wakeups <- changed:
	default:
	}
}

func (n *memoryNode) Pull(_ context.Context, at Position, r *Report) (*Pulled, error) {
	if n.isDown() {
		return nil, ErrUnreachable
	}
	m := n.memorySequencer
	m.mu.Lock()
	defer m.mu.Unlock()
	n.pulls.Add(1)
	if last, ok := m.reports[r.ID]; ok && r.Again && last.Instance != r.Instance && m.now().Before(m.until[r.ID]) {
		return &Pulled{Verdict: PullTwin}, nil
	}
	m.reports[r.ID], m.epochs[r.ID] = *r, r.Epoch
	m.until[r.ID] = m.now().Add(30 * time.Second)
	pulled := &Pulled{Head: m.head, Filling: m.filling, EpochAge: m.now().Sub(m.began), Apart: m.apart()}
	behind := slices.IndexFunc(m.log, func(l logged) bool { return l.position.Revision == at.Revision })
	switch {
	case !m.has:
		return &Pulled{Verdict: PullEmpty, Filling: m.filling}, nil
	case at.Epoch != m.head.Epoch:
		pulled.Verdict = PullEpoch
	case m.head.Revision < at.Revision:
		pulled.Verdict = PullRegress
	case behind < 0:
		pulled.Verdict = PullTrimmed
	case m.log[behind].position.Chain != at.Chain:
		pulled.Verdict = PullDiverge
	default:
		if r.Epoch == at.Epoch {
			m.until[r.ID] = m.now().Add(r.MaxStaleness + 2*time.Second)
		}
		pulled.Verdict = PullOK
		m.since(pulled, behind)
	}
	return pulled, nil
}

// apart counts the nodes that are in another epoch.
func (m *memorySequencer) apart() (count int) {
	for id := range m.reports {
		if m.now().Before(m.until[id]) && m.epochs[id] != "" && m.epochs[id] != m.head.Epoch {
			count++
		}
	}
	return count
}

func (m *memorySequencer) since(pulled *Pulled, behind int) {
	changed := make(map[string]bool)
	for _, l := range m.log[behind+1:] {
		for _, key := range l.keys {
			changed[key] = true
		}
		pulled.Audit = append(pulled.Audit, Audited{l.position.Revision, l.audit})
	}
	for _, key := range slices.Sorted(maps.Keys(changed)) {
		pulled.Changed = append(pulled.Changed, Keyed{key, slices.Clone(m.records[key])})
	}
}

func (n *memoryNode) Commit(_ context.Context, c *Commit) error {
	if n.isDown() {
		return ErrUnreachable
	}
	m := n.memorySequencer
	m.mu.Lock()
	err := m.commit(c)
	nodes := slices.Clone(m.nodes)
	m.mu.Unlock()
	if err != nil {
		return err
	}
	var told []Keyed
	if c.Urgent {
		told = c.Changed
	}
	for _, other := range nodes {
		other.wake(told)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.swallow {
		n.swallow = false
		return ErrUncertain
	}
	return nil
}

func (m *memorySequencer) commit(c *Commit) error {
	if m.has && m.head.Chain == c.Next.Chain {
		return nil
	}
	if m.head.Position != c.Base.Position {
		return ErrHeadMoved
	}
	if c.NewEpoch {
		m.log, m.began = nil, m.now()
	}
	if c.Replace {
		m.log = nil
		clear(m.records)
	}
	entry := logged{position: c.Next.Position, audit: c.Audit}
	for _, changed := range c.Changed {
		entry.keys = append(entry.keys, changed.Key)
		if changed.Value == nil {
			delete(m.records, changed.Key)
		} else {
			m.records[changed.Key] = slices.Clone(changed.Value)
		}
	}
	m.log = append(m.log, entry)
	m.head, m.has = c.Next, true
	return nil
}

func (n *memoryNode) Scan(_ context.Context, each func([]Keyed) error) error {
	if n.isDown() {
		return ErrUnreachable
	}
	n.memorySequencer.mu.Lock()
	all := maps.Clone(n.records)
	n.memorySequencer.mu.Unlock()
	for key, value := range all {
		if err := each([]Keyed{{key, value}}); err != nil {
			return err
		}
	}
	return nil
}

func (n *memoryNode) Nodes(context.Context) ([]Report, error) {
	if n.isDown() {
		return nil, ErrUnreachable
	}
	n.memorySequencer.mu.Lock()
	defer n.memorySequencer.mu.Unlock()
	return slices.Collect(maps.Values(n.reports)), nil
}

func (n *memoryNode) Leave(_ context.Context, id string) error {
	if n.isDown() {
		return ErrUnreachable
	}
	n.memorySequencer.mu.Lock()
	defer n.memorySequencer.mu.Unlock()
	delete(n.reports, id)
	return nil
}

func (n *memoryNode) Wakeups() <-chan []Keyed { return n.wakeups }

func (*memoryNode) Close() error { return nil }

// save returns a copy of all that there is, for restore.
func (m *memorySequencer) save() *memorySequencer {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &memorySequencer{head: m.head, has: m.has, records: maps.Clone(m.records), log: slices.Clone(m.log), began: m.began}
}

// restore goes back to what was saved, as a failover to a replica that lags or the
// restore of a dump does. The zero memorySequencer is a flushed one.
func (m *memorySequencer) restore(saved *memorySequencer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.head, m.has, m.log, m.began = saved.head, saved.has, slices.Clone(saved.log), saved.began
	m.records = make(map[string][]byte)
	maps.Copy(m.records, saved.records)
}

// testSecret is the secret of clusters in tests.
const testSecret = "the secret of a cluster in tests"

// clusterOptions returns the options of a node.
func clusterOptions(n *memoryNode) Options {
	o := testOptions()
	o.Now = n.now
	o.Cluster = &ClusterOptions{Sequencer: n, Secret: testSecret, NodeName: "test", Version: "v0", MaxStaleness: MinStaleness}
	return o
}

// joinNode opens a store at path that follows m.
func joinNode(tb testing.TB, path string, m *memorySequencer) (*Store, *memoryNode) {
	tb.Helper()
	n := m.node()
	s := openStore(tb, path, clusterOptions(n))
	return s, n
}

// eventually waits until a store is as it should be, a change at a time.
func eventually(tb testing.TB, s *Store, what string, ok func() bool) {
	tb.Helper()
	deadline := time.After(10 * time.Second)
	for {
		changed := s.Changed()
		if ok() {
			return
		}
		select {
		case <-changed:
		case <-time.After(20 * time.Millisecond): // what is waited for may be no change
		case <-deadline:
			tb.Fatalf("%s: it did not come to that; %+v", what, s.replica.Load().replication())
		}
	}
}
