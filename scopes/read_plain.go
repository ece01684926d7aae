package scopes

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

// Large scope files are written by programs, or look alike: mappings and lists by
// indentation, brackets within a line, text that stands as it is. For that part of
// YAML the parser below takes a tenth of the time and of the memory. It is used for
// the pieces of a file, of which a large one has thousands.
//
// It reads only what it is sure of, and gives up at anything else: then the YAML
// parser reads the piece, and that one alone says what is wrong. So the parser
// here never decides that something is valid which YAML does not take for the same,
// and FuzzPlain compares the two.

// plainParser reads a text line by line.
type plainParser struct {
	rest   string // below the line at hand
	line   string // at hand, without its end
	number int    // of the line in its file
	indent int    // of the line at hand; -1 at the end of the text
	file   uint16
	items  []*yamlNode // of the lists that are open, the innermost ones last
	pairs  []yamlPair  // of the mappings that are open
	depth  int
}

// errNotPlain is what the parser panics with when it gives up.
var errNotPlain = errors.New("not plain")

// parsePlain returns the mapping that src is, or nil if it is not plain.
func parsePlain(src string, from origin) (root *yamlNode) {
	defer func() {
		if recover() != nil { // whatever it was, the YAML parser is there
			root = nil
		}
	}()
	p := &plainParser{rest: src, number: from.line, file: from.file}
	p.next()
	if p.indent < 0 {
		return nil
	}
	root = p.block(p.indent)
	if p.indent >= 0 || root.kind != mapping {
		return nil
	}
	return root
}

// next goes to the next line that has something.
func (p *plainParser) next() {
	for p.rest != "" {
		p.line, p.rest, _ = strings.Cut(p.rest, "\n")
		p.number++
		if strings.IndexByte(p.line, '\t') >= 0 {
			panic(errNotPlain)
		}
		content := strings.TrimLeft(p.line, " ")
		if content != "" && content[0] != '#' {
			p.indent = len(p.line) - len(content)
			return
		}
	}
	p.line, p.indent = "", -1
}

// node returns a new node that stands at a byte of the line at hand.
func (p *plainParser) node(kind nodeKind, at int) *yamlNode {
	return &yamlNode{kind: kind, file: p.file, line: p.number, column: utf8.RuneCountInString(p.line[:at]) + 1}
}

// enter counts how deep the parser is, and gives up where it is too deep.
func (p *plainParser) enter() {
	p.depth++
	if p.depth > maxDepth/2 {
		panic(errNotPlain)
	}
}

// block reads the list or mapping that starts in the line at hand, at a byte of it.
func (p *plainParser) block(at int) *yamlNode {
	p.enter()
	defer func() { p.depth-- }()
	if strings.HasPrefix(p.line[at:], "- ") {
		return p.blockList(at)
	}
	return p.blockMapping(at)
}

func (p *plainParser) blockList(at int) *yamlNode {
	n, open := p.node(list, at), len(p.items)
	for p.indent == at && strings.HasPrefix(p.line[at:], "- ") {
		content := skipSpaces(p.line, at+2)
		var item *yamlNode
		if _, ok := keyAt(p.line, content); ok {
			p.indent = content // as if the key stood in a line of its own
			item = p.block(content)
		} else {
			item = p.inLine(content)
			p.next()
		}
		p.items = append(p.items, item)
	}
	n.items = slices.Clone(p.items[open:])
	p.items = p.items[:open]
	return p.closed(n, at)
}

func (p *plainParser) blockMapping(at int) *yamlNode {
	n, open := p.node(mapping, at), len(p.pairs)
	for p.indent == at && !strings.HasPrefix(p.line[at:], "- ") {
		colon, ok := keyAt(p.line, at)
		if !ok {
			panic(errNotPlain)
		}
		key := p.keyNode(at, colon)
		p.pairs = append(p.pairs, yamlPair{key, p.blockValue(key, colon+1)})
	}
	n.pairs = slices.Clone(p.pairs[open:])
	p.pairs = p.pairs[:open]
	return p.closed(n, at)
}

// closed returns n, unless the line at hand cannot stand below it.
func (p *plainParser) closed(n *yamlNode, at int) *yamlNode {
	if p.indent > at {
		panic(errNotPlain)
	}
	return n
}

// blockValue reads the value of a key, which follows at a byte of the line at hand or
// stands in the lines below.
func (p *plainParser) blockValue(key *yamlNode, at int) *yamlNode {
	content, indent := skipSpaces(p.line, at), p.indent
	if content < len(p.line) && p.line[content] != '#' {
		value := p.inLine(content)
		p.next()
		return value
	}
	p.next()
	if p.indent > indent || p.indent == indent && strings.HasPrefix(p.line[indent:], "- ") {
		return p.block(p.indent)
	}
	return &yamlNode{file: p.file, line: key.line, column: key.column}
}

// inLine reads a value that takes the rest of the line at hand.
func (p *plainParser) inLine(at int) *yamlNode {
	n, end := p.value(at, false)
	if rest := skipSpaces(p.line, end); rest < len(p.line) && (p.line[rest] != '#' || rest == end) {
		panic(errNotPlain)
	}
	return n
}

