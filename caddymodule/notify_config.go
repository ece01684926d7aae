package caddymodule

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/scopegate/scopegate/notify"
)

// Notify says who is told what is going to happen to tokens, or just has, and how. Each thing
// is told once, whatever is reloaded or restarted, and however many nodes there are. Caddy's events app
// hears of everything, as scopegate_expiring and so on.
type Notify struct {
	// Operator is the address of who runs this: they are told of every token. Default:
	// nobody.
	Operator string `json:"operator,omitempty"`

	// Contacts is whether the contact of each token is told of theirs: on or off. Default: on.
	Contacts string `json:"contacts,omitempty"`

	// Events are what people are told of: deactivated, deleted, errors, expiring, rotation_overdue,
	// rotation_due, denied_after_change, version_deprecated and unused. Default: all.
	Events []string `json:"events,omitempty"`

	// Digest is how long is waited for more, so that people get one message and not many: from
	// 1s to 24h. What has just ended that perhaps should not have waits a minute at the most.
	// Default: 15m.
	Digest string `json:"digest,omitempty"`

	// Link is where the page of the management site is, for links in messages. Default: no
	// links.
	Link string `json:"link,omitempty"`

	// Webhook is told of everything, by signed requests. Default: none.
	Webhook *NotifyWebhook `json:"webhook,omitempty"`

	// SMTP is by what mail is sent. Default: no mail is.
	SMTP *NotifySMTP `json:"smtp,omitempty"`
}

// NotifyWebhook is a receiver of requests in the format of Standard Webhooks.
type NotifyWebhook struct {
	// URL is where they are sent: https://, or http:// to this machine. Placeholders are filled
	// in. Whoever knows it may be let in by it, so no log has more of it than the host.
	URL string `json:"url"`

	// Secret signs them: whsec_ and base64 of at least 24 bytes, or any text of as many. Placeholders are
	// filled in.
	Secret string `json:"secret"`
}

