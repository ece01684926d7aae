package scopes

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Format is the format of scope files that this version reads: "format: 1".
const Format = 1

// Bounds of a scope file.
const (
	// MaxFileBytes is the size of the largest scope file that [Read] accepts.
	MaxFileBytes = 64 << 20
	// maxProblems bounds how many problems Read tells at once.
	maxProblems = 100
)

// Source is one of the files that [ReadAll] reads together.
type Source struct {
	Name string // as its problems call it, such as a path
	Data []byte
}

// Options are what [ReadAll] needs besides the files. The zero value is fit for use.
type Options struct {
	// Now decides which expiries are in the past.
	Now time.Time
	// Known are APIs that the files may use without declaring them, as Read gives
	// them. A file that declares one of the same name replaces it.
	Known []API
	// Documents reads the OpenAPI documents that the files name; without it, a file
	// that names one is not valid.
	Documents Documents
}

// Read reads a scope file. The name stands in its problems, and now decides which
// expiries are in the past.
//
// The error is [Problems]: all that is wrong with the file, in its order, each
// with line and column; a file that is not even YAML has just one. Nothing of
// such a file is to be used.
func Read(name string, src []byte, now time.Time) (*File, error) {
	return ReadAll([]Source{{name, src}}, Options{Now: now})
}

// ReadAll reads several scope files as one: what one declares the others may use.
// An API and a token stand in one of them; an account may stand in several, but
// its own keys in one. Each file's owner is that of what it declares. Names tell
// the files apart, and the error is as that of [Read].
func ReadAll(sources []Source, o Options) (*File, error) {
	r := newReader(sources, o)
	r.pieceBytes = pieceBytes
	f, err := r.read(sources)
	if r.torn {
		return newReader(sources, o).read(sources)
	}
	return f, err
}

// read reads the files.
func (r *reader) read(sources []Source) (*File, error) {
	var roots []*yamlNode
	for i, source := range sources {
		if root := r.parse(i, source.Data); root != nil {
			roots = append(roots, root)
		}
	}
	if len(roots) < len(sources) { // what the others lack may stand there
		return nil, r.allProblems()
	}
	for _, root := range roots {
		readFields(r, &fileTable, root, root, &r.file)
	}
	r.checkAPIs()
	r.readAccounts()
	for _, n := range r.tests {
		r.readTests(n)
	}
	r.file.Warnings = r.inOrder(r.warnings)
	if len(r.problems) > 0 {
		return nil, r.allProblems()
	}
	file := r.file // not a part of the reader, whose nodes are done with
	return &file, nil
}

// reader is one run of [ReadAll]. It goes through the mappings of the files by
// tables of their keys, and gathers problems instead of stopping at the first.
type reader struct {
	file      File
	sources   []source // the files, and then the documents that they name
	now       time.Time
	documents Documents
	problems  []Problem
	dropped   int // problems beyond maxProblems
	warnings  []Problem

	pieceBytes int  // of the smallest piece that a file is cut into; 0 reads it as a whole
	torn       bool // a file cannot be read in pieces

	apis     map[string]*declaredAPI
	unsound  bool                  // some API has a problem
	versions map[string]bool       // that some API has; nil if not all are known
	owners   map[string]accountID  // whose account a name or id is
	digests  map[Digest]tokenPlace // whose credential a digest is
	tokens   map[string]*yamlNode  // the key of each "account/name"

	// What is read once all APIs are known: the values of these keys of each file.
	accounts, tests []*yamlNode
}

// source is a file that is read.
type source struct {
	name  string
	owner string
	src   []byte // normalised
}

// maxSources bounds how many files are read together: nodes count on it.
const maxSources = 1 << 16

func newReader(sources []Source, o Options) *reader {
	r := &reader{
		now: o.Now, documents: o.Documents, sources: make([]source, len(sources)),
		apis: make(map[string]*declaredAPI), versions: make(map[string]bool),
	}
	for i := range sources {
		r.sources[i].name = sources[i].Name
	}
	if len(sources) == 1 {
		r.file.Name = sources[0].Name
	}
	for i := range o.Known {
		r.apis[o.Known[i].Name] = knownAPI(&o.Known[i])
		for _, v := range o.Known[i].Versions {
			r.versions[v] = true
		}
	}
	return r
}

// parse turns a file into a mapping whose format this version knows, or nil.
func (r *reader) parse(at int, src []byte) *yamlNode {
	if at == maxSources {
		r.add(at, Problem{Text: fmt.Sprintf("more than %d files", maxSources)})
	}
	if at >= maxSources {
		return nil
	}
	root, flaw := r.parseSource(at, src)
	if flaw != nil {
		r.add(at, *flaw)
		return nil
	}
	if root.kind != mapping {
		r.problemf(root, `expected a mapping that starts with "format: %d", found %s`, Format, root.describe())
		return nil
	}
	format := root.value("format")
	if format == nil {
		return root // told as a missing key
	}
	if !r.knownFormat(format) {
		return nil
	}
	return root
}

// parseSource turns a file into its nodes, or says what is wrong.
func (r *reader) parseSource(at int, src []byte) (root *yamlNode, flaw *Problem) {
	if src, flaw = normalise(src); flaw != nil {
		return nil, flaw
	}
	r.sources[at].src = src
	file := uint16(at) //nolint:gosec // less than maxSources
	if r.pieceBytes > 0 && len(src) > r.pieceBytes {
		if cut, ok := cutAccounts(src, r.pieceBytes); ok {
			if root = cut.parse(file); root != nil {
				return root, nil
			}
		}
	}
	return parseYAML(src, origin{file: file})
}

