package redislog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/scopegate/scopegate/store"
	"github.com/scopegate/scopegate/store/redislog/redistest"
)

// manyRecords are more than go to Redis at once.
const manyRecords = 3*pieceRecords + 1

func init() { manyToStage = 0 }

// fillingBy returns a change that fills an empty Redis, with records that tell by whom.
func fillingBy(mark byte) *store.Commit {
	c := &store.Commit{Next: headAt("e-"+string(mark), 1, mark), NewEpoch: true}
	for i := range manyRecords {
		c.Changed = append(c.Changed, store.Keyed{Key: fmt.Sprintf("t%c%05d", mark, i), Value: bytes.Repeat([]byte{mark}, 100)})
	}
	return c
}

// scanAll returns all records.
func scanAll(tb testing.TB, l *Log) map[string]string {
	tb.Helper()
	all := make(map[string]string)
	err := l.Scan(context.Background(), func(some []store.Keyed) error {
		for _, one := range some {
			all[one.Key] = string(one.Value)
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

// checkFilled sees to it that Redis has a change's records and no others, for ever, and
// nothing that was put aside.
func checkFilled(t *testing.T, l *Log, client *redis.Client, want *store.Commit) {
	t.Helper()
	all := scanAll(t, l)
	for _, record := range want.Changed {
		if all[record.Key] != string(record.Value) {
			t.Fatalf("%s: got %q", record.Key, all[record.Key])
		}
	}
	if len(all) != len(want.Changed) {
		t.Errorf("there are %d records, want %d", len(all), len(want.Changed))
	}
	if p := pull(t, l, want.Next.Position); p.Verdict != store.PullOK || p.Filling {
		t.Errorf("the head: %+v", p)
	}
	ctx := context.Background()
	if left := client.Exists(ctx, l.keys.filling, l.keys.aside).Val(); left != 0 {
		t.Error("something is left of what was put aside")
	}
	if lifetime := client.TTL(ctx, l.keys.records).Val(); lifetime != -1 {
		t.Errorf("the records end in %s", lifetime)
	}
}

// Many records take the place of what was there all at once, and others follow from there.
func TestReplaceMany(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	l, client := openLog(t, server.URL()), server.Client(t)
	first := fillingBy('a')
	mustCommit(t, l, first)
	checkFilled(t, l, client, first)
	mustCommit(t, l, first) // its answer was lost
	checkFilled(t, l, client, first)

	second := fillingBy('b')
	second.Base, second.NewEpoch, second.Replace = first.Next, false, true
	second.Next = headAt(first.Next.Epoch, 2, 'b')
	mustCommit(t, l, second)
	checkFilled(t, l, client, second)
	if p := pull(t, l, first.Next.Position); p.Verdict != store.PullTrimmed {
		t.Errorf("a node from before gets %+v, want that it downloads everything", p)
	}
	third := headAt(first.Next.Epoch, 3, 'b')
	mustCommit(t, l, &store.Commit{Base: second.Next, Next: third, Changed: []store.Keyed{{Key: "tZ", Value: []byte("z")}}})
	if p := pull(t, l, second.Next.Position); p.Verdict != store.PullOK || len(p.Changed) != 1 {
		t.Errorf("a node that has them gets %+v, want one change", p)
	}
}

// A node that is gone halfway has changed nothing. Others wait for as long as it may come
// back, and what it has left is not among what they send.
func TestFillIsAbandoned(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	gone, l, client := openLog(t, server.URL()), openLog(t, server.URL()), server.Client(t)
	ctx := context.Background()
	abandoned, next := fillingBy('a'), fillingBy('b')
	if _, err := gone.stage(ctx, abandoned, piecesOf(abandoned)[:2]); err != nil {
		t.Fatal(err)
	}
	if p := pull(t, l, store.Position{}); p.Verdict != store.PullEmpty || !p.Filling || len(scanAll(t, l)) != 0 {
		t.Errorf("half of it can be seen: %+v", p)
	}
	if err := l.Commit(ctx, next); !errors.Is(err, store.ErrUnreachable) {
		t.Errorf("another node beside it: %v, want that it waits", err)
	}
	for _, key := range []string{l.keys.filling, l.keys.aside} {
		if lifetime := client.PTTL(ctx, key).Val(); lifetime <= 0 || lifetime > asideLifetime {
			t.Errorf("%s lasts for %s", key, lifetime)
		}
		client.PExpire(ctx, key, time.Millisecond) // as if it was over
	}
	for client.Exists(ctx, l.keys.filling, l.keys.aside).Val() != 0 {
		if t.Context().Err() != nil {
			t.Fatal("what was put aside stays")
		}
	}
	mustCommit(t, l, next)
	checkFilled(t, l, client, next)
	if err := gone.Commit(ctx, abandoned); !errors.Is(err, store.ErrHeadMoved) {
		t.Errorf("it comes back: %v, want that the head has moved", err)
	}
	checkFilled(t, l, client, next)
}

// What only half of is left of changes nothing when it is said to be complete.
func TestFillIsLost(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*redis.Client, *Log) error{
		"a record": func(c *redis.Client, l *Log) error {
			return c.HDel(context.Background(), l.keys.aside, "ta00007").Err()
		},
		"all records":    func(c *redis.Client, l *Log) error { return c.Del(context.Background(), l.keys.aside).Err() },
		"by whom it was": func(c *redis.Client, l *Log) error { return c.Del(context.Background(), l.keys.filling).Err() },
		"all there was":  func(c *redis.Client, _ *Log) error { return c.FlushAll(context.Background()).Err() },
		"to another node": func(c *redis.Client, l *Log) error {
			return c.HSet(context.Background(), l.keys.filling, "chain", "x").Err()
		},
		"to somebody else": func(c *redis.Client, l *Log) error { return c.HSet(context.Background(), l.keys.aside, "x", "x").Err() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			l, client, ctx := openLog(t, server.URL()), server.Client(t), context.Background()
			c := fillingBy('a')
			aside, err := l.stage(ctx, c, piecesOf(c))
			if err == nil {
				err = lose(client, l)
			}
			if err != nil {
				t.Fatal(err)
			}
			if answer, err := l.commitOnce(ctx, l.commitArguments(c, aside), 0); err != nil || answer != "lost" {
				t.Errorf("got %s, %v", answer, err)
			}
			if p := pull(t, l, store.Position{}); p.Verdict != store.PullEmpty || len(scanAll(t, l)) != 0 {
				t.Errorf("something was changed: %+v", p)
			}
			client.Del(ctx, l.keys.filling, l.keys.aside) // or wait until it goes by itself
			mustCommit(t, l, c)
			checkFilled(t, l, client, c)
		})
	}
}

// Of nodes that fill Redis at the same time one does, and its records are not mixed with
// others'. Redis may end halfway.
func TestFillAtOnce(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client(t)
	var logs []*Log
	var changes []*store.Commit
	for i := range byte(4) {
		logs, changes = append(logs, openLog(t, server.URL())), append(changes, fillingBy('a'+i))
	}
	errs := make([]error, len(logs))
	var filling sync.WaitGroup
	for i, l := range logs {
		filling.Go(func() { errs[i] = l.Commit(context.Background(), changes[i]) })
	}
	filling.Wait()
	first := slices.Index(errs, nil)
	if first < 0 {
		t.Fatalf("none has filled it: %v", errs)
	}
	for i, err := range errs {
		if i != first && !errors.Is(err, store.ErrHeadMoved) && !errors.Is(err, store.ErrUnreachable) {
			t.Errorf("another one: %v", err)
		}
	}
	checkFilled(t, logs[first], client, changes[first])
	server.Kill()
	server.Run(t)
	checkFilled(t, logs[first], client, changes[first])
}

// A Redis that ends halfway has what was put aside, and a node goes on from there.
func TestFillThroughARestart(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	l, ctx := openLog(t, server.URL()), context.Background()
	c := fillingBy('a')
	pieces := piecesOf(c)
	before, err := l.stage(ctx, c, pieces[:2])
	if err != nil {
		t.Fatal(err)
	}
	server.Kill()
	server.Run(t)
	var after int
	for after == 0 && t.Context().Err() == nil { // the connections of before fail first
		after, _ = l.stage(ctx, c, pieces[2:])
	}
	answer, err := l.commitOnce(ctx, l.commitArguments(c, before+after), 0)
	if err != nil || answer != "ok" {
		t.Errorf("got %s, %v", answer, err)
	}
	checkFilled(t, l, server.Client(t), c)
}

// A node that has many tokens does not begin while another fills Redis. Once that one is
// gone it does, and a node that is new gets what it has, and nothing else.
func TestNodesBesideAFill(t *testing.T) {
	t.Parallel()
	const tokens = 2 * pieceRecords
	server, ctx := redistest.Start(t), context.Background()
	gone, client := openLog(t, server.URL()), server.Client(t)
	abandoned := fillingBy('a')
	if _, err := gone.stage(ctx, abandoned, piecesOf(abandoned)[:1]); err != nil {
		t.Fatal(err)
	}
	client.Persist(ctx, gone.keys.filling) // as if it went on
	open := func() *store.Store {
		s, err := store.Open(filepath.Join(t.TempDir(), "store.db"), store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	until := func(s *store.Store, ok func() bool) {
		for !ok() {
			select {
			case <-s.Changed():
			case <-time.After(10 * time.Millisecond):
			case <-t.Context().Done():
				t.Fatal("it did not come to that")
			}
		}
	}
	follow := func(s *store.Store) {
		o := &store.ClusterOptions{Sequencer: openLog(t, server.URL()), Secret: "the secret of a test of many", MaxStaleness: store.MinStaleness}
		if err := s.Follow(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	first, second := open(), open()
	applyFile(t, first, joinFile(0, tokens))
	follow(first)
	until(first, func() bool {
		state, _ := first.Replication()
		return state.Err != nil && strings.Contains(state.Err.Error(), "waits")
	})
	client.Del(ctx, gone.keys.filling) // it ends by itself
	until(first, func() bool { return !first.Stale(time.Now()) })
	follow(second)
	until(second, func() bool { return !second.Stale(time.Now()) })
	if got := second.Snapshot().Counts().Active; got != tokens {
		t.Errorf("the new node has %d tokens, want %d", got, tokens)
	}
	if err := gone.Commit(ctx, abandoned); !errors.Is(err, store.ErrHeadMoved) {
		t.Errorf("whoever was gone comes back: %v", err)
	}
	if left := client.Exists(ctx, gone.keys.filling, gone.keys.aside).Val(); left != 0 {
		t.Error("something is left of what was put aside")
	}
}

func TestPieces(t *testing.T) {
	t.Parallel()
	sized := func(sizes ...int) (records []store.Keyed) {
		for _, size := range sizes {
			records = append(records, store.Keyed{Key: "t", Value: make([]byte, size)})
		}
		return records
	}
	for _, test := range []struct {
		name   string
		commit store.Commit
		want   []int
	}{
		{"none", store.Commit{}, nil},
		{"few", store.Commit{Changed: make([]store.Keyed, pieceRecords)}, nil},
		{"one more", store.Commit{Changed: make([]store.Keyed, pieceRecords+1)}, []int{pieceRecords, 1}},
		{"large alone", store.Commit{Changed: sized(2 * pieceBytes)}, nil},
		{"many on something", store.Commit{Base: headAt("e1", 1, 'a'), Changed: make([]store.Keyed, manyRecords)}, nil},
		{"large", store.Commit{Replace: true, Changed: sized(pieceBytes/2, pieceBytes/2, pieceBytes/2)}, []int{1, 1, 1}},
		{"larger", store.Commit{Changed: sized(2*pieceBytes, 2*pieceBytes, 1, 1)}, []int{1, 1, 2}},
	} {
		var got []int
		for _, piece := range piecesOf(&test.commit) {
			got = append(got, len(piece))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: pieces of %v, want %v", test.name, got, test.want)
		}
	}
}
