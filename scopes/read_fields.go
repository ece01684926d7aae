package scopes

import (
	"iter"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// table is what a mapping may have. The reader goes through it in its order, not
// in that of the file, so that a field finds those above it already read. The
// JSON Schema is held against it by a test.
type table[T any] struct {
	schema string // the definition in the JSON Schema
	what   string // as messages call the mapping
	fields []field[T]
}

// field is a key of a mapping.
type field[T any] struct {
	key      string
	required string // "" if it may be absent, else what it is, for the message
	read     func(r *reader, n *yamlNode, to *T)
}

// keys returns the keys that a mapping may have.
func (t *table[T]) keys() []string {
	keys := make([]string, len(t.fields))
	for i := range t.fields {
		keys[i] = t.fields[i].key
	}
	return keys
}

// readFields reads a mapping by its table. What the mapping lacks is told at
// owner, the key that it belongs to. It reports whether n is a mapping.
func readFields[T any](r *reader, t *table[T], owner, n *yamlNode, to *T) bool {
	if n.kind != mapping {
		r.problemf(n, "%s is a mapping, found %s; it has the keys %s", t.what, n.describe(), strings.Join(t.keys(), ", "))
		return false
	}
	for p := range r.uniquePairs(n) {
		if !slices.ContainsFunc(t.fields, func(f field[T]) bool { return f.key == p.key.text }) {
			r.unknownf(p.key, t.keys, "it has the keys ", "%s has no key %s", t.what, shown(p.key.text))
		}
	}
	for _, f := range t.fields {
		value := n.value(f.key)
		switch {
		case value == nil && f.required != "":
			r.problemf(owner, "%s needs %q, %s", t.what, f.key, f.required)
		case value != nil:
			f.read(r, value, to)
		}
	}
	return true
}

// uniquePairs yields the pairs of a mapping, but tells those whose key has stood
// before.
func (r *reader) uniquePairs(n *yamlNode) iter.Seq[yamlPair] {
	return func(yield func(yamlPair) bool) {
		first := make(map[string]*yamlNode, len(n.pairs))
		for p := range r.pairsOf(n) {
			if before, twice := first[p.key.text]; twice {
				r.problemf(p.key, "the key %s stands twice, first in line %d", shown(p.key.text), before.line)
				continue
			}
			first[p.key.text] = p.key
			if !yield(p) {
				return
			}
		}
	}
}

// named yields the pairs of a mapping whose keys are the names of things, such as
// "an API", and tells those that are no names.
func (r *reader) named(n *yamlNode, what string, valid func(string) bool, rule string) iter.Seq[yamlPair] {
	return func(yield func(yamlPair) bool) {
		if n.kind != mapping {
			r.problemf(n, "expected a mapping with the name of %s as key, found %s", what, n.describe())
			return
		}
		for p := range r.uniquePairs(n) {
			if r.isName(p.key, what, valid, rule) && !yield(p) {
				return
			}
		}
	}
}

// isName tells whether n is the name of something. A plain number in its usual
// form is, since it reads the same everywhere; 010, 1.10 or null are not.
func (r *reader) isName(n *yamlNode, what string, valid func(string) bool, rule string) bool {
	plain := n.kind == number && (n.text == "0" || isDecimal(n.text) && n.text[0] != '0')
	switch {
	case n.kind == list || n.kind == mapping || n.kind == nothing:
		r.problemf(n, "expected the name of %s, found %s", what, n.describe())
	case n.kind != text && !plain:
		r.problemf(n, "%s is called %s here, which YAML does not read as text; quote it: %q", what, n.text, n.text)
	case !valid(n.text):
		r.problemf(n, "%s cannot be called %s; %s", what, shown(n.text), rule)
	default:
		return true
	}
	return false
}

const (
	nameRule      = "a name has up to 63 letters, digits, and . _ - after the first"
	operationRule = "an operation's name has up to 63 letters, digits, and . _ - / after the first"
)

// validName reports whether s can name an account, an API, a token or a version.
func validName(s string) bool { return nameWith(s, "._-") }

// validOperationName reports whether s can name an operation.
func validOperationName(s string) bool { return nameWith(s, "._-/") }

func nameWith(s, others string) bool {
	if s == "" || len(s) > 63 || !isAlphanumeric(s[0]) {
		return false
	}
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && strings.IndexByte(others, s[i]) < 0 {
			return false
		}
	}
	return true
}

