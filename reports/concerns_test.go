package reports_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/scopegate/scopegate/reports"
	"github.com/scopegate/scopegate/scopes"
)

func TestAttention(t *testing.T) {
	t.Parallel()
	api := orders()
	api.Deprecated = []scopes.Deprecation{{Version: "v1", Sunset: now.Add(10 * day)}}
	e := &reports.Estate{Catalog: catalogOf(t, api), Now: now}
	add := func(name string, change func(*reports.Token)) {
		token := newToken(name, everything())
		token.Credentials[0].Created = now.Add(-day)
		token.Keep.All = true
		if change != nil {
			change(&token)
		}
		e.Tokens = append(e.Tokens, token)
	}
	add("fine", nil)
	add("expires", func(k *reports.Token) { k.Expires = now.Add(29 * day) })
	add("expired", func(k *reports.Token) { k.Expires = now.Add(-day) })
	add("later", func(k *reports.Token) { k.Expires = now.Add(31 * day) })
	add("overdue", func(k *reports.Token) { k.Credentials[0].Created = now.Add(-91 * day) })
	add("due", func(k *reports.Token) { k.Credentials[0].Created = now.Add(-70 * day) })
	add("unused", func(k *reports.Token) { k.Keep.All = false })
	add("young", func(k *reports.Token) { k.Keep.All, k.Created = false, now.Add(-day) })
	add("much", func(k *reports.Token) { k.Keep.All = false })
	add("denied", nil)
	add("errors", nil)
	add("longago", nil)
	add("bare", func(k *reports.Token) { k.Credentials = nil })
	add("old", nil)
	add("off", func(k *reports.Token) { k.Inactive, k.Expires, k.Credentials = true, now, nil })

	c := counting()
	c.add(use("much", "v2", "list", "GET"), 1000, 2*day)
	c.add(use("old", "v1", "list", "GET"), 1, 2*day)
	for token, ago := range map[string]time.Duration{"denied": time.Hour, "longago": 3 * day} {
		k := use(token, "v2", "list", "GET")
		c.add(k, 100, ago)
		k.Reason = "inactive"
		c.add(k, 30, ago)
	}
	c.add(use("errors", "v2", "list", "GET"), 100, time.Hour)
	counts := c.samples[len(c.samples)-1].Counts
	counts.Status[2], counts.Status[5] = 75, 25
	report := reports.ReportAttention(e, c.collect(t, 90*day))
	got := concernsOf(report)
	want := "expiring: 2 expired expires; rotation overdue: 1 overdue; failing: 2 denied errors; deprecated version: 1 old; " +
		"rotation due: 1 due; no credential: 1 bare; unused: 1 unused; overprivileged: 1 much; "
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if what := report.Failing.Tokens[0].What; what != "30 of 130 requests of the last day denied, 0 answered with 5xx" {
		t.Errorf("got %q", what)
	}
	if got := report.Deprecated.Tokens[0]; !got.At.Equal(now.Add(10*day)) || got.What != "uses orders v1, whose sunset is" {
		t.Errorf("got %+v", got)
	}
}

// concernsOf returns the numbers and the names of all concerns.
func concernsOf(r *reports.AttentionReport) (text string) {
	for _, c := range r.Concerns() {
		text += fmt.Sprintf("%s: %d", c.Name, c.Count)
		for i := range c.Tokens {
			text += " " + c.Tokens[i].Token[len("acme/"):]
		}
		text += "; "
	}
	return text
}

func TestAttentionIsBounded(t *testing.T) {
	t.Parallel()
	e := &reports.Estate{Catalog: catalogOf(t, orders()), Now: now}
	for i := range 100 {
		token := newToken(fmt.Sprintf("t%02d", i), everything())
		token.Expires = now.Add(time.Duration((i*37)%100) * time.Hour)
		e.Tokens = append(e.Tokens, token)
	}
	got := reports.ReportAttention(e, counting().collect(t, 90*day)).Expiring
	if got.Count != 100 || len(got.Tokens) != 10 {
		t.Fatalf("got %d, of which %d are told", got.Count, len(got.Tokens))
	}
	for i, token := range got.Tokens {
		if !token.At.Equal(now.Add(time.Duration(i) * time.Hour)) {
			t.Errorf("token %d expires %v", i, token.At)
		}
	}
}
