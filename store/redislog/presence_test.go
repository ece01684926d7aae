package redislog

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/scopegate/scopegate/store"
	"github.com/scopegate/scopegate/store/redislog/redistest"
)

func TestNodes(t *testing.T) {
	t.Parallel()
	l := openLog(t, redistest.Start(t).URL())
	ctx := context.Background()
	short := report("node_2")
	short.MaxStaleness = time.Nanosecond - 2*time.Second // it counts no longer
	one, two := headAt("e1", 1, 'a'), headAt("e2", 2, 'a')
	mustCommit(t, l, &store.Commit{Next: one, NewEpoch: true})
	for _, r := range []*store.Report{report("node_1"), short, report("node_3")} {
		r.Epoch = "e1"
		if p, err := l.Pull(ctx, one.Position, r); err != nil || p.Apart != 0 {
			t.Fatal(p, err)
		}
	}
	mustCommit(t, l, &store.Commit{Base: one, Next: two, NewEpoch: true})
	for _, step := range []struct {
		id, epoch string
		apart     int
	}{
		{"node_3", "e2", 1},
		{"node_1", "e1", 1}, // it has downloaded the epoch, and not told yet what it knows
		{"node_1", "e2", 0},
	} {
		r := report(step.id)
		r.Epoch = step.epoch
		if p, err := l.Pull(ctx, two.Position, r); err != nil || p.Apart != step.apart {
			t.Errorf("%s: %d nodes are in another epoch, %v; want %d", r.ID, p.Apart, err, step.apart)
		}
	}
	if err := l.Leave(ctx, "node_3"); err != nil {
		t.Fatal(err)
	}
	nodes, err := l.Nodes(ctx)
	if err != nil || len(nodes) != 1 {
		t.Fatalf("got %+v, %v; want one node", nodes, err)
	}
	got := nodes[0]
	if age := time.Since(got.At); age < -time.Minute || age > time.Minute {
		t.Errorf("the report is %s old", age)
	}
	if got.At = (time.Time{}); got != *report("node_1") {
		t.Errorf("got %+v, want %+v", got, report("node_1"))
	}
}

func awaitWakeup(tb testing.TB, l *Log, what string) []store.Keyed {
	tb.Helper()
	select {
	case told := <-l.Wakeups():
		return told
	case <-time.After(10 * time.Second):
		tb.Fatalf("no wake-up: %s", what)
		return nil
	}
}

func TestWakeups(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	l, other := openLog(t, server.URL()), openLog(t, server.URL())
	awaitWakeup(t, l, "the subscription")
	one := headAt("e1", 1, 'a')
	mustCommit(t, other, &store.Commit{Next: one, NewEpoch: true})
	awaitWakeup(t, l, "a change")
	server.Kill()
	awaitWakeup(t, l, "the connection is gone")
	server.Run(t)
	for pulled := false; !pulled; { // the subscription, and perhaps failed ones before
		awaitWakeup(t, l, "subscribed again")
		_, err := l.Pull(context.Background(), one.Position, report("node_1"))
		pulled = err == nil
	}
}

// An urgent change is in the wake-up, as the sender has it; one that is not, or is large, is
// not; and what is no change at all only wakes.
func TestUrgentWakeups(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	l, other := openLog(t, server.URL()), openLog(t, server.URL())
	awaitWakeup(t, l, "the subscription")
	changed := []store.Keyed{{Key: "t1", Value: []byte{0, 1, 0xff}}, {Key: "a2", Value: []byte("account")}}
	large := []store.Keyed{{Key: "t1", Value: make([]byte, bytesTold)}}
	base := store.Head{}
	for i, test := range []struct {
		commit store.Commit
		want   []store.Keyed
	}{
		{store.Commit{NewEpoch: true, Changed: changed}, nil},
		{store.Commit{Changed: changed, Urgent: true}, changed},
		{store.Commit{Changed: large, Urgent: true}, nil},
		{store.Commit{Changed: make([]store.Keyed, mostTold+1), Urgent: true}, nil},
		{store.Commit{Changed: changed, Urgent: true, Replace: true}, nil},
	} {
		test.commit.Base, test.commit.Next = base, headAt("e1", uint64(i)+1, 'a'+byte(i))
		base = test.commit.Next
		mustCommit(t, other, &test.commit)
		if got := awaitWakeup(t, l, "a change"); !reflect.DeepEqual(got, test.want) {
			t.Errorf("change %d: told of %v, want %v", i, got, test.want)
		}
	}
	for _, message := range []string{"x", "[1]", `{"Key":"t"}`, "null"} {
		if err := server.Client(t).Publish(t.Context(), l.keys.channel, message).Err(); err != nil {
			t.Fatal(err)
		}
		if got := awaitWakeup(t, l, message); got != nil {
			t.Errorf("%s: told of %v", message, got)
		}
	}
}
