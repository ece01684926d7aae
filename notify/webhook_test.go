package notify

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestSignature is the example of Standard Webhooks.
func TestSignature(t *testing.T) {
	t.Parallel()
	key, err := webhookKey("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	const want = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	if got := (&Webhook{key: key}).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestWebhookErrors: what is wrong is said, and nothing secret.
func TestWebhookErrors(t *testing.T) {
	t.Parallel()
	const good = "a-secret-of-some-length-or-other"
	for name, test := range map[string]struct {
		url, secret, want string
	}{
		"no URL":           {"", good, "write https://host/path"},
		"unreadable":       {"https://[a-secret-path", good, "cannot be read"},
		"in the clear":     {"http://hooks.example.com/a-secret-path", good, "write https://"},
		"another scheme":   {"ftp://127.0.0.1/a-secret-path", good, "write https://"},
		"short secret":     {"https://h.example/a-secret-path", "a-secret", "it needs 24"},
		"short whsec":      {"https://h.example/a-secret-path", "whsec_YS1zZWNyZXQ=", "24 to 64 bytes"},
		"whsec, no base64": {"https://h.example/a-secret-path", "whsec_a-secret-of-some-length-or-other", "24 to 64 bytes"},
	} {
		_, err := NewWebhook(WebhookOptions{URL: test.url, Secret: test.secret})
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "a-secret") {
			t.Errorf("%s: got %v, want %q and nothing secret", name, err, test.want)
		}
	}
	for _, url := range []string{"https://h.example/x", "http://127.0.0.1:1/x", "http://[::1]/x", "http://localhost/x"} {
		if w, err := NewWebhook(WebhookOptions{URL: url, Secret: good}); err != nil || strings.Contains(w.Name(), "/x") {
			t.Errorf("%s: %v, %s", url, err, w.Name())
		}
	}
}

// TestAnswers: what each answer means.
func TestAnswers(t *testing.T) {
	t.Parallel()
	now := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		status      int
		after       string
		ok          bool
		final, stop bool
		wait        time.Duration
	}{
		{status: 200, ok: true},
		{status: 204, ok: true},
		{status: 301},
		{status: 400, final: true},
		{status: 401},
		{status: 404},
		{status: 408},
		{status: 410, final: true, stop: true},
		{status: 422, final: true},
		{status: 429, after: "17", wait: 17 * time.Second},
		{status: 500, after: "soon"},
		{status: 503, after: "Mon, 01 Mar 2027 12:01:00 GMT", wait: time.Minute},
		{status: 503, after: "Mon, 01 Mar 2027 11:00:00 GMT"},
		{status: 503, after: "-5"},
	} {
		err := judge(&http.Response{StatusCode: test.status, Header: http.Header{"Retry-After": {test.after}}}, now)
		if test.ok {
			if err != nil {
				t.Errorf("%d: %v", test.status, err)
			}
			continue
		}
		f, _ := errors.AsType[*Failure](err)
		if f == nil || f.Final != test.final || f.Stop != test.stop || f.After != test.wait {
			t.Errorf("%d, Retry-After %q: got %+v, want %+v", test.status, test.after, f, test)
		}
	}
}

// hijack ends the connection without an answer, once the request was read.
func hijack(w http.ResponseWriter, _ *http.Request) bool {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = conn.Close()
	}
	return true
}

// TestUnanswered: whoever has taken a message but not said so gets it again, with the same id
// and the same events, in a request of its own.
func TestUnanswered(t *testing.T) {
	t.Parallel()
	for name, reply := range map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"cut": hijack,
		"too slow": func(_ http.ResponseWriter, r *http.Request) bool {
			<-r.Context().Done()
			return true
		},
	} {
		h := newHook(t)
		n := newNode(t, Options{Channels: []Channel{h.channel()}, Timing: Timing{Attempt: 200 * time.Millisecond}})
		n.known()
		h.answer(reply)
		e := eventOf(Deactivated, "a")
		n.offer(e)
		n.clock.add(time.Minute)
		n.await(name+": the failure is noted", func() bool { return strings.Contains(n.logs.String(), "sent again") })
		h.answer(nil)
		n.offer(eventOf(Deactivated, "later"))
		n.clock.add(time.Minute)
		n.await(name+": all is told", func() bool { return n.pending() == 0 })
		if ids := h.requests(); len(ids) < 2 || ids[0] != ids[1] {
			t.Errorf("%s: the ids were %q, want the first twice", name, ids)
		}
		wantEvents(t, slices.Compact(h.events()), e, eventOf(Deactivated, "later"))
	}
}

