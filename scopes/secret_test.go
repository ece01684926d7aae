package scopes

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// word is a key, a value, or a part of one.
var word = regexp.MustCompile(`[A-Za-z0-9@._:/{}*-]+`)

// A credential that stands anywhere in a scope file by mistake is in no error and no
// warning about it.
func TestNoCredentialInProblems(t *testing.T) {
	t.Parallel()
	src, err := os.ReadFile("../scopes.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const part = "Secret7"
	secret := credentialPrefix + strings.Repeat(part, 7)
	shown := 0
	for _, at := range word.FindAllIndex(src, -1) {
		for _, put := range []string{secret, "'" + secret, secret + ": " + secret, "*" + secret} {
			text := string(src[:at[0]]) + put + string(src[at[1]:])
			message := messageOf(text)
			if strings.Contains(message, part) {
				t.Errorf("%q in the place of %q: %s", put, src[at[0]:at[1]], message)
			}
			if strings.Contains(message, redacted) {
				shown++
			}
		}
	}
	if shown == 0 {
		t.Error("no message told of a credential at all")
	}
}

// messageOf returns all that is said about a scope file.
func messageOf(src string) string {
	file, err := Read("scopes.yaml", []byte(src), testNow)
	if err != nil {
		return err.Error()
	}
	return Problems(file.Warnings).Error()
}

func TestRedact(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		"":                         "",
		"no sgt_ here, nor sgt_ab": "no sgt_ here, nor sgt_ab",
		"sgt_0123456789 and xsgt_abcdefgh_sgt_ABCDEFGH.": "[credential] and x[credential]_[credential].",
	} {
		if got := Redact(message); got != want {
			t.Errorf("%q: got %q, want %q", message, got, want)
		}
	}
}
