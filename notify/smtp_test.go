package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// certificate returns one for 127.0.0.1, and who trusts it.
func certificate(tb testing.TB) (server, trusting *tls.Config) {
	tb.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	tb.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return &tls.Config{Certificates: s.TLS.Certificates}, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

func mailOf(to string, events ...Event) *Message {
	return newMessage(recipient{"smtp", to}, events, nil, time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC), "https://gw.example/console/")
}

// TestMailTLS: with STARTTLS and TLS, and a password; never without what was asked for.
func TestMailTLS(t *testing.T) {
	t.Parallel()
	serving, trusting := certificate(t)
	starttls := newMailbox(t, func(s *smtp.Server) { s.TLSConfig, s.AllowInsecureAuth = serving, false })
	implicit := newMailboxOn(t, nil, serving)
	plain := newMailbox(t, nil)
	for name, test := range map[string]struct {
		box      *mailbox
		mode     MailTLS
		trust    *tls.Config
		password string
		want     string
	}{
		"starttls":                       {starttls, StartTLS, trusting, mailPassword, ""},
		"starttls, without a password":   {starttls, StartTLS, trusting, "", ""},
		"tls":                            {implicit, TLS, trusting, mailPassword, ""},
		"none":                           {plain, NoTLS, nil, mailPassword, ""},
		"starttls, who is that":          {starttls, StartTLS, nil, mailPassword, "certificate"},
		"tls, who is that":               {implicit, TLS, nil, mailPassword, "certificate"},
		"starttls that is not offered":   {plain, StartTLS, trusting, mailPassword, "STARTTLS"},
		"another password":               {starttls, StartTLS, trusting, "another-secret", "AUTH"},
		"tls with a server that has not": {plain, TLS, trusting, mailPassword, "tls"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := SMTPOptions{Addr: test.box.addr, From: "scopegate@gw.example", Mode: test.mode, TLS: test.trust, Password: test.password}
			if test.password != "" {
				o.Username = "scopegate"
			}
			s, err := NewSMTP(o)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			to := strings.NewReplacer(" ", "", ",", "").Replace(name) + "@acme.example"
			err = s.Deliver(ctx, mailOf(to, eventOf(Unused, "a")))
			came := 0
			for _, m := range test.box.all() {
				if m.to == to {
					came++
				}
			}
			switch {
			case test.want == "" && (err != nil || came != 1):
				t.Errorf("%v, and %d mails came", err, came)
			case test.want != "" && (err == nil || came > 0 || !strings.Contains(err.Error(), test.want) || failureOf(err).Final):
				t.Errorf("%v, and %d mails came; want an error about %s that is no reason to give up", err, came, test.want)
			}
			if err != nil && strings.Contains(err.Error(), test.password) {
				t.Errorf("the error has the password: %v", err)
			}
		})
	}
}

// TestMailFailures: what a server says decides whether it is tried again.
func TestMailFailures(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		stage string
		code  int
		final bool
	}{
		{"connect", 421, false},
		{"connect", 554, false},
		{"mail", 451, false},
		{"mail", 550, false},
		{"rcpt", 450, false},
		{"rcpt", 530, false},
		{"rcpt", 550, true},
		{"data", 452, false},
		{"data", 554, true},
	} {
		t.Run(fmt.Sprintf("%s %d", test.stage, test.code), func(t *testing.T) {
			t.Parallel()
			box := newMailbox(t, nil)
			box.setFail(func(stage, _ string) error {
				if stage != test.stage {
					return nil
				}
				return &smtp.SMTPError{Code: test.code, EnhancedCode: smtp.EnhancedCodeNotSet, Message: "that is how\x07 it is"}
			})
			err := box.channel().Deliver(context.Background(), mailOf("data@acme.example", eventOf(Unused, "a")))
			if err == nil || failureOf(err).Final != test.final || !strings.Contains(err.Error(), fmt.Sprint(test.code)) {
				t.Errorf("got %v, want the code, final %t", err, test.final)
			}
			if err != nil && (strings.Contains(err.Error(), "\x07") || strings.Contains(err.Error(), "acme.example")) {
				t.Errorf("the error has more than is to be logged: %q", err)
			}
		})
	}
}

