package scopes_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

var generated = regexp.MustCompile(`^sgt_[0-9A-Za-z]{49}$`)

func TestNewCredential(t *testing.T) {
	t.Parallel()
	// Known answers, computed by another program from the contract's words.
	tests := []struct {
		name         string
		random       []byte
		want, digest string
	}{
		{
			"zeros", make([]byte, 32),
			"sgt_00000000000000000000000000000000000000000000VUNF8",
			"sha256:7d5a78c8f907aa551f96679ea33268f03eff5cf138a9798425dda9c757bc971c",
		},
		{
			"ones", bytes.Repeat([]byte{0xff}, 32),
			"sgt_yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp13E3df4",
			"sha256:ae8b205f35dc6c7a52af46fbd5334a2daa0225050d89ffc299608c23600276d0",
		},
		{
			"0 to 31", []byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f" +
				"\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f"),
			"sgt_003aUlTJC7tjlCTQj2uNU3MFagCXG9LRKRcwGkBIDlf107Qd4",
			"sha256:96bb722657c04aa92c6af49f8095e25bcb61e03aa10c9696d8c69e2c5d1fd962",
		},
	}
	for _, test := range tests {
		c, err := scopes.NewCredential(bytes.NewReader(test.random))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if got := c.Reveal(); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
		if got := c.Digest().String(); got != test.digest {
			t.Errorf("%s: digest %s, want %s", test.name, got, test.digest)
		}
		if got, want := c.LastFour(), test.want[49:]; got != want {
			t.Errorf("%s: last four %q, want %q", test.name, got, want)
		}
	}
}

func TestNewCredentialsAreWellFormedAndDiffer(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for range 2000 {
		c, err := scopes.NewCredential(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		secret := c.Reveal()
		if len(secret) != scopes.CredentialLength || !generated.MatchString(secret) || !scopes.WellFormed(secret) {
			t.Fatalf("%q is no generated credential", secret)
		}
		if seen[secret] {
			t.Fatalf("%q twice", secret)
		}
		seen[secret] = true
	}
}

func TestNewCredentialWithoutRandomness(t *testing.T) {
	t.Parallel()
	c, err := scopes.NewCredential(bytes.NewReader(make([]byte, 31)))
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("31 bytes: error %v, want %v", err, io.ErrUnexpectedEOF)
	}
	if got := c.Reveal(); got != "" {
		t.Errorf("31 bytes: got a credential all the same")
	}
}

const demo = "sgt_ThisDemoTokenIsPublicDoNotUseItAnywhereElse2aHXJP"

func TestWellFormed(t *testing.T) {
	t.Parallel()
	body := "sgt_" + strings.Repeat("-", 43)
	sum := base62(uint64(crc32.ChecksumIEEE([]byte(body))), 6)
	tests := []struct {
		name, credential string
		want             bool
	}{
		{"the demo token", demo, true},
		{"empty", "", false},
		{"the prefix alone", "sgt_", false},
		{"cut short", demo[:52], false},
		{"one byte more", demo + "0", false},
		{"another prefix", "sgT_" + demo[4:], false},
		{"a space after it", demo[:52] + " ", false},
		{"two letters swapped", strings.Replace(demo, "Demo", "Deom", 1), false},
		{"another case", strings.ToLower(demo), false},
		{"a right checksum of what is not base62", body + sum, false},
	}
	for _, test := range tests {
		if got := scopes.WellFormed(test.credential); got != test.want {
			t.Errorf("%s: WellFormed(%q) is %t, want %t", test.name, test.credential, got, test.want)
		}
	}
	for i := range demo {
		for c := range 256 {
			if slip := demo[:i] + string([]byte{byte(c)}) + demo[i+1:]; slip != demo && scopes.WellFormed(slip) {
				t.Errorf("%q passes with byte %d changed to %#x", slip, i, c)
			}
		}
	}
}

// base62 writes n with the given number of digits.
func base62(n uint64, width int) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	s := ""
	for range width {
		s = string(digits[n%62]) + s
		n /= 62
	}
	return s
}

