package caddymodule

import (
	"bytes"
	"io"
	"testing"
)

func TestForPeople(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a\tb\n":              "a\tb\n",
		"Zoë 東京 👩‍🔧 \"q\" \\": "Zoë 東京 👩‍🔧 \"q\" \\",
		"\x1b[2J\x1b]0;t\x07": `\x1b[2J\x1b]0;t\a`,
		"a\rb\bc\x7f\x00":     `a\rb\bc\x7f\x00`,
		"\u009b31m":           `\u009b31m`,
		"\u202egnp.exe\u2069": `\u202egnp.exe\u2069`,
		"\x9b31m\xff":         `\x9b31m\xff`,
	} {
		var shown bytes.Buffer
		if n, err := io.WriteString(forPeople(&shown), text); n != len(text) || err != nil || shown.String() != want {
			t.Errorf("%q: wrote %q, %d, %v, want %q", text, shown.String(), n, err, want)
		}
	}
}
