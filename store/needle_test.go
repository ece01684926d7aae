package store

import (
	"strings"
	"testing"
)

func TestNeedle(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		needle, text string
		want         bool
	}{
		{"", "", true},
		{"", "anything", true},
		{"a", "", false},
		{"NIGHT", "acme/nightly-sync", true},
		{"night", "ACME/NIGHTLY-SYNC", true},
		{"sync", "acme/nightly-syn", false},
		{"@[`{", "xxxx@[`{xxxxxxx", true}, // beside the letters
		{"@[`{", "xxxx`{@[xxxxxxx", false},
		{"größe", "die GRÖSSE heißt GRÖßE", true},
		{"ÉTÉ", "Cet été-là, en Bretagne", true},
		{"\xff", "\xfe", true}, // both are no UTF-8
	} {
		n := newNeedle(c.needle)
		if got := n.in([]byte(c.text)); got != c.want {
			t.Errorf("%q in %q: got %t, want %t", c.needle, c.text, got, c.want)
		}
	}
}

func FuzzLower(f *testing.F) {
	f.Add("ABCxyz@[`{ Größe \xff and 8 more")
	f.Fuzz(func(t *testing.T, text string) {
		if got, want := string(appendLower(nil, []byte(text))), strings.ToLower(strings.ToValidUTF8(text, "\uFFFD")); got != want && strings.ToValidUTF8(text, "") == text {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	})
}
