package caddymodule_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scopegate/scopegate/reports"
	"github.com/scopegate/scopegate/store/redislog/redistest"
	counting "github.com/scopegate/scopegate/usage"
)

// countingNode is a gateway of several that count, and what was sent to it.
type countingNode struct {
	*gateway
	proxy   *redistest.Proxy
	running sync.RWMutex // is held for writing while there is no process

	mu   sync.Mutex // guards what follows
	sent []time.Time
}

// send sends a request of a token. Whether it is answered does not matter.
func (n *countingNode) send(ctx context.Context, client *http.Client, token string) {
	n.running.RLock()
	defer n.running.RUnlock()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, n.url("/raw/"+token), nil)
	if err != nil {
		return
	}
	request.Header.Set("Authorization", "Bearer "+secretOf(token))
	n.mu.Lock()
	n.sent = append(n.sent, time.Now())
	n.mu.Unlock()
	if response, err := client.Do(request); err == nil {
		_ = response.Body.Close()
	}
}

// sentAfter returns how many requests were sent to the node after a moment.
func (n *countingNode) sentAfter(moment time.Time) (count uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, at := range n.sent {
		if at.After(moment) {
			count++
		}
	}
	return count
}

// reported returns how many requests were let through, by the report of the node.
func (n *countingNode) reported(t *testing.T) map[string]uint64 {
	t.Helper()
	var report reports.UsageReport
	if out := mustRun(t, n.gateway, "report", "usage", "--json"); json.Unmarshal([]byte(out.stdout), &report) != nil {
		t.Fatalf("the report is %s", out.stdout)
	}
	counts := make(map[string]uint64)
	for _, token := range report.Tokens {
		counts[token.Token] = token.Requests - token.Denied
	}
	return counts
}

// countingFleet are gateways on one Redis in front of one upstream, which counts too.
type countingFleet struct {
	redis    *redistest.Server
	upstream *echo
	nodes    []*countingNode
	arrived  map[string]uint64 // at the upstream, of each token
}

var countedTokens = []string{"writer", "other"}

func startCounting(t *testing.T, nodes int) *countingFleet {
	t.Helper()
	f := &countingFleet{redis: redistest.Start(t), upstream: startEcho(t), arrived: make(map[string]uint64)}
	for i := range nodes {
		proxy := redistest.NewProxy(t, f.redis.Addr())
		f.nodes = append(f.nodes, &countingNode{gateway: startGateway(t, clusterCaddyfile(proxy.URL(), fmt.Sprint("node-", i)), ""), proxy: proxy})
	}
	first := f.nodes[0]
	writeFile(t, first.scopes, clusterScopes(f.upstream.url()))
	poll(t, "the first node to join", func() bool { return first.scopegate(t, "apply", first.scopes, "--wait", "30s").code == 0 })
	for _, n := range f.nodes {
		awaitStatus(t, n.gateway, secretOf("writer"), http.StatusOK)
	}
	f.collect()
	return f
}

// collect adds what has arrived at the upstream.
func (f *countingFleet) collect() {
	for _, r := range f.upstream.take() {
		token := "writer" // whom the tests ask for whether a node decides
		for _, name := range countedTokens {
			if r.request != nil && strings.HasSuffix(r.request.URL.Path, "/"+name) {
				token = name
			}
		}
		f.arrived["acme/"+token]++
	}
}

// load sends requests to all nodes, each of several clients to one, and calls meanwhile
// while they are sent.
func (f *countingFleet) load(ctx context.Context, requests int, meanwhile func()) {
	const clients = 2
	var working sync.WaitGroup
	for _, n := range f.nodes {
		for range clients {
			working.Go(func() {
				client := &http.Client{Transport: &http.Transport{}, Timeout: patience}
				defer client.CloseIdleConnections()
				for i := range requests / clients / len(f.nodes) {
					n.send(ctx, client, countedTokens[i%3%2]) // two of three are the first's
				}
			})
		}
	}
	sending, sent := context.WithCancel(ctx)
	var collecting sync.WaitGroup
	collecting.Go(func() {
		for sending.Err() == nil { // a million requests are many to keep
			rest(sending, 100*time.Millisecond)
			f.collect()
		}
	})
	meanwhile()
	working.Wait()
	sent()
	collecting.Wait()
	f.collect()
}

// TestUsageOfSeveralNodes: three gateways count what passes them, while replies of Redis are
// lost, one is cut off, Redis loses everything, and one is killed. In the end each reports
// what has arrived at the upstream, but for what the killed one had not written down.
// SCOPEGATE_SOAK=1 sends a million requests.
func TestUsageOfSeveralNodes(t *testing.T) {
	t.Parallel()
	requests := 20_000
	if os.Getenv("SCOPEGATE_SOAK") != "" {
		requests = 1_000_000
	}
	ctx, f := t.Context(), startCounting(t, 3)
	killed := f.nodes[0]
	f.load(ctx, requests/4, func() {
		f.nodes[1].proxy.Mute()
		rest(ctx, time.Second)
		f.nodes[1].proxy.Cut()
		f.nodes[1].proxy.Mend()
		f.redis.Client(t).FlushAll(ctx)
		f.nodes[2].proxy.Cut()
		rest(ctx, time.Second)
		f.nodes[2].proxy.Mend()
	})
	killed.reported(t) // all until here is written down
	written := time.Now()
	var died time.Time
	f.load(ctx, requests/4, func() {
		rest(ctx, time.Second)
		killed.kill()
		died = time.Now()
		killed.running.Lock()
		defer killed.running.Unlock()
		if err := killed.run(); err != nil {
			t.Error(err)
		}
	})
	awaitStatus(t, killed.gateway, secretOf("writer"), http.StatusOK)
	f.load(ctx, requests/2, func() {
		f.redis.Client(t).FlushAll(ctx)
		rest(ctx, time.Second)
		f.redis.Kill()
		f.redis.Run(t)
	})
	lost := killed.sentAfter(latest(written, died.Add(-counting.FlushInterval-time.Second))) - killed.sentAfter(died)
	f.awaitCounts(t, lost)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// awaitCounts waits until all nodes report the same, and looks whether it is what has
// arrived but for at most what may be lost.
func (f *countingFleet) awaitCounts(t *testing.T, mayBeLost uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience) // several intervals
	defer cancel()
	var reported map[string]uint64
	for agreed := false; !agreed; {
		if rest(ctx, time.Second); ctx.Err() != nil {
			t.Fatal("the nodes do not come to report the same")
		}
		f.collect()
		agreed = true
		reported = f.nodes[0].reported(t)
		for _, n := range f.nodes[1:] {
			got := n.reported(t)
			for token, count := range reported {
				agreed = agreed && got[token] == count && got[token]+mayBeLost >= f.arrived[token]
			}
		}
	}
	var lost uint64
	for token, arrived := range f.arrived {
		if reported[token] > arrived {
			t.Errorf("%s: %d requests are reported, and %d have arrived", token, reported[token], arrived)
		}
		lost += arrived - reported[token]
	}
	t.Logf("arrived: %v; %d were lost, %d could be", f.arrived, lost, mayBeLost)
	if lost > mayBeLost {
		t.Errorf("%d requests are not reported, of which at most %d may be lost", lost, mayBeLost)
	}
}
