package redislog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/scopegate/scopegate/store"
	"github.com/scopegate/scopegate/store/redislog/redistest"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(tellerVariable); text != "" {
		tell(text) // this process is a node of a test in another
	}
	goleak.VerifyTestMain(m)
}

func openLog(tb testing.TB, url string) *Log {
	tb.Helper()
	l, err := Open(Options{URL: url})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := l.Close(); err != nil {
			tb.Error(err)
		}
	})
	return l
}

// headAt returns a head as a node would have it.
func headAt(epoch string, revision uint64, mark byte) store.Head {
	return store.Head{
		Format: 1, Position: store.Position{Epoch: epoch, Revision: revision, Chain: [32]byte{mark, byte(revision)}},
		Count: revision, Sig: [32]byte{mark, 0, 255}, Resets: 2,
	}
}

func report(id string) *store.Report {
	return &store.Report{ID: id, Name: "a host", Version: "v1", Revision: 3, Staleness: time.Second, MaxStaleness: time.Minute}
}

// Another instance that has left a report under a node's id since the node did is alive,
// and is told; the node's own last one before a restart is not, nor one that has run out.
func TestTwin(t *testing.T) {
	t.Parallel()
	l := openLog(t, redistest.Start(t).URL())
	as := func(instance string, again bool) *store.Report {
		r := report("node_1")
		r.Instance, r.Again = instance, again
		return r
	}
	for i, step := range []struct {
		report *store.Report
		want   store.PullVerdict
	}{
		{as("one", false), store.PullEmpty},
		{as("one", true), store.PullEmpty},
		{as("two", false), store.PullEmpty}, // a restart, or a copy
		{as("one", true), store.PullTwin},
		{as("one", true), store.PullTwin}, // it has left nothing
		{as("two", true), store.PullEmpty},
		{as("one", false), store.PullEmpty},
		{as("two", true), store.PullTwin},
	} {
		p, err := l.Pull(t.Context(), store.Position{}, step.report)
		if err != nil || p.Verdict != step.want {
			t.Fatalf("pull %d, of %+v: got %+v, %v; want verdict %d", i, step.report, p, err, step.want)
		}
	}
	nodes, err := l.Nodes(t.Context())
	if err != nil || len(nodes) != 1 || nodes[0].Instance != "one" {
		t.Errorf("Nodes: %+v, %v; want the report of one", nodes, err)
	}
	if err := l.client.HSet(t.Context(), l.keys.nodes, "node_1", `1 1 - {"Instance":"one"}`).Err(); err != nil {
		t.Fatal(err)
	}
	if p, err := l.Pull(t.Context(), store.Position{}, as("two", true)); err != nil || p.Verdict != store.PullEmpty {
		t.Errorf("after the other's report has run out: %+v, %v", p, err)
	}
}

func mustCommit(tb testing.TB, l *Log, c *store.Commit) {
	tb.Helper()
	if err := l.Commit(context.Background(), c); err != nil {
		tb.Fatal(err)
	}
}

