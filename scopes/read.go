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

// Read reads a scope file. The name stands in its problems, and now decides which
// expiries are in the past.
//
// The error is [Problems]: all that is wrong with the file, in its order, each
// with line and column; a file that is not even YAML has just one. Nothing of
// such a file is to be used.
func Read(name string, src []byte, now time.Time) (*File, error) {
	r := &reader{file: File{Name: name}, now: now}
	if root := r.parse(src); root != nil {
		readFields(r, &fileTable, root, root, &r.file)
	}
	r.file.Warnings = inOrder(r.warnings)
	if len(r.problems) > 0 {
		return nil, r.allProblems()
	}
	return &r.file, nil
}

// reader is one run of [Read]. It goes through the file's mappings by tables of
// their keys, and gathers problems instead of stopping at the first.
type reader struct {
	file     File
	src      []byte // normalised
	now      time.Time
	problems []Problem
	dropped  int // problems beyond maxProblems
	warnings []Problem

	apis     map[string]*declaredAPI
	versions map[string]bool       // that some API has; nil if not all are known
	owners   map[string]accountID  // whose account a name or id is
	digests  map[Digest]tokenPlace // whose credential a digest is
	tokens   map[string]*yamlNode  // the key of each "account/name"
}

// parse turns the file into a mapping whose format this version knows, or nil.
func (r *reader) parse(src []byte) *yamlNode {
	var root *yamlNode
	var flaw *Problem
	if r.src, flaw = normalise(src); flaw == nil {
		root, flaw = parseYAML(r.src)
	}
	if flaw != nil {
		r.add(*flaw)
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
	{key: "accounts", read: (*reader).readAccounts},
	{key: "tests", read: (*reader).readTests},
}}

func (r *reader) readOwner(n *yamlNode, f *File) {
	f.Owner, _ = r.name(n, "an owner")
}

// problemf tells what is wrong at a node.
func (r *reader) problemf(n *yamlNode, format string, args ...any) {
	if !r.enough() {
		r.add(Problem{Line: n.line, Column: n.column, Text: fmt.Sprintf(format, args...)})
	}
}

// problemAtf tells what is wrong at a byte of a scalar, counted from 0.
func (r *reader) problemAtf(n *yamlNode, offset int, format string, args ...any) {
	if !r.enough() {
		r.add(Problem{Line: n.line, Column: r.columnOf(n, offset), Text: fmt.Sprintf(format, args...)})
	}
}

// unknownf tells that n is none of the words that words returns, with a
// suggestion.
func (r *reader) unknownf(n *yamlNode, words func() []string, intro, format string, args ...any) {
	if !r.enough() {
		text := fmt.Sprintf(format, args...) + suggestion(n.text, words(), intro)
		r.add(Problem{Line: n.line, Column: n.column, Text: text})
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

func (r *reader) add(p Problem) {
	p.File = r.file.Name
	r.problems = append(r.problems, p)
}

// warnf tells what is legal at a node but probably not meant.
func (r *reader) warnf(n *yamlNode, format string, args ...any) {
	r.warnings = append(r.warnings, Problem{
		File: r.file.Name, Line: n.line, Column: n.column, Text: fmt.Sprintf(format, args...),
	})
}

// allProblems returns the problems in the order of the file.
func (r *reader) allProblems() Problems {
	all := inOrder(r.problems)
	if r.dropped > 0 {
		all = append(all, Problem{File: r.file.Name, Text: fmt.Sprintf("and %d more problems", r.dropped)})
	}
	return all
}

func inOrder(problems []Problem) []Problem {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
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
	line := []rune(string(lineOf(r.src, n.line)))
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