// TestFinalAnswer: what the other side will never take is given up at once, and told in the log;
// what comes next goes on.
func TestFinalAnswer(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	n := newNode(t, Options{Channels: []Channel{h.channel()}})
	n.known()
	h.answer(answers(http.StatusUnprocessableEntity))
	n.offer(eventOf(Deactivated, "a"))
	n.clock.add(time.Minute)
	n.await("it is given up", func() bool { return n.pending() == 0 })
	h.answer(nil)
	n.offer(eventOf(Deactivated, "b"))
	n.clock.add(time.Minute)
	n.await("the next is told", func() bool { return n.pending() == 0 })
	wantEvents(t, h.events(), eventOf(Deactivated, "b"))
	if got := n.logs.String(); !strings.Contains(got, "given up") || !strings.Contains(got, "deactivated") {
		t.Errorf("the log does not tell of it: %s", got)
	}
}

// TestGone: who answers 410 gets nothing more until it is configured anew. What comes meanwhile
// is not lost.
func TestGone(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	n := newNode(t, Options{Channels: []Channel{h.channel()}})
	n.known()
	h.answer(answers(http.StatusGone))
	n.offer(eventOf(Deactivated, "a"))
	n.clock.add(time.Minute)
	n.await("it stops", func() bool { s, _ := n.Status(); return s.Channels[0].Stopped })
	h.answer(nil)
	n.offer(eventOf(Deactivated, "b"))
	n.clock.add(time.Hour)
	if s, err := n.Status(); err != nil || s.Pending == 0 || s.Channels[0].LastError == "" {
		t.Errorf("the status is %+v", s)
	}
	if err := n.Configure(n.o); err != nil {
		t.Fatal(err)
	}
	n.await("it goes on", func() bool { return n.pending() == 0 })
	wantEvents(t, h.events(), eventOf(Deactivated, "b"))
}

// TestRetryAfter: nobody is asked again before they said.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	h, other := newHook(t), newHook(t)
	second, err := NewWebhook(WebhookOptions{URL: other.URL, Secret: webhookSecret, Name: "other"})
	if err != nil {
		t.Fatal(err)
	}
	n := newNode(t, Options{Channels: []Channel{h.channel(), second}})
	n.known()
	h.answer(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
		return false
	})
	n.offer(eventOf(Deactivated, "a"))
	n.clock.add(time.Minute)
	n.await("it is noted", func() bool { return n.count(Failed) == 1 && n.pendingOf("other") == 0 })
	h.answer(nil)
	n.clock.add(58 * time.Minute)
	n.reopen() // which it is remembered over
	n.offer(eventOf(Deactivated, "b"))
	n.clock.add(time.Minute)
	n.await("the other one is told", func() bool { return n.pendingOf("other") == 0 })
	if got := h.requests(); len(got) != 1 {
		t.Fatalf("there were %d requests within the hour, want 1", len(got))
	}
	n.clock.add(2 * time.Minute)
	n.await("all is told", func() bool { return n.pending() == 0 })
	wantEvents(t, h.events(), eventOf(Deactivated, "a"), eventOf(Deactivated, "b"))
	wantEvents(t, other.events(), eventOf(Deactivated, "a"), eventOf(Deactivated, "b"))
}

// TestGivenUp: a week is enough.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	n := newNode(t, Options{Channels: []Channel{h.channel()}})
	n.known()
	h.answer(answers(http.StatusInternalServerError))
	n.offer(eventOf(Deactivated, "a"))
	n.clock.add(time.Minute)
	for days := 0; n.pending() > 0; days++ {
		if days > 9 {
			t.Fatal("it is never given up")
		}
		n.await("a try", func() bool { return n.count(Failed) > days || n.pending() == 0 })
		n.clock.add(24 * time.Hour)
	}
	if given, failed := n.count(GivenUp), n.count(Failed); given != 1 || failed < 6 {
		t.Errorf("it was given up %d times, after %d failures", given, failed)
	}
}

// TestRedirect: what is signed for one server is not sent to another.
func TestRedirect(t *testing.T) {
	t.Parallel()
	h, other := newHook(t), newHook(t)
	h.answer(func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		return false
	})
	m := newMessage(recipient{channel: "webhook"}, []Event{eventOf(Unused, "a")}, nil, time.Now(), "")
	err := h.channel().Deliver(context.Background(), m)
	if err == nil || !strings.Contains(err.Error(), "redirects are not followed") || len(other.requests()) > 0 {
		t.Errorf("got %v, and the other server got %q", err, other.requests())
	}
}

// TestWebhookTellsAll: what is more than one message holds goes into more, each event in full.
func TestWebhookTellsAll(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	n := newNode(t, Options{Channels: []Channel{h.channel()}})
	n.known()
	events := manyEvents(3*maxBatch + 7)
	n.offer(events...)
	n.clock.add(time.Hour)
	n.await("all is told", func() bool { return n.pending() == 0 })
	wantEvents(t, h.events(), events...)
	if got := h.requests(); len(got) != 4 {
		t.Errorf("there were %d requests, want 4", len(got))
	}
}
