package reports_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/scopegate/scopegate/reports"
)

func activityOf(t *testing.T, c *counted, window time.Duration, only ...reports.Token) *reports.Activity {
	t.Helper()
	report, err := reports.ReportActivity(c, now, window, only)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// someActivity is that of two tokens and of nobody.
func someActivity() *counted {
	c := counting()
	c.add(use("a", "v1", "list", "GET"), 5, 30*time.Minute)
	c.add(use("a", "v1", "list", "GET"), 7, 3*time.Hour)
	c.add(use("a", "v2", "one", "GET"), 11, 3*day)
	c.add(use("b", "v1", "list", "GET"), 13, 3*time.Hour)
	c.samples[0].Counts.Status[2], c.samples[0].Counts.Status[5] = 3, 2
	for reason, requests := range map[string]uint64{"method_not_granted": 2, "rate_limited": 4} {
		k := use("a", "v1", "one", "PUT")
		k.Reason = reason
		c.add(k, requests, 3*time.Hour)
	}
	nobody := use("", "", "", "GET")
	nobody.Token, nobody.Reason = "", "unknown_token"
	c.add(nobody, 17, 2*time.Hour)
	lost := nobody
	lost.Reason = "lost"
	c.add(lost, 3, 2*time.Hour)
	return c
}

func TestActivityByHour(t *testing.T) {
	t.Parallel()
	report := activityOf(t, someActivity(), day)
	if report.StepSeconds != 3600 || len(report.Points) != 25 || !report.From.Equal(now.Add(-day)) || len(report.Tokens) > 0 {
		t.Fatalf("got steps of %d s, %d points from %v", report.StepSeconds, len(report.Points), report.From)
	}
	for i, p := range report.Points {
		if !p.At.Equal(report.From.Add(time.Duration(i) * time.Hour)) {
			t.Errorf("point %d: got %v", i, p.At)
		}
	}
	want := map[int]reports.Point{21: {Requests: 7 + 13 + 6, Denied: 6}, 22: {Requests: 17, Denied: 17}, 23: {Requests: 5, Failed: 2}}
	for i, p := range report.Points {
		if p.At = (time.Time{}); p != want[i] {
			t.Errorf("hour %d: got %+v, want %+v", i, p, want[i])
		}
	}
	if report.Requests != 48 || report.Denied != 23 || report.Failed != 2 || report.Lost != 3 || !report.Last.Equal(now.Add(-30*time.Minute)) {
		t.Errorf("got %+v", report)
	}
	reasons := []reports.ReasonCount{{"unknown_token", 17}, {"rate_limited", 4}, {"method_not_granted", 2}}
	if !reflect.DeepEqual(report.Reasons, reasons) {
		t.Errorf("reasons: got %v, want %v", report.Reasons, reasons)
	}
}

func TestActivityByDay(t *testing.T) {
	t.Parallel()
	report := activityOf(t, someActivity(), 7*day, newToken("b"), newToken("a"), newToken("c"))
	if report.StepSeconds != 86400 || len(report.Points) != 8 || !report.From.Equal(now.Add(-7*day).Truncate(day)) {
		t.Fatalf("got steps of %d s, %d points from %v", report.StepSeconds, len(report.Points), report.From)
	}
	if report.Requests != 5+7+11+13+6 || report.Lost != 3 {
		t.Errorf("together: got %d requests and %d lost", report.Requests, report.Lost)
	}
	var got []uint64
	for _, one := range report.Tokens {
		got = append(got, one.Requests, one.Denied, one.Points[4].Requests, uint64(len(one.Reasons)))
	}
	if want := []uint64{13, 0, 0, 0, 29, 6, 11, 2, 0, 0, 0, 0}; !reflect.DeepEqual(got, want) || report.Tokens[0].Token != "acme/b" {
		t.Errorf("b, a and c: got %v, want %v", got, want)
	}
	if !report.Tokens[2].Last.IsZero() || !report.Tokens[0].Last.Equal(now.Add(-3*time.Hour)) {
		t.Errorf("last: got %v and %v", report.Tokens[2].Last, report.Tokens[0].Last)
	}
}
