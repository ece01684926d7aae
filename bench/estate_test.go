package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestChecksumOfAKnownCredential(t *testing.T) {
	const body, want = "sgt_ThisDemoTokenIsPublicDoNotUseItAnywhereElse", "2aHXJP"
	if got := checksum([]byte(body)); got != want {
		t.Errorf("checksum(%q) = %q, want %q", body, got, want)
	}
}

func TestCredentials(t *testing.T) {
	made := credentials(1, 100)
	for _, credential := range made {
		if len(credential) != 53 || !strings.HasPrefix(credential, "sgt_") {
			t.Errorf("credential %q: want sgt_ and 49 characters", credential)
		}
		if got, want := credential[47:], checksum([]byte(credential[:47])); got != want {
			t.Errorf("credential %q ends in %q, want the checksum %q", credential, got, want)
		}
	}
	if again := credentials(1, 100); !slices.Equal(made, again) {
		t.Error("the same seed made other credentials")
	}
	if slices.ContainsFunc(credentials(2, 100), func(c string) bool { return slices.Contains(made, c) }) {
		t.Error("another seed made a credential again")
	}
}

func TestScopeFileKeepsTheLimitOfAnAccount(t *testing.T) {
	known := credentials(1, 2*tokensPerAccount+1)
	var file bytes.Buffer
	writeScopeFile(&file, "127.0.0.1:9", known)

	perAccount := map[string]int{}
	account := ""
	for line := range strings.Lines(file.String()) {
		switch {
		case strings.HasPrefix(line, "  account-"):
			account = strings.TrimSpace(line)
		case strings.HasPrefix(line, "      token-"):
			perAccount[account]++
		}
	}
	want := map[string]int{"account-000000:": 20, "account-000001:": 20, "account-000002:": 1}
	for name, tokens := range want {
		if perAccount[name] != tokens {
			t.Errorf("%s has %d tokens, want %d", name, perAccount[name], tokens)
		}
	}
	last := sha256.Sum256([]byte(known[len(known)-1]))
	if line := "credential: sha256:" + hex.EncodeToString(last[:]); !strings.Contains(file.String(), line) {
		t.Errorf("the scope file has no %q", line)
	}
}

func TestWriteFileReportsAFailure(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing", "file")
	if err := writeFile(missing, func(io.Writer) {}); err == nil {
		t.Errorf("writeFile(%s): no error", missing)
	}
	if _, err := os.Stat("/dev/full"); err == nil {
		if err := writeFile("/dev/full", func(w io.Writer) { writeLines(w, []string{"x"}) }); err == nil {
			t.Error("writeFile on a full device: no error")
		}
	}
}
