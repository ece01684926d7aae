package redislog

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/scopegate/scopegate/store"
	"github.com/scopegate/scopegate/store/redislog/redistest"
)

// recordSize is about what a token's sealed record has.
const recordSize = 300

// BenchmarkCommit measures a change of one record; Redis writes it to its disk.
func BenchmarkCommit(b *testing.B) {
	l := openLog(b, redistest.Start(b).URL())
	head := headAt("e1", 1, 'a')
	mustCommit(b, l, &store.Commit{Next: head, NewEpoch: true})
	changed := []store.Keyed{{Key: "tA", Value: bytes.Repeat([]byte{'v'}, recordSize)}}
	for b.Loop() {
		next := headAt("e1", head.Revision+1, 'a')
		mustCommit(b, l, &store.Commit{Base: head, Next: next, Changed: changed})
		head = next
	}
}

// BenchmarkPull measures a pull of a node that has everything, which is most of them.
func BenchmarkPull(b *testing.B) {
	l := openLog(b, redistest.Start(b).URL())
	head := headAt("e1", 1, 'a')
	mustCommit(b, l, &store.Commit{Next: head, NewEpoch: true})
	for b.Loop() {
		pull(b, l, head.Position)
	}
}

// BenchmarkScan measures the download of a million records.
func BenchmarkScan(b *testing.B) {
	const changes, perChange = 20, 50_000
	l := openLog(b, redistest.Start(b, "--appendonly", "no").URL())
	var head store.Head
	for i := range changes {
		c := &store.Commit{Base: head, Next: headAt("e1", head.Revision+1, 'a'), NewEpoch: i == 0}
		for k := range perChange {
			c.Changed = append(c.Changed, store.Keyed{Key: fmt.Sprintf("t%d-%d", i, k), Value: bytes.Repeat([]byte{'v'}, recordSize)})
		}
		mustCommit(b, l, c)
		head = c.Next
	}
	for b.Loop() {
		count := 0
		err := l.Scan(context.Background(), func(some []store.Keyed) error { count += len(some); return nil })
		if err != nil || count < changes*perChange {
			b.Fatalf("%d records, %v", count, err)
		}
	}
}
