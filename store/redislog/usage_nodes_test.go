package redislog

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store/redislog/redistest"
	"github.com/scopegate/scopegate/usage"
)

// counter is a node that counts, and reaches Redis through a proxy of its own.
type counter struct {
	tb     testing.TB
	folder string
	proxy  *redistest.Proxy
	log    *Log
	offset time.Duration // by how much its clock is wrong

	ledger  *usage.Ledger
	counted map[string]uint64 // of each token, since it was last written down
}

const usageSecret = "the secret of those who count"

func newCounter(tb testing.TB, server *redistest.Server) *counter {
	tb.Helper()
	n := &counter{tb: tb, folder: tb.TempDir(), proxy: redistest.NewProxy(tb, server.Addr())}
	n.log = openLog(tb, n.proxy.URL())
	n.open()
	tb.Cleanup(func() { _ = n.ledger.Close() })
	return n
}

func (n *counter) path() string { return filepath.Join(n.folder, "usage.db") }

func (n *counter) now() time.Time { return time.Now().Add(n.offset) }

func (n *counter) open() {
	n.tb.Helper()
	var err error
	if n.ledger, err = usage.Open(n.path(), usage.Options{Now: n.now, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		n.tb.Fatal(err)
	}
	n.follow(n.log.Usage())
	n.counted = make(map[string]uint64)
}

func (n *counter) follow(e usage.Exchange) {
	n.tb.Helper()
	if err := n.ledger.Follow(e, usageSecret); err != nil {
		n.tb.Fatal(err)
	}
}

var countedAPI = &scopes.API{Name: "orders", Versions: []string{"v1"}, Operations: []scopes.Operation{{Name: "list"}}}

// count counts requests of a token.
func (n *counter) count(token string, requests int) {
	use := &usage.Use{
		Credential: scopes.DigestOf("credential-of-" + token), Token: token, API: countedAPI, Operation: &countedAPI.Operations[0],
		Version: "v1", Method: scopes.MethodOf("GET"), Reason: scopes.Allowed, Shadow: scopes.Allowed,
	}
	for range requests {
		n.ledger.Meter.Decided(use, n.now())
		n.ledger.Meter.Answered(use, 200, time.Millisecond, n.now())
	}
	n.counted[token] += uint64(requests)
}

// flush writes down what was counted, and adds it to all that is.
func (n *counter) flush(all map[string]uint64) {
	n.tb.Helper()
	if err := n.ledger.Flush(); err != nil {
		n.tb.Fatal(err)
	}
	for token, requests := range n.counted {
		all[token] += requests
	}
	clear(n.counted)
}

func (n *counter) sync() {
	n.tb.Helper()
	if err := n.ledger.Sync(context.Background()); err != nil {
		n.tb.Fatal(err)
	}
}

// copyOf returns a copy of the node's file: bbolt has it whole on the disk between writes.
func (n *counter) copyOf() []byte {
	n.tb.Helper()
	content, err := os.ReadFile(n.path())
	if err != nil {
		n.tb.Fatal(err)
	}
	return content
}

// startFrom ends the node as a crash does, and starts it with a file.
func (n *counter) startFrom(content []byte) {
	n.tb.Helper()
	_ = n.ledger.Close() // what this writes is in a folder that nobody looks into again
	n.folder = n.tb.TempDir()
	if err := os.WriteFile(n.path(), content, 0o600); err != nil {
		n.tb.Fatal(err)
	}
	n.open()
}

// totals returns what a node has counted of each key, and of each token.
func (n *counter) totals() (keys map[usage.Key]usage.Counts, tokens map[string]uint64) {
	n.tb.Helper()
	keys, tokens = make(map[usage.Key]usage.Counts), make(map[string]uint64)
	if err := n.ledger.Each(usage.Query{To: time.Now().AddDate(100, 0, 0)}, func(s *usage.Sample) {
		c := keys[*s.Key]
		c.Add(s.Counts)
		keys[*s.Key] = c
		tokens[s.Key.Token] += s.Counts.Requests
	}); err != nil {
		n.tb.Fatal(err)
	}
	return keys, tokens
}

// exchangeAll lets nodes exchange until all must have the same.
func exchangeAll(nodes []*counter) {
	const rounds = 4
	for range rounds {
		for _, n := range nodes {
			n.sync()
		}
	}
}

// mustHave fails unless all nodes have counted the same, and that.
func mustHave(tb testing.TB, nodes []*counter, want map[string]uint64) {
	tb.Helper()
	first, _ := nodes[0].totals()
	for i, n := range nodes {
		keys, tokens := n.totals()
		if !maps.Equal(keys, first) {
			tb.Errorf("node %d has other counts than node 0", i)
		}
		if !maps.Equal(tokens, want) {
			tb.Errorf("node %d: %s", i, difference(tokens, want))
		}
	}
}

func difference(got, want map[string]uint64) string {
	var gotAll, wantAll uint64
	wrong := ""
	for token, n := range want {
		wantAll += n
		if got[token] != n && wrong == "" {
			wrong = fmt.Sprintf("%s has %d requests instead of %d", token, got[token], n)
		}
	}
	for _, n := range got {
		gotAll += n
	}
	return fmt.Sprintf("%d tokens with %d requests, want %d with %d; %s", len(got), gotAll, len(want), wantAll, wrong)
}

// TestUsageUnderFaults: three nodes count more than a million requests while replies are lost,
// Redis forgets everything, and nodes crash, lose the last of their files, and have wrong clocks.
// In the end all have the same, and it is what was counted, but for what a node had not written
// down when it crashed.
func TestUsageUnderFaults(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendfsync", "no")
	client := server.Client(t)
	nodes := []*counter{newCounter(t, server), newCounter(t, server), newCounter(t, server)}
	saved := make([][]byte, len(nodes))
	random := rand.New(rand.NewPCG(5, 5)) // the same each time
	all, done := make(map[string]uint64), make(map[string]int)
	for range 150 {
		at := random.IntN(len(nodes))
		n := nodes[at]
		if len(n.counted) > 200 { // a meter that nobody reads is full some time
			n.flush(all)
		}
		for range random.IntN(200) {
			n.count(fmt.Sprintf("tok_%d", random.IntN(3000)), 1+random.IntN(200))
		}
		what := []string{"flush", "flush", "sync", "sync", "lost replies", "cut off", "forgets", "crash", "older file", "clock"}[random.IntN(10)]
		done[what]++
		switch what {
		case "flush":
			n.flush(all)
		case "sync":
			n.flush(all)
			_ = n.ledger.Sync(t.Context()) // Redis may just have lost something
		case "lost replies":
			n.flush(all)
			n.proxy.Mute()
			syncUntil(n, time.Duration(random.IntN(30))*time.Millisecond)
		case "cut off":
			n.flush(all)
			syncUntil(n, time.Duration(random.IntN(30))*time.Millisecond)
		case "forgets":
			n.flush(all)
			forgetDuring(t, n, func() { client.FlushAll(context.Background()) }, time.Duration(random.IntN(30))*time.Millisecond)
		case "crash":
			n.startFrom(n.copyOf())
		case "older file":
			older := saved[at]
			n.flush(all)
			saved[at] = n.copyOf()
			for _, other := range nodes {
				other.offset = 0 // whose clock is far ahead keeps what others have passed to himself
			}
			if exchangeAll(nodes); older != nil { // the others have what it is about to lose
				n.startFrom(older)
			}
		case "clock":
			const day = 24 * time.Hour
			n.offset = []time.Duration{0, -2 * day, -time.Hour, 3 * day, 40 * day, 300 * day}[random.IntN(6)]
		}
	}
	late := newCounter(t, server)
	nodes = append(nodes, late)
	for _, n := range nodes {
		n.offset = 0
		n.flush(all)
	}
	exchangeAll(nodes)
	t.Logf("what was done: %v; %s", done, difference(all, all))
	mustHave(t, nodes, all)
}

// syncUntil lets a node exchange, and cuts it off while it does.
func syncUntil(n *counter, after time.Duration) {
	var syncing sync.WaitGroup
	syncing.Go(func() { _ = n.ledger.Sync(context.Background()) })
	rest(context.Background(), after)
	n.proxy.Cut()
	syncing.Wait()
	n.proxy.Mend()
}

// forgetDuring makes Redis forget while a node exchanges.
func forgetDuring(tb testing.TB, n *counter, forget func(), after time.Duration) {
	tb.Helper()
	var syncing sync.WaitGroup
	syncing.Go(func() { _ = n.ledger.Sync(context.Background()) })
	rest(context.Background(), after)
	forget()
	syncing.Wait()
}
