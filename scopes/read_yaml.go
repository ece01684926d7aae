package scopes

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// maxDepth bounds how deep lists and mappings nest. The format needs seven.
const maxDepth = 32

// yamlNode is a node of a YAML document, reduced to what a scope file may have:
// no anchors, aliases, merge keys and tags, and only scalars as keys. It is all
// that the reader knows of YAML.
type yamlNode struct {
	kind   nodeKind
	file   uint16 // in which it stands, of those that are read together
	line   int
	column int
	text   string // of a scalar: as written, or what quotes and blocks stand for
	quoted bool   // a scalar in quotes or a block scalar
	items  []*yamlNode
	pairs  []yamlPair // in the order of the file, duplicates included
	pieces []piece    // of a mapping that is parsed as it is read: what follows the pairs
}

// yamlPair is a key of a mapping with its value.
type yamlPair struct{ key, value *yamlNode }

// nodeKind is what a [yamlNode] is.
type nodeKind uint8

const (
	nothing nodeKind = iota // no value at all, null or ~
	text
	number
	boolean
	list
	mapping
)

// value returns the value of the first such key, or nil.
func (n *yamlNode) value(key string) *yamlNode {
	for _, p := range n.pairs {
		if p.key.text == key {
			return p.value
		}
	}
	return nil
}

// describe says what n is, for the end of "expected …, found …".
func (n *yamlNode) describe() string {
	switch n.kind {
	case nothing:
		if n.text == "" {
			return "nothing"
		}
		return n.text
	case text:
		return "the text " + shown(n.text)
	case number:
		return "the number " + n.text
	case boolean:
		return "the boolean " + n.text
	case list:
		return "a list"
	case mapping:
		return "a mapping"
	}
	return "something else"
}

// origin is where a text comes from.
type origin struct {
	file uint16 // its position among those that are read together
	line int    // how many lines of the file stand above the text
}

// parseYAML reads the one document of src, which [normalise] has passed.
func parseYAML(src []byte, from origin) (root *yamlNode, flaw *Problem) {
	defer func() { // the parser's own bugs must not bring a gateway down
		if p := recover(); p != nil {
			flaw = &Problem{Line: 1, Column: 1, Text: fmt.Sprintf("the YAML parser failed on this file: %v", p)}
		}
	}()
	loader, err := yaml.NewLoader(bytes.NewReader(src), yaml.WithUniqueKeys(false),
		yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(maxDepth))))
	if err != nil {
		return nil, &Problem{Line: 1, Column: 1, Text: err.Error()}
	}
	var document, second yaml.Node
	if err := loader.Load(&document); errors.Is(err, io.EOF) {
		return nil, &Problem{Line: 1, Column: 1, Text: `the file is empty; a scope file starts with "format: 1"`}
	} else if err != nil {
		return nil, syntaxProblem(err, src)
	}
	if root, flaw = convertNode(&document, from); flaw != nil {
		return nil, flaw
	}
	if err := loader.Load(&second); err == nil {
		return nil, &Problem{Line: second.Line, Column: second.Column, Text: "a second document; a scope file is one document"}
	} else if !errors.Is(err, io.EOF) {
		return nil, syntaxProblem(err, src)
	}
	return root, nil
}

// convertNode turns a parsed node into ours, or says what it has that a scope
// file may not have. The parser has bounded the depth.
func convertNode(n *yaml.Node, from origin) (*yamlNode, *Problem) {
	if text := refusedFeature(n); text != "" {
		return nil, &Problem{Line: from.line + n.Line, Column: n.Column, Text: text}
	}
	node := &yamlNode{file: from.file, line: from.line + n.Line, column: n.Column}
	switch n.Kind {
	case yaml.DocumentNode:
		return convertNode(n.Content[0], from)
	case yaml.ScalarNode:
		const quotes = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
		node.text, node.quoted = n.Value, n.Style&quotes != 0
		node.kind = text
		if !node.quoted {
			node.kind = plainKind(n.Value)
		}
		return node, nil
	case yaml.SequenceNode:
		node.kind = list
		return node, convertItems(n, node, from)
	default:
		node.kind = mapping
		return node, convertPairs(n, node, from)
	}
}

func convertItems(n *yaml.Node, to *yamlNode, from origin) *Problem {
	to.items = make([]*yamlNode, len(n.Content))
	for i, child := range n.Content {
		item, flaw := convertNode(child, from)
		if flaw != nil {
			return flaw
		}
		to.items[i], n.Content[i] = item, nil // of a large file, both trees are too much
	}
	return nil
}

