package notify

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// sealer signs what goes through an exchange, with a key that all nodes have.
type sealer struct{ key []byte }

// tagBytes is the length of a signature: half of a HMAC-SHA256.
const tagBytes = sha256.Size / 2

func newSealer(secret string) (*sealer, error) {
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "scopegate message", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("notify: deriving a key from the secret: %w", err)
	}
	return &sealer{key}, nil
}

// tag signs a text for one purpose.
func (s *sealer) tag(purpose, text string) string {
	mac := hmac.New(sha256.New, s.key)
	_, _ = mac.Write([]byte(purpose + "\x00" + text)) // it never fails; no purpose has a zero byte
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:tagBytes])
}

// mark returns the mark of a key.
func (s *sealer) mark(key string) Mark { return Mark{key, s.tag("told", key)} }

func (s *sealer) isMark(m Mark) bool {
	return hmac.Equal([]byte(m.Value), []byte(s.tag("told", m.Key)))
}

func (s *sealer) marks(keys []string) []Mark {
	marks := make([]Mark, len(keys))
	for i, key := range keys {
		marks[i] = s.mark(key)
	}
	return marks
}

// share returns a message as it is exchanged.
func (s *sealer) share(m *Message, mine bool) (SharedMessage, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return SharedMessage{}, fmt.Errorf("notify: %w", err)
	}
	return SharedMessage{ID: m.ID, Keys: m.keys(), Text: s.tag("message", string(text)) + " " + string(text), Mine: mine}, nil
}

// open is the inverse of share. It reports false for what no node has sealed.
func (s *sealer) open(id, text string) (m *Message, ok bool) {
	tag, text, _ := strings.Cut(text, " ")
	if !hmac.Equal([]byte(tag), []byte(s.tag("message", text))) {
		return nil, false
	}
	m = new(Message)
	if err := json.Unmarshal([]byte(text), m); err != nil {
		return nil, false
	}
	return m, m.ID == id && len(m.Events) > 0
}
