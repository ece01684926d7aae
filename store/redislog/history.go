package redislog

import (
	"context"
	_ "embed" // the scripts
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/scopegate/scopegate/store"
)

//go:embed lua/pull.lua
var pullSource string

//go:embed lua/commit.lua
var commitSource string

//go:embed lua/nodes.lua
var nodesSource string

var (
	pullScript   = redis.NewScript(pullSource)
	commitScript = redis.NewScript(commitSource)
	nodesScript  = redis.NewScript(nodesSource)
)

const (
	callTimeout = 500 * time.Millisecond
	// perRecord is how much longer a call may take for each record.
	perRecord = 50 * time.Microsecond
	// most is how many records a pull brings; more are downloaded.
	most = 20_000
	// joiningLifetime is how long the report of a node counts at least that downloads
	// everything, and does not pull meanwhile.
	joiningLifetime = 30 * time.Second
	// logLength is how many changes the log has at least.
	logLength = 10_000
	// scanned is about how many records Scan yields at a time.
	scanned = 4000
)

// errAnswer: a script has answered what it never answers.
var errAnswer = errors.New("redislog: an answer cannot be read; is another program using this namespace?")

// Pull implements [store.History].
func (l *Log) Pull(ctx context.Context, at store.Position, r *store.Report) (*store.Pulled, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout+most*perRecord)
	defer cancel()
	if err := l.check(ctx); err != nil {
		return nil, err
	}
	report, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("redislog: %w", err)
	}
	answer, err := pullScript.Run(ctx, l.client, []string{l.keys.head, l.keys.records, l.keys.log, l.keys.nodes, l.keys.filling},
		at.Epoch, at.Revision, at.Chain[:], r.ID, report, lifetime(r).Milliseconds(), most, joiningLifetime.Milliseconds(), known(r), r.Epoch).Slice()
	if err != nil {
		return nil, fail(err)
	}
	return readPulled(answer)
}

// known returns the instance, if the Redis has a report of it already.
func known(r *store.Report) string {
	if !r.Again {
		return ""
	}
	return r.Instance
}

// lifetime returns how long a report counts: as long as the node may decide.
func lifetime(r *store.Report) time.Duration {
	const forever, margin = time.Minute, 2 * time.Second
	if r.MaxStaleness == 0 {
		return forever
	}
	return r.MaxStaleness + margin
}

var verdicts = map[string]store.PullVerdict{
	"ok": store.PullOK, "empty": store.PullEmpty, "epoch": store.PullEpoch, "regress": store.PullRegress, "diverge": store.PullDiverge,
	"trimmed": store.PullTrimmed, "twin": store.PullTwin,
}

// readPulled reads what the script pull.lua answers.
func readPulled(answer []any) (*store.Pulled, error) {
	a := answers{list: answer}
	p := &store.Pulled{Verdict: verdicts[a.text()], Filling: a.text() == "1"}
	if p.Verdict == store.PullEmpty || p.Verdict == store.PullTwin {
		return p, nil
	}
	p.EpochAge, p.HeadAge, p.Apart = a.milliseconds(), a.milliseconds(), int(a.number()) //nolint:gosec // it is small
	p.Head.Format = int(a.number())                                                      //nolint:gosec // it is small
	p.Head.Epoch, p.Head.Revision = a.text(), a.number()
	copy(p.Head.Chain[:], a.text())
	p.Head.Count = a.number()
	copy(p.Head.Sig[:], a.text())
	p.Head.Resets = a.number()
	changed, audit := a.nested(), a.nested()
	for len(changed.list) > changed.at && !changed.bad {
		keyed := store.Keyed{Key: changed.text()}
		if value, ok := changed.optional(); ok {
			keyed.Value = []byte(value)
		}
		p.Changed = append(p.Changed, keyed)
	}
	for len(audit.list) > audit.at && !audit.bad {
		p.Audit = append(p.Audit, store.Audited{Revision: audit.number(), Entries: []byte(audit.text())})
	}
	if a.bad || changed.bad || audit.bad || p.Verdict == 0 {
		return nil, errAnswer
	}
	return p, nil
}

// answers reads the values of an answer one after the other. Once one is not what it
// should be, bad is set.
type answers struct {
	list []any
	at   int
	bad  bool
}

func (a *answers) next() any {
	if a.at >= len(a.list) {
		a.bad = true
		return nil
	}
	a.at++
	return a.list[a.at-1]
}

func (a *answers) text() string {
	text, ok := a.optional()
	a.bad = a.bad || !ok
	return text
}

func (a *answers) optional() (string, bool) {
	text, ok := a.next().(string)
	return text, ok
}

