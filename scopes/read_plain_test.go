package scopes

import (
	"fmt"
	"strings"
	"testing"
)

// outline writes down all that the reader knows of a node.
func outline(n *yamlNode) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d/%d %d:%d %q %v", n.kind, n.file, n.line, n.column, n.text, n.quoted)
	for _, item := range n.items {
		fmt.Fprintf(&b, " [%s]", outline(item))
	}
	for _, p := range n.pairs {
		fmt.Fprintf(&b, " {%s: %s}", outline(p.key), outline(p.value))
	}
	return b.String()
}

// readPlain reports whether a text is plain, which then has to be the same to the YAML
// parser.
func readPlain(t *testing.T, src string) bool {
	t.Helper()
	from := origin{file: 3, line: 7}
	got := parsePlain(src, from)
	if got == nil {
		return false
	}
	want, flaw := parseYAML([]byte(src), from)
	if flaw != nil {
		t.Errorf("%q is read, and is no YAML: %v", src, flaw)
	} else if outline(got) != outline(want) {
		t.Errorf("%q\ngot  %s\nwant %s", src, outline(got), outline(want))
	}
	return true
}

func TestPlain(t *testing.T) {
	t.Parallel()
	const token = "  acme:\n    tokens:\n      sync:\n        contact: {name: Data team, email: data@acme.example}\n" +
		"        scopes:\n          - {api: orders, methods: [GET, \"*\"]}\n          - api: brands\n            methods: [GET]\n" +
		"        credential: sha256:00ff\n        sources:\n        - 203.0.113.0/24\n        - '::1'\n"
	for _, test := range []struct {
		name, src string
		plain     bool
	}{
		{"a token", token, true},
		{"comments and empty lines", "# one\na: # two\n\n  # three\n  b: c # four\n\n  d: e#f\n", true},
		{"values that are missing", "a:\nb:\n  c:\nd: {}\ne: []\n", true},
		{"numbers and other words", "1: 010\nnull: true\n2.0: 1_0\n_a: no\n", true},
		{"text with signs", "a: it's 5 > 4, [b] {c} - d: \n", false},
		{"text with signs, no key", "a: it's 5 > 4, [b] {c} - d:e\n", true},
		{"characters of several bytes", "a: {ü: 1}\n", false},
		{"text of several bytes", "a: {b: für, c: d}\n", true},
		{"a list of lists", "a:\n  - [b, [c]]\n", true},
		{"lists in a line", "a:\n  - - b\n", false},
		{"text on two lines", "a: b\n  c\n", false},
		{"text in a list on two lines", "a:\n  - b\n    c\n", false},
		{"a block", "a: |\n  b\n", false},
		{"brackets on two lines", "a: [b,\n  c]\n", false},
		{"brackets that are not closed", "a: [b", false},
		{"a comma at the end", "a: [b, ]\n", false},
		{"a key in a list", "a: [b: c]\n", false},
		{"a colon in brackets", "a: [b:c]\n", false},
		{"a key without a value in brackets", "a: {b, c: d}\n", false},
		{"quotes with an escape", `a: "\t"`, false},
		{"quotes with a quote", "a: 'it''s'\n", false},
		{"quotes that are not closed", "a: 'b\n", false},
		{"text after quotes", "a: 'b' c\n", false},
		{"a comment right after quotes", "a: 'b'# c\n", false},
		{"keys in quotes", "'a': b\n\"123\": {\"1\": c}\n\"d\":\n  - 'e': f\n", true},
		{"a key in quotes with an escape", `"\t": b`, false},
		{"a key in quotes with a quote", "'it''s': b\n", false},
		{"a key in quotes without a space", `a: {"b":c}`, false},
		{"a key in quotes that are not closed", "'a: b\n", false},
		{"an anchor", "a: &b c\n", false},
		{"an alias", "a: *b\n", false},
		{"a tag", "a: !b c\n", false},
		{"a merge key", "<<: a\n", false},
		{"a tab", "a:\tb\n", false},
		{"wrong indentation", "a:\n    b: c\n  d: e\n", false},
		{"less indentation than at first", "  a: b\nc: d\n", false},
		{"a list and then a key", "a:\n  - b\n  c: d\n", false},
		{"a list", "- a\n", false},
		{"text", "a\n", false},
		{"nothing", "# a\n", false},
		{"a second document", "a: b\n---\n", false},
		{"too many brackets", "a: " + strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth), false},
	} {
		if plain := readPlain(t, test.src); plain != test.plain {
			t.Errorf("%s: plain %v, want %v", test.name, plain, test.plain)
		}
	}
}

// FuzzPlain looks for a text that is plain and something else to the YAML parser.
func FuzzPlain(f *testing.F) {
	for _, folder := range []string{"valid", "invalid"} {
		for _, src := range testFiles(f, folder) {
			f.Add(string(src))
		}
	}
	f.Fuzz(func(t *testing.T, src string) {
		if clean, flaw := normalise([]byte(src)); flaw == nil {
			readPlain(t, string(clean))
		}
	})
}
