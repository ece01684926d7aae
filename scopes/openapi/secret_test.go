package openapi

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

// word is a key, a value, or a part of one.
var word = regexp.MustCompile(`[A-Za-z0-9._:/{}$#-]+`)

// A credential that stands anywhere in a document by mistake is in no message about it.
func TestNoCredentialInMessages(t *testing.T) {
	t.Parallel()
	src, err := os.ReadFile("testdata/documents/not-expressed.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const part = "Secret7"
	secret := "sgt_" + strings.Repeat(part, 7)
	shown := 0
	for _, at := range word.FindAllIndex(src, -1) {
		for _, put := range []string{secret, "/" + secret, "{" + secret, "*" + secret} {
			message := messageOf(string(src[:at[0]]) + put + string(src[at[1]:]))
			if strings.Contains(message, part) {
				t.Errorf("%q in the place of %q: %s", put, src[at[0]:at[1]], message)
			}
			if strings.Contains(message, "[credential]") {
				shown++
			}
		}
	}
	if shown == 0 {
		t.Error("no message told of a credential at all")
	}
}

// messageOf returns all that is said about a document.
func messageOf(src string) string {
	result, err := Import("api.yaml", []byte(src), Options{})
	if err != nil {
		return err.Error()
	}
	return scopes.Problems(slices.Concat(result.Notes, result.Overlaps)).Error()
}
