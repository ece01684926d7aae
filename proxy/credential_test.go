package proxy

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"regexp"
	"strings"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

// basic encodes user name and password as RFC 7617 has it.
func basic(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

func TestFindCredential(t *testing.T) {
	t.Parallel()
	const secret = "the-secret-of-reader"
	var (
		bearerOnly = []Place{{Kind: Bearer}}
		basicOnly  = []Place{{Kind: Basic}}
		headerOnly = []Place{{Kind: Header, Name: "X-Api-Key"}}
		all        = []Place{{Kind: Bearer}, {Kind: Basic}, {Kind: Header, Name: "X-Api-Key"}}
	)
	const (
		none      = ""
		malformed = "malformed"
	)
	tests := []struct {
		name    string
		places  []Place
		headers string
		want    string // the credential, none or malformed
	}{
		{"nothing", nil, "Accept: */*", none},
		{"bearer", nil, "Authorization: Bearer " + secret, secret},
		{"bearer is the default", nil, "Authorization: Basic " + basic("", secret), none},
		{"lower-case scheme", bearerOnly, "Authorization: bearer " + secret, secret},
		{"upper-case scheme", bearerOnly, "authorization: BEARER " + secret, secret},
		{"spaces", bearerOnly, "Authorization: Bearer    " + secret, secret},
		{"spaces around the value", bearerOnly, "Authorization:   Bearer " + secret + "  ", secret},
		{"b64token", bearerOnly, "Authorization: Bearer aZ09-._~+/==", "aZ09-._~+/=="},
		{"as imported", bearerOnly, `Authorization: Bearer !"#$%&'()*:;<=>?@[\]^` + "`{|}", `!"#$%&'()*:;<=>?@[\]^` + "`{|}"},
		{"512 bytes", bearerOnly, "Authorization: Bearer " + strings.Repeat("a", 512), strings.Repeat("a", 512)},

		{"no value", bearerOnly, "Authorization:", none},
		{"scheme only", bearerOnly, "Authorization: Bearer", none},
		{"scheme and spaces only", bearerOnly, "Authorization: Bearer   ", none},
		{"without a scheme", bearerOnly, "Authorization: " + secret, none},
		{"scheme without a space", bearerOnly, "Authorization: Bearer" + secret, none},
		{"scheme and a tab", bearerOnly, "Authorization: Bearer\t" + secret, none},
		{"another scheme", bearerOnly, "Authorization: Digest " + secret, none},
		{"another header", bearerOnly, "X-Authorization: Bearer " + secret, none},
		{"Proxy-Authorization", bearerOnly, "Proxy-Authorization: Bearer " + secret, none},
		{"cookie", all, "Cookie: Authorization=Bearer " + secret + "; X-Api-Key=" + secret, none},

		{"513 bytes", bearerOnly, "Authorization: Bearer " + strings.Repeat("a", 513), malformed},
		{"4 KiB", bearerOnly, "Authorization: Bearer " + strings.Repeat("a", 4096), malformed},
		{"two fields", bearerOnly, "Authorization: Bearer " + secret + "\nAuthorization: Bearer " + secret, malformed},
		{"two fields, one empty", bearerOnly, "Authorization: Bearer " + secret + "\nAuthorization:", malformed},
		{"two fields, one of another scheme", bearerOnly, "Authorization: Basic eDp5\nAuthorization: Bearer " + secret, malformed},
		{"comma", bearerOnly, "Authorization: Bearer " + secret + ",", malformed},
		{"two after a comma", bearerOnly, "Authorization: Bearer " + secret + ", Bearer " + secret, malformed},
		{"second scheme", bearerOnly, "Authorization: Bearer " + secret + " Basic eDp5", malformed},
		{"scheme twice", bearerOnly, "Authorization: Bearer bearer " + secret, malformed},
		{"tab after the space", bearerOnly, "Authorization: Bearer \t" + secret, malformed},
		{"tab within", bearerOnly, "Authorization: Bearer a\tb", malformed},
		{"not ASCII", bearerOnly, "Authorization: Bearer caf\u00e9-the-secret", malformed},
		{"not UTF-8", bearerOnly, "Authorization: Bearer \xff\xfe", malformed},
		{"no-break space", bearerOnly, "Authorization: Bearer \u00a0" + secret, malformed},

		{"basic", basicOnly, "Authorization: Basic " + basic("", secret), secret},
		{"basic, lower-case scheme and spaces", basicOnly, "Authorization: basic   " + basic("acme", secret), secret},
		{"basic, colons and commas in the password", basicOnly, "Authorization: Basic " + basic("acme", "a:b,c:d"), "a:b,c:d"},
		{"basic, 512 bytes", basicOnly, "Authorization: Basic " + basic(strings.Repeat("u", 63), strings.Repeat("a", 512)), strings.Repeat("a", 512)},
		{"basic, no value", basicOnly, "Authorization: Basic", none},
		{"basic, empty password", basicOnly, "Authorization: Basic " + basic("acme", ""), none},
		{"basic where bearer is expected", bearerOnly, "Authorization: Basic " + basic("", secret), none},
		{"bearer where basic is expected", basicOnly, "Authorization: Bearer " + secret, none},
		{"basic, no colon", basicOnly, "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(secret)), malformed},
		{"basic, not base64", basicOnly, "Authorization: Basic !!!!", malformed},
		{"basic, without padding", basicOnly, "Authorization: Basic " + strings.TrimRight(basic("", "a"), "="), malformed},
		{"basic, stray bits", basicOnly, "Authorization: Basic OmF=", malformed},
		{"basic, base64url", basicOnly, "Authorization: Basic " + base64.URLEncoding.EncodeToString([]byte(":??>>")), malformed},
		{"basic, space within", basicOnly, "Authorization: Basic OmFh YWE=", malformed},
		{"basic, control character", basicOnly, "Authorization: Basic " + basic("", "a\nb"), malformed},
		{"basic, 513 bytes", basicOnly, "Authorization: Basic " + basic("", strings.Repeat("a", 513)), malformed},
		{"basic, 4 KiB", basicOnly, "Authorization: Basic " + basic("", strings.Repeat("a", 4096)), malformed},

		{"header", headerOnly, "X-Api-Key: " + secret, secret},
		{"header in lower case", headerOnly, "x-api-key: " + secret, secret},
		{"header, empty", headerOnly, "X-Api-Key:", none},
		{"header like it", headerOnly, "X_Api_Key: " + secret, none},
		{"header with a scheme", headerOnly, "X-Api-Key: Bearer " + secret, malformed},
		{"header twice", headerOnly, "X-Api-Key: " + secret + "\nX-Api-Key: " + secret, malformed},
		{"header with a comma", headerOnly, "X-Api-Key: " + secret + "," + secret, malformed},
		{"bearer beside the only place", headerOnly, "X-Api-Key: " + secret + "\nAuthorization: Bearer other-credential", secret},

		{"one of three places: bearer", all, "Authorization: Bearer " + secret, secret},
		{"one of three places: basic", all, "Authorization: Basic " + basic("", secret), secret},
		{"one of three places: header", all, "X-Api-Key: " + secret, secret},
		{"two places", all, "Authorization: Bearer " + secret + "\nX-Api-Key: " + secret, malformed},
		{"two places, one empty", all, "Authorization: Bearer\nX-Api-Key: " + secret, secret},
		{"two places, one malformed", all, "Authorization: Bearer a b\nX-Api-Key: " + secret, malformed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := &Gateway{Places: test.places}
			var found presented
			ok := g.findCredential(&found, parse(t, "GET / HTTP/1.1\nHost: example.com\n"+test.headers))
			switch {
			case test.want == malformed:
				if ok {
					t.Errorf("%s: got %v, want it refused", test.headers, found)
				}
			case !ok:
				t.Errorf("%s: refused, want credential %q", test.headers, test.want)
			case (found.place == nil) != (test.want == none):
				t.Errorf("%s: filled %v, want credential %q", test.headers, found.place != nil, test.want)
			case test.want != none && found.digest != sha256.Sum256([]byte(test.want)):
				t.Errorf("%s: got the digest of something else than %q", test.headers, test.want)
			}
		})
	}
}

func TestBasicUserName(t *testing.T) {
	t.Parallel()
	tests := []struct {
		user string
		want scopes.State
	}{
		{"", scopes.Active},
		{"acme", scopes.Active},
		{"tok_reader", scopes.Active},
		{"reader", scopes.Unknown},
		{"acme/reader", scopes.Unknown},
		{"ACME", scopes.Unknown},
		{"acme ", scopes.Unknown},
		{"globex", scopes.Unknown},
		{"tok_office", scopes.Unknown},
		{"\x00", scopes.Unknown},
	}
	m := newMemory(t)
	g := &Gateway{Places: []Place{{Kind: Basic}}}
	for _, test := range tests {
		t.Run(test.user, func(t *testing.T) {
			t.Parallel()
			var found presented
			ok := g.findCredential(&found, parse(t, "GET / HTTP/1.1\nHost: h\nAuthorization: Basic "+basic(test.user, secretOf("reader"))))
			var grant scopes.Grant
			if found.grant(&grant, m); !ok || grant.State != test.want {
				t.Errorf("user name %q: got state %v, %v, want %v", test.user, grant.State, ok, test.want)
			}
		})
	}
	t.Run("unknown credential", func(t *testing.T) {
		t.Parallel()
		for _, user := range []string{"", "acme", "tok_reader"} {
			var found presented
			g.findCredential(&found, parse(t, "GET / HTTP/1.1\nHost: h\nAuthorization: Basic "+basic(user, "unknown-credential")))
			var grant scopes.Grant
			if found.grant(&grant, m); grant.State != scopes.Unknown {
				t.Errorf("user name %q: got state %v, want unknown", user, grant.State)
			}
		}
	})
}

// The grammar of a field's value, written down once more. The field itself is the
// server's to check.
var (
	anySecret      = regexp.MustCompile(`^[\x21-\x7e]{1,512}$`)
	uncommaed      = regexp.MustCompile(`^[\x21-\x2b\x2d-\x7e]{1,512}$`)
	withScheme     = regexp.MustCompile(`^([A-Za-z]+)(?: +(.*))?$`)
	canonicalBasic = regexp.MustCompile(`^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)$`)
)

// referenceCredential reads a value by the grammar. It returns the credential, ""
// for none, and whether the value may stand.
func referenceCredential(kind PlaceKind, value string) (secret, user string, ok bool) {
	if kind == Header {
		return value, "", value == "" || uncommaed.MatchString(value)
	}
	parts := withScheme.FindStringSubmatch(value)
	if parts == nil {
		return "", "", true
	}
	scheme, rest := strings.ToLower(parts[1]), strings.TrimLeft(parts[2], " ")
	switch {
	case kind == Bearer && scheme == "bearer":
		return rest, "", rest == "" || uncommaed.MatchString(rest)
	case kind != Basic || scheme != "basic" || rest == "":
		return "", "", true
	case len(rest) > 768 || !canonicalBasic.MatchString(rest):
		return "", "", false
	}
	decoded, err := base64.StdEncoding.DecodeString(rest)
	if err != nil || base64.StdEncoding.EncodeToString(decoded) != rest {
		return "", "", false
	}
	user, secret, ok = strings.Cut(string(decoded), ":")
	return secret, user, ok && (secret == "" || anySecret.MatchString(secret))
}

// FuzzCredential holds that no value panics, and that exactly the grammar is
// accepted.
func FuzzCredential(f *testing.F) {
	for _, value := range []string{
		"", "Bearer", "Bearer ", "bearer  the-secret-of-reader", "BEARER a,b", "Bearer a b", "Bearer\ta", "Bearer \u00e9",
		"Bearer " + strings.Repeat("a", 512), "Bearer " + strings.Repeat("a", 513), "Bearerx", "Bear\u212aer a", "ba\u017fic OmE=",
		"Basic", "basic OmE=", "Basic OmF=", "Basic Om", "Basic " + basic("acme", "a:b"), "Basic " + basic("", ""), "Basic OmE=OmE=",
		"Basic " + basic(strings.Repeat("u", 63), strings.Repeat("a", 512)), "Basic " + basic(strings.Repeat("u", 64), strings.Repeat("a", 512)),
		"Digest username=a", "the-secret-of-reader", "sgt_0000000000000000000000000000000000000000000000000", ",", "\x00",
	} {
		for kind := Bearer; kind <= Header; kind++ {
			f.Add(value, uint8(kind))
		}
	}
	f.Fuzz(func(t *testing.T, value string, kind uint8) {
		if strings.ContainsAny(value, "\r\n") {
			return // ends the field
		}
		p := Place{Kind: PlaceKind(kind), Name: "X-Api-Key"}
		if p.Kind < Bearer || p.Kind > Header {
			return
		}
		var got presented
		ok := p.read(&got, value)
		secret, user, wantOK := referenceCredential(p.Kind, value)
		switch {
		case ok != wantOK:
			t.Errorf("%q in place %d: accepted %v, want %v", value, kind, ok, wantOK)
		case !ok && got != (presented{}):
			t.Errorf("%q in place %d: refused, but with a credential", value, kind)
		case ok && (got.place != nil) != (secret != ""):
			t.Errorf("%q in place %d: filled %v, want credential %q", value, kind, got.place != nil, secret)
		case got.place != nil && (got.digest != sha256.Sum256([]byte(secret)) || got.user != user):
			t.Errorf("%q in place %d: another credential or user name than %q and %q", value, kind, secret, user)
		}
	})
}

// Whatever byte stands wherever: what isVisible says is what looking at each byte says.
func TestIsVisible(t *testing.T) {
	t.Parallel()
	for length := range 20 {
		for at := range length {
			for value := range 256 {
				for _, others := range []byte{'!', '~'} {
					s := bytes.Repeat([]byte{others}, length)
					s[at] = byte(value)
					if got, want := isVisible(string(s)), value >= '!' && value <= '~'; got != want {
						t.Errorf("isVisible(%q) = %t, want %t", s, got, want)
					}
				}
			}
		}
	}
}
