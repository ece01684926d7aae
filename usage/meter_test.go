package usage

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// TestMeterIsExact counts from many goroutines while the meter is read all the time.
func TestMeterIsExact(t *testing.T) {
	t.Parallel()
	const goroutines, each, keys = 8, 20_000, 50
	m := NewMeter()
	uses := make([]*Use, keys)
	for i := range uses {
		uses[i] = listing(fmt.Sprintf("tok_%d", i))
	}
	got := make(map[string]*Counts)
	gather := func() {
		tallies, lost := m.read(time.Unix(3, 0))
		if lost > 0 {
			t.Errorf("%d lost", lost)
		}
		for i := range tallies {
			c := got[tallies[i].use.Token]
			if c == nil {
				c = new(Counts)
				got[tallies[i].use.Token] = c
			}
			c.Add(&tallies[i].counts)
		}
	}
	var counting sync.WaitGroup
	for g := range goroutines {
		counting.Go(func() {
			for i := range each {
				u := uses[(g+i)%keys]
				m.Decided(u, time.Unix(1, 0))
				m.Answered(u, 200, time.Millisecond, time.Unix(1, 0))
			}
		})
	}
	done := make(chan struct{})
	go func() { counting.Wait(); close(done) }()
	for running := true; running; gather() {
		select {
		case <-done:
			running = false
		default:
		}
	}
	const want = goroutines * each / keys
	for _, u := range uses {
		c := got[u.Token]
		if c == nil || c.Requests != want || c.Status[2] != want || c.Latency[bucketOf(time.Millisecond)] != want {
			t.Fatalf("%s: got %+v, want %d of each", u.Token, c, want)
		}
	}
}

// TestMeterTellsUsesApart counts once each what differs in one thing.
func TestMeterTellsUsesApart(t *testing.T) {
	t.Parallel()
	change := map[string]func(*Use){
		"nothing":    func(*Use) {},
		"token":      func(u *Use) { u.Token, u.Credential = "tok_b", scopes.DigestOf("credential-of-b") },
		"credential": func(u *Use) { u.Credential = scopes.DigestOf("another credential") },
		"API":        func(u *Use) { u.API = &scopes.API{Name: "ads"} },
		"operation":  func(u *Use) { u.Operation = &orders.Operations[1] },
		"none":       func(u *Use) { u.Operation, u.API, u.Version = nil, nil, "" },
		"version":    func(u *Use) { u.Version = "v2" },
		"method":     func(u *Use) { u.Method = scopes.MethodOf("HEAD") },
		"reason":     func(u *Use) { u.Reason, u.Shadow = scopes.Expired, scopes.Expired },
		"shadow":     func(u *Use) { u.Shadow = scopes.APINotGranted },
		"through":    func(u *Use) { u.Through = true },
	}
	m := NewMeter()
	for _, f := range change {
		u := listing("tok_a")
		f(u)
		m.Decided(u, time.Unix(1, 0))
		m.Decided(u, time.Unix(2, 0))
	}
	keys := readKeys(m)
	for key, n := range keys {
		if n != 2 {
			t.Errorf("%+v: counted %d times, want 2", key, n)
		}
	}
	if len(keys) != len(change) {
		t.Errorf("got %d keys, want %d: %v", len(keys), len(change), keys)
	}
}

// readKeys returns what a meter has counted of each key.
func readKeys(m *Meter) map[Key]uint64 {
	keys := make(map[Key]uint64)
	tallies, _ := m.read(time.Unix(3, 0))
	for i := range tallies {
		keys[tallies[i].use.key()] += tallies[i].counts.Requests
	}
	return keys
}

// TestMeterCannotBeFilledFromOutside: what a client makes up without a token makes no row.
func TestMeterCannotBeFilledFromOutside(t *testing.T) {
	t.Parallel()
	m := NewMeter()
	for i := range 1000 {
		m.Decided(&Use{
			Credential: scopes.DigestOf(fmt.Sprintf("made-up-credential-%d", i)), Method: scopes.MethodOf(fmt.Sprintf("METHOD%d", i)),
			Reason: scopes.UnknownToken, Shadow: scopes.UnknownToken,
		}, time.Unix(1, 0))
	}
	keys := readKeys(m)
	want := Key{Method: "other", Reason: "unknown_token"}
	if len(keys) != 1 || keys[want] != 1000 {
		t.Errorf("got %v, want 1000 of %+v", keys, want)
	}
}

// TestMeterGrows: however many uses come before anybody reads, there is room, and the reader
// is woken.
func TestMeterGrows(t *testing.T) {
	t.Parallel()
	const keys = 10 * minCells
	m := NewMeter()
	for i := range keys {
		m.Decided(listing(fmt.Sprintf("tok_%d", i)), time.Unix(1, 0))
	}
	select {
	case <-m.full:
	default:
		t.Error("the reader is not woken")
	}
	if found := readKeys(m); len(found) != keys {
		t.Errorf("%d keys were counted, want %d", len(found), keys)
	}
}

// TestMeterIsFull: what has no room is counted as such.
func TestMeterIsFull(t *testing.T) {
	t.Parallel()
	const keys = 2 * minCells
	m := NewMeter()
	m.most = minCells
	u := listing("tok_a")
	for i := range keys {
		binary.BigEndian.PutUint64(u.Credential[:], uint64(i)*0x9e3779b97f4a7c15)
		m.Decided(u, time.Unix(1, 0))
	}
	tallies, lost := m.read(time.Unix(3, 0))
	if lost == 0 || uint64(len(tallies))+lost != keys {
		t.Errorf("%d counted and %d lost, want %d together and some lost", len(tallies), lost, keys)
	}
}

func TestMeterDoesNotAllocate(t *testing.T) {
	m := NewMeter()
	u := listing("tok_a")
	now := time.Unix(1, 0)
	m.Decided(u, now)
	if n := testing.AllocsPerRun(1000, func() {
		m.Decided(u, now)
		m.Answered(u, 200, time.Millisecond, now)
	}); n >= 1 { // the pool of lanes is emptied now and then
		t.Errorf("%v allocations for a request, want none", n)
	}
}

func BenchmarkMeter(b *testing.B) {
	m := NewMeter()
	u := listing("tok_a")
	now := time.Unix(1, 0)
	b.Run("decided", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m.Decided(u, now)
		}
	})
	b.Run("answered", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m.Answered(u, 200, time.Millisecond, now)
		}
	})
	b.Run("decided by all processors on one token", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				m.Decided(u, now)
			}
		})
	})
}
