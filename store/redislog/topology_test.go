package redislog

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/store"
	"github.com/scopegate/scopegate/store/redislog/redistest"
)

// commitUntil makes a change as often as it takes, as the store does.
func commitUntil(tb testing.TB, l *Log, c *store.Commit) {
	tb.Helper()
	deadline := time.Now().Add(30 * time.Second)
	err := l.Commit(context.Background(), c)
	for err != nil && time.Now().Before(deadline) {
		err = l.Commit(context.Background(), c)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// A failover of Sentinel is an interruption, and no more: the replica takes over what the
// master had, and whoever listens is woken.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	master, replica, url := redistest.StartSentinel(t)
	l, other := openLog(t, url), openLog(t, url)
	awaitWakeup(t, other, "the subscription")
	one, two := headAt("e1", 1, 'a'), headAt("e1", 2, 'a')
	commitUntil(t, l, &store.Commit{Next: one, NewEpoch: true, Changed: []store.Keyed{{Key: "tA", Value: []byte("a")}}})
	awaitWakeup(t, other, "a change")
	client := replica.Client(t)
	for client.HGet(context.Background(), "{scopegate}:head", "revision").Val() != "1" { // it has been replicated
		if t.Context().Err() != nil {
			t.Fatal("the replica does not get it")
		}
	}
	master.Kill()
	commitUntil(t, l, &store.Commit{Base: one, Next: two, Changed: []store.Keyed{{Key: "tB", Value: []byte("b")}}})
	for {
		awaitWakeup(t, other, "after the failover")
		p, err := other.Pull(context.Background(), one.Position, report("node_2"))
		if err != nil {
			continue
		}
		if p.Verdict != store.PullOK || p.Head != two || len(p.Changed) != 1 {
			t.Fatalf("got %+v", p)
		}
		return
	}
}

func TestRedisCluster(t *testing.T) {
	t.Parallel()
	_, url := redistest.StartCluster(t)
	l, other := openLog(t, url), openLog(t, url)
	awaitWakeup(t, other, "the subscription")
	one, two := headAt("e1", 1, 'a'), headAt("e1", 2, 'a')
	commitUntil(t, l, &store.Commit{Next: one, NewEpoch: true, Changed: []store.Keyed{{Key: "tA", Value: []byte("a")}}})
	awaitWakeup(t, other, "a change")
	commitUntil(t, other, &store.Commit{Base: one, Next: two, Changed: []store.Keyed{{Key: "tB", Value: []byte("b")}}})
	if p := pull(t, l, one.Position); p.Verdict != store.PullOK || p.Head != two || len(p.Changed) != 1 {
		t.Errorf("got %+v", p)
	}
	if nodes, err := other.Nodes(context.Background()); err != nil || len(nodes) != 1 {
		t.Errorf("Nodes: %+v, %v", nodes, err)
	}
	count := 0
	if err := l.Scan(context.Background(), func(some []store.Keyed) error { count += len(some); return nil }); err != nil || count != 2 {
		t.Errorf("Scan: %d, %v", count, err)
	}
	if err := put(t, l.Usage(), today(), 1, sharedRow("a", 1, "")); err != nil || len(get(t, other.Usage(), today())) != 1 || len(shelves(t, other.Usage())) != 1 {
		t.Errorf("leaving what was counted: %v", err)
	}
}

// Two clusters on one Redis know nothing of each other.
func TestNamespaces(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	logs := make([]*Log, 2)
	for i, namespace := range []string{"one", "two"} {
		var err error
		if logs[i], err = Open(Options{URL: server.URL(), Namespace: namespace}); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = logs[i].Close() }()
	}
	mustCommit(t, logs[0], &store.Commit{Next: headAt("e1", 1, 'a'), NewEpoch: true, Changed: []store.Keyed{{Key: "tA", Value: []byte("a")}}})
	if p := pull(t, logs[1], store.Position{}); p.Verdict != store.PullEmpty {
		t.Errorf("the other namespace has %+v", p)
	}
}

// In a Redis Cluster, these rights are enough beyond those of a single server.
func TestClusterRights(t *testing.T) {
	t.Parallel()
	servers, url := redistest.StartCluster(t)
	for _, s := range servers {
		rights := rightsOf("scopegate", baseRights+" +cluster|slots +cluster|shards +command +readonly")
		if err := s.Client(t).Do(context.Background(), rights...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	l := openLog(t, strings.Replace(url, "://", "://scopegate:secret-of-redis@", 1))
	awaitWakeup(t, l, "the subscription")
	pull(t, l, store.Position{})
	mustCommit(t, l, &store.Commit{Next: headAt("e1", 1, 'a'), NewEpoch: true})
	awaitWakeup(t, l, "a change")
}
