package usage

import (
	"encoding/binary"
	"math/bits"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// Meter counts requests in memory. It takes no lock, does no I/O and does not allocate,
// and it is safe for concurrent use.
//
// It has a table of cells, one for each key that was seen since the table was made, and
// replaces the table when that fills up or is old. Each processor has cells of its own, for two
// that count in the same memory wait for each other longer than all else takes.
type Meter struct {
	current atomic.Pointer[table]
	lost    atomic.Uint64 // requests that found no cell
	lanes   sync.Pool     // of *uint64: the processors' parts of a hash
	lane    atomic.Uint32 // the last that was given out
	full    chan struct{} // a message when the table fills up
	most    int           // cells of a table

	mu      sync.Mutex // guards what follows, for who reads
	retired []*table   // tables that were replaced: whoever was just counting may still add to one
}

// Sizes of a table, in cells of 232 bytes, label included.
const (
	minCells = 1 << 12
	maxCells = 1 << 19
	probes   = 32 // how far from its place a cell may stand
)

// maxLanes bounds the cells of one key. There are more lanes than processors: goroutines are
// moved with the lane that they hold, and two processors should rarely come to have the same.
const maxLanes = 8

// table is some cells. The hash of a use tells its cell; two uses with one hash of 64 bits
// are not expected, and nobody can make them: credentials' digests are in it, and
// addresses of this process.
type table struct {
	cells  []cell
	labels []label // of the cells
	used   atomic.Int32
	made   time.Time

	// For who reads.
	taken   int64 // Unix seconds when it was read before
	retired time.Time
}

// cell is what is counted of one key, in two cache lines.
type cell struct {
	hash    atomic.Uint64 // 0: the cell is free
	count   atomic.Uint64
	last    atomic.Int64 // Unix seconds of the last request
	status  [Classes]atomic.Uint32
	latency [Buckets]atomic.Uint32
}

// label is what a cell is about. Whoever takes the cell writes it, and nobody after.
type label struct {
	ready atomic.Bool // it is written
	use   Use
	first int64 // Unix seconds of the first request
}

// NewMeter returns a meter that has counted nothing.
func NewMeter() *Meter {
	m := &Meter{full: make(chan struct{}, 1), most: maxCells}
	m.lanes.New = func() any {
		lane := uint64(m.lane.Add(1) % uint32(min(2*runtime.GOMAXPROCS(0), maxLanes))) //nolint:gosec // positive
		return &lane
	}
	m.current.Store(newTable(minCells))
	return m
}

func newTable(cells int) *table {
	return &table{cells: make([]cell, cells), labels: make([]label, cells), made: time.Now()}
}

// Decided counts a decision.
func (m *Meter) Decided(u *Use, now time.Time) {
	seconds := now.Unix()
	c := m.find(u, seconds)
	if c == nil {
		m.lost.Add(1)
		return
	}
	c.count.Add(1)
	if c.last.Load() < seconds {
		c.last.Store(seconds)
	}
}

// Answered counts how a request was answered that was let through: by which status, 0 for
// none, and how long after the decision.
func (m *Meter) Answered(u *Use, status int, took time.Duration, now time.Time) {
	c := m.find(u, now.Unix())
	if c == nil {
		return
	}
	class := classOf(status)
	c.status[class].Add(1)
	if class != 0 {
		c.latency[bucketOf(took)].Add(1)
	}
}

// find returns the cell of a use, and takes one if it has none; nil if there is no room.
func (m *Meter) find(u *Use, now int64) *cell {
	lane := m.lanes.Get().(*uint64) //nolint:forcetypeassert // nothing else is in the pool
	hash := u.hash(*lane)
	m.lanes.Put(lane)
	t := m.current.Load()
	if c := m.findIn(t, u, hash, now); c != nil {
		return c
	}
	m.grow(t)
	if next := m.current.Load(); next != t {
		return m.findIn(next, u, hash, now)
	}
	return nil
}

func (m *Meter) findIn(t *table, u *Use, hash uint64, now int64) *cell {
	mask := uint64(len(t.cells) - 1) //nolint:gosec // positive
	for i := range uint64(probes) {
		at := (hash + i) & mask
		c := &t.cells[at]
		switch held := c.hash.Load(); {
		case held == hash:
			return c
		case held != 0:
			continue
		case c.hash.CompareAndSwap(0, hash):
			l := &t.labels[at]
			l.use, l.first = *u, now
			l.ready.Store(true)
			if int(t.used.Add(1)) == len(t.cells)/2 {
				m.grow(t)
			}
			return c
		case c.hash.Load() == hash:
			return c
		}
	}
	return nil
}

// grow puts a larger table in the place of one that fills up, unless that is done already, or
// somebody is at it. What the old one has counted is read as ever, and soon.
func (m *Meter) grow(t *table) {
	if len(t.cells) < m.most && m.mu.TryLock() {
		if m.current.Load() == t {
			m.replace(t, growth*len(t.cells))
		}
		m.mu.Unlock()
	}
	select {
	case m.full <- struct{}{}:
	default:
	}
}

// growth is by how much larger a table is than the one before that has filled up.
const growth = 8

// replace makes a new table the current one. It is called with the lock.
func (m *Meter) replace(t *table, cells int) {
	m.current.Store(newTable(min(cells, m.most)))
	t.retired = time.Now()
	m.retired = append(m.retired, t)
}

// hash returns what tells the cell of a use from others, never 0. The API, the operation
// and the version are known by their addresses: the label of a cell keeps those from
// being used for anything else.
func (u *Use) hash(lane uint64) uint64 {
	var h uint64
	if u.Token != "" {
		h = binary.LittleEndian.Uint64(u.Credential[:])
	}
	h = mix(h, address(u.API))
	h = mix(h, address(u.Operation))
	h = mix(h, address(unsafe.StringData(u.Version))) //nolint:gosec // it is only compared
	small := lane<<48 | uint64(u.Method)<<16 | uint64(u.Reason)<<8 | uint64(u.Shadow)
	if u.Through {
		small |= 1 << 63
	}
	return mix(h, small) | 1
}

func address[T any](p *T) uint64 { return uint64(uintptr(unsafe.Pointer(p))) } //nolint:gosec // it is only compared

// mix returns a hash of two words: the halves of their product. The constants, which are
// odd and have as many ones as zeros, keep small words from meeting.
func mix(a, b uint64) uint64 {
	high, low := bits.Mul64(a^0x9e3779b97f4a7c15, b^0xd1b54a32d192ed03)
	return high ^ low
}

// tally is what was counted of one key since the meter was read before.
type tally struct {
	use         Use
	first, last int64 // Unix seconds; last is 0 if there were answers only
	counts      Counts
}

// How long tables are in use, and looked after. Whoever has just found a cell in a table may
// be held up before he counts there; after this long he is not any more.
const (
	tableLife  = 10 * time.Minute
	retiredFor = time.Minute
)

// read takes what was counted since it was called before, and how many requests found no
// room.
func (m *Meter) read(now time.Time) (tallies []tally, lost uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	lost = m.lost.Swap(0)
	m.retired = slices.DeleteFunc(m.retired, func(t *table) bool {
		tallies = t.take(tallies, now)
		return time.Since(t.retired) > retiredFor
	})
	t := m.current.Load()
	if used := int(t.used.Load()); used > len(t.cells)/2 || time.Since(t.made) > tableLife {
		m.replace(t, sizeAfter(used))
	}
	return t.take(tallies, now), lost
}

// sizeAfter returns the size of the table after one of which some cells were used.
func sizeAfter(used int) int {
	size := minCells
	for size < growth*used {
		size *= 2
	}
	return size
}

// take appends what the cells have counted, and sets them to zero.
func (t *table) take(tallies []tally, now time.Time) []tally {
	for i := range t.cells {
		c, l := &t.cells[i], &t.labels[i]
		if c.hash.Load() == 0 || !l.ready.Load() {
			continue
		}
		one := tally{use: l.use, last: c.last.Swap(0)}
		if one.counts = c.take(); one.counts == (Counts{}) {
			continue
		}
		one.first = min(max(l.first, t.taken), one.last)
		tallies = append(tallies, one)
	}
	t.taken = now.Unix()
	return tallies
}

func (c *cell) take() (counts Counts) {
	counts.Requests = c.count.Swap(0)
	for i := range c.status {
		counts.Status[i] = uint64(c.status[i].Swap(0))
	}
	for i := range c.latency {
		counts.Latency[i] = uint64(c.latency[i].Swap(0))
	}
	return counts
}
