package redislog

import (
	"context"
	_ "embed" // the script
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/scopegate/scopegate/limits"
)

//go:embed lua/limits.lua
var limitsSource string

var limitsScript = redis.NewScript(limitsSource)

const (
	// numberLifetime is how long the number of a node's last batch is remembered: longer
	// than any window of a quota.
	numberLifetime = 32 * 24 * time.Hour
	// countMargin is how much longer than its window a count is kept: clocks differ.
	countMargin = time.Hour
)

// Settle implements [limits.Exchange].
func (l *Log) Settle(ctx context.Context, b *limits.Batch) (*limits.Settled, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	keys, args := l.settleArguments(b)
	list, err := limitsScript.Run(ctx, l.client, keys, args...).Slice()
	if err != nil {
		return nil, fmt.Errorf("redislog: limits: %w", err)
	}
	return readSettled(list, b)
}

// settleArguments returns what the script limits.lua gets.
func (l *Log) settleArguments(b *limits.Batch) (keys []string, args []any) {
	keys = append(keys, l.keys.limits+"node:"+b.Node)
	args = append(args, b.Number, b.Sent.UnixMicro(), numberLifetime.Milliseconds(), len(b.Rates))
	for i := range b.Rates {
		r := &b.Rates[i]
		keys = append(keys, l.keys.limits+"rate:"+r.Token+":"+r.API)
		args = append(args, r.PerSecond/float64(time.Second/time.Microsecond), r.Taken, r.Age.Microseconds(), r.Level, r.Most)
	}
	for i := range b.Quotas {
		q := &b.Quotas[i]
		keys = append(keys, l.keys.limits+"quota:"+q.Token+":"+q.API+":"+strconv.FormatInt(q.Start.Unix(), 10)+"-"+strconv.FormatInt(q.End.Unix(), 10))
		lasts := max(0, q.End.Sub(b.Sent)) + countMargin
		args = append(args, lasts.Milliseconds(), q.Taken, q.Count)
	}
	return keys, args
}

// readSettled reads what the script limits.lua answers.
func readSettled(list []any, b *limits.Batch) (*limits.Settled, error) {
	a := answers{list: list}
	s := &limits.Settled{Now: time.UnixMicro(int64(a.number()))} //nolint:gosec // whoever asked looks whether it can be
	for range b.Rates {
		s.Levels = append(s.Levels, a.decimal())
	}
	for range b.Quotas {
		s.Counts = append(s.Counts, int64(a.number())) //nolint:gosec // whoever asked looks whether it can be
	}
	if a.bad || a.at != len(list) {
		return nil, errAnswer
	}
	return s, nil
}

func (a *answers) decimal() float64 {
	f, err := strconv.ParseFloat(a.text(), 64)
	a.bad = a.bad || err != nil
	return f
}
