package redislog

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/limits"
	"github.com/scopegate/scopegate/store/redislog/redistest"
)

func settle(tb testing.TB, l *Log, b *limits.Batch) *limits.Settled {
	tb.Helper()
	s, err := l.Settle(context.Background(), b)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// batchOf returns a batch of a rate of a request an hour, and of a quota.
func batchOf(node string, number uint64, rate limits.RateTakes, quota limits.QuotaTakes) *limits.Batch {
	rate.Token, rate.PerSecond, rate.Most = "tok_1", 1.0/3600, 100
	quota.Token, quota.API = "tok_1", "orders"
	quota.Start = time.Now().Truncate(time.Hour)
	quota.End = quota.Start.Add(time.Hour)
	return &limits.Batch{Node: node, Number: number, Sent: time.Now(), Rates: []limits.RateTakes{rate}, Quotas: []limits.QuotaTakes{quota}}
}

func wantSettled(t *testing.T, what string, s *limits.Settled, level float64, count int64) {
	t.Helper()
	const drains = 0.05 // 3 minutes
	if math.Abs(s.Levels[0]-level) > drains || s.Counts[0] != count {
		t.Errorf("%s: a level of %g and a count of %d, want %g and %d", what, s.Levels[0], s.Counts[0], level, count)
	}
	if age := time.Since(s.Now).Abs(); age > time.Minute {
		t.Errorf("%s: the time is %s", what, s.Now)
	}
}

func TestSettle(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client, l := server.Client(t), openLog(t, server.URL())
	if s := settle(t, l, &limits.Batch{Node: "a", Number: 1}); time.Since(s.Now).Abs() > time.Minute || len(s.Levels)+len(s.Counts) > 0 {
		t.Errorf("who only asks for the time gets %+v", s)
	}
	if keys := client.Keys(context.Background(), "*").Val(); len(keys) > 0 {
		t.Errorf("and leaves %q", keys)
	}
	first := batchOf("a", 2, limits.RateTakes{Taken: 3, Level: 3}, limits.QuotaTakes{Taken: 4, Count: 4})
	wantSettled(t, "the first", settle(t, l, first), 3, 4)
	wantSettled(t, "the same again", settle(t, l, first), 3, 4)
	wantSettled(t, "another node", settle(t, l, batchOf("b", 1, limits.RateTakes{Taken: 5, Level: 5}, limits.QuotaTakes{Taken: 6, Count: 6})), 8, 10)
	wantSettled(t, "the next", settle(t, l, batchOf("a", 3, limits.RateTakes{Taken: 1}, limits.QuotaTakes{Taken: 1})), 9, 11)
	wantSettled(t, "the first, late", settle(t, l, first), 9, 11)
	wantSettled(t, "a node that knows of more", settle(t, l, batchOf("b", 2, limits.RateTakes{Level: 20}, limits.QuotaTakes{Count: 30})), 20, 30)
	wantSettled(t, "more than there can be", settle(t, l, batchOf("b", 3, limits.RateTakes{Taken: 90}, limits.QuotaTakes{Taken: 90})), 100, 120)

	keys := client.Keys(context.Background(), "*").Val()
	slices.Sort(keys)
	if len(keys) != 4 || !strings.HasPrefix(keys[2], "{scopegate}:limits:quota:tok_1:orders:") || keys[3] != "{scopegate}:limits:rate:tok_1:" {
		t.Errorf("the keys are %q", keys)
	}
	for _, key := range keys {
		if lasts := client.PTTL(context.Background(), key).Val(); lasts <= 0 || lasts > 101*time.Hour && !strings.Contains(key, ":node:") {
			t.Errorf("%s lasts %s", key, lasts)
		}
	}
}

// What the bucket has drained meanwhile does not count, nor do takes that came while it was
// empty.
func TestSettleDrains(t *testing.T) {
	t.Parallel()
	l := openLog(t, redistest.Start(t).URL())
	add := func(number uint64, taken int64, age time.Duration, level float64, sent time.Time) float64 {
		s := settle(t, l, &limits.Batch{Node: "a", Number: number, Sent: sent, Rates: []limits.RateTakes{
			{Token: "tok_1", PerSecond: 0.1, Taken: taken, Age: age, Level: level, Most: 100},
		}})
		return s.Levels[0]
	}
	const takes = 1.5 // what drains in 15 s, which none of this takes
	for i, test := range []struct {
		name  string
		taken int64
		age   time.Duration
		level float64
		lag   time.Duration
		want  float64
	}{
		{"into an empty bucket, long ago", 10, 90 * time.Second, 0, 0, 1},
		{"more came later", 10, 90 * time.Second, 8, 0, 11},
		{"known of before it was sent", 0, 0, 30, 100 * time.Second, 20},
	} {
		if got := add(uint64(i+1), test.taken, test.age, test.level, time.Now().Add(-test.lag)); got > test.want || got < test.want-takes {
			t.Errorf("%s: a level of %g, want %g", test.name, got, test.want)
		}
	}
}

// What somebody else has written where levels and counts are makes no answer that counts,
// and is gone with the next one.
func TestSettleHostile(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client, l := server.Client(t), openLog(t, server.URL())
	ctx := context.Background()
	settle(t, l, batchOf("a", 1, limits.RateTakes{Taken: 1, Level: 1}, limits.QuotaTakes{Taken: 1, Count: 1}))
	var rate, quota string
	for _, key := range client.Keys(ctx, "*").Val() {
		switch {
		case strings.Contains(key, ":rate:"):
			rate = key
		case strings.Contains(key, ":quota:"):
			quota = key
		}
	}
	for _, value := range []string{"", "x", "nan 1", "inf 1", "-inf 1", "1", "1 x", "1e999 1", "-5e300 5", "\x00 \xff", strings.Repeat("9", 400) + " 1"} {
		if err := client.Set(ctx, rate, value, time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
		b := batchOf("a", 1, limits.RateTakes{Level: 7}, limits.QuotaTakes{Count: 9})
		if s := settle(t, l, b); s.Levels[0] < 6 || s.Levels[0] > 7 {
			t.Errorf("a level of %q: got %g, want 7", value, s.Levels[0])
		}
	}
	for _, value := range []string{"", "x", "nan", "inf", "-1", "1e300", "1.5"} {
		if err := client.Set(ctx, quota, value, time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
		s, err := l.Settle(ctx, batchOf("a", 1, limits.RateTakes{}, limits.QuotaTakes{Count: 9}))
		if err == nil && s.Counts[0] != 9 {
			t.Errorf("a count of %q: got %d, want 9, or no answer", value, s.Counts[0])
		}
	}
	if err := client.Del(ctx, rate).Err(); err != nil {
		t.Fatal(err)
	}
	if err := client.HSet(ctx, rate, "a", "b").Err(); err != nil {
		t.Fatal(err)
	}
	if s, err := l.Settle(ctx, batchOf("a", 2, limits.RateTakes{Taken: 1}, limits.QuotaTakes{Taken: 1})); err == nil {
		t.Errorf("a hash in place of a level: got %+v", s)
	}
}

// The rights that the package's documentation names are enough, and without one that is
// missing nothing is written.
func TestSettleRights(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client(t)
	b := batchOf("a", 1, limits.RateTakes{Taken: 1, Level: 1}, limits.QuotaTakes{Taken: 1, Count: 1})
	for _, right := range []string{"get", "set", "time", "evalsha", "none"} {
		user := "without-" + right
		if err := client.Do(context.Background(), rightsOf(user, strings.Replace(baseRights, "+"+right+" ", "", 1))...).Err(); err != nil {
			t.Fatal(err)
		}
		l := openLog(t, strings.Replace(server.URL(), "://", fmt.Sprintf("://%s:secret-of-redis@", user), 1))
		_, err := l.Settle(context.Background(), b)
		if right == "none" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "NOPERM") || strings.Contains(err.Error(), "secret-of-redis") {
			t.Errorf("without the right to %s: %v", right, err)
		}
		if keys := client.Keys(context.Background(), "*").Val(); len(keys) > 0 {
			t.Errorf("without the right to %s there is %q", right, keys)
		}
	}
}

// It works with TLS, a cluster, and through a failover of Sentinel.
func TestSettleTopologies(t *testing.T) {
	t.Parallel()
	_, tlsURL := redistest.StartTLS(t)
	_, clusterURL := redistest.StartCluster(t)
	master, replica, sentinelURL := redistest.StartSentinel(t)
	one := batchOf("a", 1, limits.RateTakes{Taken: 3, Level: 3}, limits.QuotaTakes{Taken: 4, Count: 4})
	two := batchOf("b", 1, limits.RateTakes{Taken: 3, Level: 3}, limits.QuotaTakes{Taken: 4, Count: 4})
	for name, url := range map[string]string{"TLS": tlsURL + "?skip_verify=true", "cluster": clusterURL, "sentinel": sentinelURL} {
		l := openLog(t, url)
		settleUntil(t, l, one)
		wantSettled(t, name, settleUntil(t, l, two), 6, 8)
		if name != "sentinel" {
			continue
		}
		for replica.Client(t).Get(context.Background(), "{scopegate}:limits:node:b").Val() != "1" { // it has been replicated
			if t.Context().Err() != nil {
				t.Fatal("the replica does not get it")
			}
		}
		master.Kill()
		wantSettled(t, "after the failover", settleUntil(t, l, two), 6, 8)
	}
}

// settleUntil settles as often as it takes.
func settleUntil(tb testing.TB, l *Log, b *limits.Batch) *limits.Settled {
	tb.Helper()
	deadline := time.Now().Add(30 * time.Second)
	s, err := l.Settle(context.Background(), b)
	for err != nil && time.Now().Before(deadline) {
		s, err = l.Settle(context.Background(), b)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return s
}