// knownFormat tells a format that this version does not read.
func (r *reader) knownFormat(n *yamlNode) bool {
	version, err := strconv.Atoi(n.text)
	switch {
	case n.kind != number || err != nil || version < 1:
		r.problemf(n, "expected format: %d, found %s", Format, n.describe())
	case version > Format:
		r.problemf(n, "format %d: this file is for a newer Scopegate; this version reads format %d", version, Format)
	default:
		return true
	}
	return false
}

// fileTable has the keys at the top of a scope file.
var fileTable = table[File]{"file", "a scope file", []field[File]{
	{key: "format", required: `such as "format: 1"`, read: func(*reader, *yamlNode, *File) {}},
	{key: "owner", read: (*reader).readOwner},
	{key: "apis", read: (*reader).readAPIs},
	{key: "accounts", read: func(r *reader, n *yamlNode, _ *File) { r.accounts = append(r.accounts, n) }},
	{key: "tests", read: func(r *reader, n *yamlNode, _ *File) { r.tests = append(r.tests, n) }},
}}

// readOwner reads whose a file is. The first file's owner is that of all files
// together, as far as another's is not noted.
func (r *reader) readOwner(n *yamlNode, f *File) {
	owner, _ := r.name(n, "an owner")
	r.sources[n.file].owner = owner
	if n.file == 0 {
		f.Owner = owner
	}
}

// ownerOf returns the owner of the file in which a node stands.
func (r *reader) ownerOf(n *yamlNode) string { return r.sources[n.file].owner }

// place says where a node stands, to somebody who looks at another.
func (r *reader) place(n, from *yamlNode) string {
	if n.file == from.file {
		return fmt.Sprintf("line %d", n.line)
	}
	return fmt.Sprintf("%s, line %d", r.sources[n.file].name, n.line)
}

// problemf tells what is wrong at a node.
func (r *reader) problemf(n *yamlNode, format string, args ...any) {
	if !r.enough() {
		r.add(int(n.file), Problem{Line: n.line, Column: n.column, Text: fmt.Sprintf(format, args...)})
	}
}

// problemAtf tells what is wrong at a byte of a scalar, counted from 0.
func (r *reader) problemAtf(n *yamlNode, offset int, format string, args ...any) {
	if !r.enough() {
		r.add(int(n.file), Problem{Line: n.line, Column: r.columnOf(n, offset), Text: fmt.Sprintf(format, args...)})
	}
}

// unknownf tells that n is none of the words that words returns, with a
// suggestion.
func (r *reader) unknownf(n *yamlNode, words func() []string, intro, format string, args ...any) {
	if !r.enough() {
		text := fmt.Sprintf(format, args...) + suggestion(n.text, words(), intro)
		r.add(int(n.file), Problem{Line: n.line, Column: n.column, Text: text})
	}
}

// enough reports whether so many problems have been told that the next one is
// only counted, and counts it. So a file that is wrong all over costs little.
func (r *reader) enough() bool {
	if len(r.problems) < maxProblems {
		return false
	}
	r.dropped++
	return true
}

// add tells a problem of a file, which is given by its position.
func (r *reader) add(file int, p Problem) {
	p.File, p.Text = r.sources[file].name, Redact(p.Text)
	r.problems = append(r.problems, p)
}

// warnf tells what is legal at a node but probably not meant.
func (r *reader) warnf(n *yamlNode, format string, args ...any) {
	r.warnings = append(r.warnings, Problem{
		File: r.sources[n.file].name, Line: n.line, Column: n.column, Text: Redact(fmt.Sprintf(format, args...)),
	})
}

// allProblems returns the problems in the order of the files.
func (r *reader) allProblems() Problems {
	all := r.inOrder(r.problems)
	if r.dropped > 0 {
		all = append(all, Problem{File: r.file.Name, Text: fmt.Sprintf("and %d more problems", r.dropped)})
	}
	return all
}

func (r *reader) inOrder(problems []Problem) []Problem {
	position := make(map[string]int, len(r.sources))
	for i := range r.sources {
		position[r.sources[i].name] = i
	}
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(position[a.File]-position[b.File], cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return problems
}

// columnOf returns the column of a byte of a scalar's text. Where escapes or line
// ends stand before it, no place but the scalar's start is known.
func (r *reader) columnOf(n *yamlNode, offset int) int {
	start := n.column - 1
	if n.quoted {
		start++
	}
	line := []rune(string(lineOf(r.sources[n.file].src, n.line)))
	before := n.text[:min(offset, len(n.text))]
	if start > len(line) || !strings.HasPrefix(string(line[start:]), before) {
		return n.column
	}
	return start + utf8.RuneCountInString(before) + 1
}

// lineOf returns a line, counted from 1, without its end.
func lineOf(src []byte, line int) []byte {
	for range line - 1 {
		_, src, _ = bytes.Cut(src, []byte("\n"))
	}
	src, _, _ = bytes.Cut(src, []byte("\n"))
	return src
}

// told counts the problems so far.
func (r *reader) told() int { return len(r.problems) + r.dropped }

// shown quotes text of the file for a message, cut if it is long. A credential
// that strayed into the file is not shown.
func shown(s string) string {
	const most = 60
	if strings.Contains(s, credentialPrefix) {
		return redacted
	}
	if characters := []rune(s); len(characters) > most {
		s = string(characters[:most-1]) + "…"
	}
	return fmt.Sprintf("%q", s)
}

// keysOf returns a function that returns the keys of m in order.
func keysOf[V any](m map[string]V) func() []string {
	return func() []string { return slices.Sorted(maps.Keys(m)) }
}

// orList joins words as "a, b or c".
func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
