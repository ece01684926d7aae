package proxy

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/scopegate/scopegate/scopes"
)

// Place is a place in a request where a credential may be.
type Place struct {
	Kind PlaceKind
	Name string // the canonical name of the field, for Header
}

// PlaceKind is the kind of a [Place].
type PlaceKind uint8

// The kinds of places.
const (
	Bearer PlaceKind = iota + 1 // Authorization: Bearer (RFC 6750, section 2.1)
	Basic                       // Authorization: Basic (RFC 7617); the password is the credential
	Header                      // a field that has nothing but the credential
)

var defaultPlaces = []Place{{Kind: Bearer}}

// inSession is where a credential is that was shown before: in no field.
var inSession = Place{}

// field returns the name of the header field of the place.
func (p *Place) field() string {
	if p.Kind == Header {
		return p.Name
	}
	return "Authorization"
}

// presented is a credential as it was found in a request.
type presented struct {
	place  *Place // nil if there is none
	digest scopes.Digest
	user   string // the user name, for Basic; "" may be anybody
}

// grant looks the credential up, and puts what it finds into the zero Grant at
// into. A user name that does not fit the token is as wrong as an unknown credential.
func (p *presented) grant(into *scopes.Grant, s Snapshot) {
	if p.place == nil {
		into.State = scopes.Anonymous
		return
	}
	s.GrantInto(into, p.digest)
	if p.user != "" && p.user != into.Account && p.user != into.ID {
		*into = scopes.Grant{}
	}
}

// findCredential looks into every place, and puts the credential into the zero
// presented at into. It reports false if more than one is filled, one is filled
// twice, or one is filled with what no parser should accept.
func (g *Gateway) findCredential(into *presented, r *http.Request) (ok bool) {
	if g.Session != nil {
		if digest, ok := g.Session(r); ok {
			into.place, into.digest = &inSession, digest
		}
	}
	places := g.places()
	for i := range places {
		p := &places[i]
		values := r.Header[p.field()]
		if len(values) == 0 {
			continue
		}
		if len(values) > 1 {
			return false
		}
		found, second := into, presented{}
		if into.place != nil {
			found = &second
		}
		if !p.read(found, values[0]) || second.place != nil {
			return false
		}
	}
	return true
}

// read reads a field's value as a credential of the place. A field without one,
// or with another scheme's, gives the zero presented.
func (p *Place) read(into *presented, value string) (ok bool) {
	switch p.Kind {
	case Header:
		return p.accept(into, value, "")
	case Bearer:
		if secret, ok := cutScheme(value, "bearer"); ok {
			return p.accept(into, secret, "")
		}
	case Basic:
		if encoded, ok := cutScheme(value, "basic"); ok {
			return p.readBasic(into, encoded)
		}
	}
	return true
}

// cutScheme cuts an authentication scheme, which is in lower case, and the spaces
// behind it off a field's value (RFC 9110, section 11.4).
func cutScheme(value, scheme string) (rest string, ok bool) {
	if !hasFoldedPrefix(value, scheme) {
		return "", false
	}
	rest = value[len(scheme):]
	if rest != "" && rest[0] != ' ' {
		return "", false
	}
	for rest != "" && rest[0] == ' ' {
		rest = rest[1:]
	}
	return rest, true
}

// maxBasic bounds the decoded length of user name, colon and password in bytes. No
// account's name and no id is longer than 63.
const maxBasic = 63 + 1 + scopes.MaxCredentialBytes

func (p *Place) readBasic(into *presented, encoded string) (ok bool) {
	if encoded == "" {
		return true
	}
	var buf [maxBasic]byte
	if base64.StdEncoding.DecodedLen(len(encoded)) > len(buf) {
		return false
	}
	n, err := base64.StdEncoding.Strict().Decode(buf[:], []byte(encoded))
	if err != nil {
		return false
	}
	user, password, ok := strings.Cut(string(buf[:n]), ":")
	if !ok {
		return false
	}
	return p.accept(into, password, user)
}

// isVisible reports whether s consists of visible ASCII characters. It looks at eight at
// a time: in each byte of word-first the upper bit is set for what is below "!", in
// word+1 for what is above "~", and in word for both kinds beyond ASCII. A borrow or carry
// only comes from a byte that is refused itself.
func isVisible(s string) bool {
	const (
		each  = 0x0101010101010101
		upper = 0x80 * each
		first = '!' * each
	)
	var found uint64
	for ; len(s) >= 8; s = s[8:] {
		word := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		found |= word | (word - first) | (word + each)
	}
	for i := range len(s) {
		if s[i] < '!' || s[i] > '~' {
			return false
		}
	}
	return found&upper == 0
}

// accept takes a secret that consists of visible ASCII characters without a
// comma, at most 512. An empty one counts as none.
func (p *Place) accept(into *presented, secret, user string) (ok bool) {
	if secret == "" {
		return true
	}
	if len(secret) > scopes.MaxCredentialBytes {
		return false
	}
	if !isVisible(secret) || p.Kind != Basic && strings.IndexByte(secret, ',') >= 0 {
		return false
	}
	into.place, into.digest, into.user = p, scopes.DigestOf(secret), user
	return true
}