// value reads a scalar, or what stands in brackets, and returns where it ends.
func (p *plainParser) value(at int, inBrackets bool) (n *yamlNode, end int) {
	if at < len(p.line) {
		switch c := p.line[at]; {
		case c == '[':
			return p.flowList(at)
		case c == '{':
			return p.flowMapping(at)
		case isQuote(c):
			return p.quoted(at)
		case isAlphanumeric(c) || c == '_' || c == '/' || c >= utf8.RuneSelf:
			if end := plainEnd(p.line, at, inBrackets); end > at {
				return p.plainNode(at, end), end
			}
		}
	}
	panic(errNotPlain)
}

// keyNode returns the key that stands at a byte of the line at hand, before its colon.
func (p *plainParser) keyNode(at, colon int) *yamlNode {
	if isQuote(p.line[at]) {
		key, _ := p.quoted(at)
		return key
	}
	return p.plainNode(at, colon)
}

// plainNode returns the scalar between two bytes of the line at hand.
func (p *plainParser) plainNode(at, end int) *yamlNode {
	n := p.node(plainKind(p.line[at:end]), at)
	n.text = p.line[at:end]
	return n
}

// quoted reads a scalar in quotes that has no escapes.
func (p *plainParser) quoted(at int) (n *yamlNode, end int) {
	quote := p.line[at]
	length := strings.IndexByte(p.line[at+1:], quote)
	if length < 0 {
		panic(errNotPlain)
	}
	end = at + 1 + length + 1
	n = p.node(text, at)
	n.text, n.quoted = p.line[at+1:end-1], true
	if quote == '"' && strings.IndexByte(n.text, '\\') >= 0 || quote == '\'' && strings.HasPrefix(p.line[end:], "'") {
		panic(errNotPlain)
	}
	return n, end
}

func (p *plainParser) flowList(at int) (n *yamlNode, end int) {
	n, open := p.node(list, at), len(p.items)
	end = p.flow(at, ']', func(at int) int {
		item, end := p.value(at, true)
		p.items = append(p.items, item)
		return end
	})
	n.items = slices.Clone(p.items[open:])
	p.items = p.items[:open]
	return n, end
}

func (p *plainParser) flowMapping(at int) (n *yamlNode, end int) {
	n, open := p.node(mapping, at), len(p.pairs)
	end = p.flow(at, '}', func(at int) int {
		colon, ok := keyAt(p.line, at)
		if !ok {
			panic(errNotPlain)
		}
		key := p.keyNode(at, colon)
		value, end := p.value(skipSpaces(p.line, colon+1), true)
		p.pairs = append(p.pairs, yamlPair{key, value})
		return end
	})
	n.pairs = slices.Clone(p.pairs[open:])
	p.pairs = p.pairs[:open]
	return n, end
}

// flow reads what stands in brackets, one thing after the other, and returns where
// the closing bracket ends. one reads a thing and returns where it ends.
func (p *plainParser) flow(at int, closing byte, one func(at int) int) (end int) {
	p.enter()
	defer func() { p.depth-- }()
	at = skipSpaces(p.line, at+1)
	if at < len(p.line) && p.line[at] == closing {
		return at + 1
	}
	for {
		at = skipSpaces(p.line, one(at))
		switch {
		case at < len(p.line) && p.line[at] == closing:
			return at + 1
		case at < len(p.line) && p.line[at] == ',':
			at = skipSpaces(p.line, at+1)
		default:
			panic(errNotPlain)
		}
	}
}

// keyAt reports whether a key stands at a byte of a line, and where its colon is. A key
// is in quotes, or has letters, digits and _ . - only.
func keyAt(line string, at int) (colon int, ok bool) {
	const most = 128 // bytes; valid names are shorter
	colon = at
	if colon < len(line) && isQuote(line[colon]) {
		colon += 1 + strings.IndexByte(line[at+1:], line[at]) + 1
	} else {
		for colon < len(line) && (isAlphanumeric(line[colon]) || line[colon] == '_' || colon > at && (line[colon] == '.' || line[colon] == '-')) {
			colon++
		}
	}
	ok = at < colon && colon <= at+most && colon < len(line) && line[colon] == ':' && (colon+1 == len(line) || line[colon+1] == ' ')
	return colon, ok
}

func isQuote(c byte) bool { return c == '"' || c == '\'' }

// plainEnd returns where the text without quotes ends that starts at a byte of a line;
// 0 if that is not certain.
func plainEnd(line string, at int, inBrackets bool) int {
	end := at // behind the last byte that is no space
	for i := at; i < len(line); i++ {
		switch c := line[i]; {
		case c == ' ':
			continue
		case c == '#' && line[i-1] == ' ':
			return end
		case c == ':' && (inBrackets || i+1 == len(line) || line[i+1] == ' '):
			return 0
		case inBrackets && (c == ',' || c == ']' || c == '}'):
			return end
		case inBrackets && (c == '[' || c == '{' || c == '?'):
			return 0
		}
		end = i + 1
	}
	return end
}

func skipSpaces(line string, at int) int {
	for at < len(line) && line[at] == ' ' {
		at++
	}
	return at
}
