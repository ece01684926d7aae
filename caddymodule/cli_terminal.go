package caddymodule

import (
	"bytes"
	"io"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// forPeople returns a writer to a terminal. What would control the terminal, or turn
// the direction of what it shows, is written as an escape: descriptions and OpenAPI
// documents are other people's.
func forPeople(to io.Writer) io.Writer { return plain{to} }

type plain struct{ to io.Writer }

// Write implements io.Writer.
func (p plain) Write(text []byte) (int, error) {
	var shown bytes.Buffer
	for rest := text; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		if controlsTerminal(r, size) {
			quoted := strconv.QuoteToASCII(string(rest[:size]))
			shown.WriteString(quoted[1 : len(quoted)-1])
		} else {
			shown.Write(rest[:size])
		}
		rest = rest[size:]
	}
	if _, err := p.to.Write(shown.Bytes()); err != nil {
		return 0, err
	}
	return len(text), nil
}

func controlsTerminal(r rune, size int) bool {
	if r == '\n' || r == '\t' {
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Bidi_Control) || r == utf8.RuneError && size == 1
}
