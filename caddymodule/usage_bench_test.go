package caddymodule

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/scopegate/scopegate/proxy"
	"github.com/scopegate/scopegate/usage"
)

// BenchmarkUsage compares a decision with and without its use being counted, on one token, by
// one goroutine and by as many as there are processors. Batches of both take turns, and the
// medians are compared, so that what else the machine does counts on both sides.
func BenchmarkUsage(b *testing.B) {
	gateway := &proxy.Gateway{Source: newOneToken(b)}
	meter := usage.NewMeter()
	request := httptest.NewRequest(http.MethodGet, "/orders/v1/7", nil)
	request.Header = http.Header{"User-Agent": {"benchmark"}, "Authorization": {"Bearer " + benchSecret}}
	decide := func(v *proxy.Verdict) {
		gateway.JudgeInto(v, request)
		_ = time.Now() // which the metrics need in any case
	}
	count := func(v *proxy.Verdict) {
		gateway.JudgeInto(v, request)
		use := useOf(v)
		meter.Decided(&use, time.Now())
	}
	for _, workers := range []int{1, runtime.GOMAXPROCS(0)} {
		b.Run(fmt.Sprintf("goroutines=%d", workers), func(b *testing.B) {
			var without, with []float64
			b.ReportAllocs()
			for b.Loop() {
				without = append(without, batchTime(workers, decide))
				with = append(with, batchTime(workers, count))
			}
			slices.Sort(without)
			slices.Sort(with)
			median, counted := without[len(without)/2], with[len(with)/2]
			b.ReportMetric(median, "ns/decision")
			b.ReportMetric(counted, "ns/counted")
			b.ReportMetric(100*(counted/median-1), "%more")
		})
	}
}

// batchTime returns how many nanoseconds one call takes while some goroutines make many.
func batchTime(workers int, call func(*proxy.Verdict)) float64 {
	const calls = 20_000
	var running sync.WaitGroup
	begun := time.Now()
	for range workers {
		running.Go(func() {
			v := new(proxy.Verdict)
			for range calls {
				call(v)
			}
		})
	}
	running.Wait()
	return float64(time.Since(begun).Nanoseconds()) / calls
}
