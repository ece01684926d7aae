package redislog

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/scopegate/scopegate/notify"
	"github.com/scopegate/scopegate/store/redislog/redistest"
)

// messagesNode is one of several that share messages, without a notifier.
type messagesNode struct {
	tb   testing.TB
	m    *Messages
	name string
	seen notify.Memory
}

const testLease = time.Hour

func (n *messagesNode) sync(s notify.Sync) *notify.Common {
	n.tb.Helper()
	s.Node, s.Seen, s.Fresh, s.Lease, s.Grace = n.name, n.seen, rand.Text(), testLease, time.Minute
	found, err := n.m.Sync(context.Background(), &s)
	if err != nil {
		n.tb.Fatal(err)
	}
	n.seen = found.Memory
	return found
}

func (n *messagesNode) claim(id string, keys ...string) *notify.Claimed {
	n.tb.Helper()
	found, err := n.m.Claim(context.Background(), &notify.Claim{
		Node: n.name, Seen: n.seen, Lease: testLease, Message: notify.SharedMessage{ID: id, Keys: keys, Text: "text of " + id},
	})
	if err != nil {
		n.tb.Fatal(err)
	}
	return found
}

func (n *messagesNode) settle(s notify.Settled) {
	n.tb.Helper()
	s.Node = n.name
	if err := n.m.Settle(context.Background(), &s); err != nil {
		n.tb.Fatal(err)
	}
}

// messagesNodes returns two nodes, past the time in which nothing may be claimed.
func messagesNodes(tb testing.TB) (a, b *messagesNode, client *redis.Client) {
	tb.Helper()
	server := redistest.Start(tb)
	client = server.Client(tb)
	a = &messagesNode{tb: tb, m: openLog(tb, server.URL()).Messages(), name: "a"}
	b = &messagesNode{tb: tb, m: openLog(tb, server.URL()).Messages(), name: "b"}
	a.sync(notify.Sync{})
	over(tb, client)
	b.sync(notify.Sync{})
	return a, b, client
}

// over ends the times in which nodes wait for each other.
func over(tb testing.TB, client *redis.Client) {
	tb.Helper()
	if err := client.HSet(context.Background(), "{scopegate}:messages", "quiet", "0", "calm", "0").Err(); err != nil {
		tb.Fatal(err)
	}
}

// TestClaim: a key belongs to one message, a message to one node.
func TestClaim(t *testing.T) {
	t.Parallel()
	a, b, client := messagesNodes(t)
	if got := a.claim("m1", "k1", "k2"); !got.Mine {
		t.Fatalf("the first claim: %+v", got)
	}
	if got := a.claim("m1", "k1", "k2"); !got.Mine {
		t.Errorf("the same again, for no answer came: %+v", got)
	}
	if got := b.claim("m1", "k1", "k2"); got.Mine || len(got.Marks) > 0 {
		t.Errorf("by another node: %+v", got)
	}
	if got := b.claim("m2", "k2", "k3"); got.Mine || len(got.Marks) > 0 {
		t.Errorf("one of its keys in another message: %+v", got)
	}
	a.settle(notify.Settled{ID: "m1", Attempts: 3, Next: time.Minute})
	found := b.sync(notify.Sync{Ask: []string{"k1", "k3"}, Want: []string{"m1", "m9"}})
	if len(found.Open) != 1 || found.Open[0].Mine || found.Open[0].Free || found.Open[0].Attempts != 3 || found.Open[0].Next < 50*time.Second {
		t.Errorf("the open messages are %+v", found.Open)
	}
	if !slices.Equal(found.Texts, []string{"text of m1", ""}) || !slices.Equal(found.Marks, []string{"", ""}) {
		t.Errorf("texts %q, marks %q", found.Texts, found.Marks)
	}
	b.settle(notify.Settled{ID: "m1", Attempts: 9})
	if found := a.sync(notify.Sync{}); !found.Open[0].Mine || found.Open[0].Attempts != 3 {
		t.Errorf("after another node meddled: %+v", found.Open)
	}
	a.settle(notify.Settled{ID: "m1", Marks: []notify.Mark{{Key: "k1", Value: "v1"}, {Key: "k2", Value: "v2"}}})
	if found := b.sync(notify.Sync{Ask: []string{"k1", "k2", "k3"}}); len(found.Open) > 0 || !slices.Equal(found.Marks, []string{"v1", "v2", ""}) {
		t.Errorf("once it is settled: open %+v, marks %q", found.Open, found.Marks)
	}
	if got := b.claim("m3", "k2", "k3"); got.Mine || !slices.Equal(got.Marks, []notify.Mark{{Key: "k2", Value: "v2"}}) {
		t.Errorf("with a key that people were told of: %+v", got)
	}
	if got := b.claim("m4", "k3"); !got.Mine {
		t.Errorf("without: %+v", got)
	}
	for _, key := range client.Keys(context.Background(), "*").Val() {
		if lasts := client.PTTL(context.Background(), key).Val(); lasts <= 300*24*time.Hour {
			t.Errorf("%s lasts %s", key, lasts)
		}
	}
}

