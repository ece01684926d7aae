package store

import (
	"sync/atomic"
	"time"
)

// lease is for how long a node may decide. The zero lease is stale, but for one without
// an end.
type lease struct {
	most     time.Duration // 0 for ever
	verified atomic.Int64  // Unix nanoseconds of when the node asked and then was known to have all changes; 0 for never
}

// renew takes note that the node had all changes that were made before it asked.
func (l *lease) renew(asked time.Time) { l.verified.Store(asked.UnixNano()) }

// isStale reports whether the lease has run out, or never began. Without an end it
// begins all the same: a node that has never heard of the others has nothing to decide on.
func (l *lease) isStale(now time.Time) bool {
	verified := l.verified.Load()
	return verified == 0 || l.most > 0 && now.UnixNano()-verified > int64(l.most)
}

// grace is how long after the beginning of an epoch no lease is renewed, so that every
// node that is alive can tell what it knows.
func (l *lease) grace() time.Duration {
	const most = 5 * time.Second
	if l.most == 0 {
		return most
	}
	return min(most, l.most/2)
}

// since returns when the lease was last renewed; zero for never.
func (l *lease) since() time.Time {
	if verified := l.verified.Load(); verified != 0 {
		return time.Unix(0, verified)
	}
	return time.Time{}
}
