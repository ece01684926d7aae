package redislog

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/scopegate/scopegate/notify"
	"github.com/scopegate/scopegate/store/redislog/redistest"
)

// listener is a real server to which nodes tell events.
type listener struct {
	*httptest.Server
	mu       sync.Mutex // guards what follows
	got      []heard
	hold     chan struct{} // requests wait for it before they are answered; nil: they do not
	holding  int
	statuses []int // of the next answers; then 204
}

// heard is one request.
type heard struct {
	node     string // that sent it
	id, body string
	status   int
}

func newListener(tb testing.TB) *listener {
	tb.Helper()
	l := new(listener)
	l.Server = httptest.NewServer(l)
	tb.Cleanup(l.Close)
	return l
}

func (l *listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the node was killed while it sent
	}
	l.mu.Lock()
	status := http.StatusNoContent
	if len(l.statuses) > 0 {
		status, l.statuses = l.statuses[0], l.statuses[1:]
	}
	l.got = append(l.got, heard{r.URL.Query().Get("node"), r.Header.Get("webhook-id"), string(body), status})
	hold := l.hold
	l.holding++
	l.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	}
	l.mu.Lock()
	l.holding--
	l.mu.Unlock()
	w.WriteHeader(status)
}

// requests returns what came.
func (l *listener) requests() []heard {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.got)
}

func (l *listener) isHolding() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.holding > 0
}

// holdAll lets requests wait; the returned function lets them go on.
func (l *listener) holdAll() (release func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	hold := make(chan struct{})
	l.hold = hold
	return sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.hold = nil
		close(hold)
	})
}

// events returns how often each event was taken, and in how many messages.
func (l *listener) events(tb testing.TB) (times map[string]int, ids map[string]map[string]bool) {
	tb.Helper()
	times, ids = make(map[string]int), make(map[string]map[string]bool)
	for _, h := range l.requests() {
		if h.status >= 300 {
			continue
		}
		var p struct {
			Data struct{ Events []notify.Event }
		}
		if err := json.Unmarshal([]byte(h.body), &p); err != nil {
			tb.Fatal(err)
		}
		for i := range p.Data.Events {
			id := p.Data.Events[i].ID
			if times[id]++; ids[id] == nil {
				ids[id] = make(map[string]bool)
			}
			ids[id][h.id] = true
		}
	}
	return times, ids
}

// teller is a node that tells people, in a process of its own, so that it can be killed.
type teller struct {
	tb      testing.TB
	proxy   *redistest.Proxy
	command *exec.Cmd
	exited  chan struct{}
	setting tellerSetting
}

// tellerSetting is what the process gets.
type tellerSetting struct {
	Redis, Journal, Events, Hook, Log, State string
	Digest                                   time.Duration
}

const (
	tellerVariable = "SCOPEGATE_TEST_TELLER"
	tellerSecret   = "the secret of those who tell"
)

// tellerTiming is short, but not so short that a slow machine makes something of it that it is not.
func tellerTiming() notify.Timing {
	return notify.Timing{
		Urgent: 200 * time.Millisecond, Interval: 20 * time.Millisecond, Attempt: 2 * time.Second, First: 50 * time.Millisecond, Longest: 200 * time.Millisecond,
		Lease: 5 * time.Second, Grace: 2 * time.Second, Ask: 50 * time.Millisecond,
	}
}

// tell is what the process does, until it is killed: it offers the events that are in a file.
func tell(text string) {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var s tellerSetting
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		fail(err)
	}
	log, err := Open(Options{URL: s.Redis})
	if err != nil {
		fail(err)
	}
	channel, err := notify.NewWebhook(notify.WebhookOptions{URL: s.Hook, Secret: "a secret of the webhook, long enough", Name: "webhook"})
	if err != nil {
		fail(err)
	}
	file, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		fail(err)
	}
	n, err := notify.Open(s.Journal, notify.Local{Logger: slog.New(slog.NewTextHandler(file, nil))}, notify.Options{
		Channels: []notify.Channel{channel}, Digest: s.Digest, Exchange: log.Messages(), Secret: tellerSecret, Timing: tellerTiming(),
	})
	if err != nil {
		fail(err)
	}
	for range time.Tick(20 * time.Millisecond) {
		text, err := os.ReadFile(s.Events)
		if err != nil {
			fail(err)
		}
		var events []notify.Event
		if err := json.Unmarshal(text, &events); err != nil {
			fail(err)
		}
		if err := n.Offer(events); err != nil {
			fail(err)
		}
		found, err := n.Status()
		if err != nil {
			fail(err)
		}
		if err := putInPlace(s.State, fmt.Sprintf("%d %d", len(events), found.Pending)); err != nil {
			fail(err)
		}
	}
}