func TestImportCredential(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, secret string
		ok           bool
	}{
		{"16 bytes", strings.Repeat("a", 16), true},
		{"512 bytes", strings.Repeat("a", 512), true},
		{"every printable character", strings.Repeat("!~-._+/=,\"\\", 2), true},
		{"empty", "", false},
		{"15 bytes", strings.Repeat("a", 15), false},
		{"513 bytes", strings.Repeat("a", 513), false},
		{"a space", "secret with space", false},
		{"a line feed at the end", "secret-secret-secret\n", false},
		{"a NUL", "secret-secret\x00secret", false},
		{"DEL", "secret-secret\x7fsecret", false},
		{"not ASCII", "secret-secret-\u00e9", false},
	}
	for _, test := range tests {
		c, err := scopes.ImportCredential(test.secret)
		if (err == nil) != test.ok {
			t.Errorf("%s: error %v, want ok %t", test.name, err, test.ok)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error gives the secret away: %v", test.name, err)
		}
		if want := map[bool]string{true: test.secret}[test.ok]; c.Reveal() != want {
			t.Errorf("%s: got %q, want %q", test.name, c.Reveal(), want)
		}
	}
}

func TestParseDigest(t *testing.T) {
	t.Parallel()
	digits := strings.Repeat("0123456789abcdef", 4)
	tests := []struct {
		name, text string
		ok         bool
	}{
		{"lower case", "sha256:" + digits, true},
		{"upper case", "sha256:" + strings.ToUpper(digits), true},
		{"empty", "", false},
		{"no prefix", digits, false},
		{"the prefix in upper case", "SHA256:" + digits, false},
		{"another hash", "sha512:" + digits, false},
		{"a digit too few", "sha256:" + digits[1:], false},
		{"a digit too many", "sha256:" + digits + "0", false},
		{"two digits too many", "sha256:" + digits + "00", false},
		{"no hexadecimal digit", "sha256:" + digits[1:] + "g", false},
		{"a space", "sha256: " + digits[1:], false},
		{"all zero, which is no credential's", "sha256:" + strings.Repeat("0", 64), false},
	}
	for _, test := range tests {
		d, err := scopes.ParseDigest(test.text)
		if (err == nil) != test.ok || d.IsZero() == test.ok {
			t.Errorf("%s: ParseDigest(%q) is %s, %v; want ok %t", test.name, test.text, d, err, test.ok)
		}
		if test.ok && d.String() != strings.ToLower(test.text) {
			t.Errorf("%s: ParseDigest(%q) is %s", test.name, test.text, d)
		}
	}
}

func TestDigestOf(t *testing.T) {
	t.Parallel()
	for _, length := range []int{1, 15, 16, 53, 511, 512} {
		credential := strings.Repeat("c", length)
		if got, want := scopes.DigestOf(credential), scopes.Digest(sha256.Sum256([]byte(credential))); got != want {
			t.Errorf("%d bytes: %s, want %s", length, got, want)
		}
	}
	for _, length := range []int{0, 513, 4096} {
		if d := scopes.DigestOf(strings.Repeat("c", length)); !d.IsZero() {
			t.Errorf("%d bytes, which is no credential: %s, want the zero Digest", length, d)
		}
	}
	if d := (scopes.Credential{}).Digest(); !d.IsZero() {
		t.Errorf("the zero Credential has the digest %s, want the zero one", d)
	}
}

// TestCredentialIsRedacted prints, logs and marshals a credential in every way
// that does not name Reveal, alone and deep inside something else.
func TestCredentialIsRedacted(t *testing.T) {
	t.Parallel()
	c, err := scopes.ImportCredential(demo)
	if err != nil {
		t.Fatal(err)
	}
	holders := map[string]any{
		"itself":              c,
		"a pointer":           &c,
		"an exported field":   struct{ C scopes.Credential }{c},
		"an unexported field": struct{ c scopes.Credential }{c},
		"a pointer in one":    &struct{ c *scopes.Credential }{&c},
		"nested":              struct{ in struct{ c scopes.Credential } }{struct{ c scopes.Credential }{c}},
		"a slice":             []scopes.Credential{c},
		"a slice in a field":  struct{ c []scopes.Credential }{[]scopes.Credential{c}},
		"a map's value":       map[string]scopes.Credential{"c": c},
		"a map's key":         map[scopes.Credential]int{c: 1},
	}
	for name, holder := range holders {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p", "%T", "%100.80s", "% x", "%w"} {
			checkRedacted(t, name+" with "+verb, fmt.Sprintf(verb, holder))
		}
		checkRedacted(t, name+" in Sprint", fmt.Sprint(holder))
		checkRedacted(t, name+" in an error", fmt.Errorf("could not use %v: %w", holder, io.EOF).Error())
		marshalled, err := json.Marshal(holder)
		checkRedacted(t, name+" in JSON", fmt.Sprint(string(marshalled), err))
		marshalled, err = xml.Marshal(holder)
		checkRedacted(t, name+" in XML", fmt.Sprint(string(marshalled), err))
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("text", "holder", holder, slog.Group("g", "holder", holder))
		slog.New(slog.NewJSONHandler(&log, nil)).Info("json", "holder", holder)
		checkRedacted(t, name+" in slog", log.String())
	}
	if got := fmt.Sprintf("%v %s %q %#v", c, c, c, c); strings.Count(got, "[credential]") != 4 {
		t.Errorf("printed as %q, want [credential] four times", got)
	}
}

