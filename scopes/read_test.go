package scopes

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// readProblems reads a file that is wrong and returns what is wrong with it.
func readProblems(t *testing.T, src string) Problems {
	t.Helper()
	f, err := Read("f", []byte(src), testNow)
	var problems Problems
	if !errors.As(err, &problems) || f != nil {
		t.Fatalf("Read(%.80q) = %v, %v; want Problems", src, f, err)
	}
	return problems
}

// TestReadCharacters has what no file of testdata can show.
func TestReadCharacters(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, src, want string }{
		{"no bytes", "", `f:1:1: the file is empty; a scope file starts with "format: 1"`},
		{"only a byte order mark", "\uFEFF", `f:1:1: the file is empty; a scope file starts with "format: 1"`},
		{"Latin-1", "format: 1\n# \xe4", "f:2:3: not UTF-8; save the file in that encoding"},
		{"UTF-16", "\xff\xfef\x00", "f:1:1: not UTF-8; save the file in that encoding"},
		{"an overlong form", "# \xc0\xaf", "f:1:3: not UTF-8; save the file in that encoding"},
		{"a surrogate", "# \xed\xa0\x80", "f:1:3: not UTF-8; save the file in that encoding"},
		{"NUL", "format: 1\n\x00", "f:2:1: the control character U+0000"},
		{"escape", "# ü\x1b[2J", "f:1:4: the control character U+001B"},
		{"DEL", "#\x7f", "f:1:2: the control character U+007F"},
		{"CR alone", "format: 1\rapis: {}", "f:1:10: a carriage return without a line feed; end lines with LF or CRLF"},
		{"NEL", "# a\u0085apis: {}", "f:1:4: the character U+0085, which some parsers take for the end of the line"},
		{"line separator", "# a\u2028apis: {}", "f:1:4: the character U+2028, which some parsers take for the end of the line"},
		{"override", "# \u202Etxt", "f:1:3: the invisible character U+202E, which changes how the line is shown"},
		{"isolate", "# \u2067txt", "f:1:3: the invisible character U+2067, which changes how the line is shown"},
		{"a second byte order mark", "\uFEFF\uFEFFformat: 1", "f:1:1: the control character U+FEFF"},
		{"no character", "# \uFFFF", "f:1:3: the control character U+FFFF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := readProblems(t, c.src).Error(); got != c.want {
				t.Errorf("Read(%q):\ngot  %s\nwant %s", c.src, got, c.want)
			}
		})
	}
}

func TestReadColumnsCountCharacters(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ src, want string }{
		{"format: 1\naccounts: {acme: {title: äöü€😀, idz: [x]}}", `f:2:33: an account has no key "idz"; did you mean "ids"?`},
		{"format: 1\r\n\r\nownr: x\r\n", `f:3:1: a scope file has no key "ownr"; did you mean "owner"?`},
		{"\uFEFFownr: x\nformat: 1", `f:1:1: a scope file has no key "ownr"; did you mean "owner"?`},
		{"format: 1\napis: {a: {operations: {x: 'GET /ä/%41'}}}", `f:2:36: templates compare with decoded segments; write the character itself, not its percent-encoding`},
		{"format: 1\napis: {a: {operations: {x: \"\\x47ET /ä/%41\"}}}", `f:2:28: templates compare with decoded segments; write the character itself, not its percent-encoding`},
	} {
		if got := readProblems(t, c.src).Error(); got != c.want {
			t.Errorf("Read(%q):\ngot  %s\nwant %s", c.src, got, c.want)
		}
	}
}

