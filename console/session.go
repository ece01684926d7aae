package console

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// How long a session lives: at most, and without a request.
const (
	SessionLife = 12 * time.Hour
	SessionIdle = time.Hour

	// refreshAfter is how old the note of the last request becomes before it is renewed.
	refreshAfter = 5 * time.Minute
)

// cookieName has the prefix that has a browser refuse the cookie unless it is Secure, for
// this host only, and for all of it (RFC 6265bis, section 4.1.3.2).
const cookieName = "__Host-scopegate"

// KeyBytes is the length of the key that sessions are sealed with.
const KeyBytes = 32

// Sessions seals and opens the cookies. There is no list of the sessions: a cookie is
// enough, on every node that has the key. Each holds the digest of a credential, which
// opens nothing by itself, and every request is decided on with the token as it is then.
type Sessions struct {
	seal cipher.AEAD
	key  []byte // of the form tokens
	now  func() time.Time

	mu    sync.Mutex
	ended map[sessionID]time.Time // signed out here, and when they end anyway
}

type sessionID [16]byte

// session is what a cookie holds.
type session struct {
	id         sessionID
	credential scopes.Digest
	begun      time.Time // to the second
	seen       time.Time // the last request, to refreshAfter
}

// NewSessions makes sessions that are sealed with a key of KeyBytes. A nil clock means
// time.Now.
func NewSessions(key []byte, now func() time.Time) (*Sessions, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("console: the key of sessions: %w", err)
	}
	seal, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("console: the key of sessions: %w", err)
	}
	if now == nil {
		now = time.Now
	}
	forms := hmac.New(sha256.New, key)
	forms.Write([]byte("form tokens"))
	return &Sessions{seal: seal, key: forms.Sum(nil), now: now, ended: make(map[sessionID]time.Time)}, nil
}

// begin makes a session.
func (s *Sessions) begin(credential scopes.Digest) *session {
	now := s.now().Truncate(time.Second)
	one := &session{credential: credential, begun: now, seen: now}
	_, _ = rand.Read(one.id[:]) // it never fails
	return one
}

const (
	sessionFormat = 1
	timeBytes     = 8
	sealedBytes   = 1 + len(sessionID{}) + len(scopes.Digest{}) + 2*timeBytes
)

// cookie seals a session. What seals it has the name of the cookie in it, too.
func (s *Sessions) cookie(one *session) *http.Cookie {
	b := make([]byte, 0, sealedBytes)
	b = append(b, sessionFormat)
	b = append(b, one.id[:]...)
	b = append(b, one.credential[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(one.begun.Unix())) //nolint:gosec // since 1970
	b = binary.BigEndian.AppendUint64(b, uint64(one.seen.Unix()))  //nolint:gosec // since 1970
	sealed := s.seal.Seal(nil, nil, b, []byte(cookieName))         //nolint:gosec // it makes a random nonce of its own
	return newCookie(base64.RawURLEncoding.EncodeToString(sealed))
}

// newCookie makes the cookie; without a value, it removes it.
func newCookie(value string) *http.Cookie {
	c := &http.Cookie{
		Name: cookieName, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

// open returns the session that a request has a cookie of, and nil if that is none, or
// over.
func (s *Sessions) open(r *http.Request) *session {
	cookies := r.CookiesNamed(cookieName)
	if len(cookies) != 1 {
		return nil
	}
	sealed, err := base64.RawURLEncoding.DecodeString(cookies[0].Value)
	if err != nil {
		return nil
	}
	b, err := s.seal.Open(nil, nil, sealed, []byte(cookieName))
	if err != nil || len(b) != sealedBytes || b[0] != sessionFormat {
		return nil
	}
	one := new(session)
	b = b[1:]
	b = b[copy(one.id[:], b):]
	b = b[copy(one.credential[:], b):]
	one.begun = time.Unix(int64(binary.BigEndian.Uint64(b)), 0)            //nolint:gosec // as cookie has written it
	one.seen = time.Unix(int64(binary.BigEndian.Uint64(b[timeBytes:])), 0) //nolint:gosec // as cookie has written it
	if !s.lives(one) {
		return nil
	}
	return one
}

// lives reports whether a session is not over. One from the future is: some clock is
// wrong, and nobody knows how old it is.
func (s *Sessions) lives(one *session) bool {
	now := s.now()
	if one.seen.After(now.Add(time.Minute)) || now.Sub(one.begun) >= SessionLife || now.Sub(one.seen) >= SessionIdle {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ended := s.ended[one.id]
	return !ended
}

// refresh notes that a session is in use, and reports whether its cookie is to be renewed.
func (s *Sessions) refresh(one *session) bool {
	now := s.now().Truncate(time.Second)
	if now.Sub(one.seen) < refreshAfter {
		return false
	}
	one.seen = now
	return true
}

// end ends a session, on this node. On others, its cookie lives on; whoever fears that
// somebody has that rotates the token, which ends it everywhere.
func (s *Sessions) end(one *session) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.ended, func(_ sessionID, over time.Time) bool { return now.After(over) })
	s.ended[one.id] = one.begun.Add(SessionLife)
}

// formToken returns what the forms of a session's pages have in them: no other page knows
// it.
func (s *Sessions) formToken(one *session) string {
	mac := hmac.New(sha256.New, s.key)
	mac.Write(one.id[:])
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
