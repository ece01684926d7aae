package notify

import (
	"fmt"
	"time"
)

// beforeEnd is how long before something ends people are told, the longest first.
var beforeEnd = []time.Duration{30 * day, 7 * day, day}

// reached returns the shortest of these spans before an end that has begun, and whether there is
// one: who was away is told once, not of each. A span that had begun before the whole thing did
// is none: whoever makes a token for three days knows that it ends within a week.
func reached(spans []time.Duration, began, now, end time.Time) (shortest time.Duration, ok bool) {
	if !now.Before(end) {
		return 0, false
	}
	for _, s := range spans {
		if from := end.Add(-s); !from.After(now) && from.After(began) {
			shortest, ok = s, true
		}
	}
	return shortest, ok
}

// expiring finds that a token expires, or that the credential which it had before does.
func (f *finder) expiring() {
	t := f.token
	if before, ok := reached(beforeEnd, t.Created, f.Now, t.Expires); ok {
		f.add(found{
			kind: Expiring, occasion: unix(t.Expires) + " " + before.String(), at: t.Expires,
			text: fmt.Sprintf("expires on %s, in %s; from then on its requests are refused", date(t.Expires), span(t.Expires.Sub(f.Now))),
			hint: "token update " + t.Ref() + " --expires <date> --allow-widen",
		})
	}
	for i := range t.Credentials[:max(0, len(t.Credentials)-1)] {
		old, newest := &t.Credentials[i], &t.Credentials[len(t.Credentials)-1]
		before, ok := reached(beforeEnd[1:], newest.Created, f.Now, old.Ends)
		if !ok {
			continue
		}
		f.add(found{
			kind: Expiring, occasion: "credential " + unix(old.Created) + " " + unix(old.Ends) + " " + before.String(), at: old.Ends,
			text: fmt.Sprintf("was rotated: its old credential%s ends on %s, in %s", lastFour(old), date(old.Ends), span(old.Ends.Sub(f.Now))),
			hint: "report rotation --token " + t.Ref(),
		})
	}
}

// lastFour is how people tell a credential from another.
func lastFour(c *Credential) string {
	if c.LastFour == "" {
		return ""
	}
	return " (…" + c.LastFour + ")"
}

// rotationAhead is how long before a rotation is due people are told, at most; and the part of
// the time between two rotations that it is at most, or those that are rotated weekly would always
// be due.
const (
	rotationAhead = 30 * day
	rotationPart  = 3
)

// rotation finds that a credential is to be rotated, of a token that says how often. One that is
// being rotated has a new credential, from which the time counts.
func (f *finder) rotation() {
	t := f.token
	if t.RotateEvery <= 0 || len(t.Credentials) == 0 {
		return
	}
	since := t.Credentials[len(t.Credentials)-1].Created
	due := since.Add(t.RotateEvery)
	hint := "token rotate " + t.Ref() + " --overlap 7d"
	switch {
	case !f.Now.Before(due):
		f.add(found{
			kind: RotationOverdue, occasion: unix(due), at: due,
			text: fmt.Sprintf("has a credential of %s that should have been rotated by %s", date(since), date(due)), hint: hint,
		})
	case !f.Now.Before(due.Add(-min(rotationAhead, t.RotateEvery/rotationPart))):
		f.add(found{
			kind: RotationDue, occasion: unix(due), at: due,
			text: fmt.Sprintf("has a credential of %s that is to be rotated by %s, in %s", date(since), date(due), span(due.Sub(f.Now))), hint: hint,
		})
	}
}