// TestTakeOver: a message of a node that is gone is another's, but not while nodes may just not
// have been able to tell.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	a, b, client := messagesNodes(t)
	a.claim("m1", "k1")
	ctx := context.Background()
	expire := func() { client.HSet(ctx, "{scopegate}:messages:held", "m1", "a 1 2 1") }
	expire()
	client.HSet(ctx, "{scopegate}:messages", "last", "1")
	if found := b.sync(notify.Sync{}); found.Open[0].Free {
		t.Error("after nobody was heard of, it is free at once")
	}
	if b.claim("m1", "k1").Mine {
		t.Error("and another node gets it")
	}
	over(t, client)
	if found := b.sync(notify.Sync{}); !found.Open[0].Free {
		t.Error("it is not free")
	}
	if got := b.claim("m1", "k1"); !got.Mine || got.Attempts != 2 {
		t.Errorf("another node gets it: %+v", got)
	}
	if got := a.claim("m1", "k1"); got.Mine {
		t.Errorf("and the first has it back: %+v", got)
	}
}

// TestLoss: what is lost begins a new epoch, in which nothing is claimed before nodes could put
// back what they know.
func TestLoss(t *testing.T) {
	t.Parallel()
	a, b, client := messagesNodes(t)
	ctx := context.Background()
	a.claim("m0", "k0")
	older := a.seen
	a.sync(notify.Sync{Roles: []string{"r1"}})
	if a.seen == older {
		t.Fatal("changes are not counted")
	}
	for name, lose := range map[string]func(){
		"all":  func() { client.FlushAll(ctx) },
		"some": func() { client.HSet(ctx, "{scopegate}:messages", "seq", older.Seq) },
	} {
		before := a.seen
		lose()
		if got := b.claim("m1", "k1"); name == "all" && got.Mine {
			t.Errorf("%s: a claim before anybody noticed: %+v", name, got)
		}
		found := a.sync(notify.Sync{})
		if found.Epoch == before.Epoch || found.Seq < before.Seq || found.Quiet < 50*time.Second {
			t.Errorf("%s: got %+v, want a new epoch after %+v, and some quiet", name, found, before)
		}
		b.sync(notify.Sync{})
		if got := b.claim("m2", "k2"); got.Mine {
			t.Errorf("%s: a claim while it is quiet: %+v", name, got)
		}
		b.sync(notify.Sync{
			Marks: []notify.Mark{{Key: "k3", Value: "v3"}}, Roles: []string{"r2"},
			Open: []notify.SharedMessage{{ID: "m4", Keys: []string{"k4"}, Text: "t4"}, {ID: "m3", Keys: []string{"k3"}, Text: "t3"}},
		})
		found = a.sync(notify.Sync{Open: []notify.SharedMessage{{ID: "m4", Keys: []string{"k4"}, Text: "t4", Mine: true}}, Ask: []string{"k3"}})
		open := slices.DeleteFunc(found.Open, func(o notify.OpenState) bool { return o.ID != "m4" && o.ID != "m3" })
		if len(open) != 1 || !open[0].Mine || !slices.Equal(found.Marks, []string{"v3"}) || !slices.Contains(found.Roles, "r2") {
			t.Errorf("%s: put back is %+v", name, found)
		}
		a.settle(notify.Settled{ID: "m4", Marks: []notify.Mark{{Key: "k4", Value: "v4"}}})
		a.sync(notify.Sync{Forget: []string{"k3", "k4"}})
		over(t, client)
	}
}

// TestMessagesHostile: what somebody else has written is an error, or harmless.
func TestMessagesHostile(t *testing.T) {
	t.Parallel()
	a, b, client := messagesNodes(t)
	ctx := context.Background()
	a.claim("m1", "k1")
	const meta, held = "{scopegate}:messages", "{scopegate}:messages:held"
	for _, text := range []string{"", "x", "a 99999999999999999 0 0", "a -1 0 0", "a 1 1e99 0", "b 1 0 999999999999999999999", strings.Repeat("9 ", 1000)} {
		client.HSet(ctx, held, "m1", text)
		found := b.sync(notify.Sync{})
		if len(found.Open) != 1 {
			t.Errorf("a state of %.30q: %+v", text, found.Open)
		}
	}
	for field, text := range map[string]string{"quiet": "9e300", "seq": "x", "calm": "nan", "last": "inf"} {
		client.HSet(ctx, meta, field, text)
		found, err := b.m.Sync(ctx, &notify.Sync{Node: "b", Seen: b.seen, Fresh: "f", Lease: testLease, Grace: time.Minute})
		if err == nil && found.Quiet > time.Minute {
			t.Errorf("%s is %s: %+v", field, text, found)
		}
		client.HSet(ctx, meta, field, "1")
	}
	many := make(map[string]any)
	for i := range 20_001 {
		many[fmt.Sprint(i)] = "x"
	}
	client.HSet(ctx, held, many)
	if _, err := b.m.Sync(ctx, &notify.Sync{Node: "b"}); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Errorf("with too many open messages: %v", err)
	}
}

