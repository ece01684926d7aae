package caddymodule

import (
	"math"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"sync"
	"time"
)

// spacing is collections that are further apart than they would be.
var spacing struct {
	sync.Mutex               // guards what follows
	users      int           // how many computations go on that want it
	over       chan struct{} // closed to end it; nil: there is none
	waiting    sync.WaitGroup
}

// spaceCollections has garbage collected only when the heap has grown by about that many bytes
// since the last time, where it would be sooner, or when the process's memory limit is near
// ([debug.SetMemoryLimit]). The function that it returns is to be called once, when the
// computation is over: then collections come as before.
func spaceCollections(bytes uint64) (done func()) {
	spacing.Lock()
	defer spacing.Unlock()
	spacing.users++
	if spacing.users == 1 {
		beginSpacing(bytes)
	}
	return sync.OnceFunc(func() {
		spacing.Lock()
		defer spacing.Unlock()
		if spacing.users--; spacing.users == 0 && spacing.over != nil {
			close(spacing.over)
			spacing.waiting.Wait()
			spacing.over = nil
		}
	})
}

// beginSpacing spaces collections, unless there are none.
func beginSpacing(bytes uint64) {
	was := debug.SetGCPercent(percentFor(bytes, 0))
	if was < 0 {
		debug.SetGCPercent(was)
		return
	}
	debug.SetGCPercent(percentFor(bytes, was))
	spacing.over = make(chan struct{})
	over := spacing.over
	spacing.waiting.Go(func() {
		defer debug.SetGCPercent(was)
		keepSpaced(bytes, was, over)
	})
}

// keepSpaced sets the percentage anew after each collection: what it is of has changed.
func keepSpaced(bytes uint64, atLeast int, over <-chan struct{}) {
	const pause = 10 * time.Millisecond
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	cycles := readCounter(cyclesMetric)
	for {
		select {
		case <-over:
			return
		case <-ticker.C:
		}
		if now := readCounter(cyclesMetric); now != cycles {
			cycles = now
			debug.SetGCPercent(percentFor(bytes, atLeast))
		}
	}
}

// percentFor returns by how many percent the heap is to grow: by so many bytes, and by at
// least so many percent.
func percentFor(bytes uint64, atLeast int) int {
	const smallest = 4 << 20 // what the percentage is of at least: https://go.dev/doc/gc-guide#GOGC
	counted := readCounter("/gc/heap/live:bytes") + readCounter("/gc/scan/stack:bytes") + readCounter("/gc/scan/globals:bytes")
	percent := bytes * 100 / max(counted, smallest)
	return max(int(min(percent, math.MaxInt32)), atLeast)
}

const cyclesMetric = "/gc/cycles/total:gc-cycles"

func readCounter(name string) uint64 {
	s := []runtimemetrics.Sample{{Name: name}}
	runtimemetrics.Read(s)
	return s[0].Value.Uint64()
}
