package scopes

import "testing"

func TestSplitHost(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]host{
		"api.example.com":            {"api.example.com", ""},
		"api.example.com.":           {"api.example.com", ""},
		"api.example.com:":           {"api.example.com", ""},
		"api.example.com:8443":       {"api.example.com", "8443"},
		"api.example.com.:8443":      {"api.example.com", "8443"},
		"[2001:db8::1]":              {"[2001:db8::1]", ""},
		"[2001:db8::1]:80":           {"[2001:db8::1]", "80"},
		"api.example.com:evil.com":   {},
		"api.example.com:80a":        {},
		"api.example.com:+80":        {},
		"api.example.com: 80":        {},
		"api.example.com:evil.com:1": {"api.example.com:evil.com", "1"}, // the name of no API's host
		"":                           {},
	} {
		if got := splitHost(given); got != want {
			t.Errorf("%q: got %q, want %q", given, got, want)
		}
	}
}
