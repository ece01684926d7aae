package scopes

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// normalise checks the characters of a scope file and returns it without a byte
// order mark and with "\n" as the only line end. It refuses what people and
// parsers see differently: other encodings, control characters, line ends that
// only some parsers take for such, and characters that reorder a line when it is
// shown (Unicode Technical Standard 55).
func normalise(src []byte) ([]byte, *Problem) {
	if len(src) > MaxFileBytes {
		return nil, &Problem{Text: fmt.Sprintf("the file has %d bytes, more than the limit of %d", len(src), MaxFileBytes)}
	}
	src = bytes.TrimPrefix(src, []byte("\uFEFF"))
	if bytes.IndexByte(src, '\r') >= 0 {
		src = bytes.ReplaceAll(src, []byte("\r\n"), []byte("\n"))
	}
	line, column := 1, 1
	for at := 0; at < len(src); {
		r, size := rune(src[at]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(src[at:])
		}
		if flaw := characterFlaw(r, size); flaw != "" {
			return nil, &Problem{Line: line, Column: column, Text: flaw}
		}
		at += size
		column++
		if r == '\n' {
			line, column = line+1, 1
		}
	}
	return src, nil
}

// characterFlaw says why a character that takes size bytes is refused; "" if it
// is not.
func characterFlaw(r rune, size int) string {
	switch {
	case r == '\n' || r == '\t' || ' ' <= r && r <= '~':
		return ""
	case r == utf8.RuneError && size == 1:
		return "not UTF-8; save the file in that encoding"
	case r == '\r':
		return "a carriage return without a line feed; end lines with LF or CRLF"
	case r == '\u0085' || r == '\u2028' || r == '\u2029':
		return fmt.Sprintf("the character %U, which some parsers take for the end of the line", r)
	case unicode.Is(unicode.Bidi_Control, r):
		return fmt.Sprintf("the invisible character %U, which changes how the line is shown", r)
	case unicode.IsControl(r) || r == '\uFEFF' || r&0xFFFE == 0xFFFE:
		return fmt.Sprintf("the control character %U", r)
	}
	return ""
}
