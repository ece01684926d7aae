package scopes

import "testing"

func TestNearest(t *testing.T) {
	t.Parallel()
	words := []string{"scopes", "sources", "state", "version", "versions", "expires", "GET", "read_only"}
	for _, c := range []struct{ word, want string }{
		{"scope", "scopes"},
		{"socpes", "scopes"},
		{"SCOPES", "scopes"},
		{"source", "sources"},
		{"status", "state"},
		{"version", "version"},
		{"vresion", "version"},
		{"get", "GET"},
		{"GTE", "GET"},
		{"read-only", "read_only"},
		{"exp", ""},
		{"", ""},
		{"x", ""},
		{"something else", ""},
	} {
		if got := nearest(c.word, words); got != c.want {
			t.Errorf("nearest(%q) = %q, want %q", c.word, got, c.want)
		}
	}
}

func TestEditDistance(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b        string
		limit, want int
	}{
		{"", "", 0, 0},
		{"", "abc", 3, 3},
		{"abc", "", 2, 3},
		{"abc", "abc", 0, 0},
		{"abc", "abd", 2, 1},
		{"abc", "acb", 2, 1},
		{"abc", "bca", 2, 2},
		{"abcd", "badc", 2, 2},
		{"abcdef", "uvwxyz", 2, 3},
		{"kitten", "sitting", 9, 3},
	} {
		if got := editDistance(c.a, c.b, c.limit); got != c.want {
			t.Errorf("editDistance(%q, %q, %d) = %d, want %d", c.a, c.b, c.limit, got, c.want)
		}
	}
}
