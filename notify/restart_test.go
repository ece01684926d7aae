package notify

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// TestRestarts: a notifier that is closed at any moment, while a message is under way or not,
// goes on when it is opened again. An event comes twice only in the same message.
func TestRestarts(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	n := newNode(t, Options{Channels: []Channel{h.channel()}, Timing: Timing{First: time.Millisecond, Longest: time.Millisecond, Urgent: time.Millisecond}})
	n.known()
	h.answer(func(w http.ResponseWriter, r *http.Request) bool {
		switch rand.IntN(4) {
		case 0:
			w.WriteHeader(http.StatusInternalServerError)
			return false
		case 1:
			return hijack(w, r)
		}
		w.WriteHeader(http.StatusNoContent)
		return true
	})
	var events []Event
	for i := range 60 {
		e := eventOf(Deactivated, fmt.Sprintf("r%d", i))
		events = append(events, e)
		n.offer(e)
		n.clock.add(time.Second)
		requests := len(h.requests())
		if i%3 == 0 {
			n.await("a request", func() bool {
				n.clock.add(time.Millisecond)
				return len(h.requests()) > requests || n.pending() == 0
			})
		}
		n.reopen()
	}
	n.await("all is told", func() bool {
		n.clock.add(time.Millisecond)
		return n.pending() == 0
	})
	h.wantInOneMessage(events)
}

// wantInOneMessage looks whether each event came, and if more than once, then in the same
// message.
func (h *hook) wantInOneMessage(events []Event) {
	h.tb.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	in := make(map[string]map[string]bool)
	for _, p := range h.got {
		for i := range p.Data.Events {
			id := p.Data.Events[i].ID
			if in[id] == nil {
				in[id] = make(map[string]bool)
			}
			in[id][p.ID] = true
		}
	}
	for i := range events {
		if len(in[events[i].ID]) != 1 {
			h.tb.Errorf("the event of %s came in the messages %v, want one", events[i].Token, in[events[i].ID])
		}
	}
}

// killedSetting is what the process of TestKilled gets.
type killedSetting struct {
	Journal, URL string
	Events       []Event
}

const killedVariable = "SCOPEGATE_TEST_KILLED"

// beKilled is what the process does: it tells events until it is killed.
func beKilled(text string) {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var s killedSetting
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		fail(err)
	}
	w, err := NewWebhook(WebhookOptions{URL: s.URL, Secret: webhookSecret, Name: "webhook"})
	if err != nil {
		fail(err)
	}
	n, err := Open(s.Journal, Local{}, Options{Channels: []Channel{w}, Timing: Timing{Urgent: time.Millisecond, Interval: time.Millisecond, First: time.Millisecond}})
	if err != nil {
		fail(err)
	}
	if err := n.Offer(nil); err != nil { // so that all that follows is news
		fail(err)
	}
	for range 2 {
		if err := n.Offer(s.Events); err != nil {
			fail(err)
		}
	}
	select {}
}

// TestKilled: a process that is killed while a message is under way sends it again when it
// starts, the same with the same id; one that is killed later does not.
func TestKilled(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	holding, release := make(chan struct{}, 10), make(chan struct{})
	h.answer(func(w http.ResponseWriter, _ *http.Request) bool {
		holding <- struct{}{}
		<-release
		w.WriteHeader(http.StatusNoContent)
		return true
	})
	s := killedSetting{Journal: filepath.Join(t.TempDir(), "messages.db"), URL: h.URL, Events: []Event{eventOf(Deactivated, "a"), eventOf(Expiring, "b")}}
	start := func() (kill func()) {
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		command := exec.Command(os.Args[0]) //nolint:gosec // it is this test
		command.Env = append(os.Environ(), killedVariable+"="+string(text))
		command.Stderr = os.Stderr
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		return func() {
			_ = command.Process.Kill()
			_ = command.Wait()
		}
	}
	kill := start()
	<-holding
	kill() // before it knows that the first was taken
	s.Events = append(s.Events, eventOf(Deleted, "c"))
	release <- struct{}{}
	kill = start()
	<-holding
	release <- struct{}{}
	<-holding // the next goes out once the first is done
	kill()
	release <- struct{}{}
	kill = start()
	<-holding
	release <- struct{}{}
	h.awaitTaken(4)
	kill()
	if ids := h.requests(); len(ids) != 4 || ids[0] != ids[1] || ids[1] == ids[2] || ids[2] != ids[3] {
		t.Errorf("the ids were %q, want two, each twice", ids)
	}
	h.wantInOneMessage(s.Events)
}

