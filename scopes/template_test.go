package scopes_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

func TestParseTemplateErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		path   string
		offset int
		text   string // part of it
	}{
		{"", 0, `starts with "/"`},
		{"orders", 0, `starts with "/"`},
		{"//", 1, "empty segment"},
		{"/a//b", 3, "empty segment"},
		{"/a//", 3, "empty segment"},
		{"/a/**/", 5, "trailing slash"},
		{"/a/**/b", 6, "nothing can stand after it"},
		{"/a/*", 3, "no wildcard"},
		{"/a/b*", 4, "no wildcard"},
		{"/a/***", 3, "no wildcard"},
		{"/a/x{id}", 4, "whole segment"},
		{"/a/{id}x", 3, "whole segment"},
		{"/a/{id", 3, "ends in }"},
		{"/a/id}", 5, "whole segment"},
		{"/a/{}", 3, "needs a name"},
		{"/a/{", 3, "ends in }"},
		{"/a/{i d}", 5, "letters, digits"},
		{"/a/{id:[0-9]+}", 6, "regular expressions"},
		{"/a/{b}{c}", 5, "letters, digits"},
		{"/{id}/b/{id}", 8, "stands twice"},
		{"/{version}/{version}", 11, "stands twice"},
		{"/a%20b", 2, "write the character itself"},
		{"/a?q", 2, "no query"},
		{"/a#b", 2, "no fragment"},
		{"/a/./b", 3, "no request can match"},
		{"/a/../b", 3, "no request can match"},
		{"/a;b", 1, "no request can match"},
		{"/a\\b", 1, "no request can match"},
		{"/a\x00b", 1, "no request can match"},
		{"/a\u0085b", 1, "no request can match"},
		{"/a\uFF0Fb", 1, "no request can match"},
		{"/a\xffb", 1, "no request can match"},
		{"/" + strings.Repeat("a", 256), 1, "at most 255 bytes"},
		{"/" + strings.Repeat("a/", 2100), 4096, "at most 4096 bytes"},
	}
	for _, test := range tests {
		_, err := scopes.ParseTemplate(test.path)
		var flaw *scopes.TemplateError
		if !errors.As(err, &flaw) {
			t.Errorf("ParseTemplate(%.40q): error %v, want a *TemplateError", test.path, err)
			continue
		}
		if flaw.Offset != test.offset || !strings.Contains(flaw.Text, test.text) {
			t.Errorf("ParseTemplate(%.40q): %q at %d, want %q at %d", test.path, flaw.Text, flaw.Offset, test.text, test.offset)
		}
	}
}

func TestTemplateErrorSaysWhere(t *testing.T) {
	t.Parallel()
	_, err := scopes.ParseTemplate("/a//b")
	if want := "an empty segment; requests with one are refused (at character 4 of the path)"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestParseTemplateTakesTheLongest(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/" + strings.Repeat("a", 255), "/" + strings.Repeat("a/", 2047) + "a"} {
		if template, err := scopes.ParseTemplate(path); err != nil || template.String() != path {
			t.Errorf("ParseTemplate of %d bytes: %v", len(path), err)
		}
	}
}

// TestLongestLiteralMatches sends the longest literal as it is, in another case and
// percent-encoded.
func TestLongestLiteralMatches(t *testing.T) {
	t.Parallel()
	const longest = 255
	api := scopes.API{Name: "a", FoldCase: true, Operations: []scopes.Operation{
		{Name: "a", Methods: scopes.AllMethods, Path: "/" + strings.Repeat("a", longest)},
	}}
	view := newCatalog(t, api).View()
	for unit, want := range map[string]scopes.Reason{"a": scopes.Allowed, "A": scopes.Allowed, "%61": scopes.Allowed, "%41": scopes.Allowed, "b": scopes.NoAPI} {
		for length, want := range map[int]scopes.Reason{longest: want, longest - 1: scopes.NoAPI, longest + 1: scopes.NoAPI} {
			request := scopes.Request{Method: "GET", Target: "/" + strings.Repeat(unit, length)}
			if d := view.Decide(&request, &scopes.Grant{State: scopes.Active, Access: scopes.ReadWrite}); d.Reason != want {
				t.Errorf("%d times %q: %s, want %s", length, unit, d.Reason, want)
			}
		}
	}
}

// FuzzTemplate reads templates: what is accepted is written as it was read, and
// some request matches it.
func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{
		"/", "/**", "/a", "/a/", "/a/**", "/{id}", "/{id}/", "/{version}/{a.b-c_d}/x", "/caf\u00e9", "/a b|c", "/a//", "/{", "/*", "a", "/%41", "/..",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		template, err := scopes.ParseTemplate(path)
		if err != nil {
			var flaw *scopes.TemplateError
			if !errors.As(err, &flaw) || flaw.Text == "" || flaw.Offset < 0 || flaw.Offset > len(path) {
				t.Fatalf("ParseTemplate(%q): %#v", path, err)
			}
			return
		}
		if got := template.String(); got != path {
			t.Fatalf("ParseTemplate(%q) is written as %q", path, got)
		}
		api := scopes.API{Name: "a", Versions: []string{"v1"}, Operations: []scopes.Operation{{Name: "a", Methods: scopes.AllMethods, Path: path}}}
		catalog, err := scopes.NewCatalog([]scopes.API{api})
		if err != nil {
			t.Fatalf("NewCatalog with %q: %v", path, err)
		}
		request := scopes.Request{Method: "POST", Target: sampleTarget(template, "v1", "sample")}
		grant := scopes.Grant{State: scopes.Active, Access: scopes.ReadWrite}
		if d := catalog.View().Decide(&request, &grant); !d.Allowed() {
			t.Fatalf("%q does not match %q: %s", path, request.Target, d.Reason)
		}
	})
}

// sampleTarget returns a target that the template matches: with the version, a
// value for the other parameters, and several segments for "**".
func sampleTarget(template scopes.Template, version, value string) string {
	var b strings.Builder
	for _, s := range template.Segments {
		b.WriteByte('/')
		switch {
		case s.Kind == scopes.Literal:
			b.WriteString(escapeSegment(s.Text))
		case s.Kind == scopes.Parameter && s.Text == scopes.VersionParameter:
			b.WriteString(version)
		case s.Kind == scopes.Parameter:
			b.WriteString(value)
		default:
			b.WriteString(value + strings.Repeat("/rest", 8))
		}
	}
	if template.Slash {
		b.WriteByte('/')
	}
	return b.String()
}

// escapeSegment percent-encodes all but letters, digits and dots.
func escapeSegment(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9', 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', c == '.':
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}