func checkRedacted(t *testing.T, where, text string) {
	t.Helper()
	for _, part := range []string{demo, demo[4:20], demo[40:], fmt.Sprintf("%x", demo[4:20]), fmt.Sprintf("%X", demo[4:20])} {
		if strings.Contains(text, part) {
			t.Errorf("%s: the secret is in %q", where, text)
		}
	}
}

// FuzzCredential feeds what a client or an administrator may send as a credential.
func FuzzCredential(f *testing.F) {
	for _, seed := range []string{"", "sgt_", demo, demo[:52] + "x", strings.Repeat("a", 16), strings.Repeat("a", 513), "a b", "\x00", "sgt_" + strings.Repeat("\xff", 49)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, secret string) {
		if scopes.WellFormed(secret) && !generated.MatchString(secret) {
			t.Errorf("WellFormed(%q), which does not even look like one", secret)
		}
		c, err := scopes.ImportCredential(secret)
		fits := len(secret) >= 16 && len(secret) <= 512 && !strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' })
		if fits != (err == nil) {
			t.Fatalf("ImportCredential(%q): %v, want ok %t", secret, err, fits)
		}
		if err != nil {
			if len(secret) >= 16 && strings.Contains(err.Error(), secret) {
				t.Errorf("the error gives the secret away: %v", err)
			}
			return
		}
		digest := c.Digest()
		if c.Reveal() != secret || digest != sha256.Sum256([]byte(secret)) || c.LastFour() != secret[len(secret)-4:] {
			t.Errorf("%q: revealed %q, digest %s, last four %q", secret, c.Reveal(), digest, c.LastFour())
		}
		if parsed, err := scopes.ParseDigest(digest.String()); err != nil || parsed != digest {
			t.Errorf("ParseDigest(%q) is %s, %v", digest, parsed, err)
		}
	})
}

// FuzzParseDigest feeds what may stand in a scope file after "credential:".
func FuzzParseDigest(f *testing.F) {
	for _, seed := range []string{"", "sha256:", "sha256:" + strings.Repeat("0", 64), "sha256:" + strings.Repeat("aF", 32), strings.Repeat("a", 64), demo} {
		f.Add(seed)
	}
	looksRight := regexp.MustCompile(`^sha256:[0-9a-fA-F]{64}$`)
	f.Fuzz(func(t *testing.T, s string) {
		d, err := scopes.ParseDigest(s)
		zero := strings.Trim(strings.TrimPrefix(s, "sha256:"), "0") == ""
		if want := looksRight.MatchString(s) && !zero; want != (err == nil) {
			t.Fatalf("ParseDigest(%q): %v, want ok %t", s, err, want)
		}
		if err == nil && d.String() != strings.ToLower(s) {
			t.Errorf("ParseDigest(%q) is %s", s, d)
		}
		if err != nil && (!d.IsZero() || len(s) > 8 && strings.Contains(err.Error(), s)) {
			t.Errorf("ParseDigest(%q): %s, %v", s, d, err)
		}
	})
}

// TestTag: credentials have tags of their own, from which nothing of the digest can be told.
func TestTag(t *testing.T) {
	t.Parallel()
	one, other := scopes.DigestOf("a-credential-of-some-length"), scopes.DigestOf("another-credential-of-some-length")
	if one.Tag() == other.Tag() || len(one.Tag()) != 8 {
		t.Errorf("got %q and %q, want two texts of 8 characters", one.Tag(), other.Tag())
	}
	if strings.Contains(one.String(), one.Tag()) {
		t.Errorf("the tag %s is a part of the digest", one.Tag())
	}
}
