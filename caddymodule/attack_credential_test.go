package caddymodule_test

import (
	"bytes"
	"encoding/base64"
	"regexp"
	"strings"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

// A credential counts in its place only, once, and in the form that its place has.
func attackCredentials(t *testing.T, s *stage) {
	t.Helper()
	secret := secretOf("writer")
	basicOf := func(user, password string) string {
		return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	}
	const target = "GET /raw/x"
	for name, raw := range map[string]string{
		"none":                     anonymous(target),
		"two fields":               anonymous(target, "Authorization: Bearer {writer}", "Authorization: Bearer {writer}"),
		"two fields, two tokens":   anonymous(target, "Authorization: Bearer {reader}", "Authorization: Bearer {writer}"),
		"two fields, two cases":    anonymous(target, "authorization: Bearer {reader}", "AUTHORIZATION: Bearer {writer}"),
		"two fields, one empty":    anonymous(target, "Authorization:", "Authorization: Bearer {writer}"),
		"two fields, two schemes":  anonymous(target, "Authorization: Basic eDp5", "Authorization: Bearer {writer}"),
		"comma":                    anonymous(target, "Authorization: Bearer {writer},Bearer {writer}"),
		"comma at the end":         anonymous(target, "Authorization: Bearer {writer},"),
		"second scheme":            anonymous(target, "Authorization: Bearer {writer} Basic eDp5"),
		"second scheme, comma":     anonymous(target, "Authorization: Basic eDp5, Bearer {writer}"),
		"no scheme":                anonymous(target, "Authorization: {writer}"),
		"another scheme":           anonymous(target, "Authorization: Token {writer}"),
		"no space":                 anonymous(target, "Authorization: Bearer{writer}"),
		"colon":                    anonymous(target, "Authorization: Bearer: {writer}"),
		"tab":                      anonymous(target, "Authorization: Bearer\t{writer}"),
		"space and tab":            anonymous(target, "Authorization: Bearer \t{writer}"),
		"quoted":                   anonymous(target, `Authorization: Bearer "{writer}"`),
		"parameter":                anonymous(target, "Authorization: Bearer token={writer}"),
		"more behind it":           anonymous(target, "Authorization: Bearer {writer} x"),
		"NUL behind it":            anonymous(target, "Authorization: Bearer {writer}\x00"),
		"not ASCII behind it":      anonymous(target, "Authorization: Bearer {writer}\u00e9"),
		"no-break space":           anonymous(target, "Authorization: Bearer \u00a0{writer}"),
		"4 KiB":                    anonymous(target, "Authorization: Bearer "+strings.Repeat("a", 4096)),
		"4 KiB that begin right":   anonymous(target, "Authorization: Bearer {writer}"+strings.Repeat("a", 4096)),
		"64 KiB":                   anonymous(target, "Authorization: Bearer "+strings.Repeat("a", 1<<16)),
		"query":                    anonymous(target + "?access_token={writer}&token={writer}&Authorization=Bearer%20{writer}"),
		"cookie":                   anonymous(target, "Cookie: access_token={writer}; Authorization=Bearer {writer}"),
		"body":                     anonymous("POST /raw/x", "Content-Type: application/x-www-form-urlencoded", "Content-Length: 33") + "access_token={writer}",
		"trailer":                  anonymous("POST /raw/x", "Transfer-Encoding: chunked", "Trailer: Authorization") + "0\r\nAuthorization: Bearer {writer}\r\n\r\n",
		"user information":         anonymous("GET http://x:{writer}@gateway.example/raw/x"),
		"Proxy-Authorization":      anonymous(target, "Proxy-Authorization: Bearer {writer}"),
		"X-Authorization":          anonymous(target, "X-Authorization: Bearer {writer}"),
		"a place of other sites":   anonymous(target, "X-Api-Key: {writer}"),
		"basic where not accepted": anonymous(target, basicOf("acme", secret)),
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			t.Parallel()
			s.send(t, portPlain, raw).refused(t)
		})
	}
	for name, lines := range map[string][]string{
		"two places":              {"Authorization: Bearer {writer}", "X-Api-Key: {writer}"},
		"two places, two tokens":  {"Authorization: Bearer {reader}", "X-Api-Key: {writer}"},
		"two places, basic":       {basicOf("", secret), "X-Api-Key: {writer}"},
		"one place malformed":     {"Authorization: Bearer a b", "X-Api-Key: {writer}"},
		"header twice":            {"X-Api-Key: {writer}", "X-Api-Key: {writer}"},
		"header with a comma":     {"X-Api-Key: {writer},{writer}"},
		"header with a scheme":    {"X-Api-Key: Bearer {writer}"},
		"basic: no base64":        {"Authorization: Basic {writer}"},
		"basic: no colon":         {"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(secret))},
		"basic: no padding":       {strings.TrimRight(basicOf("acmee", secret), "=")},
		"basic: twice":            {basicOf("", secret) + ", " + basicOf("", secret)[len("Authorization: "):]},
		"basic: another account":  {basicOf("globex", secret)},
		"basic: another id":       {basicOf("tok_0123456789abcdef", secret)},
		"basic: the token's name": {basicOf("writer", secret)},
		"basic: swapped":          {basicOf(secret, "")},
		"basic: swapped, account": {basicOf(secret, "acme")},
		"basic: too long":         {basicOf("", strings.Repeat("a", 4096))},
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			t.Parallel()
			s.send(t, portPlaces, anonymous(target, lines...)).refused(t)
		})
	}
	for name, line := range map[string]string{
		"bearer":                  "Authorization: Bearer {writer}",
		"bearer, lower case":      "authorization: bearer {writer}",
		"bearer, upper case":      "AUTHORIZATION: BEARER {writer}",
		"bearer, spaces":          "Authorization:   Bearer    {writer}   ",
		"basic":                   basicOf("", secret),
		"basic, account":          basicOf("acme", secret),
		"basic, scheme's case":    strings.Replace(basicOf("acme", secret), "Basic", "bAsIc  ", 1),
		"header":                  "X-Api-Key: {writer}",
		"header in another case":  "x-API-key: {writer}",
		"header with spaces":      "X-Api-Key:  {writer}  ",
		"header with tabs around": "X-Api-Key: \t{writer}\t",
	} {
		t.Run("passes, and stays here: "+name, func(t *testing.T) {
			t.Parallel()
			got := s.send(t, portPlaces, anonymous(target, line)).forwardedAs(t, "GET", "/raw/x")
			for _, field := range []string{"Authorization", "X-Api-Key"} {
				wantField(t, got, field)
			}
		})
	}
	t.Run("what is no credential passes", func(t *testing.T) {
		t.Parallel()
		got := s.send(t, portPlaces, anonymous(target, "X-Api-Key: {writer}", "Authorization: Digest abc", "Proxy-Authorization: Basic x", "Cookie: a=b")).forwarded(t)
		wantField(t, got, "X-Api-Key")
		wantField(t, got, "Authorization", "Digest abc")
		wantField(t, got, "Cookie", "a=b")
	})
}

