package redistest

import (
	"context"
	"errors"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"
)

// StartCluster starts a Redis Cluster of three masters, and returns its URL.
func StartCluster(tb testing.TB) (servers []*Server, url string) {
	tb.Helper()
	c := StartShards(tb)
	return c.Masters, c.URL()
}

// Shards are the masters of a Redis Cluster, which have the slots among them. A failover to
// a replica takes some seconds.
type Shards struct{ Masters []*Server }

const slots, masters = 16384, 3

// StartShards starts a Redis Cluster of three masters.
func StartShards(tb testing.TB) *Shards {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := new(Shards)
	for i := range masters {
		s := startShard(tb)
		if err := s.Client(tb).ClusterAddSlotsRange(ctx, i*slots/masters, (i+1)*slots/masters-1).Err(); err != nil {
			tb.Fatal(err)
		}
		c.Masters = append(c.Masters, s)
	}
	for _, s := range c.Masters[1:] {
		c.meet(tb, s)
	}
	for _, s := range c.Masters {
		awaitCluster(tb, s, "cluster_state:ok")
		awaitCluster(tb, s, "cluster_known_nodes:3")
	}
	return c
}

func startShard(tb testing.TB) *Server {
	tb.Helper()
	return Start(tb, "--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-allow-replica-migration", "no")
}

// URL is the cluster's, for a client.
func (c *Shards) URL() string {
	return "redis+cluster://" + c.Masters[0].Addr() + "?addr=" + c.Masters[1].Addr()
}

// Owner returns the master that has the slot of a key, and the slot.
func (c *Shards) Owner(tb testing.TB, key string) (*Server, int) {
	tb.Helper()
	ctx := context.Background()
	slot, err := c.Masters[0].Client(tb).ClusterKeySlot(ctx, key).Result()
	if err != nil {
		tb.Fatal(err)
	}
	port, err := masterOf(ctx, c.Masters[0].Client(tb), slot)
	for _, s := range c.Masters {
		if s.Port == port {
			return s, int(slot)
		}
	}
	tb.Fatalf("no master has the slot %d: it is at port %d, %v", slot, port, err)
	return nil, 0
}

// masterOf returns the port of the master that has a slot, as a server knows it; 0 for none.
func masterOf(ctx context.Context, client *redis.Client, slot int64) (port int, err error) {
	shards, err := client.ClusterShards(ctx).Result()
	for _, shard := range shards {
		for _, part := range shard.Slots {
			if slot < part.Start || slot > part.End {
				continue
			}
			for _, node := range shard.Nodes {
				if node.Role == "master" {
					return int(node.Port), nil
				}
			}
		}
	}
	return 0, err
}

// AddReplica starts a replica of a master, and returns when it has everything and the
// others know it.
func (c *Shards) AddReplica(tb testing.TB, master *Server) *Server {
	tb.Helper()
	ctx := context.Background()
	id, err := master.Client(tb).ClusterMyID(ctx).Result()
	if err != nil {
		tb.Fatal(err)
	}
	replica := startShard(tb)
	c.meet(tb, replica)
	awaitReply(tb, replica.Addr(), "OK", func(client *redis.Client) (string, error) { // it has to know the master first
		return client.ClusterReplicate(ctx, id).Result()
	})
	awaitReplication(tb, replica, "master_link_status:up")
	for _, s := range c.Masters {
		awaitCluster(tb, s, "cluster_known_nodes:4")
	}
	return replica
}

// MoveSlot gives a slot of one master to another, key by key, as a resharding does.
func (c *Shards) MoveSlot(tb testing.TB, slot int, from, to *Server) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	source, target := from.Client(tb), to.Client(tb)
	fromID, err1 := source.ClusterMyID(ctx).Result()
	toID, err2 := target.ClusterMyID(ctx).Result()
	if err := errors.Join(err1, err2,
		target.Do(ctx, "cluster", "setslot", slot, "importing", fromID).Err(),
		source.Do(ctx, "cluster", "setslot", slot, "migrating", toID).Err(),
	); err != nil {
		tb.Fatal(err)
	}
	for {
		keys, err := source.ClusterGetKeysInSlot(ctx, slot, 1).Result()
		if err == nil && len(keys) == 1 {
			err = source.Migrate(ctx, "127.0.0.1", strconv.Itoa(to.Port), keys[0], 0, patience).Err()
		}
		if err != nil {
			tb.Fatal(err)
		}
		if len(keys) == 0 {
			break
		}
	}
	for _, client := range []*redis.Client{target, source} {
		if err := client.Do(ctx, "cluster", "setslot", slot, "node", toID).Err(); err != nil {
			tb.Fatal(err)
		}
	}
	c.awaitOwner(tb, slot, to)
}

// awaitOwner waits until all masters know whose a slot is.
func (c *Shards) awaitOwner(tb testing.TB, slot int, owner *Server) {
	tb.Helper()
	for _, s := range c.Masters {
		awaitReply(tb, s.Addr(), strconv.Itoa(owner.Port), func(client *redis.Client) (string, error) {
			port, err := masterOf(context.Background(), client, int64(slot))
			return strconv.Itoa(port), err
		})
	}
}

// AwaitMaster waits until a replica has taken the place of its master.
func AwaitMaster(tb testing.TB, replica *Server) {
	tb.Helper()
	awaitReplication(tb, replica, "role:master")
	awaitCluster(tb, replica, "cluster_state:ok")
}

// AwaitReplica waits until a server that was a master follows the one that took its place.
func AwaitReplica(tb testing.TB, s *Server) {
	tb.Helper()
	awaitReplication(tb, s, "role:slave")
	awaitReplication(tb, s, "master_link_status:up")
}

func (c *Shards) meet(tb testing.TB, s *Server) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.Masters[0].Client(tb).ClusterMeet(ctx, "127.0.0.1", strconv.Itoa(s.Port)).Err(); err != nil {
		tb.Fatal(err)
	}
}

// awaitCluster waits until CLUSTER INFO has a text.
func awaitCluster(tb testing.TB, s *Server, want string) {
	tb.Helper()
	awaitReply(tb, s.Addr(), want, func(c *redis.Client) (string, error) { return c.ClusterInfo(context.Background()).Result() })
}
