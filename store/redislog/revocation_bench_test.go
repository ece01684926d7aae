package redislog

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/scopegate/scopegate/store"
	"github.com/scopegate/scopegate/store/redislog/redistest"
)

// deaf is a sequencer whose messages never arrive.
type deaf struct{ store.Sequencer }

func (deaf) Wakeups() <-chan []store.Keyed { return nil }

// BenchmarkRevocation measures how long it takes from an acknowledged revocation to the
// last of eight nodes that refuses: if they are told of it, and if no message arrives. The
// whole, from when it was asked for, is there too: most nodes refuse before that is over.
func BenchmarkRevocation(b *testing.B) {
	b.Run("told", func(b *testing.B) { benchmarkRevocation(b, nil) })
	b.Run("no messages", func(b *testing.B) {
		benchmarkRevocation(b, func(s store.Sequencer) store.Sequencer { return deaf{s} })
	})
}

func benchmarkRevocation(b *testing.B, wrap func(store.Sequencer) store.Sequencer) {
	b.Helper()
	server := redistest.Start(b)
	const count = 8
	c := &checker{nodes: newFaultNodes(b, server, count, faultStaleness, wrap)}
	awaitAgreement(b, c.nodes)
	ctx, random := b.Context(), rand.New(rand.NewPCG(1, 1)) // the same each time
	var took, whole []time.Duration
	for i := 0; b.Loop(); i++ {
		c.create(ctx, random, i)
		r := c.live[len(c.live)-1]
		for _, n := range c.nodes {
			n.await(b, r.digest, true)
		}
		awaitAgreement(b, c.nodes) // they are done with what was before
		asked := time.Now()
		if _, err := c.nodes[i%count].store.Deactivate(ctx, store.Actor{Name: "test"}, r.ref); err != nil {
			b.Fatal(err)
		}
		begin := time.Now()
		for _, n := range c.nodes {
			n.await(b, r.digest, false)
		}
		took, whole = append(took, time.Since(begin)), append(whole, time.Since(asked))
	}
	reportPercentiles(b, took, "")
	reportPercentiles(b, whole, "whole-")
}

func reportPercentiles(b *testing.B, took []time.Duration, prefix string) {
	b.Helper()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), prefix+"p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), prefix+"p99-µs")
	b.ReportMetric(float64(took[len(took)-1].Microseconds()), prefix+"max-µs")
}
