// Package redislog is what several nodes have in common, in a Redis. It puts the changes of
// all nodes into one order: a [store.Sequencer] that keeps the head, the records and a log of
// the changes in Redis, and changes them with scripts, each of which Redis runs as a whole.
// It adds up what the nodes take of tokens' limits: a [limits.Exchange]. And it keeps what
// they have counted: a [usage.Exchange]. And it says who of them sends which message to people:
// a [notify.Exchange].
//
// All keys have one hash tag, the namespace, so that they are in one slot of a Redis Cluster:
//
//	{namespace}:head     hash      the state after the last change
//	{namespace}:records  hash      every record, sealed by the node that wrote it
//	{namespace}:log      stream    which records each of the last changes has changed
//	{namespace}:nodes    hash      what the nodes tell of themselves
//	{namespace}:aside    hash      records that will take the place of all, while they are sent
//	{namespace}:filling  hash      for which change that is done; it ends by itself, as does aside
//	{namespace}:wake     channel   a message after each change: empty, or what was changed by a revocation
//	{namespace}:limits:… strings   what was taken of tokens' limits, for as long as it counts
//	{namespace}:usage    hash      the shelves of what was counted, and the mark of each
//	{namespace}:usage:…  hashes    the rows of a shelf, for as long as they are exchanged
//	{namespace}:messages hash      how much is known of messages
//	{namespace}:messages:…  hashes what people were told, and the messages that are being sent
//
// Redis 7.0 is the oldest that is tested. It must not evict keys. A user of these rights is
// enough:
//
//	ACL SETUSER scopegate on >password resetkeys ~{namespace}:* resetchannels &{namespace}:wake
//	    -@all +eval +evalsha +script|load +time +get +set +hset +hget +hmget +hdel +hlen +hgetall +hscan +del
//	    +unlink +rename +pexpire +expireat +persist +xadd +xrange +publish +subscribe +unsubscribe +ping +info +hello +auth +select
//
// In a Redis Cluster also +cluster|slots +cluster|shards +command +readonly.
package redislog

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/scopegate/scopegate/limits"
	"github.com/scopegate/scopegate/store"
)

// Options say where the Redis is.
type Options struct {
	// URL is redis:// or rediss://, as in redis://user:password@host:6379/0; with
	// redis+sentinel:// the hosts are sentinels and ?master_name=NAME is needed, with
	// redis+cluster:// they are some of a cluster's. More hosts are &addr=host:port.
	URL string
	// Namespace is what the keys begin with: clusters with different ones can share a
	// Redis. Default: scopegate.
	Namespace string
	TLS       TLS          // for a URL with rediss
	Logger    *slog.Logger // nil: nothing is logged
}

// DefaultNamespace is the namespace where none is named.
const DefaultNamespace = "scopegate"

// Log is a history of changes in a Redis. It is safe for concurrent use.
type Log struct {
	client  redis.UniversalClient
	keys    keys
	logger  *slog.Logger
	checked atomic.Bool // the server is fit for use
	wakeups chan []store.Keyed
	cancel  context.CancelFunc
	done    chan struct{}
}

// keys are the names of the keys, and of limits what they begin with.
type keys struct{ head, records, log, nodes, filling, aside, channel, limits, usage, messages string }

// Open returns the history in a Redis. It connects in the background, so that a Redis that
// is down is no error here. The error says what is wrong with the options, and has no
// password in it.
func Open(o Options) (*Log, error) {
	client, err := newClient(o.URL, o.TLS)
	if err != nil {
		return nil, err
	}
	if o.Namespace == "" {
		o.Namespace = DefaultNamespace
	}
	if strings.ContainsAny(o.Namespace, "{}") {
		return nil, fmt.Errorf("redislog: the namespace %q has a brace; use letters, digits and dashes", o.Namespace)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	quieten()
	prefix := "{" + o.Namespace + "}:"
	ctx, cancel := context.WithCancel(context.Background())
	l := &Log{
		client: client, logger: o.Logger, cancel: cancel, wakeups: make(chan []store.Keyed, manyWakeups), done: make(chan struct{}),
		keys: keys{
			head: prefix + "head", records: prefix + "records", log: prefix + "log", nodes: prefix + "nodes",
			filling: prefix + "filling", aside: prefix + "aside", channel: prefix + "wake", limits: prefix + "limits:", usage: prefix + "usage",
			messages: prefix + "messages",
		},
	}
	go l.listen(ctx)
	return l, nil
}

// quieten keeps the client from writing lines of its own to standard error, one for each
// connection that it cannot make: what is wrong is in the errors, and in the store's log.
var quieten = sync.OnceFunc(func() { redis.SetLogger(silence{}) })

type silence struct{}

// Printf implements the client's logger.
func (silence) Printf(context.Context, string, ...any) {}

// Close ends all connections.
func (l *Log) Close() error {
	l.cancel()
	<-l.done
	if err := l.client.Close(); err != nil {
		return fmt.Errorf("redislog: %w", err)
	}
	return nil
}

// oldest is the oldest Redis that is tested.
const oldest = 7

// check refuses a server that would lose records by itself, or lacks what is needed.
func (l *Log) check(ctx context.Context) error {
	if l.checked.Load() {
		return nil
	}
	info, err := l.info(ctx)
	switch {
	case isReply(err):
		l.logger.Warn("it cannot be seen whether this Redis is fit for use, for INFO is not allowed: its version must be 7.0 at least, "+
			"and its maxmemory-policy noeviction", "error", err)
		l.checked.Store(true)
		return nil
	case err != nil:
		return fail(err)
	}
	fields := fieldsOf(info)
	major, _, _ := strings.Cut(fields["redis_version"], ".")
	if n, err := strconv.Atoi(major); err == nil && n < oldest {
		return fmt.Errorf("%w: this Redis is %s; 7.0 is the oldest that works", store.ErrUnreachable, fields["redis_version"])
	}
	if policy := fields["maxmemory_policy"]; policy != "" && policy != "noeviction" {
		return fmt.Errorf("%w: this Redis throws records away when its memory is full: set maxmemory-policy to noeviction, it is %s",
			store.ErrUnreachable, policy)
	}
	l.checked.Store(true)
	return nil
}

// fieldsOf reads what INFO answers.
func fieldsOf(info string) map[string]string {
	fields := make(map[string]string)
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		fields[name] = value
	}
	return fields
}

// fail says that nothing came of a call.
func fail(err error) error { return fmt.Errorf("%w: Redis: %w", store.ErrUnreachable, err) }

// info asks the server that has the keys, which in a cluster is one of many.
func (l *Log) info(ctx context.Context) (string, error) {
	const server, memory = "server", "memory"
	cluster, ok := l.client.(*redis.ClusterClient)
	if !ok {
		return l.client.Info(ctx, server, memory).Result()
	}
	node, err := cluster.MasterForKey(ctx, l.keys.head)
	if err != nil {
		return "", err
	}
	return node.Info(ctx, server, memory).Result()
}

var (
	_ store.Sequencer = (*Log)(nil)
	_ limits.Exchange = (*Log)(nil)
)
