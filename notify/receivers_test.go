package notify

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	netmail "net/mail"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const webhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// hook is a real server that gets webhooks.
type hook struct {
	*httptest.Server
	tb testing.TB

	mu    sync.Mutex // guards what follows
	ids   []string   // of requests, in order
	got   []payload  // of those that were taken
	reply func(w http.ResponseWriter, r *http.Request) (taken bool)
	news  chan struct{}
}

func newHook(tb testing.TB) *hook {
	tb.Helper()
	h := &hook{tb: tb, news: make(chan struct{}, 1)}
	h.Server = httptest.NewServer(h)
	tb.Cleanup(h.Close)
	return h
}

// answer lets the server answer otherwise from now on; nil for 204.
func (h *hook) answer(reply func(w http.ResponseWriter, r *http.Request) (taken bool)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reply = reply
}

// answers is always the same answer.
func answers(code int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(code)
		return code < 300
	}
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		h.tb.Errorf("reading a webhook: %v", err)
	}
	verifier, err := standardwebhooks.NewWebhook(webhookSecret)
	if err != nil {
		h.tb.Error(err)
	} else if err := verifier.Verify(body, r.Header); err != nil {
		h.tb.Errorf("the signature of a webhook: %v", err)
	}
	var p payload
	if err := json.Unmarshal(body, &p); err != nil || p.ID != r.Header.Get("webhook-id") {
		h.tb.Errorf("the id in the body is %q, in the field %q; %v", p.ID, r.Header.Get("webhook-id"), err)
	}
	h.mu.Lock()
	h.ids = append(h.ids, p.ID)
	reply := h.reply
	h.mu.Unlock()
	taken := true
	if reply != nil {
		taken = reply(w, r)
	} else {
		w.WriteHeader(http.StatusNoContent)
	}
	h.mu.Lock()
	if taken {
		h.got = append(h.got, p)
	}
	h.mu.Unlock()
	select {
	case h.news <- struct{}{}:
	default:
	}
}

// requests returns the ids of all requests.
func (h *hook) requests() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.ids)
}

// events returns the ids of all events in requests that were taken.
func (h *hook) events() (ids []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.got {
		for i := range p.Data.Events {
			ids = append(ids, p.Data.Events[i].ID)
		}
	}
	return ids
}

func (h *hook) channel() *Webhook {
	h.tb.Helper()
	w, err := NewWebhook(WebhookOptions{URL: h.URL + "/a-secret-path?key=a-secret-key", Secret: webhookSecret, Name: "webhook"})
	if err != nil {
		h.tb.Fatal(err)
	}
	return w
}

// mailbox is a real mail server.
type mailbox struct {
	tb     testing.TB
	addr   string
	server *smtp.Server

	mu      sync.Mutex // guards what follows
	mails   []received
	fail    func(stage, to string) error // what the server says at a stage; nil: all is well
	cutData bool                         // the connection is cut after the mail was taken
	logins  []string
}

type received struct {
	to     string
	header netmail.Header
	raw    string
	body   string
}

const mailPassword = "a-secret-of-the-mail-server"

// newMailbox starts a server. With setup it is made ready before.
func newMailbox(tb testing.TB, setup func(*smtp.Server)) *mailbox {
	tb.Helper()
	return newMailboxOn(tb, setup, nil)
}

// newMailboxOn starts a server that begins with TLS if that is not nil.
func newMailboxOn(tb testing.TB, setup func(*smtp.Server), secure *tls.Config) *mailbox {
	tb.Helper()
	m := &mailbox{tb: tb}
	m.server = smtp.NewServer(m)
	m.server.Domain, m.server.AllowInsecureAuth = "localhost", true
	m.server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	if setup != nil {
		setup(m.server)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	m.addr = listener.Addr().String()
	if secure != nil {
		listener = tls.NewListener(listener, secure)
	}
	var ended sync.WaitGroup
	ended.Go(func() { _ = m.server.Serve(listener) })
	tb.Cleanup(func() {
		_ = m.server.Close()
		ended.Wait()
	})
	return m
}

// channel returns a way to the server.
func (m *mailbox) channel() *SMTP {
	m.tb.Helper()
	s, err := NewSMTP(SMTPOptions{
		Addr: m.addr, From: "Scopegate <scopegate@gw.example>", Mode: NoTLS, Name: "smtp",
	})
	if err != nil {
		m.tb.Fatal(err)
	}
	return s
}

func (m *mailbox) setFail(fail func(stage, to string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = fail
}

func (m *mailbox) all() []received {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.mails)
}

// NewSession implements [smtp.Backend].
func (m *mailbox) NewSession(c *smtp.Conn) (smtp.Session, error) {
	if err := m.says("connect", ""); err != nil {
		return nil, err
	}
	return &session{m: m, conn: c}, nil
}

func (m *mailbox) says(stage, to string) error {
	m.mu.Lock()
	fail := m.fail
	m.mu.Unlock()
	if fail == nil {
		return nil
	}
	return fail(stage, to)
}

type session struct {
	m    *mailbox
	conn *smtp.Conn
	to   string
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

func (s *session) Mail(string, *smtp.MailOptions) error { return s.m.says("mail", "") }

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	return s.m.says("rcpt", to)
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := s.m.says("data", s.to); err != nil {
		return err
	}
	parsed, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		s.m.tb.Errorf("the mail cannot be read: %v\n%s", err, raw)
		return err
	}
	s.m.mu.Lock()
	s.m.mails = append(s.m.mails, received{to: s.to, header: parsed.Header, raw: string(raw), body: unquoted(s.m.tb, parsed.Body)})
	cut := s.m.cutData
	s.m.mu.Unlock()
	if cut {
		_ = s.conn.Conn().Close()
	}
	return nil
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, password string) error {
		s.m.mu.Lock()
		s.m.logins = append(s.m.logins, username)
		s.m.mu.Unlock()
		if err := s.m.says("auth", password); err != nil {
			return err
		}
		if username != "scopegate" || password != mailPassword {
			return errors.New("wrong password")
		}
		return nil
	}), nil
}

// logs is a log that a test reads.
type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logs) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// clockAt is a clock that a test sets.
type clockAt struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clockAt { return &clockAt{at: time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clockAt) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clockAt) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}