// TestMailServerRepeatsPassword: a server that says what it was told tells nobody.
func TestMailServerRepeatsPassword(t *testing.T) {
	t.Parallel()
	box := newMailbox(t, nil)
	box.setFail(func(stage, password string) error {
		if stage != "auth" {
			return nil
		}
		encoded := base64.StdEncoding.EncodeToString([]byte("\x00scopegate\x00" + password))
		return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCodeNotSet, Message: password + " is wrong, so is " + encoded}
	})
	s, err := NewSMTP(SMTPOptions{Addr: box.addr, From: "a@b.example", Mode: NoTLS, Username: "scopegate", Password: mailPassword})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Deliver(context.Background(), mailOf("data@acme.example", eventOf(Unused, "a")))
	if err == nil || strings.Contains(err.Error(), mailPassword) || strings.Contains(err.Error(), base64.StdEncoding.EncodeToString([]byte(mailPassword))[:20]) {
		t.Errorf("got %v", err)
	}
	if err != nil && !strings.Contains(err.Error(), "[password] is wrong, so is [password]") {
		t.Errorf("got %v, want that the password is hidden", err)
	}
}

// TestMailSlowServer: a server that says nothing is not waited for longer than a try may take.
func TestMailSlowServer(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	s, err := NewSMTP(SMTPOptions{Addr: silent.Addr().String(), From: "a@b.example"})
	if err != nil {
		t.Fatal(err)
	}
	for name, ending := range map[string]func() (context.Context, context.CancelFunc){
		"deadline": func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 100*time.Millisecond)
		},
		"cancel": func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(100*time.Millisecond, cancel)
			return ctx, cancel
		},
	} {
		ctx, cancel := ending()
		began := time.Now()
		if err := s.Deliver(ctx, mailOf("data@acme.example", eventOf(Unused, "a"))); err == nil || failureOf(err).Final {
			t.Errorf("%s: got %v", name, err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: it took %s", name, took)
		}
		cancel()
	}
}

// TestMailCutAfterData: a mail of which nobody knows whether it was taken goes out again, with the
// same Message-ID, byte by byte the same.
func TestMailCutAfterData(t *testing.T) {
	t.Parallel()
	box := newMailbox(t, nil)
	n := newNode(t, Options{Channels: []Channel{box.channel()}, Contacts: true})
	n.known()
	box.mu.Lock()
	box.cutData = true
	box.mu.Unlock()
	n.offer(eventOf(Deactivated, "a"))
	n.clock.add(time.Minute)
	n.await("it is cut", func() bool { return strings.Contains(n.logs.String(), "sent again") })
	box.mu.Lock()
	box.cutData = false
	box.mu.Unlock()
	n.reopen()
	n.clock.add(time.Minute)
	n.await("it is told", func() bool { return n.pending() == 0 })
	all := box.all()
	if len(all) != 2 || all[0].raw != all[1].raw || all[0].header.Get("Message-ID") == "" {
		t.Fatalf("%d mails came, want the same twice:\n%v", len(all), all)
	}
}

// TestMailBadAddress: one address that does not exist keeps nobody else from their mail.
func TestMailBadAddress(t *testing.T) {
	t.Parallel()
	box := newMailbox(t, nil)
	box.setFail(func(stage, to string) error {
		if stage == "rcpt" && strings.HasPrefix(to, "nobody@") {
			return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
		}
		return nil
	})
	n := newNode(t, Options{Channels: []Channel{box.channel()}, Contacts: true, Operators: []string{"ops@example.com"}})
	n.known()
	a, b, c := eventOf(Deactivated, "a"), eventOf(Deactivated, "b"), eventOf(Deactivated, "c")
	b.Contact.Email, c.Contact.Email = "nobody@acme.example", "not an address"
	n.offer(a, b, c)
	n.clock.add(time.Minute)
	n.await("all is settled", func() bool { return n.pending() == 0 })
	count := make(map[string]int)
	for _, m := range box.all() {
		count[m.to]++
	}
	if len(count) != 2 || count["ops@example.com"] != 1 || count["data@acme.example"] != 1 {
		t.Errorf("mail came to %v", count)
	}
}

