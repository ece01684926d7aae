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
	awaitReplication(tb, replica, "master_link_status:up")
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

func awaitReplication(tb testing.TB, s *Server, want string) {
	tb.Helper()
	awaitAt(tb, s.Addr(), "replication", want)
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
