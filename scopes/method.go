package scopes

import (
	"math/bits"
	"strings"
)

// Methods is a set of HTTP methods (RFC 9110, section 9). Methods are
// case-sensitive. The zero value is the empty set.
type Methods uint32

// methodNames are the methods that operations and scopes can name: those of
// RFC 9110, PATCH (RFC 5789), QUERY, and WebDAV's (RFC 4918, 3253, 3744, 5323).
// The position is the bit, and stored records rely on it: append, never reorder.
// CONNECT and TRACE are absent, for no scope grants them.
var methodNames = [...]string{
	"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY",
	"PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK",
	"SEARCH", "REPORT", "ACL", "MKCALENDAR", "VERSION-CONTROL", "CHECKOUT",
	"CHECKIN", "UNCHECKOUT", "MERGE", "LINK", "UNLINK", "PURGE", "NOTIFY",
	"SUBSCRIBE", "UNSUBSCRIBE",
}

const (
	methodGet  Methods = 1 << 0
	methodHead Methods = 1 << 1

	// otherMethod stands for every method without a name above, so that the
	// set "*" has it and sets of named methods do not.
	otherMethod Methods = 1 << 31

	// AllMethods is what "*" means: every method but CONNECT and TRACE.
	AllMethods = otherMethod | (1<<len(methodNames) - 1)

	// ReadMethods is what a read_only legacy token has.
	ReadMethods = methodGet | methodHead
)

// MethodOf returns the set that has just the given method. It is empty for the
// empty string, and for CONNECT and TRACE in any case, which nothing can grant:
// methods are case-sensitive, but not to every server.
func MethodOf(name string) Methods {
	switch name { // the common ones without a search
	case "GET":
		return methodGet
	case "POST":
		return 1 << 2
	case "PUT":
		return 1 << 3
	case "DELETE":
		return 1 << 5
	case "":
		return 0
	}
	for i, n := range methodNames {
		if n == name {
			return 1 << i
		}
	}
	if strings.EqualFold(name, "CONNECT") || strings.EqualFold(name, "TRACE") {
		return 0
	}
	return otherMethod
}

// Named reports whether m consists of methods that can be granted by name.
func (m Methods) named() bool { return m != 0 && m&otherMethod == 0 }

// Has reports whether m has all of sub, and sub is not empty.
func (m Methods) Has(sub Methods) bool { return sub != 0 && m&sub == sub }

// WithHead returns m, with HEAD if m has GET: a grant of GET includes HEAD.
func (m Methods) WithHead() Methods {
	if m&methodGet != 0 {
		m |= methodHead
	}
	return m
}

// withoutHead returns m without HEAD where GET implies it: the one way to write
// down what a scope grants.
func (m Methods) withoutHead() Methods {
	if m&methodGet != 0 && m != AllMethods {
		m &^= methodHead
	}
	return m
}

// Names returns the names in the set in a fixed order, or just "*" for
// AllMethods.
func (m Methods) Names() []string {
	if m == AllMethods {
		return []string{"*"}
	}
	names := make([]string, 0, bits.OnesCount32(uint32(m)))
	for i, n := range methodNames {
		if m&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return names
}

// String returns the names joined by "|", as a scope file has them.
func (m Methods) String() string { return strings.Join(m.Names(), "|") }
