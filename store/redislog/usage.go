package redislog

import (
	"context"
	_ "embed" // the scripts
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/scopegate/scopegate/usage"
)

//go:embed lua/usage_shelves.lua
var usageShelvesSource string

//go:embed lua/usage_put.lua
var usagePutSource string

//go:embed lua/usage_get.lua
var usageGetSource string

var (
	usageShelvesScript = redis.NewScript(usageShelvesSource)
	usagePutScript     = redis.NewScript(usagePutSource)
	usageGetScript     = redis.NewScript(usageGetSource)
)

const (
	// usageKept is for how many days after theirs shelves are kept: one more than nodes
	// ask for, whose clocks may be behind.
	usageKept = usage.ExchangeDays + 1
	// maxShelves is how many shelves there may be: each node has one a day, and one more
	// for each time that it starts.
	maxShelves = 20_000
	// maxParts is in how many parts the rows of a shelf come at the most.
	maxParts = 10_000
	// usageTimeout is how long a call may take. Nobody waits for it.
	usageTimeout = 5 * time.Second
)

// Usage is where nodes leave in a Redis what they have counted, a [usage.Exchange]. It is
// safe for concurrent use, and ends with the [Log] that it belongs to.
type Usage struct{ log *Log }

// Usage returns where nodes leave what they have counted.
func (l *Log) Usage() *Usage { return &Usage{l} }

// nameOf returns the name of a shelf in the index; behind the index's key, it is the key
// of its rows.
func nameOf(s usage.Shelf) string { return fmt.Sprintf("%d:%s", s.Day, s.Origin) }

func shelfOf(name string) (s usage.Shelf, ok bool) {
	day, origin, _ := strings.Cut(name, ":")
	n, err := strconv.ParseUint(day, 10, 32)
	s = usage.Shelf{Day: usage.Day(n), Origin: origin}
	return s, err == nil && len(origin) == usage.OriginBytes && nameOf(s) == name
}

// markBytes is the length of a mark: its number, then its seal.
const markBytes = 8 + usage.SealBytes

func encodeMark(m *usage.Mark) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, markBytes), m.Seq), m.Seal[:]...)
}

func decodeMark(text string) (m usage.Mark, ok bool) {
	if len(text) != markBytes {
		return m, false
	}
	m.Seq = binary.BigEndian.Uint64([]byte(text))
	copy(m.Seal[:], text[8:])
	return m, true
}

// Shelves implements [usage.Exchange].
func (u *Usage) Shelves(ctx context.Context) (map[usage.Shelf]usage.Mark, error) {
	ctx, cancel := context.WithTimeout(ctx, usageTimeout)
	defer cancel()
	answer, err := usageShelvesScript.Run(ctx, u.log.client, []string{u.log.keys.usage}, usageKept, maxShelves).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("redislog: %w", err)
	}
	if len(answer) > 2*maxShelves || len(answer)%2 != 0 {
		return nil, errAnswer
	}
	shelves := make(map[usage.Shelf]usage.Mark, len(answer)/2)
	for i := 0; i < len(answer); i += 2 {
		s, isShelf := shelfOf(answer[i])
		m, isMark := decodeMark(answer[i+1])
		if !isShelf || !isMark {
			return nil, fmt.Errorf("%w: there is a shelf %.40q", errAnswer, answer[i])
		}
		shelves[s] = m
	}
	return shelves, nil
}

// Put implements [usage.Exchange].
func (u *Usage) Put(ctx context.Context, b *usage.Batch) error {
	ctx, cancel := context.WithTimeout(ctx, usageTimeout)
	defer cancel()
	if err := u.log.checkRoom(ctx); err != nil {
		return err
	}
	name, count := nameOf(b.Shelf), -1
	if b.Last {
		count = b.Count
	}
	args := []any{name, uint32(b.Shelf.Day), usageKept, flag(b.Anew), count, encodeMark(&b.Mark)}
	for _, r := range b.Rows {
		args = append(args, r.Key, r.Value)
	}
	answer, err := usagePutScript.Run(ctx, u.log.client, []string{u.log.keys.usage, u.rowsOf(b.Shelf)}, args...).Text()
	if err != nil {
		return fmt.Errorf("redislog: %w", err)
	}
	switch answer {
	case "ok":
		return nil
	case "incomplete":
		return usage.ErrIncomplete
	case "passed":
		return usage.ErrPassed
	}
	return errAnswer
}

func (u *Usage) rowsOf(s usage.Shelf) string { return u.log.keys.usage + ":" + nameOf(s) }

// Get implements [usage.Exchange].
func (u *Usage) Get(ctx context.Context, s usage.Shelf, fn func([]usage.SharedRow) error) error {
	cursor := "0"
	for range maxParts {
		rows, next, err := u.getPart(ctx, s, cursor)
		if err != nil {
			return err
		}
		if err := fn(rows); err != nil || next == "0" {
			return err
		}
		cursor = next
	}
	return fmt.Errorf("%w: redislog: %s has no end", usage.ErrIncomplete, u.rowsOf(s))
}

func (u *Usage) getPart(ctx context.Context, s usage.Shelf, cursor string) (rows []usage.SharedRow, next string, err error) {
	ctx, cancel := context.WithTimeout(ctx, usageTimeout)
	defer cancel()
	answer, err := usageGetScript.Run(ctx, u.log.client, []string{u.rowsOf(s)},
		cursor, usage.BatchRows, usage.MaxSharedKey, usage.MaxSharedValue).Slice()
	if err != nil {
		return nil, "", fmt.Errorf("redislog: %w", err)
	}
	a := answers{list: answer}
	next = a.text()
	some := a.nested()
	for len(some.list) > some.at && !some.bad {
		rows = append(rows, usage.SharedRow{Key: []byte(some.text()), Value: []byte(some.text())})
	}
	if a.bad || some.bad {
		return nil, "", errAnswer
	}
	return rows, next, nil
}

// errNoRoom: what is left of the memory is for changes.
var errNoRoom = errors.New("redislog: less than a quarter of what maxmemory gives this Redis is free, which is left to changes of tokens; " +
	"give it more, or usage stays on each node, and no message is sent to people")

// checkRoom refuses when the memory of Redis gets short: a revocation must never be refused
// for what was counted.
func (l *Log) checkRoom(ctx context.Context) error {
	info, err := l.info(ctx)
	if isReply(err) {
		return nil // INFO is not allowed, of which check has told
	}
	if err != nil {
		return fmt.Errorf("redislog: %w", err)
	}
	fields := fieldsOf(info)
	used, err := strconv.ParseUint(fields["used_memory"], 10, 64)
	limit, _ := strconv.ParseUint(fields["maxmemory"], 10, 64)
	if err == nil && limit > 0 && used > limit/4*3 {
		return errNoRoom
	}
	return nil
}

var _ usage.Exchange = (*Usage)(nil)
