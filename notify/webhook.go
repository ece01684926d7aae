package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// WebhookOptions say where events are posted.
type WebhookOptions struct {
	// URL is https://…, or http://… to this machine. It may have something secret in it: only
	// its host is ever shown.
	URL string
	// Secret is what requests are signed with: whsec_ and base64 of 24 to 64 bytes, or any
	// other text of 24 bytes or more.
	Secret string
	// Name tells the webhook from others; empty means webhook and the host.
	Name string
	// TLS is how a server is trusted; nil means as the system does.
	TLS *tls.Config
}

// Webhook is a [Channel] that posts events to a URL, in the format of Standard Webhooks
// (https://www.standardwebhooks.com). The body is JSON:
//
//	{"id": "…", "type": "scopegate.digest", "timestamp": "…", "data": {"events": [{…}, …], "link": "…"}}
//
// The fields webhook-id, webhook-timestamp and webhook-signature are as specified: the
// signature is "v1," and the base64 of the HMAC-SHA256 over id, timestamp (in seconds) and body,
// with dots in between. The id is the same for each try.
type Webhook struct {
	name   string
	url    string
	key    []byte
	client *http.Client
	now    func() time.Time
}

// NewWebhook returns a webhook. Its errors do not show the URL nor the secret.
func NewWebhook(o WebhookOptions) (*Webhook, error) {
	target, err := url.Parse(o.URL)
	if err != nil || target.Host == "" {
		return nil, errors.New("notify: the URL of the webhook cannot be read; write https://host/path")
	}
	if target.Scheme != "https" && (target.Scheme != "http" || !isLoopback(target.Hostname())) {
		return nil, fmt.Errorf("notify: the webhook to %s would send e-mail addresses in the clear; write https://", target.Host)
	}
	key, err := webhookKey(o.Secret)
	if err != nil {
		return nil, err
	}
	if o.Name == "" {
		o.Name = "webhook " + target.Host
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is what the package documents
	transport.TLSClientConfig = o.TLS
	return &Webhook{name: o.Name, url: o.URL, key: key, now: time.Now, client: &http.Client{
		Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // what is signed for one server is not sent to another
		},
	}}, nil
}

const (
	webhookPrefix = "whsec_"
	minSecret     = 24
	maxSecret     = 64
)

// webhookKey returns what a secret signs with.
func webhookKey(secret string) ([]byte, error) {
	encoded, isEncoded := strings.CutPrefix(secret, webhookPrefix)
	if !isEncoded {
		if len(secret) < minSecret {
			return nil, fmt.Errorf("notify: the secret of the webhook has %d bytes; it needs %d at least, as from: openssl rand -base64 32", len(secret), minSecret)
		}
		return []byte(secret), nil
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(key) < minSecret || len(key) > maxSecret {
		return nil, fmt.Errorf("notify: the secret of the webhook begins with %s, but what follows is not the base64 of %d to %d bytes",
			webhookPrefix, minSecret, maxSecret)
	}
	return key, nil
}

// isLoopback reports whether a host is this machine.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Name implements [Channel].
func (w *Webhook) Name() string { return w.name }

// Personal implements [Channel].
func (w *Webhook) Personal() bool { return false }

// payload is the body of a request.
type payload struct {
	ID        string      `json:"id"`
	Type      string      `json:"type"`
	Timestamp time.Time   `json:"timestamp"`
	Data      payloadData `json:"data"`
}

type payloadData struct {
	Events []Event `json:"events"`
	Link   string  `json:"link,omitempty"`
}

// Deliver implements [Channel].
func (w *Webhook) Deliver(ctx context.Context, m *Message) error {
	body, err := json.Marshal(payload{m.ID, "scopegate.digest", m.At, payloadData{m.Events, m.Link}})
	if err != nil {
		return final("notify: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return final("the request cannot be made")
	}
	at := strconv.FormatInt(w.now().Unix(), 10)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "Scopegate")
	request.Header.Set("webhook-id", m.ID)
	request.Header.Set("webhook-timestamp", at)
	request.Header.Set("webhook-signature", w.sign(m.ID, at, body))
	response, err := w.client.Do(request)
	if err != nil {
		return w.unreachable(err)
	}
	const read = 4 << 10 // so that the connection can be used again
	_, _ = io.CopyN(io.Discard, response.Body, read)
	_ = response.Body.Close()
	return judge(response, w.now())
}

// sign returns the signature of a request.
func (w *Webhook) sign(id, at string, body []byte) string {
	mac := hmac.New(sha256.New, w.key)
	_, _ = fmt.Fprintf(mac, "%s.%s.%s", id, at, body) // it never fails
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// unreachable says that no answer came, without the URL.
func (w *Webhook) unreachable(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("no answer came in time")
	}
	return fmt.Errorf("no answer came: %s", line(err.Error(), maxText))
}

// finalStatus are the answers which say that the request itself is wrong, and will be the next
// time. Others may be a server that is being set up, or in which something fails.
var finalStatus = map[int]bool{
	http.StatusBadRequest: true, http.StatusMethodNotAllowed: true, http.StatusNotAcceptable: true, http.StatusGone: true,
	http.StatusLengthRequired: true, http.StatusRequestEntityTooLarge: true, http.StatusRequestURITooLong: true,
	http.StatusUnsupportedMediaType: true, http.StatusUnprocessableEntity: true, http.StatusNotImplemented: true,
}

// judge says what an answer means.
func judge(response *http.Response, now time.Time) error {
	status := response.StatusCode
	if status >= 200 && status < 300 {
		return nil
	}
	f := &Failure{
		Err: fmt.Errorf("the answer was %d %s", status, http.StatusText(status)), Final: finalStatus[status], Stop: status == http.StatusGone,
		After: retryAfter(response.Header.Get("Retry-After"), now),
	}
	if status >= 300 && status < 400 {
		f.Err = fmt.Errorf("the answer was %d: redirects are not followed; configure where the webhook is now", status)
	}
	return f
}

// retryAfter reads the field of that name; zero if it is none.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

var _ Channel = (*Webhook)(nil)
