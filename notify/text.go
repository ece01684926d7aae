package notify

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// clip cuts a text that is too long.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

// line returns a text as a part of one line: control characters, ends of lines of all kinds
// and what turns the direction of writing are spaces, and it is not too long.
func line(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, text)
	return clip(strings.Join(strings.Fields(text), " "), most)
}
