package store

import (
	"bytes"
	"encoding/binary"
	"unicode"
	"unicode/utf8"
)

// needle is a text that is looked for in others, in any case.
type needle struct {
	lower []byte
	room  []byte // for what it is looked for in
}

func newNeedle(text string) needle { return needle{lower: appendLower(nil, []byte(text))} }

// isAny reports whether the needle is in every text.
func (n *needle) isAny() bool { return len(n.lower) == 0 }

// in reports whether a text has the needle.
func (n *needle) in(text []byte) bool {
	if n.isAny() {
		return true
	}
	n.room = appendLower(n.room[:0], text)
	return bytes.Contains(n.room, n.lower)
}

// appendLower appends a text in lower case. Most texts are ASCII, and of that eight bytes
// are made lower at once: the text of a hundred thousand tokens takes milliseconds.
func appendLower(b, text []byte) []byte {
	const eight, high = 8, 0x8080808080808080
	for len(text) >= eight {
		word := binary.LittleEndian.Uint64(text)
		if word&high != 0 {
			b, text = appendLowerRune(b, text)
			continue
		}
		b = binary.LittleEndian.AppendUint64(b, lowerWord(word))
		text = text[eight:]
	}
	for len(text) > 0 {
		b, text = appendLowerRune(b, text)
	}
	return b
}

// appendLowerRune appends the first rune of a text in lower case, and returns what follows.
func appendLowerRune(b, text []byte) (longer, rest []byte) {
	switch c := text[0]; {
	case c >= utf8.RuneSelf:
		r, size := utf8.DecodeRune(text)
		return utf8.AppendRune(b, unicode.ToLower(r)), text[size:]
	case 'A' <= c && c <= 'Z':
		return append(b, c+'a'-'A'), text[1:]
	default:
		return append(b, c), text[1:]
	}
}

// lowerWord makes eight bytes of ASCII lower. The high bit of each byte is free: a sum
// sets it where the byte is at least an A, or is beyond Z.
func lowerWord(word uint64) uint64 {
	const each, high = 0x0101010101010101, 0x80
	fromA := word + each*(high-'A')
	beyondZ := word + each*(high-'Z'-1)
	upper := (fromA ^ beyondZ) & (each * high)
	return word | upper>>2 // the bit by which a letter is lower, 0x20
}
