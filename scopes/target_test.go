package scopes

import (
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

var targetSeeds = []string{
	"/", "/a", "/a/", "/a/b?q=1", "/a//b", "/a/./b", "/a/../b", "/a/..;x/b", "/a/%2e%2E/b", "/a/%2f", "/a/b%2Fc", "/a/%5c",
	"/a/%252e", "/a/%25252f", "/a/%25%32%65", "/a/%2%35", "/a/%25", "/a/%2541", "/a/%C3%A9", "/a/%c0%ae", "/a/%EF%BC%8F",
	"/a/%25EF%25BC%258F", "/a/%00", "/a/\x00", "/a/\u00e9", "/a/[1]", "/a/.hidden", "/a/..a", "/a|b", "/a b", "/a?b#c", "/a?", "/a??",
	"/a;b", "/a\\b", "*", "", "a", "http://x/a", "//a", "/:80", "/a%", "/a%4", "/%61dmin", "/%2F/a", "/a%2F..", "/a%2F%2Fb",
}

// FuzzTarget holds parse to an implementation that follows the contract
// word by word, and what passes to what Go and other parsers would make of it.
func FuzzTarget(f *testing.F) {
	for _, seed := range targetSeeds {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, raw string, slashesAllowed bool) {
		var parsed target
		flaw := parsed.parse(raw, slashesAllowed)
		if want := plainlyAccepted(raw, slashesAllowed); (flaw == "") != want {
			t.Fatalf("parse(%q, %t): flaw %q, but by the contract's words accepted is %t", raw, slashesAllowed, flaw, want)
		}
		if flaw != "" {
			return
		}
		checkForwarded(t, raw, &parsed)
		checkSegments(t, raw, &parsed)
	})
}

var (
	pathCharacters = regexp.MustCompile(`^/[A-Za-z0-9\-._~!$&'()*+,=:@\[\]%/]*$`)
	escape         = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
	refusedEscapes = regexp.MustCompile(`(?i)%([01][0-9a-f]|7f|2e|5c|3b)`)
	slashEscape    = regexp.MustCompile(`(?i)%2f`)
)

// plainlyAccepted is the contract's list of what a target may not have.
func plainlyAccepted(raw string, slashesAllowed bool) bool {
	rawPath, query, _ := strings.Cut(raw, "?")
	if strings.ContainsFunc(query, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '#' }) {
		return false
	}
	if !pathCharacters.MatchString(rawPath) || refusedEscapes.MatchString(rawPath) ||
		slashEscape.MatchString(rawPath) && !slashesAllowed {
		return false
	}
	segments := strings.Split(rawPath[1:], "/")
	for i, segment := range segments {
		if segment == "" && i < len(segments)-1 {
			return false
		}
		decoded, err := url.PathUnescape(segment)
		if err != nil || !utf8.ValidString(decoded) || refusedText(decoded) || hidesRefused(decoded) {
			return false
		}
		for part := range strings.SplitSeq(decoded, "/") {
			if part == "." || part == ".." || part == "" && strings.Contains(decoded, "/") {
				return false
			}
		}
	}
	return true
}

// refusedText reports whether a decoded segment has a character that is refused.
func refusedText(decoded string) bool {
	return strings.ContainsAny(decoded, "\\;\uFF0E\uFF0F\uFF3C") || strings.ContainsFunc(decoded, unicode.IsControl)
}

// hidesRefused decodes again and again.
func hidesRefused(decoded string) bool {
	for escape.MatchString(decoded) {
		if refusedEscapes.MatchString(decoded) || slashEscape.MatchString(decoded) {
			return true
		}
		decoded = decodeEscapes(decoded)
	}
	return refusedText(decoded)
}

// decodeEscapes decodes once, leaving what is no escape.
func decodeEscapes(s string) string {
	return escape.ReplaceAllStringFunc(s, func(e string) string {
		c, _ := unhex(e[1:])
		return string([]byte{c})
	})
}

