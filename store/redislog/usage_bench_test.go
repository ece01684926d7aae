package redislog

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/scopegate/scopegate/store/redislog/redistest"
)

// BenchmarkUsageSync measures how long it takes that 50,000 rows are left, are taken by another
// node, and are left again after one more request each; and how much memory Redis needs for one.
func BenchmarkUsageSync(b *testing.B) {
	const rows = 50_000
	server := redistest.Start(b)
	one, two, all := newCounter(b, server), newCounter(b, server), make(map[string]uint64)
	count := func() {
		for row := range rows {
			one.count(fmt.Sprintf("tok_01JABCDEFGHJKMNPQRST%06d", row), 1)
			if row%300 == 0 { // the meter of a test is read by nobody else
				one.flush(all)
			}
		}
		one.flush(all)
	}
	took := func(what string, n *counter) {
		begin := time.Now()
		n.sync()
		b.ReportMetric(float64(time.Since(begin).Milliseconds()), what+"-ms")
	}
	count()
	for b.Loop() {
		took("leave", one)
		took("take", two)
		took("same", two)
		count()
		took("again", one)
	}
	client := server.Client(b)
	for name := range client.HGetAll(context.Background(), "{scopegate}:usage").Val() {
		used := client.MemoryUsage(context.Background(), "{scopegate}:usage:"+name, 0).Val()
		b.ReportMetric(float64(used)/rows, "bytes/row")
	}
}
