package redislog

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/scopegate/scopegate/store/redislog/redistest"
	"github.com/scopegate/scopegate/usage"
)

// intruder can write to Redis, and does not know the nodes' secret.
type intruder struct {
	tb     testing.TB
	client *redis.Client
	index  string
	name   string            // of the only shelf
	before map[string]string // its rows, some time ago
	mark   string            // its mark then
}

func newIntruder(tb testing.TB, server *redistest.Server) *intruder {
	tb.Helper()
	i := &intruder{tb: tb, client: server.Client(tb), index: "{scopegate}:usage"}
	for name, mark := range i.hash(i.index) {
		i.name, i.mark = name, mark
	}
	i.before = i.hash(i.rows())
	return i
}

func (i *intruder) rows() string { return i.index + ":" + i.name }

func (i *intruder) hash(key string) map[string]string {
	i.tb.Helper()
	all, err := i.client.HGetAll(context.Background(), key).Result()
	if err != nil || len(all) == 0 {
		i.tb.Fatalf("%s: %v, %v", key, all, err)
	}
	return all
}

// set makes a hash what it is given.
func (i *intruder) set(key string, all map[string]string) {
	i.tb.Helper()
	ctx := context.Background()
	if err := i.client.Del(ctx, key).Err(); err != nil {
		i.tb.Fatal(err)
	}
	if err := i.client.HSet(ctx, key, all).Err(); err != nil {
		i.tb.Fatal(err)
	}
}

// change changes the rows.
func (i *intruder) change(change func(rows map[string]string, keys []string)) {
	i.tb.Helper()
	rows := i.hash(i.rows())
	change(rows, slices.Sorted(maps.Keys(rows)))
	i.set(i.rows(), rows)
}

const huge = "\xff\xff\xff\xff\xff\xff\xff\xff"

// attacks is what an intruder may do to the rows of a shelf.
var attacks = map[string]func(*intruder){
	"nothing": func(*intruder) {},
	"a value is changed": func(i *intruder) {
		i.change(func(rows map[string]string, keys []string) {
			b := []byte(rows[keys[0]])
			b[12] ^= 1
			rows[keys[0]] = string(b)
		})
	},
	"a number is raised": func(i *intruder) {
		i.change(func(rows map[string]string, keys []string) { rows[keys[0]] = huge + rows[keys[0]][8:] })
	},
	"every number is raised": func(i *intruder) {
		i.change(func(rows map[string]string, keys []string) {
			for _, key := range keys {
				rows[key] = huge + rows[key][8:]
			}
		})
	},
	"rows are made up": func(i *intruder) {
		i.change(func(rows map[string]string, keys []string) {
			for n := range 100 {
				rows[fmt.Sprint("made up ", n)] = rows[keys[n%len(keys)]]
			}
			rows["short"], rows["empty"] = "x", ""
		})
	},
	"rows are swapped": func(i *intruder) {
		i.change(func(rows map[string]string, keys []string) {
			rows[keys[0]], rows[keys[1]] = rows[keys[1]], rows[keys[0]]
		})
	},
	"a row is dropped": func(i *intruder) {
		i.change(func(rows map[string]string, keys []string) { delete(rows, keys[0]) })
	},
	"all rows are dropped": func(i *intruder) { i.client.Del(context.Background(), i.rows()) },
	"a row is as it was": func(i *intruder) {
		i.change(func(rows map[string]string, keys []string) { rows[keys[0]] = i.before[keys[0]] })
	},
	"all rows are as they were": func(i *intruder) { i.set(i.rows(), i.before) },
	"all is as it was": func(i *intruder) {
		i.set(i.rows(), i.before)
		i.client.HSet(context.Background(), i.index, i.name, i.mark)
	},
	"the mark is as it was": func(i *intruder) { i.client.HSet(context.Background(), i.index, i.name, i.mark) },
	"the mark is made up": func(i *intruder) {
		i.client.HSet(context.Background(), i.index, i.name, encodeMark(&usage.Mark{Seq: math.MaxUint64}))
	},
	"the mark is gone": func(i *intruder) { i.client.Del(context.Background(), i.index) },
	"the rows are on another shelf too": func(i *intruder) {
		s, _ := shelfOf(i.name)
		for _, other := range []usage.Shelf{{Day: s.Day - 1, Origin: s.Origin}, {Day: s.Day + 1, Origin: s.Origin}, {Day: s.Day, Origin: "abcdef012345"}} {
			i.set(i.index+":"+nameOf(other), i.hash(i.rows()))
			i.client.HSet(context.Background(), i.index, nameOf(other), i.mark)
		}
	},
}

// TestUsageUnderAttack: whoever writes to Redis makes no node count what was not, and takes
// away nothing that a node has. Once he stops, all nodes have the same again.
func TestUsageUnderAttack(t *testing.T) {
	t.Parallel()
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, "--appendonly", "no")
			one, two := newCounter(t, server), newCounter(t, server)
			all := make(map[string]uint64)
			count := func() {
				for token := range 20 {
					one.count(fmt.Sprintf("tok_%d", token), token+1)
				}
				one.flush(all)
				one.sync()
			}
			count()
			enemy := newIntruder(t, server)
			two.sync()
			for range 3 {
				count()
				attack(enemy)
				late := newCounter(t, server)
				for i, n := range []*counter{two, late, two, late, one, late} {
					_ = n.ledger.Sync(context.Background())
					_, tokens := n.totals()
					for token, requests := range tokens {
						if requests > all[token] {
							t.Fatalf("at %d: a node has %d requests of %s, and %d were counted", i, requests, token, all[token])
						}
					}
				}
				mustHave(t, []*counter{one}, all)
			}
			count()
			late := newCounter(t, server)
			nodes := []*counter{one, two, late}
			exchangeAll(nodes)
			mustHave(t, nodes, all)
		})
	}
}

// TestUsageOfOtherSecret: a node that does not know the secret is told nothing that it would
// count, and has nothing to tell.
func TestUsageOfOtherSecret(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "no")
	one, two, stranger := newCounter(t, server), newCounter(t, server), newCounter(t, server)
	if err := stranger.ledger.Follow(stranger.log.Usage(), "another secret, which nobody told"); err != nil {
		t.Fatal(err)
	}
	all, theirs := make(map[string]uint64), make(map[string]uint64)
	one.count("tok_a", 5)
	stranger.count("tok_a", 7)
	one.flush(all)
	stranger.flush(theirs)
	exchangeAll([]*counter{one, stranger, two})
	mustHave(t, []*counter{one, two}, all)
	mustHave(t, []*counter{stranger}, theirs)
}