func (a *answers) milliseconds() time.Duration {
	return time.Duration(a.number()) * time.Millisecond //nolint:gosec // an age
}

func (a *answers) number() uint64 {
	n, err := strconv.ParseUint(a.text(), 10, 64)
	a.bad = a.bad || err != nil
	return n
}

func (a *answers) nested() *answers {
	list, ok := a.next().([]any)
	return &answers{list: list, bad: !ok}
}

// commitTries is how often a change is sent for which no answer came.
const commitTries = 3

// Commit implements [store.History].
func (l *Log) Commit(ctx context.Context, c *store.Commit) error {
	aside, err := l.stage(ctx, c, piecesOf(c))
	if err != nil {
		return err
	}
	args := l.commitArguments(c, aside)
	open := false // some attempt may have made the change
	ctx = context.WithValue(ctx, openKey{}, &open)
	for range commitTries {
		var answer string
		if answer, err = l.commitOnce(ctx, args, len(c.Changed)-aside); err == nil {
			return verdictOf(answer)
		}
		if isReply(err) || ctx.Err() != nil {
			break
		}
	}
	if open {
		return fmt.Errorf("%w: Redis: %w", store.ErrUncertain, err)
	}
	return fail(err)
}

func (l *Log) commitOnce(ctx context.Context, args []any, records int) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout+time.Duration(records)*perRecord)
	defer cancel()
	return commitScript.Run(ctx, l.client, []string{l.keys.head, l.keys.records, l.keys.log, l.keys.filling, l.keys.aside}, args...).Text()
}

func verdictOf(answer string) error {
	switch answer {
	case "ok":
		return nil
	case "moved":
		return store.ErrHeadMoved
	case "lost":
		return fmt.Errorf("%w: Redis has lost some of the records that were put aside; they are sent again", store.ErrUnreachable)
	}
	return errAnswer
}

// commitArguments returns what the script commit.lua gets, if so many records were put
// aside for it: all, or none.
func (l *Log) commitArguments(c *store.Commit, aside int) []any {
	var base struct{ epoch, chain string }
	if !c.Base.IsZero() {
		base.epoch, base.chain = c.Base.Epoch, string(c.Base.Chain[:])
	}
	n := &c.Next
	args := []any{
		base.epoch, base.chain, n.Format, n.Epoch, n.Revision, n.Chain[:], n.Count, n.Sig[:], n.Resets,
		flag(c.NewEpoch), flag(c.Replace || aside > 0), c.Audit, logLength, l.keys.channel, wakeupOf(c), aside, 0,
	}
	if aside > 0 {
		return args
	}
	puts := 0
	var removed []any
	for _, changed := range c.Changed {
		if changed.Value == nil {
			removed = append(removed, changed.Key)
			continue
		}
		puts++
		args = append(args, changed.Key, changed.Value)
	}
	args[16] = puts
	return append(args, removed...)
}

func flag(set bool) string {
	if set {
		return "1"
	}
	return "0"
}

// Scan implements [store.History].
func (l *Log) Scan(ctx context.Context, each func([]store.Keyed) error) error {
	for cursor := uint64(0); ; {
		list, next, err := l.scanFrom(ctx, cursor)
		if err != nil {
			return fail(err)
		}
		if err := each(together(list)); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// together returns records whose keys are in one piece of memory, and whose values are in
// another: a million of them that all have their own are what a garbage collector is busy
// with for seconds.
func together(list []string) []store.Keyed {
	lengths := [2]int{} // of all keys, and of all values
	for i, text := range list {
		lengths[i%2] += len(text)
	}
	var allKeys strings.Builder
	allKeys.Grow(lengths[0])
	values := make([]byte, 0, lengths[1])
	for i := 0; i+1 < len(list); i += 2 {
		allKeys.WriteString(list[i])
		values = append(values, list[i+1]...)
	}
	keys := allKeys.String()
	some := make([]store.Keyed, 0, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		k, v := len(list[i]), len(list[i+1])
		some = append(some, store.Keyed{Key: keys[:k], Value: values[:v:v]})
		keys, values = keys[k:], values[v:]
	}
	return some
}

// scanTries is how often some of the records are asked for: a call that took too long is no
// reason to download all others again.
const scanTries = 3

func (l *Log) scanFrom(ctx context.Context, cursor uint64) (list []string, next uint64, err error) {
	for range scanTries {
		if list, next, err = l.scanOnce(ctx, cursor); err == nil || isReply(err) || ctx.Err() != nil {
			break
		}
	}
	return list, next, err
}

func (l *Log) scanOnce(ctx context.Context, cursor uint64) ([]string, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout+scanned*perRecord)
	defer cancel()
	return l.client.HScan(ctx, l.keys.records, cursor, "", scanned).Result()
}