func TestReadTooLarge(t *testing.T) {
	t.Parallel()
	const want = "f: the file has 67108865 bytes, more than the limit of 67108864"
	if got := readProblems(t, strings.Repeat(" ", MaxFileBytes+1)).Error(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestReadTellsAHundredProblems(t *testing.T) {
	t.Parallel()
	problems := readProblems(t, "format: 1\n"+strings.Repeat("x: 1\n", 150))
	if len(problems) != maxProblems+1 {
		t.Fatalf("got %d problems, want %d", len(problems), maxProblems+1)
	}
	if got, want := problems[maxProblems].Error(), "f: and 50 more problems"; got != want {
		t.Errorf("the last problem is %q, want %q", got, want)
	}
}

// TestReadBounds has input that would exhaust a parser without bounds.
func TestReadBounds(t *testing.T) {
	t.Parallel()
	const many = 1 << 18
	for name, src := range map[string]string{
		"lists in lists":       strings.Repeat("[", many),
		"mappings in mappings": strings.Repeat("{a: ", many),
		"items in items":       strings.Repeat("- ", many),
		"keys of keys":         strings.Repeat("? ", many),
		"values of values":     strings.Repeat(": ", many),
		"indentation":          deeperAndDeeper(1000),
		"anchors":              strings.Repeat("&a ", many),
		"tags":                 strings.Repeat("!a ", many),
		"documents":            strings.Repeat("---\n", many),
		"aliases of aliases":   "a: &a [x]\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\nd: [*c, *c, *c]\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if problems := readProblems(t, src); len(problems) != 1 {
				t.Errorf("got %d problems, want 1: %.500v", len(problems), problems)
			}
		})
	}
}

