package proxy

import (
	"net/http"
	"strings"
)

// readTarget returns the target of a request in origin-form, as it will go
// upstream. It reports false if Go would send other bytes than came in, or if
// the target has no origin-form: decided on is what is forwarded.
func readTarget(r *http.Request) (target string, ok bool) {
	target = r.RequestURI
	if !strings.HasPrefix(target, "/") {
		if target, ok = originForm(r); !ok {
			return r.RequestURI, false
		}
	}
	return target, sentAs(r, target)
}

// originForm cuts scheme and authority off a target in absolute-form (RFC 9112,
// section 3.2.2). The authority has become r.Host, as the RFC wants. HTTP/2 and 3
// have no such form (RFC 9113, section 8.3.1).
func originForm(r *http.Request) (target string, ok bool) {
	scheme, rest, ok := strings.Cut(r.RequestURI, "://")
	if !ok || r.ProtoMajor != 1 || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return "", false // authority-form, "*", or no target at all
	}
	if r.URL.Host == "" || r.URL.User != nil {
		return "", false
	}
	end := strings.IndexAny(rest, "/?#")
	switch {
	case end < 0:
		return "/", true
	case rest[end] == '?':
		return "/" + rest[end:], true
	}
	return rest[end:], true
}

// sentAs reports whether Go's transport would send exactly target.
func sentAs(r *http.Request, target string) bool {
	path, query, hasQuery := strings.Cut(target, "?")
	sent := r.URL.Path
	if r.URL.RawPath != "" || !staysAsItIs(sent) {
		sent = r.URL.EscapedPath()
	}
	if sent == "" {
		sent = "/"
	}
	return r.URL.Opaque == "" && sent == path && r.URL.RawQuery == query &&
		hasQuery == (r.URL.ForceQuery || query != "")
}

// staysAsItIs reports whether a decoded path has nothing in it that Go may escape: most
// have not, and need not be looked at any closer.
func staysAsItIs(path string) bool {
	for i := range len(path) {
		if !isUnescaped[path[i]] {
			return false
		}
	}
	return true
}

// isUnescaped tells which bytes of a path are never escaped: slashes, and what is
// unreserved (RFC 3986, section 2.3).
var isUnescaped = func() (unescaped [256]bool) {
	for _, c := range []byte("/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") {
		unescaped[c] = true
	}
	return unescaped
}()

// Unchanged reports whether the request that is about to be forwarded still has
// the method and target that the verdict is about.
func (v *Verdict) Unchanged(r *http.Request) bool {
	return r.Method == v.Method && sentAs(r, v.Target)
}
