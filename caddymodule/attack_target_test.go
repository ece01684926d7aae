package caddymodule_test

import (
	"fmt"
	"strings"
	"testing"
)

// Whatever two parsers could read differently is refused. The token may do
// everything below /raw, so nothing but the spelling can be what is refused.
func attackPathSpellings(t *testing.T, s *stage) {
	t.Helper()
	for _, target := range refusedTargets {
		t.Run("refused "+target, func(t *testing.T) {
			t.Parallel()
			s.send(t, portPlain, rawRequest("GET "+target)).refused(t)
		})
	}
	for _, target := range passingTargets {
		t.Run("passes "+target, func(t *testing.T) {
			t.Parallel()
			s.send(t, portPlain, rawRequest("GET "+target)).forwardedAs(t, "GET", target)
		})
	}
	t.Run("below a path matcher", func(t *testing.T) { matchedPaths(t, s) })
	t.Run("decided on decoded", func(t *testing.T) {
		t.Parallel()
		s.send(t, portPlain, rawRequest("GET /%73ecret/x")).denied(t)
		s.send(t, portPlain, rawRequest("GET /orders/%76%32/7")).denied(t)
		got := s.send(t, portPlain, rawRequest("GET /%6frders/%76%31/7")).forwardedAs(t, "GET", "/%6frders/%76%31/7")
		wantField(t, got, "X-Scopegate-Api", "orders")
		wantField(t, got, "X-Scopegate-Version", "v1")
	})
}

// matchedPaths are looked at by a matcher of Caddy first, which folds case and
// cleans what it compares. It decides nothing: whatever it does not match is
// refused, and whatever it does is decided on as ever.
func matchedPaths(t *testing.T, s *stage) {
	t.Helper()
	for _, target := range append([]string{"/secret/x", "/orders/v1/7", "/raw", "/rawx/y", "/raw/../orders/v1/7"}, refusedTargets...) {
		t.Run("refused "+target, func(t *testing.T) {
			t.Parallel()
			s.send(t, portRouted, rawRequest("GET "+target)).refused(t)
		})
	}
	for _, target := range []string{"/raw/x", "/raw/", "/%72aw/x", "/raw/%7e?a=%2f..", "/raw/a/b"} {
		t.Run("passes "+target, func(t *testing.T) {
			t.Parallel()
			s.send(t, portRouted, rawRequest("GET "+target)).forwardedAs(t, "GET", target)
		})
	}
}

var refusedTargets = []string{
	// dot segments
	"/raw/..", "/raw/.", "/raw/../secret/x", "/raw/./x", "/raw/a/..", "/raw/a/.", "/raw/a/../../secret/x", "/../raw/x", "/./raw/x",
	"/raw/..?a", "/raw/../", "/raw/./",
	// encoded dots
	"/raw/%2e%2e/secret/x", "/raw/%2E%2E/secret/x", "/raw/.%2e/x", "/raw/%2e./x", "/raw/%2e/x", "/raw/%2E", "/raw/a%2eb",
	// empty segments
	"//raw/x", "/raw//x", "/raw/x//", "///", "//secret/x", "//gateway.example/raw/x",
	// encoded slashes and backslashes
	"/raw/a%2fb", "/raw/a%2Fb", "/raw/..%2fsecret", "/raw/%2e%2e%2fsecret/x", "/raw%2fx", "/%2fraw/x", "/raw/..%2f..%2fsecret/x|",
	"/raw/a%5cb", "/raw/a%5Cb", "/raw/..%5c..%5csecret", `/raw/a\b`, `/raw/..\..\secret`, `/raw\x`, `\raw\x`,
	// encoded twice and more
	"/raw/%252e%252e/secret", "/raw/%252E", "/raw/a%252fb", "/raw/a%252Fb", "/raw/a%255cb", "/raw/a%25255cb", "/raw/%25252e%25252e/",
	"/raw/%25%32%65", "/raw/%2%35%32e", "/raw/%%32%65", "/raw/a%253bb", "/raw/%2500", "/raw/%250a", "/raw/%%35%63",
	// path parameters
	"/raw/a;b", "/raw/;", "/raw;x=y/a", "/raw/..;/secret/x", "/raw/..;a=b/secret", "/raw/.;/x", "/raw/a%3bb", "/raw/a%3Bb", "/raw/..%3b/secret",
	// NUL and control characters
	"/raw/%00", "/raw/a%00.json", "/raw/%0a", "/raw/%0d%0aX:%20y", "/raw/%09", "/raw/%1f", "/raw/%7f", "/raw/%7F", "/raw/%c2%80", "/raw/%C2%9F",
	// what is not UTF-8: overlong forms, surrogates, too large, cut off
	"/raw/%c0%ae%c0%ae/secret", "/raw/a%c0%afb", "/raw/a%c1%9cb", "/raw/%e0%80%ae", "/raw/%e0%80%af", "/raw/%f0%80%80%af", "/raw/%f8%80%80%80%af",
	"/raw/%ed%a0%80", "/raw/%f4%90%80%80", "/raw/%ff", "/raw/%80", "/raw/%c3", "/raw/%e2%82", "/raw/a%c0.b",
	// full-width dots, slashes, backslashes, also as they come when written in two ways
	"/raw/%ef%bc%8e%ef%bc%8e/secret", "/raw/%EF%BC%8E", "/raw/a%ef%bc%8fb", "/raw/a%EF%BC%8Fb", "/raw/a%ef%bc%bcb", "/raw/a%25ef%25bc%258fb",
	"/raw/\uff0e\uff0e/secret", "/raw/a\uff0fb", "/raw/a\uff3cb",
	// bytes that a path may not have
	"/raw/a|b", `/raw/a"b`, "/raw/a<b", "/raw/a>b", "/raw/a^b", "/raw/a`b", "/raw/a{b", "/raw/a}b", "/raw/\u00e9", "/raw/\xff", "/raw/a#b", "/raw/x?a#b",
	// escapes that are none
	"/raw/%", "/raw/%2", "/raw/a%zz", "/raw/%u002e%u002e/secret", "/raw/%-1", "/raw/%+2e", "/raw/%0x2e",
	// another case, another segment
	"/RAW/x", "/Raw/x", "/%52aw/x", "/ra%57/x", "/raw%20/x", "/%20raw/x", "/raw%09/x",
	// slashes in encoded form where the API takes them as data
	"/slashes/%2f", "/slashes/a%2f", "/slashes/%2fa", "/slashes/a%2f%2fb", "/slashes/a%2f..%2fb", "/slashes/..%2fa", "/slashes/a%2f.", "/slashes/a%2f%2e%2e",
	"/slashes%2fa", "/%2fslashes/a", "/slashes/below%2fa/..", "/slashes/a%252fb", "/slashes/a%5cb",
}