// putInPlace writes a file as a whole.
func putInPlace(path, text string) error {
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// estate is a file of events that nodes find.
type estate struct {
	tb     testing.TB
	path   string
	events []notify.Event
}

func newEstate(tb testing.TB) *estate {
	tb.Helper()
	e := &estate{tb: tb, path: filepath.Join(tb.TempDir(), "events.json")}
	e.write()
	return e
}

// add makes events happen, and returns their ids.
func (e *estate) add(kind notify.Kind, names ...string) (ids []string) {
	e.tb.Helper()
	for _, name := range names {
		id := notify.EventID(kind, "tok_"+name, "once")
		ids = append(ids, id)
		e.events = append(e.events, notify.Event{ID: id, Kind: kind, At: time.Now(), Token: "acme/" + name, TokenID: "tok_" + name, Text: "It is so."})
	}
	e.write()
	return ids
}

func (e *estate) write() {
	e.tb.Helper()
	text, err := json.Marshal(e.events)
	if err != nil {
		e.tb.Fatal(err)
	}
	if e.events == nil {
		text = []byte("[]")
	}
	if err := putInPlace(e.path, string(text)); err != nil {
		e.tb.Fatal(err)
	}
}

func newTeller(tb testing.TB, name string, server *redistest.Server, e *estate, l *listener) *teller {
	tb.Helper()
	folder := tb.TempDir()
	n := &teller{tb: tb, proxy: redistest.NewProxy(tb, server.Addr())}
	n.setting = tellerSetting{
		Redis: n.proxy.URL(), Journal: filepath.Join(folder, "messages.db"), Events: e.path, Hook: l.URL + "/?node=" + name,
		Log: filepath.Join(folder, "log"), State: filepath.Join(folder, "state"), Digest: 400 * time.Millisecond,
	}
	n.start()
	tb.Cleanup(n.kill)
	return n
}

func (n *teller) start() {
	n.tb.Helper()
	text, err := json.Marshal(n.setting)
	if err != nil {
		n.tb.Fatal(err)
	}
	n.command = exec.Command(os.Args[0]) //nolint:gosec // it is this test
	n.command.Env = append(os.Environ(), tellerVariable+"="+string(text))
	n.command.Stderr = os.Stderr
	if err := n.command.Start(); err != nil {
		n.tb.Fatal(err)
	}
	n.exited = make(chan struct{})
	go func(command *exec.Cmd, exited chan struct{}) {
		_ = command.Wait()
		close(exited)
	}(n.command, n.exited)
}

// kill ends the process at once.
func (n *teller) kill() {
	n.signal(syscall.SIGCONT)
	_ = n.command.Process.Kill()
	<-n.exited
}

func (n *teller) signal(s syscall.Signal) { _ = n.command.Process.Signal(s) }

// logs returns what the node has logged.
func (n *teller) logs() string {
	text, _ := os.ReadFile(n.setting.Log)
	return string(text)
}

// tellers are the nodes of a cluster, with what they tell and to whom.
type tellers struct {
	tb     testing.TB
	server *redistest.Server
	estate *estate
	heard  *listener
	nodes  []*teller
}

func newTellers(tb testing.TB, count int) *tellers {
	tb.Helper()
	c := &tellers{tb: tb, server: redistest.Start(tb), estate: newEstate(tb), heard: newListener(tb)}
	for i := range count {
		c.nodes = append(c.nodes, newTeller(tb, strconv.Itoa(i), c.server, c.estate, c.heard))
	}
	c.begin()
	return c
}

// begin waits until messages are nothing new, so that all that comes is told.
func (c *tellers) begin() {
	c.tb.Helper()
	client := c.server.Client(c.tb)
	c.await("the role is known", func() bool {
		return client.HGet(c.tb.Context(), "{scopegate}:messages", "role:webhook/all/deactivated").Val() == "1"
	})
}

func (c *tellers) await(what string, so func() bool) {
	c.tb.Helper()
	deadline := time.After(60 * time.Second)
	for !so() {
		select {
		case <-deadline:
			logs := ""
			for i, n := range c.nodes {
				logs += fmt.Sprintf("node %d:\n%s", i, n.logs())
			}
			c.tb.Fatalf("waited in vain for: %s; %s", what, logs)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// awaitTold waits until each event was taken.
func (c *tellers) awaitTold(ids []string) {
	c.tb.Helper()
	c.await("all events to be told", func() bool {
		times, _ := c.heard.events(c.tb)
		return !slices.ContainsFunc(ids, func(id string) bool { return times[id] == 0 })
	})
}

// awaitKnown waits until each of some nodes knows that people were told of everything.
func (c *tellers) awaitKnown(nodes ...*teller) {
	c.tb.Helper()
	want := fmt.Sprintf("%d 0", len(c.estate.events))
	c.await("all nodes to know what was told", func() bool {
		return !slices.ContainsFunc(nodes, func(n *teller) bool {
			state, _ := os.ReadFile(n.setting.State)
			return string(state) != want
		})
	})
}

// sender returns the node that sent a request.
func (c *tellers) sender(h *heard) *teller {
	c.tb.Helper()
	i, err := strconv.Atoi(h.node)
	if err != nil {
		c.tb.Fatal(err)
	}
	return c.nodes[i]
}

// awaitSending waits until the server holds a request, and returns the node that sent it.
func (c *tellers) awaitSending() *teller {
	c.tb.Helper()
	c.await("a request", c.heard.isHolding)
	requests := c.heard.requests()
	return c.sender(&requests[len(requests)-1])
}

// wantOnce looks whether these are the events that people were told, and each once.
func (c *tellers) wantOnce(ids []string) {
	c.tb.Helper()
	times, _ := c.heard.events(c.tb)
	for _, id := range ids {
		if times[id] != 1 {
			c.tb.Errorf("event %s was told %d times, want once", id, times[id])
		}
	}
	if len(times) != len(ids) {
		c.tb.Errorf("%d events were told, want %d", len(times), len(ids))
	}
}

func names(prefix string, count int) (list []string) {
	for i := range count {
		list = append(list, fmt.Sprintf("%s%d", prefix, i))
	}
	return list
}

// TestTellers: three nodes that find the same tell it once.
func TestTellers(t *testing.T) {
	t.Parallel()
	c := newTellers(t, 3)
	ids := c.estate.add(notify.Expiring, names("a", 120)...)
	c.awaitTold(ids)
	ids = append(ids, c.estate.add(notify.Deactivated, names("b", 3)...)...)
	c.awaitTold(ids)
	c.nodes[0].kill()
	c.nodes[0].start()
	ids = append(ids, c.estate.add(notify.Deactivated, names("c", 3)...)...)
	c.awaitTold(ids)
	c.wantOnce(ids)
}
