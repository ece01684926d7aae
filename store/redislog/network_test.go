package redislog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/store"
	"github.com/scopegate/scopegate/store/redislog/redistest"
)

// The change is made, its answer is lost: it is uncertain, and made once only.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Addr())
	l := openLog(t, proxy.URL())
	one, two := headAt("e1", 1, 'a'), headAt("e1", 2, 'a')
	mustCommit(t, l, &store.Commit{Next: one, NewEpoch: true})
	proxy.Mute()
	lost := &store.Commit{Base: one, Next: two, Changed: []store.Keyed{{Key: "tA", Value: []byte("2")}}}
	if err := l.Commit(context.Background(), lost); !errors.Is(err, store.ErrUncertain) {
		t.Errorf("a change that was not answered: %v", err)
	}
	if n := server.Client(t).XLen(context.Background(), "{scopegate}:log").Val(); n != 2 {
		t.Errorf("the log has %d changes after all tries, want 2", n)
	}
	proxy.Cut()
	if err := l.Commit(context.Background(), &store.Commit{Base: two, Next: headAt("e1", 3, 'a')}); err == nil {
		t.Error("a change with no connection was made")
	}
	proxy.Mend()
	mustCommit(t, l, lost)
	if p := pull(t, l, one.Position); p.Verdict != store.PullOK || p.Head != two {
		t.Errorf("afterwards: %+v", p)
	}
}

// A connection whose other end is gone without a word is found, and made anew.
func TestHalfOpen(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Addr())
	l, other := openLog(t, proxy.URL()), openLog(t, server.URL())
	awaitWakeup(t, l, "the subscription")
	proxy.Mute()
	begin := time.Now()
	awaitWakeup(t, l, "nothing was heard for a while")
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it was found after %s", took)
	}
	proxy.Cut() // what is half open ends for the server too
	proxy.Mend()
	last := store.Head{}
	for revision := uint64(1); ; revision++ {
		next := headAt("e1", revision, 'a')
		mustCommit(t, other, &store.Commit{Base: last, Next: next, NewEpoch: revision == 1})
		last = next
		awaitWakeup(t, l, "subscribing, or a change")
		if subscribers := server.Client(t).PubSubNumSub(context.Background(), "{scopegate}:wake").Val(); subscribers["{scopegate}:wake"] == 2 {
			break
		}
	}
	mustCommit(t, other, &store.Commit{Base: last, Next: headAt("e1", last.Revision+1, 'a')})
	awaitWakeup(t, l, "a change after it was subscribed again")
}

// A clock that was set back, as after a failover to a machine whose clock is behind,
// makes ages that nobody can have: they count as none.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	l := openLog(t, server.URL())
	one := headAt("e1", 1, 'a')
	mustCommit(t, l, &store.Commit{Next: one, NewEpoch: true})
	later := time.Now().Add(time.Hour).UnixMilli()
	if err := server.Client(t).HSet(context.Background(), "{scopegate}:head", "began", later, "changed", later).Err(); err != nil {
		t.Fatal(err)
	}
	if p := pull(t, l, one.Position); p.Verdict != store.PullOK || p.EpochAge != 0 || p.HeadAge != 0 {
		t.Errorf("got %+v", p)
	}
}

func TestFlushed(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client(t)
	l := openLog(t, server.URL())
	ctx := context.Background()
	one, two, three := headAt("e1", 1, 'a'), headAt("e1", 2, 'a'), headAt("e1", 3, 'a')
	mustCommit(t, l, &store.Commit{Next: one, NewEpoch: true})
	pull(t, l, one.Position)
	if err := client.ScriptFlush(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, l, &store.Commit{Base: one, Next: two})
	if p := pull(t, l, one.Position); p.Verdict != store.PullOK || p.Head != two {
		t.Errorf("after the scripts were dropped: %+v", p)
	}
	mustCommit(t, l, &store.Commit{Base: two, Next: three})
	if err := client.XTrimMaxLen(ctx, "{scopegate}:log", 1).Err(); err != nil {
		t.Fatal(err)
	}
	if p := pull(t, l, two.Position); p.Verdict != store.PullTrimmed || p.Head != three {
		t.Errorf("after the log was trimmed: %+v", p)
	}
	if p := pull(t, l, three.Position); p.Verdict != store.PullOK {
		t.Errorf("at the head, after the log was trimmed: %+v", p)
	}
	if err := client.FlushAll(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	if p := pull(t, l, three.Position); p.Verdict != store.PullEmpty {
		t.Errorf("after all was dropped: %+v", p)
	}
	if err := l.Commit(ctx, &store.Commit{Base: three, Next: headAt("e1", 4, 'a')}); !errors.Is(err, store.ErrHeadMoved) {
		t.Errorf("a change on what was dropped: %v", err)
	}
}

// A right that is missing makes no half change: whatever it is, nothing is written.
func TestMissingRight(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client(t)
	ctx := context.Background()
	for _, right := range []string{"time", "hset", "hdel", "del", "xadd", "xrange", "publish", "hmget", "evalsha"} {
		user := "without-" + right
		rights := rightsOf(user, strings.Replace(baseRights, "+"+right+" ", "", 1))
		if err := client.Do(ctx, rights...).Err(); err != nil {
			t.Fatal(err)
		}
		l := openLog(t, strings.Replace(server.URL(), "://", fmt.Sprintf("://%s:secret-of-redis@", user), 1))
		err := l.Commit(ctx, &store.Commit{Next: headAt("e1", 1, 'a'), NewEpoch: true, Changed: []store.Keyed{{Key: "tA", Value: []byte("1")}}})
		if !errors.Is(err, store.ErrUnreachable) || !strings.Contains(err.Error(), "NOPERM") || strings.Contains(err.Error(), "secret-of-redis") {
			t.Errorf("without the right to %s: %v", right, err)
		}
		if keys := client.Keys(ctx, "*").Val(); len(keys) > 0 {
			t.Fatalf("without the right to %s, there is %q", right, keys)
		}
	}
}

// A full Redis, and one without its replicas, refuse a change as a whole.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ setting, value, want string }{
		"full":             {"maxmemory", "1", "OOM"},
		"without replicas": {"min-replicas-to-write", "1", "NOREPLICAS"},
	} {
		server := redistest.Start(t)
		l := openLog(t, server.URL())
		one := headAt("e1", 1, 'a')
		mustCommit(t, l, &store.Commit{Next: one, NewEpoch: true})
		if err := server.Client(t).ConfigSet(context.Background(), test.setting, test.value).Err(); err != nil {
			t.Fatal(err)
		}
		err := l.Commit(context.Background(), &store.Commit{Base: one, Next: headAt("e1", 2, 'a'), Changed: []store.Keyed{{Key: "tA", Value: []byte("2")}}})
		if !errors.Is(err, store.ErrUnreachable) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: a change: %v", name, err)
		}
		if _, err := l.Pull(context.Background(), one.Position, report("node_1")); !errors.Is(err, store.ErrUnreachable) {
			t.Errorf("%s: a pull: %v", name, err)
		}
	}
}