// From outside one denial is like the other.
func attackNearMisses(t *testing.T, s *stage) {
	t.Helper()
	secret := secretOf("reader")
	id := s.send(t, portPlain, by("reader", rawRequest("GET /orders/v1/7"))).forwarded(t).request.Header.Get("X-Scopegate-Token")
	bearer := func(credential string) string {
		return anonymous("GET /orders/v1/7", "Authorization: Bearer "+credential)
	}
	misses := map[string]string{
		"another case":     bearer(strings.ToUpper(secret)),
		"a prefix":         bearer(secret[:len(secret)-1]),
		"a suffix":         bearer(secret[1:]),
		"one byte more":    bearer(secret + "x"),
		"twice":            bearer(secret + secret),
		"the digest":       bearer(scopes.DigestOf(secret).String()),
		"the bare digest":  bearer(strings.TrimPrefix(scopes.DigestOf(secret).String(), "sha256:")),
		"the id":           bearer(id),
		"the name":         bearer("acme/reader"),
		"star":             bearer("*"),
		"zeros":            bearer(strings.Repeat("0", 64)),
		"well-formed":      bearer("sgt_0000000000000000000000000000000000000000000000000"),
		"scheme only":      bearer(""),
		"none":             anonymous("GET /orders/v1/7"),
		"malformed":        bearer("a b"),
		"too long":         bearer(strings.Repeat("a", 513)),
		"expired":          bearer("{expired}"),
		"inactive":         bearer("{inactive}"),
		"another source":   bearer("{office}"),
		"no API":           by("reader", rawRequest("GET /nothing")),
		"another API":      by("reader", rawRequest("GET /raw/x")),
		"no one's API":     by("reader", rawRequest("GET /secret/x")),
		"another version":  by("reader", rawRequest("GET /orders/v2/7")),
		"unknown version":  by("reader", rawRequest("GET /orders/v9/7")),
		"version conflict": by("reader", rawRequest("GET /actions?IrVersion=13", "IR-Version: 14")),
		"another method":   by("reader", rawRequest("PUT /orders/v1/7")),
		"another account":  rawRequest("GET /partners/globex/actions"),
		"malformed target": by("reader", rawRequest("GET /orders/v1/..")),
		"override":         by("reader", rawRequest("GET /orders/v1/7", "X-HTTP-Method: PUT")),
		"upgrade":          by("reader", rawRequest("GET /orders/v1/7", "Upgrade: h2c")),
	}
	date := regexp.MustCompile(`(?m)^Date: .*\r\n`)
	withoutDate := func(o *outcome) []byte { return date.ReplaceAll(o.raw, nil) }
	want := withoutDate(s.send(t, portPlain, misses["none"]))
	if !bytes.HasPrefix(want, []byte("HTTP/1.1 403 Forbidden\r\n")) {
		t.Fatalf("got\n%s\nwant 403", want)
	}
	for name, raw := range misses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := s.send(t, portPlain, raw)
			o.denied(t)
			if got := withoutDate(o); !bytes.Equal(got, want) {
				t.Errorf("%s\ngot\n%s\nwant, as for no credential,\n%s", excerpt(o.sent), got, want)
			}
		})
	}
}
