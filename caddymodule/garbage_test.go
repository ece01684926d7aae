package caddymodule

import (
	"runtime"
	"runtime/debug"
	"testing"
)

// Collections are apart by that much, each of them, until the last computation is over.
func TestSpaceCollections(t *testing.T) {
	const budget = 32 << 20
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	runtime.GC()
	first := spaceCollections(budget)
	second := spaceCollections(budget)
	for range 3 {
		begun := collections()
		grow(budget / 2)
		if got := collections() - begun; got != 0 {
			t.Errorf("%d collections before the heap has grown by that much", got)
		}
		for collections() == begun {
			grow(budget / 8)
		}
	}
	first()
	if got := percent(); got <= 100 {
		t.Errorf("when one is over, the percentage is %d", got)
	}
	second()
	second()
	if got := percent(); got != 100 {
		t.Errorf("afterwards the percentage is %d", got)
	}
}

// Where collections are further apart anyway, or there are none, that stays.
func TestSpacingOfLess(t *testing.T) {
	for _, set := range []int{-1, 1_000_000} {
		before := debug.SetGCPercent(set)
		done := spaceCollections(1)
		if got := debug.SetGCPercent(set); got != set {
			t.Errorf("of %d it makes %d", set, got)
		}
		done()
		if got := debug.SetGCPercent(before); got != set {
			t.Errorf("of %d it leaves %d", set, got)
		}
	}
}

var sink []byte

func grow(bytes int) {
	for range bytes >> 10 {
		sink = make([]byte, 1<<10)
	}
}

func collections() uint64 { return readCounter("/gc/cycles/automatic:gc-cycles") }

func percent() uint64 { return readCounter("/gc/gogc:percent") }