func convertPairs(n *yaml.Node, to *yamlNode, from origin) *Problem {
	to.pairs = make([]yamlPair, 0, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, flaw := convertNode(n.Content[i], from)
		if flaw != nil {
			return flaw
		}
		if key.kind == list || key.kind == mapping {
			return &Problem{Line: key.line, Column: key.column, Text: "a key is a name, not " + key.describe()}
		}
		value, flaw := convertNode(n.Content[i+1], from)
		if flaw != nil {
			return flaw
		}
		if value.kind == nothing && value.text == "" { // it stands nowhere
			value.line, value.column = key.line, key.column
		}
		to.pairs = append(to.pairs, yamlPair{key, value})
		n.Content[i], n.Content[i+1] = nil, nil
	}
	return nil
}

// refusedFeature says why a node is refused; "" if it is not. What a token may do
// has to stand where the token stands, so that a reviewer sees it there.
func refusedFeature(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.AliasNode:
		return "aliases (*name) are not supported; write the value out"
	case n.Anchor != "":
		return "anchors (&name) are not supported; write the value out wherever it is needed"
	case n.Style&yaml.TaggedStyle != 0:
		return "tags (!name) are not supported; put text into quotes"
	case n.Tag == "!!merge":
		return "merge keys (<<) are not supported; write the keys out"
	}
	return ""
}

// plainKind tells what a YAML reader takes unquoted text for. It is number for
// all that any common reader takes for one, so that no version is misread.
func plainKind(s string) nodeKind {
	switch s {
	case "", "~", "null", "Null", "NULL":
		return nothing
	case "true", "True", "TRUE", "false", "False", "FALSE":
		return boolean
	case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", ".nan", ".NaN", ".NAN":
		return number
	}
	if strings.IndexByte("0123456789+-.", s[0]) < 0 {
		return text
	}
	digits := strings.ReplaceAll(s, "_", "")
	if _, err := strconv.ParseFloat(digits, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return number
	}
	if _, err := strconv.ParseInt(digits, 0, 64); err == nil { // 0x1F, 0o17, 0b1
		return number
	}
	return text
}

// syntaxAdvice says in other words what the parser's messages mean.
var syntaxAdvice = []struct{ message, advice string }{
	{"mapping values are not allowed", `a ": " where no key can stand; put text that has one into quotes, and check the indentation`},
	{"did not find expected key", "expected a key, as deep as those above; check the indentation, quotes and brackets"},
	{"did not find expected '-' indicator", `expected another "- " item, or less indentation`},
	{"did not find expected ',' or ']'", `expected "," or "]"; put text that has one of , [ ] { } into quotes`},
	{"did not find expected ',' or '}'", `expected "," or "}"; put text that has one of , [ ] { } into quotes`},
	{"did not find expected node content", "expected a value"},
	{"found unexpected end of stream", "a quote is never closed"},
	{"unknown anchor", "aliases (*name) are not supported; write the value out"},
	{"expected alphabetic or numeric character", `"*" and "&" stand in quotes; without, they begin an alias or an anchor, which are not supported`},
	{"did not find expected <document start>", "less indented than the line that the file starts with, or a second document"},
	{"could not find expected ':'", `expected ":" after a key`},
	{"exceeded max depth", fmt.Sprintf("nested more than %d deep", maxDepth)},
}

// syntaxProblem turns the parser's error into a problem.
func syntaxProblem(err error, src []byte) *Problem {
	p := &Problem{Line: 1, Column: 1, Text: err.Error()}
	var load *yaml.LoadError
	if !errors.As(err, &load) {
		return p
	}
	mark := load.Mark
	if strings.Contains(load.Message, "unexpected end of stream") && load.ContextMark.Line > 0 {
		mark = load.ContextMark // where it starts says more than where the file ends
	}
	if mark.Line > 0 {
		p.Line, p.Column = mark.Line, max(mark.Column, 1)
	}
	p.Text = "not valid YAML: " + syntaxText(load.Message, src, p)
	if c := load.ContextMark; c.Line > 0 && c.Line != p.Line {
		p.Text += fmt.Sprintf(" (%s from line %d, column %d)", load.ContextMsg, c.Line, c.Column)
	}
	return p
}

// syntaxText says what the parser's message means at a place.
func syntaxText(message string, src []byte, at *Problem) string {
	if strings.Contains(message, "cannot start any token") {
		return badStart(src, at.Line, at.Column)
	}
	for _, a := range syntaxAdvice {
		if strings.Contains(message, a.message) {
			return a.advice
		}
	}
	return message
}

// badStart explains a character that no value can start with.
func badStart(src []byte, line, column int) string {
	characters := []rune(string(lineOf(src, line)))
	if column > len(characters) {
		return "a character that no value can start with; put the text into quotes"
	}
	if c := characters[column-1]; c != '\t' {
		return fmt.Sprintf("no value can start with %q; put the text into quotes", c)
	}
	return "a tab; YAML is indented with spaces"
}