// checkForwarded checks that Go sends the bytes that came in.
func checkForwarded(t *testing.T, raw string, parsed *target) {
	t.Helper()
	u, err := url.ParseRequestURI(raw)
	if err != nil {
		t.Fatalf("accepted %q, which Go does not: %v", raw, err)
	}
	if sent := u.RequestURI(); sent != raw {
		t.Fatalf("accepted %q, which Go would send as %q", raw, sent)
	}
	if parsed.path != u.EscapedPath() || parsed.query != u.RawQuery {
		t.Fatalf("%q: path %q and query %q, but Go has %q and %q", raw, parsed.path, parsed.query, u.EscapedPath(), u.RawQuery)
	}
}

// checkSegments checks that whoever decodes, cleans or decodes twice sees the
// same segments.
func checkSegments(t *testing.T, raw string, parsed *target) {
	t.Helper()
	segments := strings.Split(parsed.path[1:], "/")
	for i, segment := range segments {
		decoded, err := url.PathUnescape(segment)
		if err != nil {
			t.Fatalf("%q: segment %q: %v", raw, segment, err)
		}
		if got := parsed.segment(i); got != segment {
			t.Fatalf("%q: segment(%d) is %q, want %q", raw, i, got, segment)
		}
		if got := unescape(segment); got != decoded {
			t.Fatalf("unescape(%q) is %q, want %q", segment, got, decoded)
		}
		if !decodesTo(segment, decoded) || decodesTo(segment, decoded+"x") || decoded != "" && decodesTo(segment, decoded[1:]) {
			t.Fatalf("decodesTo(%q, …) does not know %q", segment, decoded)
		}
		into, ok := unescapeInto(make([]byte, 0, maxLiteral), segment)
		if ok != (len(decoded) <= maxLiteral && !strings.Contains(decoded, "/")) || ok && string(into) != decoded {
			t.Fatalf("unescapeInto(%q) is %q, %t", segment, into, ok)
		}
	}
	if slashes := strings.Contains(unescape(parsed.path), "/") && slashEscape.MatchString(parsed.path); slashes != parsed.slashes {
		t.Fatalf("%q: encoded slashes %t, want %t", raw, parsed.slashes, slashes)
	}
	once, err := url.PathUnescape(parsed.path)
	if err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	count := strings.Count(once, "/")
	for range 3 {
		if cleaned := path.Clean(once); cleaned != once && cleaned+"/" != once {
			t.Fatalf("%q: decoded %q, cleaned %q", raw, once, cleaned)
		}
		once = decodeEscapes(once)
		if got := strings.Count(once, "/"); got != count {
			t.Fatalf("%q: decoded again it is %q, with %d slashes instead of %d", raw, once, got, count)
		}
	}
}

// TestNestedEscapesTakeOnePass sends escapes as deep as a request line can hold
// them. Decoding level by level would take minutes, for a client without a token.
func TestNestedEscapesTakeOnePass(t *testing.T) {
	t.Parallel()
	deep := "/%" + strings.Repeat("25", 1<<19)
	wide := "/" + strings.Repeat("%25", 1<<19)
	tests := []struct {
		name, raw string
		refused   bool
	}{
		{"one deep escape of %", deep, false},
		{"one deep escape of a dot", deep + "2e", true},
		{"one deep escape of a letter", deep + "41", false},
		{"many escapes of %", wide, false},
		{"many escapes, then a dot", wide + "2e", true},
		{"deep escapes of hexadecimal digits", "/" + strings.Repeat("%25%32", 1<<18) + "35", false},
	}
	for _, test := range tests {
		start := time.Now()
		flaw := new(target).parse(test.raw, false)
		if (flaw != "") != test.refused {
			t.Errorf("%s: flaw %q, want one: %t", test.name, flaw, test.refused)
		}
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("%s: a path of %d bytes took %s", test.name, len(test.raw), took)
		}
	}
}
