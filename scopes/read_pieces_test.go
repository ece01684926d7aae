package scopes

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

const piecesHead = "format: 1\napis: {a: {operations: {x: '* /x'}}}\n"

// bothWays reads a file as a whole and in pieces as small as can be, which has to
// come to the same. It reports whether the pieces held.
func bothWays(t *testing.T, src string) (inPieces bool) {
	t.Helper()
	sources, o := []Source{{"f", []byte(src)}}, Options{Now: testNow}
	whole, wholeErr := newReader(sources, o).read(sources)
	r := newReader(sources, o)
	r.pieceBytes = 1
	file, err := r.read(sources)
	if _, cut := cutAccounts(r.sources[0].src, 1); !cut || r.torn {
		return false
	}
	if !reflect.DeepEqual(file, whole) || fmt.Sprint(err) != fmt.Sprint(wholeErr) {
		t.Errorf("%q: in pieces\n%+v, %v\nas a whole\n%+v, %v", src, file, err, whole, wholeErr)
	}
	return r.inPieces(0)
}

// inPieces reports whether a file's accounts are read in pieces.
func (r *reader) inPieces(file int) bool {
	root, flaw := r.parseSource(file, r.sources[file].src)
	if flaw != nil {
		return false
	}
	accounts := root.value("accounts")
	return accounts != nil && len(accounts.pieces) > 0
}

func TestPieces(t *testing.T) {
	t.Parallel()
	const token = "\n    tokens: {t: {description: d, contact: {email: a@b.c}, scopes: [{api: a, methods: [GET]}]}}\n"
	for _, test := range []struct {
		name, src string
		held      bool
	}{
		{"two accounts", "accounts:\n  a:" + token + "  b:" + token, true},
		{"keys after them", "accounts:\n  a:" + token + "  b:" + token + "owner: me\ntests: [{request: GET /x, expect: no_credential}]\n", true},
		{"comments and empty lines", "accounts: # these\n\n# one\n  a:" + token + "\n# two\n\n    # three\n  b:" + token + "# end", true},
		{"no line end", "accounts:\n  a:" + token + "  b:" + strings.TrimSuffix(token, "\n"), true},
		{"an account that stands twice", "accounts:\n  a:" + token + "  b:" + token + "  a:" + token, true},
		{"accounts that stand twice", "accounts:\n  a:" + token + "  b:" + token + "accounts:\n  c:" + token, true},
		{"an id that is a later name", "accounts:\n  a: {ids: [b]}\n  b:" + token, true},
		{"a name that no account can have", "accounts:\n  a:" + token + "  b b:" + token, true},
		{"block scalar", "accounts:\n  a:\n    title: |\n      x\n      y: z\n  b:" + token, true},
		{"folded to the end of the piece", "accounts:\n  a:\n    title: >+\n      x\n\n\n  b:" + token, true},
		{"text on two lines", "accounts:\n  a:\n    title: x\n      y\n  b:" + token, true},
		{"one account", "accounts:\n  a:" + token, false},
		{"a list", "accounts:\n  - a\n  - b\n", false},
		{"two keys of one mapping in brackets", "accounts: {\n  a: {}\n  , b: {}}\n", false},
		{"quotes over a cut", "accounts:\n  a:\n    title: \"x\n  b: y\"\n  c:" + token, false},
		{"brackets over a cut", "accounts:\n  a:\n    ids: [x,\n  y: z]\n  c:" + token, false},
		{"accounts in quotes", "owner: \"x\naccounts:\n  a: {}\n  b: {}\ny\"\n", false},
		{"accounts in a block", "owner: |\n x\naccounts:\n  a:" + token + "  b:" + token, true},
		{"wrong indentation", "accounts:\n    a: {}\n  b: {}\n    c: {}\n", false},
		{"a second document", "accounts:\n  a:" + token + "  b:" + token + "---\n{}\n", false},
		{"explicit keys", "accounts:\n  ? a\n  : {}\n  b: {}\n  ? c\n  : {}\n", true},
		{"an anchor", "accounts:\n  a: &x {}\n  b: {}\n", false},
		{"a tab", "accounts:\n  a: {}\n\tb: {}\n  c: {}\n", false},
	} {
		if held := bothWays(t, piecesHead+test.src); held != test.held {
			t.Errorf("%s: read in pieces %v, want %v", test.name, held, test.held)
		}
	}
	if bothWays(t, "{format: 1,\naccounts:\n  a: {}\n  b: {}\n}\n") {
		t.Error("a file in brackets was read in pieces")
	}
}

// FuzzPieces looks for a file that comes to something else in pieces than as a whole.
func FuzzPieces(f *testing.F) {
	for _, folder := range []string{"valid", "invalid"} {
		for _, src := range testFiles(f, folder) {
			f.Add(string(src))
		}
	}
	f.Add(piecesHead + "accounts:\n  a:\n    title: |+\n      x\n\n  ? b\n  : {}\n  'c': {}\n  d: {}\n---\n")
	f.Fuzz(func(t *testing.T, src string) {
		if _, flaw := normalise([]byte(src)); flaw == nil {
			bothWays(t, src)
		}
	})
}

// BenchmarkReadLarge reads a file of 100,000 tokens.
func BenchmarkReadLarge(b *testing.B) {
	var s strings.Builder
	s.WriteString(piecesHead + "accounts:\n")
	for i := range 100_000 {
		if i%20 == 0 {
			fmt.Fprintf(&s, "  account-%d:\n    tokens:\n", i/20)
		}
		fmt.Fprintf(&s, `      token-%d:
        description: One of many tokens of an estate.
        contact: {name: Data team, email: data@estate.example}
        environment: production
        scopes:
          - {api: a, methods: [GET]}
          - {api: a, methods: [POST], operations: [x]}
        credential: %s
`, i, DigestOf(fmt.Sprintf("a secret of an estate %d", i)))
	}
	src := []byte(s.String())
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		if _, err := Read("f", src, testNow); err != nil {
			b.Fatal(err)
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapSys)/(1<<20), "MiB-heap")
}
