package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/scopegate/scopegate/proxy"
	"github.com/scopegate/scopegate/usage"
)

// BenchmarkUsage compares a decision with and without its use being counted, on one token,
// by one goroutine and by as many as there are processors.
func BenchmarkUsage(b *testing.B) {
	gateway := &proxy.Gateway{Source: newOneToken(b)}
	meter := usage.NewMeter()
	request := httptest.NewRequest(http.MethodGet, "/orders/v1/7", nil)
	request.Header = http.Header{"User-Agent": {"benchmark"}, "Authorization": {"Bearer " + benchSecret}}
	count := func(v *proxy.Verdict) {
		gateway.JudgeInto(v, request)
		use := useOf(v)
		meter.Decided(&use, time.Now())
	}
	decideAt := func(v *proxy.Verdict) { // the clock is read for the metrics in any case
		gateway.JudgeInto(v, request)
		_ = time.Now()
	}
	for _, c := range []struct {
		name string
		run  func(*proxy.Verdict)
	}{{"decision", decideAt}, {"decision and count", count}} {
		b.Run(c.name, func(b *testing.B) {
			v := new(proxy.Verdict)
			b.ReportAllocs()
			for b.Loop() {
				c.run(v)
			}
			if !v.Decision.Allowed() {
				b.Fatal(v.Decision.Reason)
			}
		})
		b.Run(c.name+" by all processors", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(p *testing.PB) {
				v := new(proxy.Verdict)
				for p.Next() {
					c.run(v)
				}
			})
		})
	}
}
