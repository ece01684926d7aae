package notify

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
)

// MailTLS is how a connection to a mail server is secured.
type MailTLS string

// The ways there are.
const (
	StartTLS MailTLS = "starttls" // the connection becomes TLS before anything is said; never goes on without
	TLS      MailTLS = "tls"      // TLS from the start, mostly port 465
	NoTLS    MailTLS = "none"     // only to this machine
)

// SMTPOptions say by which server mail is sent.
type SMTPOptions struct {
	Addr     string // host:port
	From     string // an address, or name and address
	Username string // empty: without authentication
	Password string
	Mode     MailTLS     // empty means StartTLS
	TLS      *tls.Config // how the server is trusted; nil means as the system does
	Name     string      // tells it from others; empty means smtp and the host
}

// SMTP is a [Channel] that sends mail, as plain text.
type SMTP struct {
	o          SMTPOptions
	name, host string
	port       int
	from       *netmail.Address
}

// NewSMTP returns a way to send mail. Its errors do not show the password.
func NewSMTP(o SMTPOptions) (*SMTP, error) {
	host, port, err := net.SplitHostPort(o.Addr)
	if err != nil {
		return nil, fmt.Errorf("notify: %q is no address of a mail server; write host:port, as in smtp.example.com:587", o.Addr)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 || host == "" {
		return nil, fmt.Errorf("notify: %q is no address of a mail server; write host:port, as in smtp.example.com:587", o.Addr)
	}
	from, err := netmail.ParseAddress(o.From)
	if err != nil {
		return nil, fmt.Errorf("notify: %q is no address that mail can come from", o.From)
	}
	if o.Mode == "" {
		o.Mode = StartTLS
	}
	switch {
	case o.Mode != StartTLS && o.Mode != TLS && o.Mode != NoTLS:
		return nil, fmt.Errorf("notify: %q is no way to secure mail; there are %s, %s and %s", o.Mode, StartTLS, TLS, NoTLS)
	case o.Mode == NoTLS && !isLoopback(host):
		return nil, fmt.Errorf("notify: mail to %s would be sent in the clear; %s is only for a server on this machine", host, NoTLS)
	}
	if o.Name == "" {
		o.Name = "smtp " + o.Addr
	}
	return &SMTP{name: o.Name, host: host, port: int(number), from: from, o: o}, nil
}

// Name implements [Channel].
func (s *SMTP) Name() string { return s.name }

// Personal implements [Channel].
func (s *SMTP) Personal() bool { return true }

// Deliver implements [Channel]. It makes a connection for each message.
func (s *SMTP) Deliver(ctx context.Context, m *Message) error {
	msg, err := s.mail(m)
	if err != nil {
		return final("%s", s.redact(err))
	}
	var c connection
	defer c.close()
	client, err := mail.NewClient(s.host, s.options(ctx, s.dialer(ctx, &c))...)
	if err != nil {
		return final("%s", s.redact(err))
	}
	err = client.DialAndSendWithContext(ctx, msg)
	if msg.IsDelivered() {
		return nil // whatever became of the good-bye
	}
	return s.failure(ctx, err)
}

// options returns what the library is to do.
func (s *SMTP) options(ctx context.Context, dial mail.DialContextFunc) []mail.Option {
	options := []mail.Option{
		mail.WithPort(s.port), mail.WithDialContextFunc(dial), mail.WithTLSConfig(s.trust()), mail.WithoutNoop(), mail.WithoutRset(),
	}
	if deadline, ok := ctx.Deadline(); ok {
		options = append(options, mail.WithTimeout(max(time.Until(deadline), time.Millisecond)))
	}
	switch s.o.Mode {
	case StartTLS:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	case TLS, NoTLS:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS)) // it is TLS by the time that the library has it
	}
	if s.o.Username == "" {
		return options
	}
	ways := []mail.SMTPAuthType{mail.SMTPAuthSCRAMSHA256PLUS, mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthPlain, mail.SMTPAuthLogin}
	if s.o.Mode == NoTLS {
		ways = []mail.SMTPAuthType{mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthPlainNoEnc, mail.SMTPAuthLoginNoEnc}
	}
	return append(options, mail.WithUsername(s.o.Username), mail.WithPassword(s.o.Password), mail.WithOpportunisticSMTPAuth(ways...))
}

// trust returns how the server is recognised.
func (s *SMTP) trust() *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.o.TLS != nil {
		c = s.o.TLS.Clone()
	}
	c.ServerName = s.host
	return c
}

// connection is the one of a delivery.
type connection struct {
	net.Conn             // nil: there is none
	stop     func() bool // ends waiting for the context
}

// dialer returns how the library opens a connection. It would leave it open where the server
// refuses its greeting, and would not end it with the context.
func (s *SMTP) dialer(ctx context.Context, c *connection) mail.DialContextFunc {
	return func(dialing context.Context, network, _ string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(dialing, network, s.o.Addr)
		if err != nil {
			return nil, err
		}
		if s.o.Mode == TLS {
			conn = tls.Client(conn, s.trust())
		}
		c.Conn, c.stop = conn, context.AfterFunc(ctx, func() { _ = conn.Close() })
		return conn, nil
	}
}

func (c *connection) close() {
	if c.Conn != nil {
		c.stop()
		_ = c.Close()
	}
}

// mail returns a message as mail. Whoever makes it, it is the same.
func (s *SMTP) mail(m *Message) (*mail.Msg, error) {
	_, domain, _ := strings.Cut(s.from.Address, "@")
	msg := mail.NewMsg(mail.WithNoDefaultUserAgent(), mail.WithCharset(mail.CharsetUTF8), mail.WithEncoding(mail.EncodingQP))
	if err := msg.From(s.from.String()); err != nil {
		return nil, err
	}
	if err := msg.To(m.To); err != nil {
		return nil, fmt.Errorf("%s is no address of mail", line(m.To, maxName))
	}
	msg.Subject(subjectOf(m))
	msg.SetDateWithValue(m.At)
	msg.SetMessageIDWithValue(m.ID + "@" + domain)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // so that no holiday notice answers: RFC 3834
	msg.SetBodyString(mail.TypeTextPlain, textOf(m))
	return msg, nil
}

// failure says what an error means: that nobody has such an address, or wants such a mail, is
// so the next time; all else may be mended by then.
func (s *SMTP) failure(ctx context.Context, err error) error {
	const authenticate, authenticated = 530, 535
	if ctx.Err() != nil && !errors.Is(ctx.Err(), context.Canceled) {
		return errors.New("the server was not done in time")
	}
	f := &Failure{Err: errors.New(s.redact(err))}
	if sending, ok := errors.AsType[*mail.SendError](err); ok {
		code := sending.ErrorCode()
		isAboutMail := sending.Reason == mail.ErrSMTPRcptTo || sending.Reason == mail.ErrSMTPData || sending.Reason == mail.ErrSMTPDataClose
		f.Final = isAboutMail && code >= 500 && code != authenticate && code != authenticated
	}
	return f
}

// redact returns the text of an error, without what nobody else is to know: a server may
// repeat what it was told.
func (s *SMTP) redact(err error) string {
	text, _, _ := strings.Cut(err.Error(), ", affected ") // the library names recipients, and the message
	encode := base64.StdEncoding.EncodeToString
	for _, secret := range []string{
		s.o.Password, encode([]byte(s.o.Password)), encode([]byte("\x00" + s.o.Username + "\x00" + s.o.Password)),
	} {
		if s.o.Password != "" {
			text = strings.ReplaceAll(text, secret, "[password]")
		}
	}
	return line(text, maxSentence)
}

var _ Channel = (*SMTP)(nil)