func pull(tb testing.TB, l *Log, at store.Position) *store.Pulled {
	tb.Helper()
	p, err := l.Pull(context.Background(), at, report("node_1"))
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// A head whose epoch has no name, as an older version could leave it, is not one that is not
// there: whoever knows its chain replaces it.
func TestHeadWithoutEpoch(t *testing.T) {
	t.Parallel()
	l := openLog(t, redistest.Start(t).URL())
	nameless, next := headAt("", 3, 'a'), headAt("e1", 4, 'a')
	mustCommit(t, l, &store.Commit{Next: nameless, NewEpoch: true, Changed: []store.Keyed{{Key: "tA", Value: []byte("a")}}})
	if err := l.Commit(t.Context(), &store.Commit{Next: next, NewEpoch: true}); !errors.Is(err, store.ErrHeadMoved) {
		t.Errorf("a change of nothing: got %v, want ErrHeadMoved", err)
	}
	mustCommit(t, l, &store.Commit{Base: nameless, Next: next, NewEpoch: true, Changed: []store.Keyed{{Key: "tB", Value: []byte("b")}}})
	if p := pull(t, l, store.Position{}); p.Verdict != store.PullEpoch || p.Head != next {
		t.Errorf("got %+v, want the head %+v", p, next)
	}
	var keys []string
	if err := l.Scan(t.Context(), func(part []store.Keyed) error {
		for _, one := range part {
			keys = append(keys, one.Key)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if slices.Sort(keys); !slices.Equal(keys, []string{"tA", "tB"}) {
		t.Errorf("got the records %q, want tA, which was there, and tB", keys)
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	l := openLog(t, redistest.Start(t).URL())
	if p := pull(t, l, store.Position{}); p.Verdict != store.PullEmpty {
		t.Fatalf("an empty Redis: %+v", p)
	}
	one, two, three := headAt("e1", 1, 'a'), headAt("e1", 2, 'a'), headAt("e1", 5, 'a')
	binary := []byte{0, 255, '\r', '\n', 0}
	mustCommit(t, l, &store.Commit{Next: one, NewEpoch: true, Changed: []store.Keyed{{Key: "tA", Value: binary}, {Key: "tB", Value: []byte("b")}}, Audit: []byte("first")})
	mustCommit(t, l, &store.Commit{Base: one, Next: two, Changed: []store.Keyed{{Key: "tB"}, {Key: "tC", Value: []byte("c")}}, Audit: []byte("second")})
	mustCommit(t, l, &store.Commit{Base: two, Next: three, Changed: []store.Keyed{{Key: "tC", Value: []byte("c2")}}, Audit: binary})

	p := pull(t, l, one.Position)
	if p.Verdict != store.PullOK || p.Head != three || p.EpochAge < 0 || p.EpochAge > time.Minute {
		t.Fatalf("got %+v", p)
	}
	slices.SortFunc(p.Changed, func(a, b store.Keyed) int { return strings.Compare(a.Key, b.Key) })
	if len(p.Changed) != 2 || p.Changed[0].Key != "tB" || p.Changed[0].Value != nil || string(p.Changed[1].Value) != "c2" {
		t.Errorf("changed: %+v", p.Changed)
	}
	if len(p.Audit) != 2 || p.Audit[0].Revision != 2 || string(p.Audit[0].Entries) != "second" || !bytes.Equal(p.Audit[1].Entries, binary) {
		t.Errorf("audit: %+v", p.Audit)
	}
	for _, test := range []struct {
		name string
		at   store.Position
		want store.PullVerdict
	}{
		{"at the head", three.Position, store.PullOK},
		{"another chain at the head", headAt("e1", 5, 'x').Position, store.PullDiverge},
		{"another chain before it", headAt("e1", 2, 'x').Position, store.PullDiverge},
		{"ahead of it", headAt("e1", 6, 'a').Position, store.PullRegress},
		{"a revision that the log does not have", headAt("e1", 4, 'a').Position, store.PullTrimmed},
		{"another epoch", headAt("e0", 5, 'a').Position, store.PullEpoch},
		{"never in the cluster", store.Position{}, store.PullEpoch},
	} {
		if got := pull(t, l, test.at); got.Verdict != test.want || got.Head != three {
			t.Errorf("%s: got %+v, want verdict %d", test.name, got, test.want)
		}
	}
	all := make(map[string]string)
	err := l.Scan(context.Background(), func(some []store.Keyed) error {
		for _, one := range some {
			all[one.Key] = string(one.Value)
		}
		return nil
	})
	if err != nil || len(all) != 2 || all["tA"] != string(binary) || all["tC"] != "c2" {
		t.Errorf("Scan: %q, %v", all, err)
	}
}

func TestCommitIsMadeOnce(t *testing.T) {
	t.Parallel()
	l := openLog(t, redistest.Start(t).URL())
	one, two, three := headAt("e1", 1, 'a'), headAt("e1", 2, 'a'), headAt("e1", 3, 'a')
	first := &store.Commit{Next: one, NewEpoch: true, Changed: []store.Keyed{{Key: "tA", Value: []byte("1")}}}
	second := &store.Commit{Base: one, Next: two, Changed: []store.Keyed{{Key: "tA", Value: []byte("2")}}}
	for _, c := range []*store.Commit{first, first, second, second} {
		mustCommit(t, l, c)
	}
	mustCommit(t, l, &store.Commit{Base: two, Next: three})
	mustCommit(t, l, second) // others have gone on
	rival := &store.Commit{Base: one, Next: headAt("e1", 2, 'b'), Changed: []store.Keyed{{Key: "tA", Value: []byte("rival")}}}
	if err := l.Commit(context.Background(), rival); !errors.Is(err, store.ErrHeadMoved) {
		t.Errorf("a change on an old head: %v", err)
	}
	if err := l.Commit(context.Background(), &store.Commit{Next: headAt("e9", 1, 'z'), NewEpoch: true}); !errors.Is(err, store.ErrHeadMoved) {
		t.Errorf("a first change where there is a head: %v", err)
	}
	fresh := headAt("e2", 4, 'c')
	mustCommit(t, l, &store.Commit{Base: three, Next: fresh, NewEpoch: true, Replace: true, Changed: []store.Keyed{{Key: "tZ", Value: []byte("z")}}})
	if p := pull(t, l, three.Position); p.Verdict != store.PullEpoch || p.Head != fresh {
		t.Errorf("after a new epoch: %+v", p)
	}
	count := 0
	if err := l.Scan(context.Background(), func(some []store.Keyed) error { count += len(some); return nil }); err != nil || count != 1 {
		t.Errorf("after all was replaced: %d records, %v", count, err)
	}
}

func TestManyRecordsAtOnce(t *testing.T) {
	t.Parallel()
	l := openLog(t, redistest.Start(t).URL())
	const many = 25_000 // more than a pull brings
	c := &store.Commit{Next: headAt("e1", 1, 'a'), NewEpoch: true}
	for i := range many {
		c.Changed = append(c.Changed, store.Keyed{Key: fmt.Sprintf("t%06d", i), Value: bytes.Repeat([]byte{'v'}, 300)})
	}
	begin := time.Now()
	commitUntil(t, l, c)
	t.Logf("committed %d records in %s", many, time.Since(begin))
	two := headAt("e1", 2, 'a')
	commitUntil(t, l, &store.Commit{Base: c.Next, Next: two, Changed: c.Changed})
	if p := pull(t, l, c.Next.Position); p.Verdict != store.PullTrimmed {
		t.Errorf("so many changes: verdict %d, want that they are downloaded", p.Verdict)
	}
	begin = time.Now()
	count := 0
	if err := l.Scan(context.Background(), func(some []store.Keyed) error { count += len(some); return nil }); err != nil || count < many {
		t.Errorf("Scan: %d records, %v", count, err)
	}
	t.Logf("scanned %d records in %s", count, time.Since(begin))
}

// A Redis that is stopped causes no error by itself: neither does a call wait for long, nor
// is a wake-up lost.
func TestPausedRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	l := openLog(t, server.URL())
	awaitWakeup(t, l, "the subscription")
	one, two := headAt("e1", 1, 'a'), headAt("e1", 2, 'a')
	mustCommit(t, l, &store.Commit{Next: one, NewEpoch: true})
	awaitWakeup(t, l, "a change")
	server.Pause()
	begin := time.Now()
	err := l.Commit(context.Background(), &store.Commit{Base: one, Next: two})
	if !errors.Is(err, store.ErrUncertain) {
		t.Errorf("a change that was not answered: %v", err)
	}
	if _, err := l.Pull(context.Background(), one.Position, report("node_1")); !errors.Is(err, store.ErrUnreachable) {
		t.Errorf("a pull that was not answered: %v", err)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("the calls waited for %s", took)
	}
	awaitWakeup(t, l, "nothing was heard for a while")
	server.Resume()
	mustCommit(t, l, &store.Commit{Base: one, Next: two}) // whether it was made or not
	if p := pull(t, l, one.Position); p.Verdict != store.PullOK || p.Head != two {
		t.Errorf("afterwards: %+v", p)
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	l := openLog(t, server.URL())
	server.Kill()
	err := l.Commit(context.Background(), &store.Commit{Next: headAt("e1", 1, 'a'), NewEpoch: true})
	if !errors.Is(err, store.ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}

func TestUnfitRedis(t *testing.T) {
	t.Parallel()
	evicting := openLog(t, redistest.Start(t, "--maxmemory-policy", "allkeys-lru").URL())
	_, err := evicting.Pull(context.Background(), store.Position{}, report("node_1"))
	if !errors.Is(err, store.ErrUnreachable) || !strings.Contains(err.Error(), "maxmemory-policy") {
		t.Errorf("a Redis that evicts: %v", err)
	}
	replica := openLog(t, redistest.Start(t, "--replicaof", "127.0.0.1 1").URL())
	if err := replica.Commit(context.Background(), &store.Commit{Next: headAt("e1", 1, 'a'), NewEpoch: true}); !errors.Is(err, store.ErrUnreachable) {
		t.Errorf("a replica: %v", err)
	}
}

// baseRights are the commands that the package's documentation says a user needs.
const baseRights = "+eval +evalsha +script|load +time +get +set +hset +hget +hmget +hdel +hlen +hgetall +hscan +del " +
	"+unlink +rename +pexpire +expireat +persist +xadd +xrange +publish +subscribe +unsubscribe +ping +info +hello +auth +select"

// rightsOf returns the command that makes a user of these rights, with the password
// secret-of-redis.
func rightsOf(user, commands string) []any {
	rights := []any{"ACL", "SETUSER", user, "on", ">secret-of-redis", "resetkeys", "~{scopegate}:*", "resetchannels", "&{scopegate}:wake", "-@all"}
	for right := range strings.FieldsSeq(commands) {
		rights = append(rights, right)
	}
	return rights
}

// Wherever the rights are named, they are those that are tested.
func TestDocumentedRights(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"redislog.go", "../../docs/cluster.md"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		_, after, _ := strings.Cut(string(text), "ACL SETUSER scopegate")
		command, _, _ := strings.Cut(after, "+select")
		var named []string
		for word := range strings.FieldsSeq(command + "+select") {
			if strings.HasPrefix(word, "+") {
				named = append(named, word)
			}
		}
		want := strings.Fields(baseRights)
		slices.Sort(named)
		slices.Sort(want)
		if !slices.Equal(named, want) {
			t.Errorf("%s names %q, want %q", name, named, want)
		}
	}
}

// The rights that the package's documentation names are enough.
func TestRights(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	rights := rightsOf("scopegate", baseRights)
	if err := server.Client(t).Do(context.Background(), rights...).Err(); err != nil {
		t.Fatal(err)
	}
	l := openLog(t, strings.Replace(server.URL(), "redis://", "redis://scopegate:secret-of-redis@", 1))
	awaitWakeup(t, l, "the subscription")
	one := headAt("e1", 1, 'a')
	mustCommit(t, l, &store.Commit{Next: one, NewEpoch: true, Replace: true, Changed: []store.Keyed{{Key: "tA", Value: []byte("a")}, {Key: "tB"}}})
	awaitWakeup(t, l, "a change")
	pull(t, l, one.Position)
	if nodes, err := l.Nodes(context.Background()); err != nil || len(nodes) != 1 {
		t.Errorf("Nodes: %+v, %v", nodes, err)
	}
	if err := l.Scan(context.Background(), func([]store.Keyed) error { return nil }); err != nil {
		t.Error(err)
	}
	if err := l.Leave(context.Background(), "node_1"); err != nil {
		t.Error(err)
	}
	if err := put(t, l.Usage(), today(), 1, sharedRow("a", 1, "")); err != nil || len(get(t, l.Usage(), today())) != 1 || len(shelves(t, l.Usage())) != 1 {
		t.Errorf("leaving what was counted: %v", err)
	}
}

// What is wrong with a URL is said without the URL, for it has a password.
func TestBadURL(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"127.0.0.1:6379":                      "no scheme",
		"http://:hunter2@127.0.0.1":           "scheme",
		"redis+ring://:hunter2@127.0.0.1":     "no scheme of a Redis",
		"redis://:hunter2@127.0.0.1/x":        "database number",
		"redis+sentinel://:hunter2@127.0.0.1": "master_name",
		"redis://:hunter2@127.0.0.1:port":     "port",
	} {
		_, err := Open(Options{URL: url})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want an error about %q without the password", url, err, want)
		}
	}
}
