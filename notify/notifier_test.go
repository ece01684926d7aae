package notify

import (
	"fmt"
	"io"
	"mime/quotedprintable"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(killedVariable); text != "" {
		beKilled(text) // this process is one of a test in another
	}
	goleak.VerifyTestMain(m)
}

func unquoted(tb testing.TB, r io.Reader) string {
	tb.Helper()
	text, err := io.ReadAll(quotedprintable.NewReader(r))
	if err != nil {
		tb.Errorf("the body of a mail: %v", err)
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

// eventOf returns an event of a token.
func eventOf(kind Kind, token string) Event {
	return Event{
		ID: EventID(kind, "tok_"+token, "once"), Kind: kind, At: time.Date(2027, 3, 8, 0, 0, 0, 0, time.UTC),
		Token: "acme/" + token, TokenID: "tok_" + token, Account: "acme", Description: "Copies orders.",
		Contact: Contact{Name: "Data team", Email: "data@acme.example"},
		Text:    fmt.Sprintf("The token acme/%s is %s.", token, kind), Hint: "caddy scopegate token update acme/" + token,
	}
}

// node is a notifier that a test opens and closes, with a clock that it sets. Its goroutine
// looks only when the test wants it to.
type node struct {
	*Notifier
	tb    testing.TB
	path  string
	o     Options
	clock *clockAt
	logs  *logs
	mu    sync.Mutex
	tries map[string]int // results, of all channels
}

func newNode(tb testing.TB, o Options) *node {
	tb.Helper()
	n := &node{tb: tb, path: filepath.Join(tb.TempDir(), "messages.db"), clock: newClock(), logs: new(logs), tries: make(map[string]int)}
	o.Observe = func(_, result string) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.tries[result]++
	}
	n.o = o
	n.open()
	tb.Cleanup(func() { _ = n.Close() })
	return n
}

func (n *node) open() {
	n.tb.Helper()
	if n.o.Timing.Interval == 0 {
		n.o.Timing.Interval = 5 * time.Millisecond
	}
	var err error
	if n.Notifier, err = Open(n.path, Local{Now: n.clock.now, Logger: n.logs.logger()}, n.o); err != nil {
		n.tb.Fatal(err)
	}
}

// reopen closes the notifier, and opens it again.
func (n *node) reopen() {
	n.tb.Helper()
	if err := n.Close(); err != nil {
		n.tb.Fatal(err)
	}
	n.open()
}

func (n *node) offer(events ...Event) {
	n.tb.Helper()
	if err := n.Offer(events); err != nil {
		n.tb.Fatal(err)
	}
}

// What is the first of its kind after messages were switched on is news.
func TestFirstOfItsKind(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	n := newNode(t, Options{Channels: []Channel{h.channel()}, Digest: time.Millisecond})
	n.offer()
	n.await("roles are known", func() bool {
		known, err := n.journal.rolesOf(roleKnown)
		return err == nil && len(known) == len(Kinds())
	})
	want := eventOf(Deactivated, "a")
	n.offer(want)
	n.clock.add(time.Minute)
	n.await("it is told", func() bool { return len(h.events()) > 0 })
	wantEvents(t, h.events(), want)
}

// known makes the notifier know its roles, so that what comes is new.
func (n *node) known() {
	n.tb.Helper()
	var first []Event
	for _, k := range Kinds() {
		if !k.Ahead() {
			first = append(first, eventOf(k, "known"))
		}
	}
	n.offer(first...)
	n.await("what was so before is settled", func() bool { return n.pending() == 0 })
}

func (n *node) pending() int {
	n.tb.Helper()
	s, err := n.Status()
	if err != nil {
		n.tb.Fatal(err)
	}
	return s.Pending
}

// await waits until something is so.
func (n *node) await(what string, so func() bool) {
	n.tb.Helper()
	await(n.tb, func() string { return what + "; log:\n" + n.logs.String() }, so)
}

func await(tb testing.TB, what func() string, so func() bool) {
	tb.Helper()
	deadline := time.After(30 * time.Second)
	for !so() {
		select {
		case <-deadline:
			tb.Fatalf("waited in vain for: %s", what())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// count returns how many tries had a result.
func (n *node) count(result string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.tries[result]
}

// pendingOf returns what is pending in a channel.
func (n *node) pendingOf(channel string) int {
	n.tb.Helper()
	s, err := n.Status()
	if err != nil {
		n.tb.Fatal(err)
	}
	for _, c := range s.Channels {
		if c.Name == channel {
			return c.Pending
		}
	}
	n.tb.Fatalf("there is no channel %s in %+v", channel, s)
	return 0
}

func wantEvents(tb testing.TB, got []string, want ...Event) {
	tb.Helper()
	var ids []string
	for i := range want {
		ids = append(ids, want[i].ID)
	}
	slices.Sort(ids)
	got = slices.Clone(got)
	slices.Sort(got)
	if !slices.Equal(got, ids) {
		tb.Errorf("got the events %q, want each of %q once", got, ids)
	}
}

// TestWebhookAndMail: a digest goes to each who is to hear of it, once.
func TestWebhookAndMail(t *testing.T) {
	t.Parallel()
	h, box := newHook(t), newMailbox(t, nil)
	n := newNode(t, Options{
		Channels: []Channel{h.channel(), box.channel()}, Operators: []string{"ops@example.com"}, Contacts: true,
		Link: "https://scopegate.example.com/console/",
	})
	n.known()
	a, b := eventOf(Expiring, "a"), eventOf(Unused, "b")
	b.Contact.Email = "it@acme.example"
	n.offer(a, b)
	n.offer(a, b)
	n.clock.add(DefaultDigest - time.Second)
	n.offer(a, b)
	if got := h.requests(); len(got) > 0 {
		t.Errorf("a message went out before its time: %q", got)
	}
	n.clock.add(time.Second)
	n.await("all is told", func() bool { return n.pending() == 0 })
	n.offer(a, b)
	n.reopen()
	n.offer(a, b)
	n.clock.add(2 * DefaultDigest)
	c := eventOf(Deleted, "c")
	n.offer(a, b, c)
	n.clock.add(time.Minute)
	n.await("all is told", func() bool { return n.pending() == 0 })
	wantEvents(t, h.events(), a, b, c)
	if got := h.requests(); len(got) != 2 {
		t.Errorf("there were the requests %q, want two", got)
	}
	told := make(map[string][]string)
	for _, m := range box.all() {
		told[m.to] = append(told[m.to], m.header.Get("Subject"))
	}
	want := map[string][]string{
		"ops@example.com":   {"[Scopegate] Expires soon: acme/a, and 1 more", "[Scopegate] Deleted: acme/c"},
		"data@acme.example": {"[Scopegate] Expires soon: acme/a", "[Scopegate] Deleted: acme/c"},
		"it@acme.example":   {"[Scopegate] Not used any more: acme/b"},
	}
	for to, subjects := range want {
		if !slices.Equal(told[to], subjects) {
			t.Errorf("%s got %q, want %q", to, told[to], subjects)
		}
	}
	if len(told) != len(want) {
		t.Errorf("mail came to %v", told)
	}
}

// TestServerErrors: it is tried again until it is taken, with the same id.
func TestServerErrors(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	n := newNode(t, Options{Channels: []Channel{h.channel()}})
	n.known()
	h.answer(answers(http.StatusServiceUnavailable))
	n.offer(eventOf(Deactivated, "a"))
	n.clock.add(time.Minute)
	for tries := 1; tries <= 4; tries++ {
		n.await("a try", func() bool { return len(h.requests()) == tries })
		n.await("it is noted", func() bool { return n.count(Failed) >= tries })
		n.clock.add(2 * time.Minute)
	}
	h.answer(nil)
	n.await("all is told", func() bool { return n.pending() == 0 })
	wantEvents(t, h.events(), eventOf(Deactivated, "a"))
	if ids := slices.Compact(h.requests()); len(ids) != 1 {
		t.Errorf("the ids were %q, want one", ids)
	}
}

// manyEvents returns events of as many tokens.
func manyEvents(count int) (events []Event) {
	for i := range count {
		events = append(events, eventOf(Unused, fmt.Sprintf("many-%d", i)))
	}
	return events
}