// awaitTaken waits until so many requests were taken.
func (h *hook) awaitTaken(count int) {
	h.tb.Helper()
	await(h.tb, func() string { return fmt.Sprintf("%d requests to be taken, of %q", count, h.requests()) }, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.got) >= count
	})
}

// TestDamagedJournal: a journal that cannot be read is put aside; what is ahead is told again.
func TestDamagedJournal(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	n := newNode(t, Options{Channels: []Channel{h.channel()}})
	n.known()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(n.path, []byte(strings.Repeat("this is no journal ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	n.open()
	n.offer(eventOf(Expiring, "a"), eventOf(Unused, "b"))
	n.clock.add(time.Hour)
	n.await("all is settled", func() bool { return n.pending() == 0 })
	wantEvents(t, h.events(), eventOf(Expiring, "a"))
	if aside, err := filepath.Glob(n.path + ".damaged-*"); err != nil || len(aside) != 1 {
		t.Errorf("aside is %q, %v", aside, err)
	}
	if info, err := os.Stat(n.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the journal: %v, %v", info, err)
	}
}

// TestConfigure: options are exchanged while messages are under way.
func TestConfigure(t *testing.T) {
	t.Parallel()
	h, box := newHook(t), newMailbox(t, nil)
	n := newNode(t, Options{Channels: []Channel{h.channel()}})
	n.known()
	holding := make(chan struct{}, 1)
	h.answer(func(_ http.ResponseWriter, r *http.Request) bool {
		holding <- struct{}{}
		<-r.Context().Done()
		return false
	})
	a, b := eventOf(Deactivated, "a"), eventOf(Deactivated, "b")
	n.offer(a)
	n.clock.add(time.Minute)
	<-holding
	h.answer(nil)
	both := n.o
	both.Channels, both.Operators = []Channel{h.channel(), box.channel()}, []string{"ops@example.com"}
	if err := n.Configure(both); err != nil {
		t.Fatal(err)
	}
	n.await("what was broken off is sent", func() bool { return len(h.events()) == 1 })
	n.offer(a) // which is nothing new to the operator, who has not heard of anything yet
	n.await("what was so before is settled", func() bool { return n.pending() == 0 })
	n.offer(a, b)
	n.clock.add(time.Minute)
	n.await("all is told", func() bool { return n.pending() == 0 })
	wantEvents(t, h.events(), a, b)
	if all := box.all(); len(all) != 1 || !strings.Contains(all[0].body, "acme/b") || strings.Contains(all[0].body, "acme/a") {
		t.Errorf("the mails were %+v", all)
	}
	if err := n.Configure(Options{}); err != nil {
		t.Fatal(err)
	}
	n.offer(eventOf(Deleted, "c"))
	if got := n.pending(); got != 0 {
		t.Errorf("switched off, %d are pending", got)
	}
	for want, o := range map[string]Options{
		"two channels":            {Channels: []Channel{h.channel(), h.channel()}},
		"no kind of event":        {Kinds: []Kind{"nonsense"}},
		"no e-mail address":       {Operators: []string{"ops"}},
		"needs a secret":          {Exchange: nobody{}},
		"is no name of a channel": {Channels: []Channel{new(Webhook)}},
	} {
		if err := n.Configure(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// nobody is an exchange that no test calls.
type nobody struct{ Exchange }

// TestSwitchingOn: what was so before is told to nobody, what is ahead is, and what comes is.
func TestSwitchingOn(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	n := newNode(t, Options{Channels: []Channel{h.channel()}, Kinds: []Kind{Unused, Expiring, RotationDue, Deactivated}})
	before := []Event{eventOf(Unused, "a"), eventOf(Expiring, "b"), eventOf(RotationDue, "c"), eventOf(Deactivated, "d"), eventOf(Deleted, "e")}
	n.offer(before...)
	n.clock.add(time.Hour)
	n.await("all is settled", func() bool { return n.pending() == 0 })
	wantEvents(t, h.events(), before[1], before[2])
	later := eventOf(Unused, "f")
	more := n.o
	more.Kinds = nil // all kinds
	if err := n.Configure(more); err != nil {
		t.Fatal(err)
	}
	n.offer(append(before, later)...)
	n.clock.add(time.Hour)
	n.await("all is settled", func() bool { return n.pending() == 0 })
	wantEvents(t, h.events(), before[1], before[2], later)
}

// TestNothingSecret: whatever goes wrong, neither a log line nor the status has anything secret.
func TestNothingSecret(t *testing.T) {
	t.Parallel()
	h, box := newHook(t), newMailbox(t, nil)
	s, err := NewSMTP(SMTPOptions{Addr: box.addr, From: "scopegate@gw.example", Mode: NoTLS, Username: "scopegate", Password: "wrong-" + mailPassword})
	if err != nil {
		t.Fatal(err)
	}
	n := newNode(t, Options{Channels: []Channel{h.channel(), s}, Operators: []string{"ops@example.com"}, Secret: "a-secret-of-nodes"})
	n.known()
	var seen strings.Builder
	look := func() {
		status, err := n.Status()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range n.Test(t.Context(), "") {
			fmt.Fprintf(&seen, "%+v\n", r)
		}
		fmt.Fprintf(&seen, "%+v\n", status)
	}
	for i, reply := range []func(http.ResponseWriter, *http.Request) bool{hijack, answers(500), answers(410)} {
		h.answer(reply)
		n.offer(eventOf(Deactivated, fmt.Sprint(i)))
		n.clock.add(time.Hour)
		n.await("a failure", func() bool { return n.count(Failed)+n.count(GivenUp) > i })
		look()
	}
	h.Close()
	if err := n.Configure(n.o); err != nil {
		t.Fatal(err)
	}
	look()
	seen.WriteString(n.logs.String())
	for _, secret := range []string{"a-secret", mailPassword, webhookSecret, "MfKQ9r8G"} {
		if strings.Contains(seen.String(), secret) {
			t.Errorf("%q is in:\n%s", secret, seen.String())
		}
	}
	if !strings.Contains(seen.String(), "AUTH") || !strings.Contains(seen.String(), "no answer came") {
		t.Errorf("it is not said what is wrong:\n%s", seen.String())
	}
}

// TestTest: a test message goes to every channel, and it is told what became of each.
func TestTest(t *testing.T) {
	t.Parallel()
	h, box := newHook(t), newMailbox(t, nil)
	n := newNode(t, Options{Channels: []Channel{h.channel(), box.channel()}})
	for _, test := range []struct{ to, want string }{
		{"", "no operator is configured"}, {"somebody@example.com", ""}, {"no address\r\nBcc: x@example.com", "no e-mail address"},
	} {
		results := n.Test(t.Context(), test.to)
		if len(results) != 2 || results[0].Error != "" || (test.want == "") != (results[1].Error == "") || !strings.Contains(results[1].Error, test.want) {
			t.Errorf("to %q: got %+v, want %q", test.to, results, test.want)
		}
	}
	if got := h.requests(); len(got) != 3 || got[0] == got[1] {
		t.Errorf("the requests were %q, want three", got)
	}
	if all := box.all(); len(all) != 1 || all[0].to != "somebody@example.com" || !strings.Contains(all[0].body, "This is a test") {
		t.Errorf("the mails were %+v", all)
	}
}

// TestPrune: what is old is forgotten, what is still found is not.
func TestPrune(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	n := newNode(t, Options{Channels: []Channel{h.channel()}})
	n.known()
	old, lasting := eventOf(Deactivated, "old"), eventOf(Unused, "lasting")
	n.offer(old, lasting)
	n.clock.add(time.Hour)
	n.await("all is told", func() bool { return n.pending() == 0 })
	for range 14 {
		n.clock.add(doneRefreshed + time.Hour)
		n.offer(lasting)
	}
	n.reopen()
	n.await("it is forgotten", func() bool { return n.isDone(lasting) && !n.isDone(old) })
	wantEvents(t, h.events(), old, lasting)
}

func (n *node) isDone(e Event) (done bool) {
	n.tb.Helper()
	if err := n.journal.view(func(tx *bolt.Tx) error {
		done = tx.Bucket(bucketDone).Get([]byte(recipient{channel: "webhook"}.keyOf(e.ID))) != nil
		return nil
	}); err != nil {
		n.tb.Fatal(err)
	}
	return done
}
