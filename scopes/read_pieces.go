package scopes

import (
	"bytes"
	"iter"
	"slices"
)

// A scope file of a hundred thousand tokens makes millions of nodes. They are not
// held all at once: the file is cut into its frame, which is all but what stands
// below accounts:, and pieces of some accounts each, which are parsed when the
// reader comes to them and are garbage when it is done with them.
//
// A cut is a guess from the look of the lines, made before anything is parsed. It
// holds if the parser agrees: it has to find the accounts key of the frame in the
// line of the cut, without a value, and each piece has to be a mapping by itself.
// Then no quote, bracket or block was open at a cut, and the parser would have been
// in the same state there had it read the file as a whole. A file that looks
// otherwise, or that has a problem with its syntax, is read as a whole.

// pieceBytes is the size that a piece has at least, but for the last one.
const pieceBytes = 8 << 10

// piece is a run of whole lines of a file.
type piece struct {
	src  []byte
	line int // how many lines of the file stand above
}

// cutFile is a file that was cut.
type cutFile struct {
	frame  []byte // with an empty line for each one that is in a piece
	line   int    // of the accounts key, counted from 1
	pieces []piece
}

// cutAccounts cuts a file that [normalise] has passed into a frame and pieces of at
// least size bytes; ok is false where that would be less than two.
func cutAccounts(src []byte, size int) (cut cutFile, ok bool) {
	key := accountsLine(src)
	if key < 0 {
		return cutFile{}, false
	}
	begin := key + len(firstLine(src[key:]))
	cut.line = bytes.Count(src[:begin], newline)
	end, indent, open := begin, 0, piece{line: cut.line}
	start, line := begin, cut.line
	for text := range bytes.Lines(src[begin:]) {
		depth := depthOf(text)
		if depth == 0 {
			break
		}
		if indent == 0 { // no account yet
			indent = max(depth, 0)
		} else if depth == indent && end-start >= size && isAlphanumeric(text[depth]) {
			open.src = src[start:end]
			cut.pieces = append(cut.pieces, open)
			start, open = end, piece{line: line}
		}
		end, line = end+len(text), line+1
	}
	open.src = src[start:end]
	cut.pieces = append(cut.pieces, open)
	cut.frame = slices.Concat(src[:begin], bytes.Repeat(newline, line-cut.line), src[end:])
	return cut, len(cut.pieces) > 1
}

var newline = []byte("\n")

// firstLine returns the first line of src with its end.
func firstLine(src []byte) []byte {
	if at := bytes.IndexByte(src, '\n'); at >= 0 {
		return src[:at+1]
	}
	return src
}

// accountsLine returns where the first line starts that has the key accounts and
// nothing else; -1 if none does.
func accountsLine(src []byte) int {
	at := 0
	for line := range bytes.Lines(src) {
		if rest, found := bytes.CutPrefix(line, []byte("accounts:")); found && depthOf(rest) < 0 {
			return at
		}
		at += len(line)
	}
	return -1
}

// depthOf counts the spaces before what a line has; -1 if that is nothing, or a
// comment.
func depthOf(line []byte) int {
	content := bytes.TrimLeft(line, " ")
	if len(content) == 0 || content[0] == '\n' || content[0] == '#' {
		return -1
	}
	return len(line) - len(content)
}

// parse returns the nodes of the frame, whose accounts are in pieces, or nil if the
// cut does not hold.
func (c *cutFile) parse(file uint16) *yamlNode {
	root, flaw := parseYAML(c.frame, origin{file: file})
	if flaw != nil || root.kind != mapping || len(root.pairs) == 0 {
		return nil
	}
	first := root.pairs[0].key
	if first.line != root.line || first.column != root.column { // it starts with a bracket
		return nil
	}
	for _, p := range root.pairs {
		if p.key.line == c.line && p.key.text == "accounts" && p.value.kind == nothing && p.value.text == "" {
			p.value.kind, p.value.pieces = mapping, c.pieces
			return root
		}
	}
	return nil
}

// pairsOf yields the pairs of a mapping, of one in pieces as well. If a piece is not
// what it looked like, the reader has to start anew with the file as a whole.
func (r *reader) pairsOf(n *yamlNode) iter.Seq[yamlPair] {
	return func(yield func(yamlPair) bool) {
		for _, p := range n.pairs {
			if !yield(p) {
				return
			}
		}
		for _, part := range n.pieces {
			inner, flaw := parseYAML(part.src, origin{n.file, part.line})
			if flaw != nil || inner.kind != mapping {
				r.torn = true
				return
			}
			for _, p := range inner.pairs {
				if !yield(p) {
					return
				}
			}
		}
	}
}
