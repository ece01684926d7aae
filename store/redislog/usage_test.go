package redislog

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/scopegate/scopegate/store"
	"github.com/scopegate/scopegate/store/redislog/redistest"
	"github.com/scopegate/scopegate/usage"
)

// sharedRow returns a row with a number, as nodes leave it.
func sharedRow(key string, seq uint64, rest string) usage.SharedRow {
	return usage.SharedRow{Key: []byte(key), Value: append(binary.BigEndian.AppendUint64(nil, seq), rest...)}
}

func today() usage.Shelf { return usage.Shelf{Day: usage.DayOf(time.Now()), Origin: "0123456789ab"} }

// put leaves all rows of a shelf.
func put(tb testing.TB, u *Usage, s usage.Shelf, seq uint64, rows ...usage.SharedRow) error {
	tb.Helper()
	return u.Put(context.Background(), &usage.Batch{Shelf: s, Rows: rows, Last: true, Count: len(rows), Mark: usage.Mark{Seq: seq}})
}

// get returns the rows of a shelf, in order.
func get(tb testing.TB, u *Usage, s usage.Shelf) (found []string) {
	tb.Helper()
	if err := u.Get(context.Background(), s, func(rows []usage.SharedRow) error {
		for _, r := range rows {
			found = append(found, fmt.Sprintf("%s %d %s", r.Key, binary.BigEndian.Uint64(r.Value), r.Value[8:]))
		}
		return nil
	}); err != nil {
		tb.Fatal(err)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func shelves(tb testing.TB, u *Usage) map[usage.Shelf]usage.Mark {
	tb.Helper()
	found, err := u.Shelves(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	return found
}

// TestUsageRows: the row with the higher number stays, whatever comes last. Numbers are
// told apart to the last bit.
func TestUsageRows(t *testing.T) {
	t.Parallel()
	u, s := openLog(t, redistest.Start(t).URL()).Usage(), today()
	const high = 1<<63 + 1<<53
	for _, batch := range [][]usage.SharedRow{
		{sharedRow("a\x00b", 5, "five"), sharedRow("c", high, "high")},
		{sharedRow("a\x00b", 4, "four"), sharedRow("c", high+1, "higher")},
		{sharedRow("a\x00b", 6, "six\xff\x00"), sharedRow("c", high, "high")},
		{sharedRow("a\x00b", 6, "another six"), sharedRow("c", 255, "low")},
	} {
		if err := put(t, u, s, 6, batch...); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"a\x00b 6 six\xff\x00", fmt.Sprintf("c %d higher", uint64(high+1))}
	if got := get(t, u, s); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestUsageMarks: a shelf is only told of once all its rows are there.
func TestUsageMarks(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	u, s, ctx := openLog(t, server.URL()).Usage(), today(), context.Background()
	mark := usage.Mark{Seq: 1 << 60, Seal: [usage.SealBytes]byte{0, 255, 10}}
	first := usage.Batch{Shelf: s, Rows: []usage.SharedRow{sharedRow("a", 1, "")}}
	last := usage.Batch{Shelf: s, Rows: []usage.SharedRow{sharedRow("b", 2, "")}, Last: true, Count: 2, Mark: mark}
	if err := u.Put(ctx, &first); err != nil || len(shelves(t, u)) != 0 {
		t.Fatalf("after the first of two batches: %v, shelves %v; want none", err, shelves(t, u))
	}
	if err := server.Client(t).FlushAll(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	if err := u.Put(ctx, &last); !errors.Is(err, usage.ErrIncomplete) || len(shelves(t, u)) != 0 {
		t.Fatalf("a batch was lost: %v, shelves %v", err, shelves(t, u))
	}
	for _, b := range []*usage.Batch{&first, &last} {
		if err := u.Put(ctx, b); err != nil {
			t.Fatal(err)
		}
	}
	if got := shelves(t, u); len(got) != 1 || got[s] != mark {
		t.Errorf("got %v, want the mark %v", got, mark)
	}
	anew := usage.Batch{Shelf: s, Rows: []usage.SharedRow{sharedRow("c", 1, "")}, Anew: true}
	if err := u.Put(ctx, &anew); err != nil || len(shelves(t, u)) != 0 || !slices.Equal(get(t, u, s), []string{"c 1 "}) {
		t.Errorf("left anew: %v, shelves %v with %q", err, shelves(t, u), get(t, u, s))
	}
}

// TestUsagePasses: nothing stays in Redis for ever.
func TestUsagePasses(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client, ctx := server.Client(t), context.Background()
	u, s := openLog(t, server.URL()).Usage(), today()
	for age, want := range map[usage.Day]error{0: nil, usage.ExchangeDays: nil, usage.ExchangeDays + 3: usage.ErrPassed} {
		old := usage.Shelf{Day: s.Day - age, Origin: s.Origin}
		if err := put(t, u, old, 1, sharedRow("a", 1, "")); !errors.Is(err, want) {
			t.Errorf("%d days ago: %v, want %v", age, err, want)
		}
		key := fmt.Sprintf("{scopegate}:usage:%d:%s", old.Day, old.Origin)
		lasts := time.Until(old.Day.Time()) + (usage.ExchangeDays+2)*24*time.Hour
		if got := client.TTL(ctx, key).Val(); want == nil && (got > lasts+time.Minute || got < lasts-time.Minute) {
			t.Errorf("%d days ago: it is kept for %v, want %v", age, got, lasts)
		}
	}
	index := "{scopegate}:usage"
	if n := client.HLen(ctx, index).Val(); n != 2 {
		t.Fatalf("the index has %d shelves, want 2", n)
	}
	gone := usage.Shelf{Day: s.Day, Origin: "gone00000000"}
	passed := usage.Shelf{Day: s.Day - usage.ExchangeDays - 3, Origin: "abc000000000"}
	for _, other := range []usage.Shelf{gone, passed} {
		client.HSet(ctx, index, fmt.Sprintf("%d:%s", other.Day, other.Origin), encodeMark(&usage.Mark{Seq: 1}))
	}
	client.HSet(ctx, fmt.Sprintf("%s:%d:%s", index, passed.Day, passed.Origin), "a", "b")
	client.HSet(ctx, index, "nonsense", "x")
	if got := shelves(t, u); len(got) != 2 || client.HLen(ctx, index).Val() != 2 {
		t.Errorf("got %v, and %d in the index; want the two that are there", got, client.HLen(ctx, index).Val())
	}
}

// TestUsageHostileRedis: what is not as nodes leave it is an error, or is not seen.
func TestUsageHostileRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client, ctx := server.Client(t), context.Background()
	u, s := openLog(t, server.URL()).Usage(), today()
	index := "{scopegate}:usage"
	if err := put(t, u, s, 1, sharedRow("a", 1, "")); err != nil {
		t.Fatal(err)
	}
	rows := fmt.Sprintf("%s:%d:%s", index, s.Day, s.Origin)
	client.HSet(ctx, rows, strings.Repeat("k", usage.MaxSharedKey+1), "value", "value", strings.Repeat("v", usage.MaxSharedValue+1))
	if got := get(t, u, s); !slices.Equal(got, []string{"a 1 "}) {
		t.Errorf("with rows that are too long: got %.80q, want just the other", got)
	}
	for _, field := range []string{"1:0123456789ab", fmt.Sprintf("%d:abc", s.Day), fmt.Sprintf("0%d:%s", s.Day, s.Origin), "99999999999:0123456789ab"} {
		client.HSet(ctx, index, field, encodeMark(&usage.Mark{Seq: 1}))
		client.HSet(ctx, index+":"+field, "a", "b")
		found, err := u.Shelves(ctx)
		if shelf, ok := shelfOf(field); err == nil && (len(found) != 1 || ok && found[shelf] != (usage.Mark{})) {
			t.Errorf("with a shelf %q: got %v", field, found)
		}
		client.HDel(ctx, index, field)
	}
	client.HSet(ctx, index, fmt.Sprintf("%d:%s", s.Day, s.Origin), "short")
	if found, err := u.Shelves(ctx); !errors.Is(err, errAnswer) {
		t.Errorf("with a mark that is none: got %v, %v", found, err)
	}
	many := make(map[string]any)
	for i := range maxShelves + 1 {
		many[fmt.Sprint(i)] = ""
	}
	client.HSet(ctx, index, many)
	if found, err := u.Shelves(ctx); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Errorf("with too many shelves: got %v, %v", found, err)
	}
}

// TestUsageOfManyRows: a large shelf comes in parts, complete.
func TestUsageOfManyRows(t *testing.T) {
	t.Parallel()
	u, s := openLog(t, redistest.Start(t).URL()).Usage(), today()
	const batches = 20
	for i := range batches {
		b := usage.Batch{Shelf: s, Last: i == batches-1, Count: batches * usage.BatchRows, Mark: usage.Mark{Seq: 1}}
		for k := range usage.BatchRows {
			b.Rows = append(b.Rows, sharedRow(fmt.Sprintf("%d/%d", i, k), 1, strings.Repeat("v", 300)))
		}
		if err := u.Put(context.Background(), &b); err != nil {
			t.Fatal(err)
		}
	}
	if got := get(t, u, s); len(got) != batches*usage.BatchRows {
		t.Errorf("got %d rows, want %d", len(got), batches*usage.BatchRows)
	}
}

// TestUsageLeavesRoom: the last quarter of Redis' memory is for changes.
func TestUsageLeavesRoom(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client, ctx := server.Client(t), context.Background()
	l := openLog(t, server.URL())
	u, s := l.Usage(), today()
	const limit = 24 << 20
	if err := client.ConfigSet(ctx, "maxmemory", fmt.Sprint(limit)).Err(); err != nil {
		t.Fatal(err)
	}
	var err error
	for i := 0; err == nil && i < 1000; i++ {
		rows := make([]usage.SharedRow, 100)
		for k := range rows {
			rows[k] = sharedRow(fmt.Sprintf("%d/%d", i, k), 1, strings.Repeat("v", 4000))
		}
		err = u.Put(ctx, &usage.Batch{Shelf: s, Rows: rows})
	}
	if !errors.Is(err, errNoRoom) {
		t.Fatalf("got %v, want that there is no room", err)
	}
	mustCommit(t, l, &store.Commit{
		Next: headAt("e1", 1, 'a'), NewEpoch: true, Changed: []store.Keyed{{Key: "tA", Value: bytes.Repeat([]byte{'v'}, 1<<20)}},
	})
}

// TestUsageRights: without a right nothing is left by half.
func TestUsageRights(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client, ctx := server.Client(t), context.Background()
	for _, right := range []string{"time", "del", "hdel", "hmget", "hset", "expireat", "hlen"} {
		user := "without-" + right
		rights := rightsOf(user, strings.Replace(baseRights, "+"+right+" ", "", 1))
		if err := client.Do(ctx, rights...).Err(); err != nil {
			t.Fatal(err)
		}
		u := openLog(t, strings.Replace(server.URL(), "://", fmt.Sprintf("://%s:secret-of-redis@", user), 1)).Usage()
		if err := put(t, u, today(), 1, sharedRow("a", 1, "")); !redis.HasErrorPrefix(err, "NOPERM") {
			t.Errorf("without the right to %s: %v", right, err)
		}
		if keys := client.Keys(ctx, "*").Val(); len(keys) > 0 {
			t.Fatalf("without the right to %s, there is %q", right, keys)
		}
	}
}