// TestMessagesRights: without a right nothing is left by half.
func TestMessagesRights(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client, ctx := server.Client(t), context.Background()
	for _, right := range []string{"time", "hget", "hset", "hdel", "hgetall", "hlen", "pexpire", "none"} {
		user := "without-" + right
		if err := client.Do(ctx, rightsOf(user, strings.Replace(baseRights, "+"+right+" ", "", 1))...).Err(); err != nil {
			t.Fatal(err)
		}
		m := openLog(t, strings.Replace(server.URL(), "://", fmt.Sprintf("://%s:secret-of-redis@", user), 1)).Messages()
		_, err := m.Sync(ctx, &notify.Sync{Node: "a", Fresh: "f", Roles: []string{"r"}})
		if right == "none" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "NOPERM") || strings.Contains(err.Error(), "secret-of-redis") {
			t.Errorf("without the right to %s: %v", right, err)
		}
		if keys := client.Keys(ctx, "*").Val(); len(keys) > 0 {
			t.Fatalf("without the right to %s, there is %q", right, keys)
		}
	}
}

// TestForgedMessages: what no node has left in Redis makes no message, and keeps none back.
func TestForgedMessages(t *testing.T) {
	t.Parallel()
	server, heard := redistest.Start(t), newListener(t)
	client, ctx := server.Client(t), context.Background()
	channel, err := notify.NewWebhook(notify.WebhookOptions{URL: heard.URL, Secret: "a secret of the webhook, long enough", Name: "webhook"})
	if err != nil {
		t.Fatal(err)
	}
	var log lines
	timing := tellerTiming()
	timing.Urgent, timing.Grace = time.Second, 10*time.Millisecond
	n, err := notify.Open(filepath.Join(t.TempDir(), "messages.db"), notify.Local{Logger: slog.New(slog.NewTextHandler(&log, nil))}, notify.Options{
		Channels: []notify.Channel{channel}, Exchange: openLog(t, server.URL()).Messages(), Secret: tellerSecret, Timing: timing,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	wait := func(what string, so func() bool) {
		t.Helper()
		for deadline := time.After(30 * time.Second); !so(); {
			select {
			case <-deadline:
				t.Fatalf("waited in vain for: %s; log:\n%s", what, log.String())
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	if err := n.Offer(nil); err != nil {
		t.Fatal(err)
	}
	wait("roles", func() bool {
		return client.HGet(ctx, "{scopegate}:messages", "role:webhook/all/deactivated").Val() == "1"
	})
	e := notify.Event{ID: notify.EventID(notify.Deactivated, "tok_1", "once"), Kind: notify.Deactivated, At: time.Now(), Text: "It is so."}
	if err := n.Offer([]notify.Event{e}); err != nil {
		t.Fatal(err)
	}
	forged := `AAAAAAAAAAAAAAAAAAAAAA {"id":"forged","channel":"webhook","events":[{"id":"x","kind":"deleted","text":"click here"}]}`
	client.HSet(ctx, "{scopegate}:messages:texts", "forged", forged)
	client.HSet(ctx, "{scopegate}:messages:held", "forged", "- 1 0 1")
	wait("the forged message to be dropped", func() bool { return !client.HExists(ctx, "{scopegate}:messages:held", "forged").Val() })
	wait("the message", func() bool { return len(heard.requests()) == 1 })
	wait("its mark", func() bool { return client.HLen(ctx, "{scopegate}:messages:marks").Val() == 1 })
	next := e
	next.ID = notify.EventID(notify.Deactivated, "tok_2", "once")
	if err := n.Offer([]notify.Event{next}); err != nil {
		t.Fatal(err)
	}
	// Somebody claims that people were told of all that there is or may be.
	key := client.HKeys(ctx, "{scopegate}:messages:marks").Val()[0]
	value := client.HGet(ctx, "{scopegate}:messages:marks", key).Val()
	wait("the next claim", func() bool {
		for _, k := range client.HKeys(ctx, "{scopegate}:messages:members").Val() {
			client.HSet(ctx, "{scopegate}:messages:marks", client.HGet(ctx, "{scopegate}:messages:members", k).Val(), value)
		}
		return len(heard.requests()) == 2
	})
	times, _ := heard.events(t)
	if times[e.ID] != 1 || times[next.ID] != 1 || len(times) != 2 {
		t.Errorf("told were %v", times)
	}
	if got := log.String(); !strings.Contains(got, "who else writes to Redis") {
		t.Errorf("the log does not tell of it:\n%s", got)
	}
	for _, h := range heard.requests() {
		if h.status != http.StatusNoContent || strings.Contains(h.body, "click here") {
			t.Errorf("there was a request %+v", h)
		}
	}
}

// lines is a log that a test reads.
type lines struct {
	mu   sync.Mutex // guards what follows
	text strings.Builder
}

// Write implements [io.Writer].
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
