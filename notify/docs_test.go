package notify

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// docsPage is the page that tells of messages.
const docsPage = "../docs/messages.md"

// docsBlock returns the text of the fenced block with an info on that page.
func docsBlock(t *testing.T, info string) string {
	t.Helper()
	page, err := os.ReadFile(docsPage)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)\n```" + info + "\n(.*?)```\n").FindSubmatch(page)
	if found == nil {
		t.Fatalf("%s has no block %q", docsPage, info)
	}
	return string(found[1])
}

// The mail on the page is the one that is sent of what it tells of.
func TestDocsMail(t *testing.T) {
	t.Parallel()
	at := time.Date(2027, 3, 2, 8, 0, 0, 0, time.UTC)
	token := someToken()
	token.Name, token.Description, token.Created = "nightly-sync", "Copies yesterday's orders into the warehouse.", at.AddDate(-1, 0, 0)
	token.Expires = time.Date(2027, 4, 1, 0, 0, 0, 0, time.UTC)
	off := token
	off.ID, off.Name, off.Description = "tok_2", "old-erp", ""
	off.Inactive, off.Deactivation, off.Updated = true, "once", at
	v := View{Now: at}
	events := append(v.Find(&off, nil), v.Find(&token, nil)...)
	m := newMessage(recipient{"smtp smtp.example.com:587", "data@acme.example"}, events, nil, at, "https://scopegate.internal.example.com")
	got := "Subject: " + subjectOf(m) + "\n\n" + textOf(m)
	if want := docsBlock(t, "text mail"); strings.TrimSpace(got) != strings.TrimSpace(want) {
		t.Errorf("the mail is\n%s\n%s says\n%s", got, docsPage, want)
	}
}

// What the page says of a webhook's signature verifies, by somebody else's library.
func TestDocsWebhook(t *testing.T) {
	t.Parallel()
	body := strings.TrimSuffix(docsBlock(t, "json webhook"), "\n")
	var p payload
	if err := json.Unmarshal([]byte(body), &p); err != nil || p.Type != "scopegate.digest" || len(p.Data.Events) != 1 || !p.Data.Events[0].Kind.Known() {
		t.Errorf("the body is %+v, %v", p, err)
	}
	fields := make(map[string]string)
	for line := range strings.Lines(docsBlock(t, "text webhook")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		fields[name] = value
	}
	verifier, err := standardwebhooks.NewWebhook(fields["secret"])
	if err != nil {
		t.Fatal(err)
	}
	h := make(map[string][]string)
	for _, name := range []string{"Id", "Timestamp", "Signature"} {
		h["Webhook-"+name] = []string{fields["webhook-"+strings.ToLower(name)]}
	}
	if err := verifier.VerifyIgnoringTimestamp([]byte(body), h); err != nil || p.ID != fields["webhook-id"] {
		w, _ := NewWebhook(WebhookOptions{URL: "https://hooks.example.com/x", Secret: fields["secret"]})
		t.Errorf("%v; the signature is %s", err, w.sign(fields["webhook-id"], fields["webhook-timestamp"], []byte(body)))
	}
}