func deeperAndDeeper(levels int) string {
	var b strings.Builder
	for i := range levels {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

// TestReadShowsNoCredential has a credential wherever it could stray to.
func TestReadShowsNoCredential(t *testing.T) {
	t.Parallel()
	const secret = "sgt_ThisDemoTokenIsPublicDoNotUseItAnywhereElse2aHXJP"
	for _, src := range []string{
		"format: SECRET", "SECRET", "SECRET: 1", "format: 1\nSECRET: 1", "format: 1\nowner: a SECRET", "format: 1\nowner: [SECRET",
		"format: 1\nowner: &SECRET a", "format: 1\nowner: *SECRET", "format: 1\nowner: !SECRET a", "format: 1\nowner: SECRET: a",
		"format: 1\napis: SECRET", "format: 1\napis: {SECRET: {SECRET: 1}}", "format: 1\napis: {a: {operations: {a: SECRET}}}",
		"format: 1\napis: {a: {operations: {a: SECRET /}}}", "format: 1\napis: {a: {hosts: [SECRET], upstream: [SECRET]}}",
		"format: 1\napis: {a: {versions: [SECRET, SECRET]}}", "format: 1\napis: {a: {version_from: [SECRET]}}",
		"format: 1\naccounts: {a: {ids: [SECRET, SECRET], SECRET: a, max_active_tokens: SECRET}}",
		"format: 1\naccounts: {a: {tokens: {t: {credential: SECRET}}}}", "format: 1\naccounts: {a: {tokens: {t: {credential: [SECRET]}}}}",
		"format: 1\naccounts: {a: {tokens: {t: {credentials: SECRET}}}}", "format: 1\naccounts: {a: {tokens: {t: {sources: [SECRET]}}}}",
		"format: 1\naccounts: {a: {tokens: {t: {expires: SECRET, rotate_every: SECRET, contact: {email: SECRET}}}}}",
		"format: 1\naccounts: {a: {tokens: {t: {environment: SECRET, scopes: [{api: SECRET, methods: [SECRET]}]}}}}",
		"format: 1\ntests: [{token: SECRET, request: SECRET, expect: SECRET, from: SECRET, at: SECRET}]",
	} {
		problems := readProblems(t, strings.ReplaceAll(src, "SECRET", secret))
		if strings.Contains(problems.Error(), secret[len(secret)-10:]) {
			t.Errorf("Read(%q) shows the secret: %v", src, problems)
		}
	}
}

func TestReadNeverFillsAllVersions(t *testing.T) {
	t.Parallel()
	f, err := Read("f", []byte(`format: 1
apis:
  many: {versions: ["1", "2"], version_from: [header V], operations: {a: GET /many}}
  one: {versions: ["1"], operations: {a: GET /one}}
  none: {operations: {a: GET /none}}
accounts:
  acme:
    tokens:
      t:
        description: x
        contact: {email: a@b.example}
        version: "2"
        scopes:
          - {api: many, methods: [GET]}
          - {api: one, version: "1", methods: [GET]}
          - {api: none, methods: [GET]}
      u:
        description: x
        contact: {email: a@b.example}
        scopes: [{api: one, methods: [GET]}]
`), testNow)
	if err != nil {
		t.Fatal(err)
	}
	tokens := f.Accounts[0].Tokens
	got := [][]string{tokens[0].Scopes[0].Versions, tokens[0].Scopes[1].Versions, tokens[0].Scopes[2].Versions, tokens[1].Scopes[0].Versions}
	if want := [][]string{{"2"}, {"1"}, nil, {"1"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("versions: got %q, want %q", got, want)
	}
}

func TestGrantOf(t *testing.T) {
	t.Parallel()
	c, err := NewCatalog(nil)
	if err != nil {
		t.Fatal(err)
	}
	account := &Account{Name: "acme", IDs: []string{"A-1"}}
	token := &Token{Name: "old", Access: ReadOnly, Inactive: true, Version: "v1", Expires: testNow}
	want := Grant{
		State: Deactivated, Access: ReadOnly, Account: "acme", Name: "old", Version: "v1",
		AccountIDs: []string{"A-1"}, Expires: testNow.Unix(),
	}
	if got := GrantOf(account, token, c); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestRunTestsTellsWhy(t *testing.T) {
	t.Parallel()
	f := &File{Name: "f", Tests: []Test{
		{Line: 3, Column: 5, Method: "GET", URL: "https://a.example?x", Expect: Allowed},
		{Line: 4, Column: 5, Token: "acme/sync", Method: "GET", URL: "/", Expect: Allowed},
	}}
	c, err := NewCatalog(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := "f:3:5: GET https://a.example?x without a token: expected allow, got no_credential: no credential was sent\n" +
		"f:4:5: GET / with acme/sync: expected allow, got unknown_token: no token has this credential"
	if got := RunTests(f, c).Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// FuzzRead looks for panics, for problems without a place, for a second reading
// that differs, and for files that Read accepts but that do not compile.
func FuzzRead(f *testing.F) {
	for _, folder := range []string{"valid", "invalid"} {
		for _, src := range testFiles(f, folder) {
			f.Add(src)
		}
	}
	f.Add([]byte(exampleSeed))
	f.Fuzz(func(t *testing.T, src []byte) {
		before := bytes.Clone(src)
		file, err := Read("f", src, testNow)
		if !bytes.Equal(src, before) {
			t.Fatal("Read changed its input")
		}
		again, errAgain := Read("f", src, testNow)
		if !reflect.DeepEqual(file, again) || fmt.Sprint(err) != fmt.Sprint(errAgain) {
			t.Fatalf("two readings differ:\n%+v, %v\n%+v, %v", file, err, again, errAgain)
		}
		if err != nil {
			checkPlaces(t, src, err)
			return
		}
		c, err := NewCatalog(file.APIs)
		if err != nil {
			t.Fatalf("the file reads, but does not compile: %v", err)
		}
		_ = RunTests(file, c)
		for i := range file.Accounts {
			for j := range file.Accounts[i].Tokens {
				checkToken(t, &file.Accounts[i].Tokens[j], c)
			}
		}
	})
}

const exampleSeed = "format: 1\r\napis: {a: {versions: ['1'], operations: {x: \"\\x47ET /{version}/**\"}}}\r\n"

// checkPlaces sees to it that each problem stands in the file.
func checkPlaces(t *testing.T, src []byte, err error) {
	t.Helper()
	var problems Problems
	if !errors.As(err, &problems) || len(problems) == 0 {
		t.Fatalf("the error is %#v, want Problems", err)
	}
	lines := bytes.Split(src, []byte("\n"))
	last := Problem{Line: 1, Column: 1}
	for i, p := range problems {
		if p.Line == 0 && i == maxProblems {
			continue
		}
		if p.Line < 1 || p.Line > len(lines)+1 || p.Column < 1 || p.Text == "" || p.File != "f" {
			t.Fatalf("a problem without a place: %+v", p)
		}
		if p.Line <= len(lines) && p.Column > len(lines[p.Line-1])+2 {
			t.Fatalf("a problem beyond the end of its line: %+v", p)
		}
		if p.Line < last.Line || p.Line == last.Line && p.Column < last.Column {
			t.Fatalf("%+v stands before %+v", p, last)
		}
		last = p
	}
}

// checkToken sees to it that what was read of a token is safe to act on.
func checkToken(t *testing.T, token *Token, c *Catalog) {
	t.Helper()
	if token.Legacy() == (len(token.Scopes) > 0) {
		t.Fatalf("%+v has both scopes and access, or neither", token)
	}
	if token.Contact.Email == "" || !token.Expires.IsZero() && token.Expires.Unix() <= 0 {
		t.Fatalf("%+v lacks a contact, or its expiry reads as never", token)
	}
	for _, s := range slices.Concat(token.Scopes, token.Shadow, token.Keep.Scopes) {
		api := c.API(s.API)
		if api == nil || s.Methods == 0 || (len(s.Versions) == 0) != (len(api.Versions) == 0) {
			t.Fatalf("scope %+v of API %+v", s, api)
		}
	}
	if _, missing := c.Rules(nil, token); len(missing) > 0 {
		t.Fatalf("no rules for %v of %+v", missing, token)
	}
	last := -1
	for _, l := range token.Limits {
		if l.Rate.IsZero() && l.Quota.IsZero() || l.API != "" && c.API(l.API) == nil || l.Rate.Requests > 0 && (l.Rate.Burst < 1 || l.Rate.Per == 0) {
			t.Fatalf("limit %+v bounds nothing", l)
		}
		if at := slices.IndexFunc(token.Limits, func(o Limit) bool { return o.API >= l.API }); at <= last {
			t.Fatalf("limits %+v stand in no order", token.Limits)
		} else {
			last = at
		}
	}
}

// largeFile is a scope file of 69 APIs and the given number of tokens, twenty to
// an account.
func largeFile(tokens int) []byte {
	var b bytes.Buffer
	b.WriteString("format: 1\napis:\n")
	for i := range 69 {
		fmt.Fprintf(&b, "  api-%d:\n    versions: [\"13\", \"14\"]\n    version_from: [header API-Version]\n"+
			"    operations:\n      list: GET|POST /api-%d\n      one: GET|PUT|DELETE /api-%d/{id}\n", i, i, i)
	}
	b.WriteString("accounts:\n")
	for i := range tokens {
		if i%20 == 0 {
			fmt.Fprintf(&b, "  account-%d:\n    title: Account %d\n    tokens:\n", i/20, i/20)
		}
		fmt.Fprintf(&b, `      sync-%d:
        description: Copies yesterday's orders into the warehouse.
        contact: {name: Data team, email: data@acme.example}
        environment: production
        version: "14"
        expires: 2027-04-01
        rotate_every: 90d
        sources: [203.0.113.0/24, 2001:db8::/32]
        scopes:
          - {api: api-%d, methods: [GET]}
          - {api: api-%d, version: "13", methods: [GET, PUT], operations: [list, one]}
`, i, i%69, (i+1)%69)
	}
	return b.Bytes()
}

func BenchmarkRead(b *testing.B) {
	for _, tokens := range []int{20, 1000, 10_000} {
		b.Run(fmt.Sprintf("tokens=%d", tokens), func(b *testing.B) {
			src := largeFile(tokens)
			b.SetBytes(int64(len(src)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Read("f", src, time.Time{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
