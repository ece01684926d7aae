package scopes_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"net/textproto"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// The corpus in testdata/decisions is the contract's section on decisions, rule by
// rule. Each file is a scope file, a line "---", and cases:
//
//	TOKEN METHOD TARGET [Header:value]… [host=…] [from=…] [at=…] => REASON [API/OPERATION [VERSION]] [set=HEADER]
//
// The token is "account/name", "-" for no credential or "?" for an unknown one. A
// field in double quotes is a Go string. An operation "-" means that only the API
// is known. "site API…" serves just those APIs from there on.

const corpusHost = "gw.example.com"

var (
	corpusNow  = time.Date(2027, time.January, 1, 0, 0, 0, 0, time.UTC)
	corpusFrom = netip.MustParseAddr("203.0.113.9")
)

// corpusCase is one line of the corpus.
type corpusCase struct {
	place   string // file:line
	line    string // as it stands
	view    *scopes.View
	request scopes.Request
	grant   scopes.Grant
	want    string
}

func TestDecisionCorpus(t *testing.T) {
	t.Parallel()
	reasons := make(map[scopes.Reason]int)
	for _, c := range readCorpus(t) {
		decision := c.view.Decide(&c.request, &c.grant)
		reasons[decision.Reason]++
		if got := describe(&decision); got != c.want {
			t.Errorf("%s: %s\n\tgot  %s\n\twant %s", c.place, c.line, got, c.want)
		}
	}
	for reason := scopes.MalformedRequest; reason <= scopes.Allowed; reason++ {
		if reason != scopes.RateLimited && reasons[reason] == 0 {
			t.Errorf("the corpus has no case with reason %s", reason)
		}
	}
}

func TestExplainAgreesWithDecide(t *testing.T) {
	t.Parallel()
	for _, c := range readCorpus(t) {
		want := c.view.Decide(&c.request, &c.grant)
		got, steps := c.view.Explain(&c.request, &c.grant)
		if got != want {
			t.Errorf("%s: %s\n\tExplain %s\n\tDecide  %s", c.place, c.line, describe(&got), describe(&want))
		}
		passed := true
		for _, step := range steps {
			passed = passed && step.Passed
			if step.Check == "" || step.Detail == "" {
				t.Errorf("%s: %s: a step without words: %+v", c.place, c.line, step)
			}
		}
		if passed != got.Allowed() {
			t.Errorf("%s: %s: decided %s, but steps %+v", c.place, c.line, describe(&got), steps)
		}
	}
}

// TestRouteAgreesWithDecide holds where a request leads to what is decided on it
// for a token that has everything.
func TestRouteAgreesWithDecide(t *testing.T) {
	t.Parallel()
	for _, c := range readCorpus(t) {
		grant := scopes.Grant{State: scopes.Active, Access: scopes.ReadWrite}
		want := c.view.Decide(&c.request, &grant)
		if want.Reason == scopes.AccountMismatch || want.Reason == scopes.MethodNotGranted {
			want.Reason, want.Shadow = scopes.Allowed, scopes.Allowed // it leads there all the same
		}
		if got := c.view.Route(&c.request); got != want {
			t.Errorf("%s: %s\n\tRoute  %s\n\tDecide %s", c.place, c.line, describe(&got), describe(&want))
		}
	}
}

// TestMethodsAtAgreesWithDecide holds the answer to preflights to the decision: a
// path has a method just where some grant of it would be allowed.
func TestMethodsAtAgreesWithDecide(t *testing.T) {
	t.Parallel()
	for _, c := range readCorpus(t) {
		decision := c.view.Decide(&c.request, &c.grant)
		methods := c.view.MethodsAt(c.request.Host, c.request.Target)
		has := methods.Has(scopes.MethodOf(c.request.Method))
		encodedSlash := strings.Contains(strings.ToLower(c.request.Target), "%2f")
		switch decision.Reason {
		case scopes.Allowed:
			if !has && !encodedSlash {
				t.Errorf("%s: %s: allowed, but MethodsAt has only %s", c.place, c.line, methods)
			}
		case scopes.MalformedRequest, scopes.NoAPI:
			if methods != 0 {
				t.Errorf("%s: %s: %s, but MethodsAt has %s", c.place, c.line, decision.Reason, methods)
			}
		case scopes.APINotGranted, scopes.VersionNotGranted, scopes.MethodNotGranted, scopes.OperationNotGranted:
			if known := decision.Operation != nil; has != known && !encodedSlash {
				t.Errorf("%s: %s: an operation is known: %t, but MethodsAt has %s", c.place, c.line, known, methods)
			}
		default: // the operation was not looked up
		}
	}
}

func readCorpus(t *testing.T) []corpusCase {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "decisions", "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus in testdata/decisions: %v", err)
	}
	var cases []corpusCase
	for _, file := range files {
		cases = append(cases, readCorpusFile(t, file)...)
	}
	return cases
}