// passingTargets have to arrive byte for byte.
var passingTargets = []string{
	"/raw", "/raw/", "/raw/x", "/raw/x/", "/raw/a/b/c/d",
	"/raw/..a", "/raw/a..", "/raw/a..b", "/raw/...", "/raw/.hidden", "/raw/.well-known/x", "/raw/a.b.c", "/raw/~user", "/raw/a-b_c",
	"/raw/%20", "/raw/a%20b", "/raw/%C3%A9", "/raw/%c3%a9", "/raw/%E2%82%AC", "/raw/%f0%9f%98%80", "/raw/%E2%80%AE",
	"/raw/%61dmin", "/raw/%7e", "/raw/%7E", "/raw/%41", "/raw/a%2Db",
	"/raw/%25", "/raw/100%25", "/raw/%25zz", "/raw/%2541", "/raw/%2520", "/raw/%25%25",
	"/raw/a%3fb", "/raw/a%3Fb", "/raw/a%23b", "/raw/a%26b%3dc", "/raw/%22%3c%3e%5e%60%7b%7c%7d", "/raw/%5b1%5d",
	"/raw/[1]", "/raw/a:b@c", "/raw/!$&'()*+,=", "/raw/a+b", "/raw/a=b,c=d",
	"/%72%61%77/x",
	"/raw/x?", "/raw/x??", "/raw/x?a", "/raw/x?a=b&a=c&=&&", "/raw/x?a=%2F..%2f&b=%zz", "/raw/x?/../secret", "/raw/x?a=b;c=d", "/raw/x?a=|{}\"<>^`\\",
	"/raw/x?\u00e9\xff", "/raw/x?http://other.example/", "/raw/?%00",
	"/slashes/a", "/slashes/a%2Fb", "/slashes/a%2fb%2Fc", "/slashes/..a%2fb..", "/slashes/below/a%2fb/c",
}

// Every byte that may not stand in a path for itself is refused, and every other
// arrives as it was sent.
func attackTargetBytes(t *testing.T, s *stage) {
	t.Helper()
	const pathBytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,=:@[]"
	for c := range 256 {
		if strings.IndexByte("/?%", byte(c)) >= 0 {
			continue // they have a meaning, and cases of their own
		}
		t.Run(fmt.Sprintf("path %#02x", c), func(t *testing.T) {
			t.Parallel()
			target := "/raw/a" + string([]byte{byte(c)}) + "b"
			o := s.send(t, portPlain, rawRequest("GET "+target))
			if strings.IndexByte(pathBytes, byte(c)) >= 0 {
				o.forwardedAs(t, "GET", target)
			} else {
				o.refused(t)
			}
		})
		t.Run(fmt.Sprintf("query %#02x", c), func(t *testing.T) {
			t.Parallel()
			target := "/raw/a?b" + string([]byte{byte(c)}) + "c"
			o := s.send(t, portPlain, rawRequest("GET "+target))
			if c > ' ' && c != 0x7f && c != '#' {
				o.forwardedAs(t, "GET", target)
			} else {
				o.refused(t)
			}
		})
	}
}

// Segments match whole.
func attackPrefixes(t *testing.T, s *stage) {
	t.Helper()
	for _, target := range []string{
		"/orders-admin", "/orders-admin/v1", "/ordersv1/7", "/order/v1/7", "/orders.json/v1", "/orders", "/orders/", "/orders/v1/", "/orders/v1/7/",
		"/orders/v1/7/filesystem", "/orders/v1/7/files-admin/x", "/orders/v1/7/8", "/orders/v1/7/files2", "/rawx", "/raw.json", "/rawx/y", "/xraw/y",
		"/secret", "/secret/x", "/x/raw/y", "/", "/*", "/raw*",
	} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			s.send(t, portPlain, rawRequest("GET "+target)).denied(t)
		})
	}
}
