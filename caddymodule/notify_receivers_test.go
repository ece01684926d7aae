package caddymodule_test

import (
	"encoding/json"
	"io"
	"log"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"slices"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/scopegate/scopegate/notify"
)

// hookSecret signs the webhooks of these tests.
const hookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// receivers are servers that messages reach: one for webhooks and one for mail.
type receivers struct {
	hook *httptest.Server
	smtp string // its address

	mu     sync.Mutex          // guards what follows
	events []string            // kind and token of what the webhook was told
	mails  map[string][]string // by recipient
}

// startReceivers starts both, until the end of the test.
func startReceivers(t *testing.T) *receivers {
	t.Helper()
	r := &receivers{mails: make(map[string][]string)}
	verifier, err := standardwebhooks.NewWebhook(hookSecret)
	if err != nil {
		t.Fatal(err)
	}
	r.hook = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err == nil {
			err = verifier.Verify(body, request.Header)
		}
		if err == nil {
			err = r.take(body)
		}
		if err != nil {
			t.Errorf("a webhook: %v\n%s", err, body)
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	t.Cleanup(r.hook.Close)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := smtp.NewServer(r)
	server.Domain, server.ErrorLog = "localhost", log.New(io.Discard, "", 0)
	r.smtp = listener.Addr().String()
	var ended sync.WaitGroup
	ended.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() {
		_ = server.Close()
		ended.Wait()
	})
	return r
}

// take notes what a webhook tells of.
func (r *receivers) take(body []byte) error {
	var payload struct {
		Data struct{ Events []notify.Event }
	}
	if err := json.Unmarshal(body, &payload); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range payload.Data.Events {
		r.events = append(r.events, string(payload.Data.Events[i].Kind)+" "+payload.Data.Events[i].Token)
	}
	return nil
}

// told returns what the webhook was told, sorted.
func (r *receivers) told() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(slices.Values(r.events))
}

// mailed returns the mails that somebody got.
func (r *receivers) mailed(to string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.mails[to])
}

// NewSession implements [smtp.Backend].
func (r *receivers) NewSession(*smtp.Conn) (smtp.Session, error) { return &mailSession{r: r}, nil }

// mailSession takes one mail.
type mailSession struct {
	r  *receivers
	to string
}

func (*mailSession) Reset()                               {}
func (*mailSession) Logout() error                        { return nil }
func (*mailSession) Mail(string, *smtp.MailOptions) error { return nil }

func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	return nil
}

func (s *mailSession) Data(from io.Reader) error {
	m, err := mail.ReadMessage(from)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		return err
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.r.mails[s.to] = append(s.r.mails[s.to], "Subject: "+m.Header.Get("Subject")+"\n\n"+string(body))
	return nil
}