// NotifySMTP is a server that takes mail.
type NotifySMTP struct {
	// Address is host:port, such as smtp.example.com:587. Placeholders are filled in.
	Address string `json:"address"`

	// From is the sender's address.
	From string `json:"from"`

	// Username and Password are for a server that asks for them. Placeholders are filled in.
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`

	// TLS is starttls: the connection becomes one, or nothing is sent; tls: it is one from the start; or
	// none, to a server on this machine only. Default: starttls, and tls on port 465.
	TLS string `json:"tls,omitempty"`

	// CA is a file with the certificates of those who sign the server's, in PEM. Default: whom
	// the system trusts.
	CA string `json:"ca,omitempty"`
}

const (
	switchOn  = "on"
	switchOff = "off"
)

// messages is a notify block with its placeholders filled in. Two that are equal mean the
// same.
type messages struct {
	operator, link string
	contacts       bool
	events         string // separated by spaces; "" for all
	digest         time.Duration
	hook           notifyHook
	mail           notifyMail
}

// notifyHook is a webhook block; zero for none.
type notifyHook struct{ url, secret string }

// notifyMail is an SMTP block; zero for none. The ca is the file's content.
type notifyMail struct{ address, from, username, password, tls, ca string }

// The bounds of digest.
const (
	shortestDigest = time.Second
	longestDigest  = 24 * time.Hour
)

// What a block lacks.
var (
	errNoMailServer = errors.New("operator is told by e-mail, so there must be a server that takes it; add: smtp <host:port> { from <address> }")
	errNoMailPort   = errors.New("smtp takes host:port, such as smtp.example.com:587")
	errNoSender     = errors.New("smtp needs the sender's e-mail address; write: from scopegate@example.com")
	errHalfLogin    = errors.New("username and password of smtp belong together: state both, or neither")
	errNobodyToMail = errors.New("smtp has nobody to send to: name an operator, or leave contacts on")
	errNoHookSecret = errors.New("webhook needs a secret, by which its receiver knows what is from here; " +
		"make one with: openssl rand -base64 32; write: secret {env.WEBHOOK_SECRET}")
)

// provision checks the block and fills in its placeholders. What they stand for is in no
// error.
func (n *Notify) provision() (*messages, error) {
	m, err := n.fill(caddy.NewReplacer())
	if err == nil {
		err = m.check()
	}
	if err != nil {
		return nil, fmt.Errorf("scopegate: notify: %w", err)
	}
	return m, nil
}

// fill fills in the placeholders, and reads the file.
func (n *Notify) fill(repl *caddy.Replacer) (*messages, error) {
	if err := n.checkWords(); err != nil {
		return nil, err
	}
	m := &messages{contacts: n.Contacts != switchOff, events: strings.Join(n.Events, " ")}
	m.digest, _ = readDigest(n.Digest) // it was checked
	fields := []filling{{"operator", n.Operator, &m.operator}, {"link", n.Link, &m.link}}
	if w := n.Webhook; w != nil {
		fields = append(fields, filling{"the URL of webhook", w.URL, &m.hook.url}, filling{"the secret of webhook", w.Secret, &m.hook.secret})
	}
	var ca string
	if s := n.SMTP; s != nil {
		m.mail.tls = s.TLS
		fields = append(fields, filling{"the address of smtp", s.Address, &m.mail.address}, filling{"from", s.From, &m.mail.from},
			filling{"username", s.Username, &m.mail.username}, filling{"password", s.Password, &m.mail.password}, filling{"ca", s.CA, &ca})
	}
	for _, f := range fields {
		var err error
		if *f.to, err = repl.ReplaceOrErr(f.value, true, true); err != nil {
			return nil, fmt.Errorf("%s: %w", f.what, err)
		}
	}
	switch {
	case n.Webhook != nil && m.hook.secret == "":
		return nil, errNoHookSecret
	case n.SMTP != nil && m.mail.address == "":
		return nil, errNoMailPort
	case ca == "":
		return m, nil
	}
	content, err := os.ReadFile(ca)
	if err != nil {
		return nil, fmt.Errorf("ca of smtp: %w", err)
	}
	m.mail.ca = string(content)
	return m, nil
}

// filling is a field whose placeholders are filled in.
type filling struct {
	what, value string
	to          *string
}

// checkWords checks what has no placeholders.
func (n *Notify) checkWords() error {
	if n.Contacts != "" && n.Contacts != switchOn && n.Contacts != switchOff {
		return fmt.Errorf("contacts is on or off, not %q", n.Contacts)
	}
	for i, name := range n.Events {
		switch {
		case !notify.Kind(name).Known():
			return fmt.Errorf("there is no event %q; there are %s", name, kindNames())
		case slices.Contains(n.Events[:i], name):
			return fmt.Errorf("the event %s stands twice", name)
		}
	}
	if s := n.SMTP; s != nil && s.TLS != "" && !slices.Contains([]notify.MailTLS{notify.StartTLS, notify.TLS, notify.NoTLS}, notify.MailTLS(s.TLS)) {
		return fmt.Errorf("tls of smtp is starttls, tls or none, not %q", s.TLS)
	}
	_, err := readDigest(n.Digest)
	return err
}

// kindNames lists the events that can be asked for.
func kindNames() string {
	kinds := notify.Kinds()
	names := make([]string, len(kinds))
	for i, kind := range kinds {
		names[i] = string(kind)
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

func readDigest(text string) (time.Duration, error) {
	if text == "" {
		return notify.DefaultDigest, nil
	}
	d, err := caddy.ParseDuration(text)
	if err != nil || d < shortestDigest || d > longestDigest {
		return 0, fmt.Errorf("digest is %s to 24h, such as 15m; not %q", shortestDigest, text)
	}
	return d, nil
}

// check checks what was filled in.
func (m *messages) check() error {
	hasMail := m.mail.address != ""
	switch {
	case m.operator != "" && !isAddress(m.operator):
		return fmt.Errorf("operator is an e-mail address, such as ops@example.com; not %q", m.operator)
	case m.operator != "" && !hasMail:
		return errNoMailServer
	case hasMail && m.mail.from == "":
		return errNoSender
	case (m.mail.username == "") != (m.mail.password == ""):
		return errHalfLogin
	case hasMail && m.operator == "" && !m.contacts:
		return errNobodyToMail
	case m.link != "" && !isWeb(m.link):
		return fmt.Errorf("link is the http(s) address of the management site, such as https://scopegate.example.com; not %q", m.link)
	}
	_, err := m.channels()
	return err
}

func isAddress(text string) bool {
	address, err := mail.ParseAddress(text)
	return err == nil && address.Address == text
}

func isWeb(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil
}

// channels returns the ways by which people are told.
func (m *messages) channels() ([]notify.Channel, error) {
	var channels []notify.Channel
	if m.hook.url != "" {
		hook, err := notify.NewWebhook(notify.WebhookOptions{URL: m.hook.url, Secret: m.hook.secret})
		if err != nil {
			return nil, err
		}
		channels = append(channels, hook)
	}
	if m.mail.address == "" {
		return channels, nil
	}
	trust, err := m.mail.trust()
	if err != nil {
		return nil, err
	}
	server, err := notify.NewSMTP(notify.SMTPOptions{
		Addr: m.mail.address, From: m.mail.from, Username: m.mail.username, Password: m.mail.password, Mode: m.mail.mode(), TLS: trust,
	})
	if err != nil {
		return nil, err
	}
	return append(channels, server), nil
}

// mode returns how the connection is secured: where nothing is said, by the port.
func (s *notifyMail) mode() notify.MailTLS {
	switch {
	case s.tls != "":
		return notify.MailTLS(s.tls)
	case strings.HasSuffix(s.address, ":465"):
		return notify.TLS
	}
	return notify.StartTLS
}

// trust returns whom to trust; nil for whom the system does.
func (s *notifyMail) trust() (*tls.Config, error) {
	if s.ca == "" {
		return nil, nil //nolint:nilnil // as the comment says
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(s.ca)) {
		return nil, errors.New("ca of smtp has no certificate to trust, in PEM")
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// kinds returns what people are told of; nil for all.
func (m *messages) kinds() []notify.Kind {
	var kinds []notify.Kind
	for name := range strings.FieldsSeq(m.events) {
		kinds = append(kinds, notify.Kind(name))
	}
	return kinds
}
