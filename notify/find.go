package notify

import (
	"fmt"
	"strconv"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// day is how people count what is ahead.
const day = 24 * time.Hour

// Recent is how long ago a change can be of which people are still told: a node that was away for
// longer leaves it. Whoever calls [View.Find] need not hand over deleted tokens that were deleted
// before.
const Recent = 7 * day

// View is what is the same for all tokens at one moment. Events are found in what there is, not
// in a stream of what happens: so nothing is lost while nobody looks, and the same event, with the
// same id, is found as long as it is so.
type View struct {
	Now     time.Time
	Catalog *scopes.Catalog // nil: nothing is known of APIs
	// Counting is since when uses are counted; zero if it is not known, and then nothing is
	// unused.
	Counting time.Time
}

// Token is a token with what is known of its life.
type Token struct {
	ID      string
	Account string
	scopes.Token
	Deleted bool
	// Deactivation tells the deactivation by which it is inactive from all others; "" if it is
	// active, or was made inactive.
	Deactivation string
	Created      time.Time
	Updated      time.Time    // the last change
	Credentials  []Credential // the newest last
}

// Credential is one of a token's credentials.
type Credential struct {
	LastFour string // "" if it is not known
	Created  time.Time
	Ends     time.Time // zero for as long as the token lives
}

// Ref returns "account/name".
func (t *Token) Ref() string { return t.Account + "/" + t.Name }

// Find returns what people are to be told of a token now, whether they were told before or not.
// What was counted of it may be nil: then only that is found which follows from the token itself.
func (v *View) Find(t *Token, used *Used) []Event {
	f := finder{View: v, token: t, used: used}
	switch {
	case t.Deleted:
		f.deleted()
		return f.events
	case t.Inactive:
		f.deactivated()
	case !t.Expires.IsZero() && !v.Now.Before(t.Expires): // nothing is left to be told in time
	default:
		f.expiring()
		f.rotation()
		f.unused()
		f.deprecated()
	}
	f.denied()
	f.errors()
	return f.events
}

// finder finds the events of one token.
type finder struct {
	*View
	token  *Token
	used   *Used // nil: it is not known
	events []Event
}

// found is an event that has been found.
type found struct {
	kind     Kind
	occasion string
	at       time.Time
	text     string // without the token, which it begins with
	hint     string // without "caddy scopegate"
	api      string
	version  string
	op       string
}

func (f *finder) add(e found) {
	t := f.token
	f.events = append(f.events, Event{
		ID: EventID(e.kind, t.ID, e.occasion), Kind: e.kind, At: e.at.UTC(),
		Token: t.Ref(), TokenID: t.ID, Account: t.Account, Description: t.Description,
		Contact: Contact{Name: t.Contact.Name, Email: t.Contact.Email},
		API:     e.api, Version: e.version, Operation: e.op,
		Text: t.Ref() + " " + e.text + ".", Hint: "caddy scopegate " + e.hint,
	})
}

// unix returns a moment as an occasion has it: to the second, as stores do not keep all of it.
func unix(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }

// date returns a moment for people.
func date(at time.Time) string {
	if at = at.UTC(); at.Equal(at.Truncate(day)) {
		return at.Format(time.DateOnly)
	}
	return at.Format("2006-01-02 15:04 UTC")
}

// span returns how long something is for people, who count hours only when there are few.
func span(d time.Duration) string {
	const few = 48 * time.Hour
	n, unit := int((d+day/2)/day), "day"
	if d < few {
		n, unit = max(1, int((d+time.Hour/2)/time.Hour)), "hour"
	}
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", n, unit)
}