// name reads the name of something.
func (r *reader) name(n *yamlNode, what string) (string, bool) {
	if !r.isName(n, what, validName, nameRule) {
		return "", false
	}
	return n.text, true
}

// text reads a scalar that YAML takes for text.
func (r *reader) text(n *yamlNode, what string) (string, bool) {
	switch n.kind {
	case text:
		return n.text, true
	case number, boolean:
		r.problemf(n, "%s is text, found %s; quote it: %q", what, n.describe(), n.text)
	case nothing:
		r.problemf(n, "%s has no value; write one, or leave the key out", what)
	default:
		r.problemf(n, "%s is text, found %s", what, n.describe())
	}
	return "", false
}

// Bounds of free text, in characters.
const (
	maxTitle       = 200
	maxDescription = 2000
)

// title reads a line of text for people.
func (r *reader) title(n *yamlNode, what string) string {
	s := r.freeText(n, what, maxTitle)
	if strings.Contains(s, "\n") {
		r.problemf(n, "%s is a single line", what)
		return ""
	}
	return s
}

// freeText reads text for people, without the space around it.
func (r *reader) freeText(n *yamlNode, what string, most int) string {
	s, ok := r.text(n, what)
	if !ok {
		return ""
	}
	s = strings.TrimSpace(s)
	if length := utf8.RuneCountInString(s); length == 0 || length > most {
		r.problemf(n, "%s has 1 to %d characters, this one %d", what, most, length)
		return ""
	}
	if strings.ContainsFunc(s, func(c rune) bool { return c != '\n' && characterFlaw(c, 1) != "" }) {
		r.problemf(n, "%s has a control character", what)
		return ""
	}
	return s
}

// word reads one of a few fixed words.
func (r *reader) word(n *yamlNode, what string, words ...string) string {
	if n.kind == text && slices.Contains(words, n.text) {
		return n.text
	}
	r.unknownf(n, func() []string { return words }, "", "%s is %s, found %s", what, orList(words), n.describe())
	return ""
}

// integer reads a whole number within bounds, written as usual.
func (r *reader) integer(n *yamlNode, what string, least, most int) (int, bool) {
	if n.kind == number && isDecimal(n.text) && n.text[0] != '0' {
		if i, err := strconv.Atoi(n.text); err == nil && least <= i && i <= most {
			return i, true
		}
	}
	r.problemf(n, "%s is a whole number from %d to %d, found %s", what, least, most, n.describe())
	return 0, false
}

// isDecimal reports whether s has digits only.
func isDecimal(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// items returns the items of a list, which has at least one: in each of the
// format's lists, none would have to mean either nothing or everything.
func (r *reader) items(n *yamlNode, what, example string) []*yamlNode {
	if n.kind != list {
		r.problemf(n, "%s is a list, such as %s; found %s", what, example, n.describe())
		return nil
	}
	if len(n.items) == 0 {
		r.problemf(n, "%s is an empty list; leave the key out, or list something, such as %s", what, example)
	}
	return n.items
}

// uniqueTexts reads a list of texts, each by read, and tells those that stand
// there twice.
func (r *reader) uniqueTexts(n *yamlNode, what, example string, read func(*yamlNode) (string, bool)) []string {
	var texts []string
	seen := make(map[string]bool)
	for _, item := range r.items(n, what, example) {
		s, ok := read(item)
		if !ok {
			continue
		}
		if seen[s] {
			r.problemf(item, "%s stands twice in %s", shown(s), what)
			continue
		}
		seen[s] = true
		texts = append(texts, s)
	}
	return texts
}