// TestMailText: whatever people have called things, a mail has one subject and one recipient,
// is plain text, and is not long.
func TestMailText(t *testing.T) {
	t.Parallel()
	box := newMailbox(t, nil)
	const evil = "x\r\nBcc: victim@example.com\r\n\r\n<script>alert(1)</script>\r\n.\r\nMAIL FROM:<x@y>\r\n"
	e := eventOf(Expiring, "a")
	e.Token, e.Account, e.Description = "acme/"+evil, evil, strings.Repeat(evil+"\u202e\u2028=?utf-8?q?=0D=0ABcc:_v@example.com?= é ", 400)
	e.Text, e.Hint, e.Contact.Name = evil+"\x00\x1b[31m", evil, evil
	for _, kind := range []Kind{Expiring, Kind(evil)} {
		e.Kind = kind
		if err := box.channel().Deliver(context.Background(), mailOf("data@acme.example", e, e)); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range box.all() {
		for field := range m.header {
			switch field {
			case "From", "To", "Subject", "Date", "Message-Id", "Auto-Submitted", "Mime-Version", "Content-Type", "Content-Transfer-Encoding":
			default:
				t.Errorf("there is a field %s: %q", field, m.header[field])
			}
		}
		if got := m.header.Get("Content-Type"); !strings.HasPrefix(got, "text/plain") {
			t.Errorf("the type is %q", got)
		}
		if to, err := m.header.AddressList("To"); err != nil || len(to) != 1 || to[0].Address != "data@acme.example" {
			t.Errorf("it is to %v, %v", to, err)
		}
		for _, sign := range []string{"\r\nBcc:", "\nBcc:"} {
			if strings.Contains(m.raw, sign) {
				t.Errorf("a field was injected:\n%s", m.raw)
			}
		}
		if i := strings.IndexFunc(m.body, func(r rune) bool { return r < ' ' && r != '\n' || r == '\u202e' || r == '\u2028' || r == 0x7f }); i >= 0 {
			t.Errorf("there is a control character: %q", m.body[i:min(i+20, len(m.body))])
		}
		if len(m.raw) > 8<<10 {
			t.Errorf("it has %d bytes", len(m.raw))
		}
	}
	if got := len(box.all()); got != 2 {
		t.Errorf("%d mails came, want 2", got)
	}
}

// TestMailDigest: a mail tells of some, and counts the others.
func TestMailDigest(t *testing.T) {
	t.Parallel()
	box := newMailbox(t, nil)
	n := newNode(t, Options{Channels: []Channel{box.channel()}, Operators: []string{"ops@example.com"}})
	n.known()
	events := manyEvents(3000)
	for i := range events {
		events[i].Description = strings.Repeat("very long ", 500)
	}
	n.offer(events...)
	n.clock.add(time.Hour)
	n.await("all is told", func() bool { return n.pending() == 0 })
	all := box.all()
	if len(all) != 1 {
		t.Fatalf("%d mails came, want 1", len(all))
	}
	body := all[0].body
	if lines := strings.Count(body, "\n* "); lines > maxEvents || lines < maxEvents-1 || !strings.Contains(body, "and 2950 more") || len(all[0].raw) > 64<<10 {
		t.Errorf("it has %d bytes and %d events:\n%s", len(all[0].raw), lines, body)
	}
	n.offer(events...)
	n.clock.add(time.Hour)
	n.await("nothing is left", func() bool { return n.pending() == 0 })
	if got := len(box.all()); got != 1 {
		t.Errorf("what was counted was told again: %d mails", got)
	}
}

// TestMailErrors: what is wrong with the options is said.
func TestMailErrors(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		o    SMTPOptions
		want string
	}{
		"no port":       {SMTPOptions{Addr: "mail.example.com", From: "a@b.example"}, "host:port"},
		"no host":       {SMTPOptions{Addr: ":25", From: "a@b.example"}, "host:port"},
		"a large port":  {SMTPOptions{Addr: "mail.example.com:70000", From: "a@b.example"}, "host:port"},
		"no sender":     {SMTPOptions{Addr: "mail.example.com:25"}, "no address that mail can come from"},
		"another way":   {SMTPOptions{Addr: "mail.example.com:25", From: "a@b.example", Mode: "ssl"}, "starttls, tls and none"},
		"in the clear":  {SMTPOptions{Addr: "mail.example.com:25", From: "a@b.example", Mode: NoTLS}, "in the clear"},
		"with password": {SMTPOptions{Addr: "mail.example.com:25", From: "a", Password: "a-secret"}, "no address"},
	} {
		_, err := NewSMTP(test.o)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "a-secret") {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}
