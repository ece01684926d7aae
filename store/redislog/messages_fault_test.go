package redislog

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/scopegate/scopegate/notify"
)

// oneID looks whether an event came in one message only, and how often that came.
func (c *tellers) oneID(event string, wantTimes int) {
	c.tb.Helper()
	bodies := make(map[string]int)
	for _, h := range c.heard.requests() {
		bodies[h.id+" "+h.body]++
	}
	times, ids := c.heard.events(c.tb)
	if len(ids[event]) != 1 || times[event] != wantTimes || len(bodies) != len(c.distinctIDs()) {
		c.tb.Errorf("the event %s came %d times in the messages %v, want %d times in one; there are %d bodies of %d messages",
			event, times[event], ids[event], wantTimes, len(bodies), len(c.distinctIDs()))
	}
}

func (c *tellers) distinctIDs() map[string]bool {
	found := make(map[string]bool)
	for _, h := range c.heard.requests() {
		found[h.id] = true
	}
	return found
}

// TestTellersKilledSender: a node that is killed after the other side has the message, and before
// it took note of that, sends it again, or another does: the same message with the same id. That
// cannot be told from one that was not delivered.
func TestTellersKilledSender(t *testing.T) {
	t.Parallel()
	c := newTellers(t, 3)
	release := c.heard.holdAll()
	ids := c.estate.add(notify.Deactivated, "a")
	killed := c.awaitSending()
	killed.kill()
	release()
	c.await("another node to go on", func() bool { return len(c.heard.requests()) == 2 })
	killed.start()
	c.awaitKnown(c.nodes...)
	c.oneID(ids[0], 2)
	if first, second := c.heard.requests()[0], c.heard.requests()[1]; first.node == second.node {
		t.Errorf("both came from node %s", first.node)
	}
	c.awaitTold(c.estate.add(notify.Deactivated, "b"))
	if got := len(c.heard.requests()); got != 3 {
		t.Errorf("there were %d requests, want 3", got)
	}
}

// TestTellersStoppedSender: a node that is stopped for so long that another goes on does not send
// again when it continues.
func TestTellersStoppedSender(t *testing.T) {
	t.Parallel()
	c := newTellers(t, 3)
	release := c.heard.holdAll()
	ids := c.estate.add(notify.Deactivated, "a")
	stopped := c.awaitSending()
	stopped.signal(syscall.SIGSTOP)
	release()
	c.await("another node to go on", func() bool { return len(c.heard.requests()) == 2 })
	stopped.signal(syscall.SIGCONT)
	c.awaitKnown(c.nodes...)
	c.awaitTold(c.estate.add(notify.Deactivated, "b"))
	c.oneID(ids[0], 2)
	if got := len(c.heard.requests()); got != 3 {
		t.Errorf("there were %d requests, want 3", got)
	}
}

// TestTellersRedisPaused: a message that is delivered while Redis does not answer is not sent
// again by others, however long that takes.
func TestTellersRedisPaused(t *testing.T) {
	t.Parallel()
	c := newTellers(t, 3)
	release := c.heard.holdAll()
	ids := c.estate.add(notify.Deactivated, "a")
	c.awaitSending()
	c.server.Pause()
	release()
	ids = append(ids, c.estate.add(notify.Expiring, "b")...)
	passes(t, tellerTiming().Lease+2*time.Second)
	if got := len(c.heard.requests()); got != 1 {
		t.Errorf("without Redis there were %d requests, want none but the first", got)
	}
	c.server.Resume()
	c.awaitTold(ids)
	c.awaitKnown(c.nodes...)
	c.wantOnce(ids)
}

// passes waits until time has passed: what is to be shown is that nothing happens meanwhile.
func passes(tb testing.TB, d time.Duration) {
	tb.Helper()
	select {
	case <-time.After(d):
	case <-tb.Context().Done():
	}
}

// TestTellersRedisKilled: as paused, but what was on its way is lost.
func TestTellersRedisKilled(t *testing.T) {
	t.Parallel()
	c := newTellers(t, 3)
	release := c.heard.holdAll()
	ids := c.estate.add(notify.Deactivated, "a")
	c.awaitSending()
	c.server.Kill()
	release()
	ids = append(ids, c.estate.add(notify.Expiring, "b")...)
	c.server.Run(t)
	c.awaitTold(ids)
	c.awaitKnown(c.nodes...)
	c.wantOnce(ids)
}

// TestTellersRedisFlushed: what Redis has lost is put back, also what a node knows that is gone
// by now.
func TestTellersRedisFlushed(t *testing.T) {
	t.Parallel()
	c := newTellers(t, 3)
	ids := c.estate.add(notify.Deactivated, names("a", 5)...)
	c.awaitTold(ids)
	c.awaitKnown(c.nodes...)
	requests := c.heard.requests()
	c.sender(&requests[0]).kill()
	c.server.Client(t).FlushAll(t.Context())
	ids = append(ids, c.estate.add(notify.Expiring, "b")...)
	c.awaitTold(ids)
	c.sender(&requests[0]).start()
	c.awaitKnown(c.nodes...)
	c.wantOnce(ids)
}

