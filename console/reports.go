package console

import (
	"net/url"
	"strings"
	"time"
)

// basis is what a report rests on.
type basis struct {
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Since   time.Time `json:"counting_since"`
	Lost    uint64    `json:"lost_requests"`
	Missing string    `json:"missing"`
}

// Gap reports whether counting began within the window.
func (b *basis) Gap() bool { return b.Since.After(b.From) }

// activityReport is requests over time.
type activityReport struct {
	basis
	StepSeconds int `json:"step_seconds"`
	activitySeries
	Tokens []activitySeries `json:"tokens"` // if it was asked for some
}

// activitySeries is the requests of all tokens, or of one.
type activitySeries struct {
	ID       string        `json:"id"` // of the token
	Requests uint64        `json:"requests"`
	Denied   uint64        `json:"denied"`
	Failed   uint64        `json:"failed"`
	Last     time.Time     `json:"last"`
	Reasons  []reasonCount `json:"reasons"` // the most frequent first
	Points   []point       `json:"points"`
}

func (a *activityReport) step() time.Duration { return time.Duration(a.StepSeconds) * time.Second }

// Chart draws the requests.
func (a *activityReport) Chart() *chart { return newChart(a.Points, a.step()) }

// Denials are those by reason.
func (a *activityReport) Denials() []bar { return newBars(a.Reasons) }

// activityTarget returns where a report of the activity of some tokens is; of all of them
// if there are no ids.
func activityTarget(window string, ids ...string) string {
	query := url.Values{"window": {window}}
	if len(ids) > 0 {
		query.Set("tokens", strings.Join(ids, ","))
	}
	return "/scopegate/reports/activity?" + query.Encode()
}

// attentionReport is what somebody should look at.
type attentionReport struct {
	basis
	Expiring        attention `json:"expiring"`
	RotationOverdue attention `json:"rotation_overdue"`
	RotationDue     attention `json:"rotation_due"`
	Unused          attention `json:"unused"`
	Overprivileged  attention `json:"overprivileged"`
	Failing         attention `json:"failing"`
	Deprecated      attention `json:"deprecated"`
	NoCredential    attention `json:"no_credential"`
}

// attention is what of one kind there is: all by number, and the first by name.
type attention struct {
	Count  int              `json:"count"`
	Tokens []attentionToken `json:"tokens"`
}

type attentionToken struct {
	Token string    `json:"token"`
	What  string    `json:"what"`
	At    time.Time `json:"at"`
}

// concern is a kind of what needs attention, as a page shows it.
type concern struct {
	attention
	Title, Explanation, Kind string // Kind is that of a badge
	All                      string // the path of the list of all of them; "" if there is none
}

// Concerns are the kinds of which there is something, the most urgent first.
func (a *attentionReport) Concerns() []concern {
	var found []concern
	for _, c := range []concern{
		{a.Expiring, "Expiring", "They expire within 30 days, or have expired; every request is denied from then on. Extend them, or have them replaced.", "bad", Root + "tokens?expiring=30d&state=active"},
		{a.RotationOverdue, "Rotation overdue", "Their credential is older than its interval allows. Rotate: the old one is accepted until the new one is in use.", "bad", ""},
		{a.Failing, "Failing", "Many of their requests are denied or answered with an error: a client or a scope is set up wrongly.", "bad", ""},
		{a.Deprecated, "On a deprecated version", "They use a version of an API that will be switched off. Tell the contact.", "warn", ""},
		{a.RotationDue, "Rotation due", "Their credential is to be rotated within 30 days.", "warn", ""},
		{a.NoCredential, "Without a credential", "Nobody can use them until their first credential is issued.", "info", ""},
		{a.Unused, "Unused", "No request for 90 days. Ask the contact, then deactivate what nobody needs.", "info", ""},
		{a.Overprivileged, "Over-privileged", "Much of what they are granted was never used. Each token's page has the scopes that would be enough.", "info", ""},
	} {
		if c.Count > 0 {
			found = append(found, c)
		}
	}
	return found
}
