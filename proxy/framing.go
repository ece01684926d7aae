package proxy

import (
	"net/http"
	"strconv"
	"strings"
)

// wellFramed reports whether every hop will take the request for the same
// message: no tunnel, no upgrade but to a WebSocket, no second method.
func wellFramed(r *http.Request) bool {
	if r.Method != http.MethodGet && !isForwarded(r.Method) {
		return false
	}
	if r.Host == "" && r.ProtoMajor != 1 { // HTTP/1.0 has none (RFC 9113, section 8.3.1)
		return false
	}
	for name, values := range r.Header {
		switch {
		case name == "Upgrade":
			if !isWebSocket(r, values) {
				return false
			}
		case name == "Content-Length":
			if r.ProtoMajor != 1 && !isLength(values, r.ContentLength) {
				return false
			}
		case overridesMethod(name):
			for _, v := range values {
				if v != r.Method {
					return false
				}
			}
		}
	}
	return true
}

// isForwarded reports whether a method is one that goes upstream.
func isForwarded(method string) bool {
	return !IsTunnel(method) && isToken(method)
}

// IsTunnel reports whether a method is CONNECT or TRACE, in any case: some servers
// fold it. Such a request goes to no upstream, not even for an error page.
func IsTunnel(method string) bool {
	return strings.EqualFold(method, http.MethodConnect) || strings.EqualFold(method, http.MethodTrace)
}

// isToken reports whether s is a token (RFC 9110, section 5.6.2), as methods are.
// Go looks at those of HTTP/1 only.
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// isLength reports whether a Content-Length states the length that was taken for
// the body's. Of HTTP/2, Go takes one that is no number for 0, and the first of two.
func isLength(values []string, length int64) bool {
	if len(values) != 1 {
		return false
	}
	stated, err := strconv.ParseInt(values[0], 10, 64)
	return err == nil && stated == length
}

// isWebSocket reports whether Upgrade fields ask for a WebSocket, on GET of HTTP/1.1
// and nothing else (RFC 6455, section 4.1). After any other switch of protocols the
// gateway would be a blind tunnel.
func isWebSocket(r *http.Request, upgrade []string) bool {
	const protocol = "websocket"
	return len(upgrade) == 1 && len(upgrade[0]) == len(protocol) && strings.EqualFold(upgrade[0], protocol) &&
		r.Method == http.MethodGet && r.ContentLength == 0 && r.ProtoMajor == 1 && r.ProtoMinor == 1
}

// overrideNames are the fields in which frameworks let a client override the
// method, in lower case.
var overrideNames = [...]string{
	"x-http-method-override", "x-http-methodoverride", "x-http-method", "x-method-override", "x-method", "x-forwarded-method",
}

// overridesMethod reports whether a field is an override in any spelling.
func overridesMethod(name string) bool {
	return isOneOf(name, overrideNames[:])
}

// isOneOf reports whether a field has one of the names, which begin with x, in any
// spelling.
func isOneOf(name string, names []string) bool {
	if name == "" || name[0]|0x20 != 'x' {
		return false
	}
	for _, n := range names {
		if len(name) == len(n) && hasFoldedPrefix(name, n) {
			return true
		}
	}
	return false
}

// targetNames are the fields in which a client tells some frameworks another
// target than the request line's, in lower case.
var targetNames = [...]string{"x-original-url", "x-rewrite-url"}

// isReserved reports whether the upstream must not get a field from the client:
// it is the gateway's to say, or would have the upstream act on another request
// than the one that was decided on.
func isReserved(name string) bool {
	return isIdentity(name) || overridesMethod(name) || isOneOf(name, targetNames[:])
}

// identityPrefix is what the names of the fields begin with that only the gateway
// may set.
const identityPrefix = "x-scopegate-"

func isIdentity(name string) bool { return hasFoldedPrefix(name, identityPrefix) }

// hasFoldedPrefix reports whether name begins with prefix for an upstream that
// ignores case and what stands between letters and digits. CGI and its heirs make
// "_" of "-"; some also of ".", and some of every other character.
func hasFoldedPrefix(name, prefix string) bool {
	if len(name) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		if fold(name[i]) != fold(prefix[i]) {
			return false
		}
	}
	return true
}

// fold returns the byte of a field's name as such an upstream sees it.
func fold(c byte) byte {
	switch {
	case 'a' <= c && c <= 'z' || '0' <= c && c <= '9':
		return c
	case 'A' <= c && c <= 'Z':
		return c | 0x20
	}
	return '-'
}
