package redislog

import (
	"context"
	_ "embed" // the script
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/scopegate/scopegate/store"
)

//go:embed lua/stage.lua
var stageSource string

var stageScript = redis.NewScript(stageSource)

// A change that replaces all records may have a million. They are put aside in pieces,
// between which Redis answers others, and then take the place of what was there at once.
const (
	pieceRecords = 2000
	pieceBytes   = 1 << 20
	// asideLifetime is how long Redis keeps what a node has put aside, and lets no other
	// begin, after the last piece.
	asideLifetime = 15 * time.Second
)

// manyToStage is how many records are sent in pieces. A change with fewer is made at once: it
// takes Redis about as long as the pieces would, and nobody has to wait for anybody.
var manyToStage = 100_000 // tests have fewer

// piecesOf returns the records of a change in pieces; none if it has to be made as a
// whole, or can be.
func piecesOf(c *store.Commit) (pieces [][]store.Keyed) {
	if !c.Replace && !c.Base.IsZero() || len(c.Changed) < manyToStage {
		return nil
	}
	size, from := 0, 0
	for i, record := range c.Changed {
		if size += len(record.Key) + len(record.Value); i > from && (size > pieceBytes || i-from == pieceRecords) {
			pieces = append(pieces, c.Changed[from:i])
			size, from = len(record.Key)+len(record.Value), i
		}
	}
	if from == 0 {
		return nil
	}
	return append(pieces, c.Changed[from:])
}

// stage puts all records of a change aside, and returns how many there are; fewer if the
// head has moved, which commit.lua judges: it may be that the change was made already.
// Nobody sees them until the change is made; where it is not, Redis forgets them.
func (l *Log) stage(ctx context.Context, c *store.Commit, pieces [][]store.Keyed) (count int, err error) {
	for _, piece := range pieces {
		args := []any{"", "", c.Next.Chain[:], asideLifetime.Milliseconds()}
		if !c.Base.IsZero() {
			args[0], args[1] = c.Base.Epoch, c.Base.Chain[:]
		}
		for _, record := range piece {
			if record.Value != nil {
				args = append(args, record.Key, record.Value)
				count++
			}
		}
		if moved, err := l.stagePiece(ctx, args); moved || err != nil {
			return count, err
		}
	}
	return count, nil
}

// stagePiece sends one piece, perhaps more than once. It reports whether the head is
// another one by now.
func (l *Log) stagePiece(ctx context.Context, args []any) (moved bool, err error) {
	var answer string
	for range commitTries {
		if answer, err = l.stageOnce(ctx, args); err == nil || isReply(err) || ctx.Err() != nil {
			break
		}
	}
	switch {
	case err != nil:
		return false, fail(err)
	case answer == "busy":
		return false, fmt.Errorf("%w: another node fills Redis; this one waits for it", store.ErrUnreachable)
	case answer != "ok" && answer != "moved":
		return false, errAnswer
	}
	return answer == "moved", nil
}

func (l *Log) stageOnce(ctx context.Context, args []any) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout+pieceRecords*perRecord)
	defer cancel()
	return stageScript.Run(ctx, l.client, []string{l.keys.head, l.keys.filling, l.keys.aside}, args...).Text()
}