// TestTellersRedisFlushedWhileSending: the message that is under way is put back as well.
func TestTellersRedisFlushedWhileSending(t *testing.T) {
	t.Parallel()
	c := newTellers(t, 3)
	c.heard.mu.Lock()
	for range 20 {
		c.heard.statuses = append(c.heard.statuses, http.StatusBadGateway)
	}
	c.heard.mu.Unlock()
	ids := c.estate.add(notify.Deactivated, names("a", 5)...)
	c.await("a try", func() bool { return len(c.heard.requests()) > 0 })
	c.server.Client(t).FlushAll(t.Context())
	ids = append(ids, c.estate.add(notify.Expiring, "b")...)
	c.awaitTold(ids)
	c.awaitKnown(c.nodes...)
	c.wantOnce(ids)
}

// TestTellersKilledAndFlushed: a message whose node is gone, and of which Redis knows nothing any
// more, is sent by another that has a copy: the same with the same id.
func TestTellersKilledAndFlushed(t *testing.T) {
	t.Parallel()
	c := newTellers(t, 3)
	release := c.heard.holdAll()
	ids := c.estate.add(notify.Deactivated, names("a", 3)...)
	killed := c.awaitSending()
	passes(t, time.Second) // in which the others take their copies
	killed.kill()
	c.server.Client(t).FlushAll(t.Context())
	release()
	ids = append(ids, c.estate.add(notify.Expiring, "b")...)
	c.awaitTold(ids)
	killed.start()
	c.awaitKnown(c.nodes...)
	for _, id := range ids[:3] {
		c.oneID(id, 2)
	}
	c.oneID(ids[3], 1)
}

// TestTellersRedisRestored: a Redis that has lost what was last is found out.
func TestTellersRedisRestored(t *testing.T) {
	t.Parallel()
	c := newTellers(t, 3)
	saved := c.server.Save(t)
	ids := c.estate.add(notify.Deactivated, names("a", 5)...)
	c.awaitTold(ids)
	c.awaitKnown(c.nodes...)
	c.server.Restore(t, saved)
	ids = append(ids, c.estate.add(notify.Expiring, "b")...)
	c.awaitTold(ids)
	c.awaitKnown(c.nodes...)
	c.wantOnce(ids)
}

// TestTellersCutOff: a node without Redis sends nothing, and the others do not wait for it.
func TestTellersCutOff(t *testing.T) {
	t.Parallel()
	c := newTellers(t, 3)
	c.nodes[0].proxy.Cut()
	ids := c.estate.add(notify.Deactivated, names("a", 5)...)
	c.awaitTold(ids)
	c.nodes[0].proxy.Mend()
	c.awaitKnown(c.nodes...)
	c.wantOnce(ids)
}

// TestTellersNewNode: a node that comes later knows what the others have told.
func TestTellersNewNode(t *testing.T) {
	t.Parallel()
	c := newTellers(t, 2)
	ids := c.estate.add(notify.Expiring, names("a", 5)...)
	ids = append(ids, c.estate.add(notify.Deactivated, names("b", 5)...)...)
	c.awaitTold(ids)
	c.nodes = append(c.nodes, newTeller(t, "2", c.server, c.estate, c.heard))
	c.awaitKnown(c.nodes...)
	c.nodes[0].kill()
	c.nodes[1].kill()
	more := c.estate.add(notify.Deactivated, "c")
	c.awaitTold(more)
	c.wantOnce(append(ids, more...))
}

// TestTellersUnderFaults: whatever happens to nodes, to Redis and to whom they tell, no event is
// lost, and one that comes again comes in the same message.
func TestTellersUnderFaults(t *testing.T) {
	t.Parallel()
	c := newTellers(t, 3)
	const steps = 18
	random := rand.New(rand.NewPCG(1, 2))
	var ids []string
	kills := 0
	for step := range steps {
		ids = append(ids, c.estate.add(notify.Deactivated, names(fmt.Sprintf("s%d-", step), 3)...)...)
		n := c.nodes[random.IntN(len(c.nodes))]
		switch random.IntN(6) {
		case 0:
			n.kill()
			kills++
			passes(t, 200*time.Millisecond)
			n.start()
		case 1:
			n.proxy.Cut()
			passes(t, 200*time.Millisecond)
			n.proxy.Mend()
		case 2:
			c.server.Pause()
			passes(t, 300*time.Millisecond)
			c.server.Resume()
		case 3:
			c.server.Kill()
			c.server.Run(t)
		case 4:
			c.heard.mu.Lock()
			c.heard.statuses = append(c.heard.statuses, http.StatusInternalServerError, http.StatusTooManyRequests)
			c.heard.mu.Unlock()
		default:
			passes(t, 300*time.Millisecond)
		}
		if step%2 == 0 {
			c.awaitTold(ids)
		}
	}
	c.awaitTold(ids)
	c.awaitKnown(c.nodes...)
	times, messages := c.heard.events(t)
	again := make(map[string]bool)
	for _, id := range ids {
		if len(messages[id]) != 1 {
			t.Errorf("the event %s came in the messages %v, want one", id, messages[id])
		}
		for message := range messages[id] {
			again[message] = again[message] || times[id] > 1
		}
	}
	repeated := 0
	for _, isAgain := range again {
		if isAgain {
			repeated++
		}
	}
	if repeated > kills {
		t.Errorf("%d messages came again, and only %d nodes were killed", repeated, kills)
	}
	t.Logf("%d events in %d messages, %d of them again, %d nodes killed", len(ids), len(again), repeated, kills)
}