func readCorpusFile(t *testing.T, path string) []corpusCase {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, lines, found := bytes.Cut(src, []byte("\n---\n"))
	if !found {
		t.Fatalf("%s: no line --- between the scope file and the cases", path)
	}
	file, err := scopes.Read(path, head, corpusNow)
	if err != nil {
		t.Fatal(err)
	}
	catalog, err := scopes.NewCatalog(file.APIs)
	if err != nil {
		t.Fatal(err)
	}
	grants := grantsOf(t, file, catalog)
	view := catalog.View()
	var cases []corpusCase
	at := bytes.Count(head, []byte("\n")) + 2
	for line := range strings.Lines(string(lines)) {
		at++
		line = strings.TrimSpace(line)
		if apis, ok := strings.CutPrefix(line, "site "); ok {
			view = catalog.View(strings.Fields(apis)...)
		} else if line != "" && !strings.HasPrefix(line, "#") {
			c := corpusCase{place: fmt.Sprintf("%s:%d", filepath.Base(path), at), line: line, view: view}
			if err := c.parse(grants); err != nil {
				t.Fatalf("%s: %s: %v", c.place, line, err)
			}
			cases = append(cases, c)
		}
	}
	return cases
}

// grantsOf returns the grants of a file's tokens, by "account/name", and those of
// no token. The catalog must have all that the tokens' scopes name.
func grantsOf(t *testing.T, file *scopes.File, catalog *scopes.Catalog) map[string]scopes.Grant {
	t.Helper()
	for i := range file.Accounts {
		for j := range file.Accounts[i].Tokens {
			token := &file.Accounts[i].Tokens[j]
			if _, missing := catalog.Rules(nil, token); len(missing) > 0 {
				t.Fatalf("%s/%s: the catalog lacks %v", file.Accounts[i].Name, token.Name, missing)
			}
		}
	}
	return grantsByName(file, catalog)
}

func grantsByName(file *scopes.File, catalog *scopes.Catalog) map[string]scopes.Grant {
	grants := map[string]scopes.Grant{"-": {State: scopes.Anonymous}, "?": {}}
	for i := range file.Accounts {
		account := &file.Accounts[i]
		for j := range account.Tokens {
			token := &account.Tokens[j]
			grants[account.Name+"/"+token.Name] = scopes.GrantOf(account, token, catalog)
		}
	}
	return grants
}

func (c *corpusCase) parse(grants map[string]scopes.Grant) error {
	at := strings.LastIndex(c.line, " => ")
	if at < 0 {
		return fmt.Errorf("no =>")
	}
	c.want = c.line[at+len(" => "):]
	fields, err := corpusFields(c.line[:at])
	if err != nil {
		return err
	}
	if len(fields) < 3 {
		return fmt.Errorf("expected TOKEN METHOD TARGET")
	}
	var known bool
	if c.grant, known = grants[fields[0]]; !known {
		return fmt.Errorf("no token %q", fields[0])
	}
	c.request = scopes.Request{
		Method: fields[1], Target: fields[2], Host: corpusHost, Source: corpusFrom, Now: corpusNow,
		Header: map[string][]string{"Accept": {"*/*"}},
	}
	for _, option := range fields[3:] {
		if err := c.option(option); err != nil {
			return err
		}
	}
	return nil
}

func (c *corpusCase) option(option string) (err error) {
	if name, value, ok := strings.Cut(option, ":"); ok && !strings.Contains(name, "=") {
		key := textproto.CanonicalMIMEHeaderKey(name) // as net/http reads it
		c.request.Header[key] = append(c.request.Header[key], value)
		return nil
	}
	switch key, value, _ := strings.Cut(option, "="); {
	case key == "host":
		c.request.Host = strings.Trim(value, `"`)
	case key == "from" && value == "unknown":
		c.request.Source = netip.Addr{}
	case key == "from":
		c.request.Source, err = netip.ParseAddr(value)
	case key == "at":
		c.request.Now, err = time.Parse(time.RFC3339Nano, value)
	default:
		err = fmt.Errorf("unknown option %q", option)
	}
	return err
}

// corpusFields splits a line at spaces; a field in double quotes is a Go string.
func corpusFields(line string) ([]string, error) {
	var fields []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		if line[0] != '"' {
			var field string
			field, line, _ = strings.Cut(line, " ")
			fields = append(fields, field)
			continue
		}
		quoted, err := strconv.QuotedPrefix(line)
		if err != nil {
			return nil, fmt.Errorf("%w: %s", err, line)
		}
		field, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, fmt.Errorf("%w: %s", err, quoted)
		}
		fields, line = append(fields, field), line[len(quoted):]
	}
	return fields, nil
}

// describe writes a decision as the corpus does.
func describe(d *scopes.Decision) string {
	words := []string{d.Reason.String()}
	if d.API != nil {
		operation := "-"
		if d.Operation != nil {
			operation = d.Operation.Name
		}
		words = append(words, d.API.Name+"/"+operation)
	}
	if d.Version != "" {
		words = append(words, d.Version)
	}
	if d.SetHeader != "" {
		words = append(words, "set="+d.SetHeader)
	}
	return strings.Join(words, " ")
}
