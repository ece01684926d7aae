package scopes

import (
	"net/netip"
	"slices"
	"strings"
)

var testTable = table[testDraft]{"test", "a test", []field[testDraft]{
	{key: "token", read: (*reader).readTestToken},
	{key: "request", required: `such as "GET /orders/v1"`, read: (*reader).readTestRequest},
	{key: "headers", read: (*reader).readTestHeaders},
	{key: "from", read: (*reader).readTestFrom},
	{key: "at", read: func(r *reader, n *yamlNode, d *testDraft) { d.At, _ = r.moment(n, "at") }},
	{key: "expect", required: "allow or the reason of the denial", read: (*reader).readTestExpect},
}}

// testDraft is a test while it is read.
type testDraft struct {
	Test
	node *yamlNode
}

func (r *reader) readTests(n *yamlNode) {
	for _, item := range r.items(n, "tests", "[{token: acme/sync, request: GET /orders/v1, expect: allow}]") {
		draft := testDraft{Test: Test{File: r.sources[item.file].name, Line: item.line, Column: item.column}, node: item}
		readFields(r, &testTable, item, item, &draft)
		r.file.Tests = append(r.file.Tests, draft.Test)
	}
}

func (r *reader) readTestToken(n *yamlNode, d *testDraft) {
	name, ok := r.text(n, "a token")
	if !ok {
		return
	}
	if _, known := r.tokens[name]; !known {
		r.unknownf(n, keysOf(r.tokens), "", `there is no token %s; a test names it as "account/name"`, shown(name))
		return
	}
	d.Token = name
}

// readTestRequest reads "METHOD /path" or "METHOD https://host/path". What a
// gateway would refuse is right here: that it does can be tested.
func (r *reader) readTestRequest(n *yamlNode, d *testDraft) {
	s, ok := r.text(n, "a request")
	if !ok {
		return
	}
	method, url, _ := strings.Cut(s, " ")
	url = strings.TrimLeft(url, " ")
	_, target := splitURL(url)
	if !isToken(method) || target == "" || strings.Contains(url, " ") {
		r.problemf(n, `expected "METHOD /path" or "METHOD https://host/path", found %s`, shown(s))
		return
	}
	d.Method, d.URL = method, url
}

// splitURL splits "/target" or "http(s)://host/target". The target is "" if url
// is neither.
func splitURL(url string) (host, target string) {
	if strings.HasPrefix(url, "/") {
		return "", url
	}
	scheme, rest, found := strings.Cut(url, "://")
	if !found || scheme != "http" && scheme != "https" {
		return "", ""
	}
	at := strings.IndexAny(rest, "/?")
	switch {
	case rest == "" || at == 0:
		return "", ""
	case at < 0:
		return rest, "/"
	case rest[at] == '?':
		return rest[:at], "/" + rest[at:]
	}
	return rest[:at], rest[at:]
}

// readTestHeaders reads headers, each with one value or a list of them.
func (r *reader) readTestHeaders(n *yamlNode, d *testDraft) {
	if n.kind != mapping {
		r.problemf(n, `headers is a mapping, such as {API-Version: "14"}, found %s`, n.describe())
		return
	}
	d.Headers = make(map[string][]string, len(n.pairs))
	for p := range r.uniquePairs(n) {
		if !isToken(p.key.text) {
			r.problemf(p.key, "%s is no name of a header", shown(p.key.text))
			continue
		}
		values := []*yamlNode{p.value}
		if p.value.kind == list {
			values = r.items(p.value, "a header", `["13", "14"]`)
		}
		name := canonicalHeader(p.key.text)
		for _, v := range values {
			if s, ok := r.text(v, "a header"); ok {
				d.Headers[name] = append(d.Headers[name], s)
			}
		}
	}
}

func (r *reader) readTestFrom(n *yamlNode, d *testDraft) {
	s, ok := r.text(n, "from")
	if !ok {
		return
	}
	addr, err := netip.ParseAddr(s)
	if err != nil || addr.Zone() != "" {
		r.problemf(n, "from is a client's address, such as 203.0.113.7, found %s", shown(s))
		return
	}
	d.From = addr.Unmap()
}

// readTestExpect reads a reason, and refuses those that no test can have.
func (r *reader) readTestExpect(n *yamlNode, d *testDraft) {
	s, ok := r.text(n, "expect")
	if !ok {
		return
	}
	reason, known := ParseReason(s)
	if !known {
		r.unknownf(n, testableReasons, "expected one of ", "there is no reason %s", shown(s))
		return
	}
	if flaw := d.expectFlaw(reason); flaw != "" {
		r.problemf(n, "%s", flaw)
		return
	}
	d.Expect = reason
}

// untestable reports whether a reason depends on something else than the file.
func untestable(reason Reason) bool {
	return reason == Stale || reason == UnknownToken || reason == RateLimited
}

// testableReasons are the codes that a test can expect.
func testableReasons() []string {
	return slices.DeleteFunc(slices.Clone(reasonCodes[:]), func(code string) bool {
		reason, _ := ParseReason(code)
		return untestable(reason)
	})
}

// expectFlaw says why a test with these keys can never come out so; "" if it can.
func (d *testDraft) expectFlaw(reason Reason) string {
	has := func(key string) bool { return d.node.value(key) != nil }
	switch {
	case untestable(reason):
		return reason.String() + " does not depend on the file, so it cannot be tested here"
	case (reason == Inactive || reason == Expired) && !has("at"):
		return "state and expiry are only tested at a time; add at:, such as at: 2027-04-01"
	case reason == SourceNotAllowed && !has("from"):
		return "sources are only tested with an address; add from:, such as from: 203.0.113.7"
	case reason == NoCredential && has("token"):
		return "a test with a token has a credential; leave token: out to send none"
	}
	return ""
}
