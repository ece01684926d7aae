package scopes

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"regexp"
	"strings"
)

// A generated credential is the prefix, 43 base62 characters of 256 random bits,
// and 6 base62 characters of the CRC-32 (IEEE) of all that stands before them.
const (
	credentialPrefix   = "sgt_"
	credentialRandom   = 43
	credentialChecksum = 6
	// CredentialLength is the length of a generated credential in bytes.
	CredentialLength = len(credentialPrefix) + credentialRandom + credentialChecksum
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// Digest is the SHA-256 of a credential: what is stored and looked up. The zero
// Digest is that of no credential.
type Digest [sha256.Size]byte

// ordinaryBytes is room for a credential as most are: one block of SHA-256.
const ordinaryBytes = sha256.BlockSize

// DigestOf returns the digest of a credential as a client sent it, the zero Digest
// if it is empty or longer than any credential. It does not allocate.
func DigestOf(credential string) Digest {
	if credential == "" || len(credential) > MaxCredentialBytes {
		return Digest{}
	}
	// Copied into a buffer of its own size, for a converted string would be allocated.
	if len(credential) <= ordinaryBytes {
		var buf [ordinaryBytes]byte
		return sha256.Sum256(buf[:copy(buf[:], credential)])
	}
	var buf [MaxCredentialBytes]byte
	return sha256.Sum256(buf[:copy(buf[:], credential)])
}

// IsZero reports whether d is the digest of no credential.
func (d Digest) IsZero() bool { return d == Digest{} }

// String returns "sha256:" and 64 hexadecimal digits, as a scope file has it.
func (d Digest) String() string { return "sha256:" + hex.EncodeToString(d[:]) }

// MarshalBinary returns the digest's bytes.
func (d Digest) MarshalBinary() ([]byte, error) { return d[:], nil }

// UnmarshalBinary is the inverse of [Digest.MarshalBinary].
func (d *Digest) UnmarshalBinary(b []byte) error {
	if len(b) != len(d) {
		return fmt.Errorf("scopes: a digest has %d bytes, not %d", len(d), len(b))
	}
	copy(d[:], b)
	return nil
}

// ParseDigest is the inverse of [Digest.String]. Hexadecimal digits may be of
// either case. The error says what was expected.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	digits, ok := strings.CutPrefix(s, "sha256:")
	if !ok || len(digits) != 2*len(d) {
		return Digest{}, errors.New(`expected "sha256:" and 64 hexadecimal digits`)
	}
	if _, err := hex.Decode(d[:], []byte(digits)); err != nil {
		return Digest{}, errors.New(`expected "sha256:" and 64 hexadecimal digits`)
	}
	if d.IsZero() {
		return Digest{}, errors.New("the all-zero digest belongs to no credential")
	}
	return d, nil
}

// Credential is the secret that a client sends. It redacts itself wherever it is
// printed, logged or marshalled; only [Credential.Reveal] gives it away.
type Credential struct {
	// A pointer, since printing a struct that has a Credential in an unexported
	// field calls none of its methods: it shows an address then.
	secret *string
}

// NewCredential makes a credential of 256 bits from random, such as
// crypto/rand.Reader.
func NewCredential(random io.Reader) (Credential, error) {
	var seed [32]byte
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return Credential{}, fmt.Errorf("scopes: reading random bytes for a credential: %w", err)
	}
	secret := credentialPrefix + encodeBase62(seed[:], credentialRandom)
	secret += credentialSum(secret)
	return Credential{&secret}, nil
}

// ImportCredential takes over a credential that another system made: 16 to 512
// bytes, printable ASCII without spaces, which is what fits into a header.
func ImportCredential(secret string) (Credential, error) {
	if len(secret) < MinCredentialBytes || len(secret) > MaxCredentialBytes {
		return Credential{}, fmt.Errorf("scopes: a credential has %d to %d bytes, this one %d",
			MinCredentialBytes, MaxCredentialBytes, len(secret))
	}
	for i := range len(secret) {
		if secret[i] <= ' ' || secret[i] > '~' {
			return Credential{}, fmt.Errorf("scopes: a credential is printable ASCII without spaces; byte %d is not", i+1)
		}
	}
	return Credential{&secret}, nil
}

// Reveal returns the secret itself. Whoever calls it hands it to the token's
// owner, once, and to nobody else. It is empty for the zero Credential.
func (c Credential) Reveal() string {
	if c.secret == nil {
		return ""
	}
	return *c.secret
}

// Digest returns what is stored of the credential.
func (c Credential) Digest() Digest { return DigestOf(c.Reveal()) }

// LastFour returns the last four characters, which are stored so that people can
// tell credentials apart.
func (c Credential) LastFour() string {
	secret := c.Reveal()
	if len(secret) < MinCredentialBytes {
		return ""
	}
	return secret[len(secret)-4:]
}

const redacted = "[credential]"

// credentialLike is what a credential looks like, and most of one.
var credentialLike = regexp.MustCompile(credentialPrefix + `[0-9A-Za-z]{8,}`)

// Redact returns a message without the credentials that Scopegate issues: whoever
// mistakes one for a name, a key or a version finds it in no error, and so in no log.
func Redact(message string) string { return credentialLike.ReplaceAllLiteralString(message, redacted) }

// String returns a fixed text without the secret.
func (Credential) String() string { return redacted }

// GoString returns a fixed text without the secret.
func (Credential) GoString() string { return redacted }

// Format writes a fixed text without the secret, whatever the verb.
func (Credential) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText returns a fixed text without the secret.
func (Credential) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns a fixed text without the secret.
func (Credential) LogValue() slog.Value { return slog.StringValue(redacted) }

// WellFormed reports whether s looks like a generated credential and its checksum
// holds, so that a mistyped one can be told from an unknown one.
func WellFormed(s string) bool {
	if len(s) != CredentialLength || !strings.HasPrefix(s, credentialPrefix) {
		return false
	}
	for i := len(credentialPrefix); i < len(s); i++ {
		if !isAlphanumeric(s[i]) {
			return false
		}
	}
	body := s[:len(s)-credentialChecksum]
	return s[len(body):] == credentialSum(body)
}

func credentialSum(body string) string {
	sum := crc32.ChecksumIEEE([]byte(body))
	return encodeBase62(binary.BigEndian.AppendUint32(nil, sum), credentialChecksum)
}

// encodeBase62 writes the big-endian number in src as exactly width digits,
// padded with zeros. It overwrites src.
func encodeBase62(src []byte, width int) string {
	digits := make([]byte, width)
	for i := width - 1; i >= 0; i-- {
		remainder := 0
		for j, b := range src {
			n := remainder<<8 | int(b)
			src[j] = byte(n / len(base62)) //nolint:gosec // remainder < 62, so n/62 < 256
			remainder = n % len(base62)
		}
		digits[i] = base62[remainder]
	}
	return string(digits)
}

var (
	_ fmt.Formatter  = Credential{}
	_ slog.LogValuer = Credential{}
)

// Tag returns a short text that tells the credentials of one token apart. It is of no use to
// find out or to guess a credential.
func (d Digest) Tag() string {
	const tagBytes = 4
	again := sha256.Sum256(d[:])
	return hex.EncodeToString(again[:tagBytes])
}
