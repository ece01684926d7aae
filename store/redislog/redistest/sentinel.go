package redistest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// patience bounds every wait.
const patience = 30 * time.Second

// StartSentinel starts a master, a replica and three sentinels that watch them, and returns
// the two servers and the URL of the sentinels. A failover takes about a second.
func StartSentinel(tb testing.TB) (master, replica *Server, url string) {
	tb.Helper()
	const name = "mymaster"
	master = Start(tb)
	replica = Start(tb, "--replicaof", "127.0.0.1 "+strconv.Itoa(master.Port))
	awaitInfo(tb, replica, "replication", "master_link_status:up")
	var addrs []string
	for range 3 {
		addrs = append(addrs, startSentinel(tb, fmt.Sprintf(`sentinel monitor %[1]s 127.0.0.1 %[2]d 2
sentinel down-after-milliseconds %[1]s 500
sentinel failover-timeout %[1]s 2000
`, name, master.Port)))
	}
	for _, addr := range addrs { // each knows the replica and both others
		awaitAt(tb, addr, "sentinel", "slaves=1,sentinels=3")
	}
	return master, replica, fmt.Sprintf("redis+sentinel://%s/0?master_name=%s&addr=%s&addr=%s", addrs[0], name, addrs[1], addrs[2])
}

// startSentinel starts a sentinel with a configuration, and returns its address.
func startSentinel(tb testing.TB, config string) string {
	tb.Helper()
	s := &Server{Port: freePort(tb), folder: tb.TempDir()}
	path := filepath.Join(s.folder, "sentinel.conf") // the sentinel writes to it
	if err := os.WriteFile(path, fmt.Appendf(nil, "port %d\nbind 127.0.0.1\ndir %s\n%s", s.Port, s.folder, config), 0o600); err != nil {
		tb.Fatal(err)
	}
	s.launch(tb, path, "--sentinel")
	tb.Cleanup(s.Kill)
	return s.Addr()
}

// StartCluster starts a Redis Cluster of three masters, and returns its URL.
func StartCluster(tb testing.TB) (servers []*Server, url string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	const slots, masters = 16384, 3
	for i := range masters {
		s := Start(tb, "--cluster-enabled", "yes", "--cluster-node-timeout", "1000")
		if err := s.Client(tb).ClusterAddSlotsRange(ctx, i*slots/masters, (i+1)*slots/masters-1).Err(); err != nil {
			tb.Fatal(err)
		}
		servers = append(servers, s)
	}
	for _, s := range servers[1:] {
		if err := servers[0].Client(tb).ClusterMeet(ctx, "127.0.0.1", strconv.Itoa(s.Port)).Err(); err != nil {
			tb.Fatal(err)
		}
	}
	for _, s := range servers {
		awaitReply(tb, s.Addr(), "cluster_state:ok", func(c *redis.Client) (string, error) { return c.ClusterInfo(ctx).Result() })
		awaitReply(tb, s.Addr(), "cluster_known_nodes:3", func(c *redis.Client) (string, error) { return c.ClusterInfo(ctx).Result() })
	}
	return servers, "redis+cluster://" + servers[0].Addr() + "?addr=" + servers[1].Addr()
}

func awaitInfo(tb testing.TB, s *Server, section, want string) {
	tb.Helper()
	awaitAt(tb, s.Addr(), section, want)
}

// awaitAt waits until a section of INFO has a text.
func awaitAt(tb testing.TB, addr, section, want string) {
	tb.Helper()
	awaitReply(tb, addr, want, func(c *redis.Client) (string, error) { return c.Info(context.Background(), section).Result() })
}

// awaitReply waits until a reply has a text in it.
func awaitReply(tb testing.TB, addr, want string, ask func(*redis.Client) (string, error)) {
	tb.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
	defer func() { _ = client.Close() }()
	deadline := time.After(patience)
	for {
		got, err := ask(client)
		if err == nil && strings.Contains(got, want) {
			return
		}
		select {
		case <-deadline:
			tb.Fatalf("%s: got %s, %v; want %s", addr, got, err, want)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
