package scopes

import (
	"slices"
	"strings"
)

// statedVersion collects what a request says of its version, place by place.
type statedVersion struct {
	value    string
	stated   bool
	conflict bool
}

func (s *statedVersion) add(value string) {
	if s.stated && s.value != value {
		s.conflict = true
	}
	s.value, s.stated = value, true
}

// resolveVersion finds the version that the request means: what it states, else
// what the contract fills in. It returns the version's position in the API and,
// where the version was filled in and the upstream reads it from a header, that
// header's name.
func resolveVersion(r *Request, t *target, l *leaf, g *Grant) (index int, setHeader string, reason Reason) {
	api := l.api
	stated := readVersion(r, t, l)
	if stated.conflict {
		return 0, "", VersionConflict
	}
	if stated.stated {
		if index = slices.Index(api.Versions, stated.value); index < 0 {
			return 0, "", VersionUnknown
		}
		return index, "", Allowed
	}
	return unstatedVersion(api, g)
}

// readVersion reads every place where the request may state its version.
func readVersion(r *Request, t *target, l *leaf) statedVersion {
	var s statedVersion
	if l.version >= 0 {
		s.add(versionIn(t.segment(l.version), l.api.Versions))
	}
	for _, place := range l.api.VersionFrom {
		switch place.Kind {
		case InHeader:
			s.readHeader(r.Header, place.Name)
		case InQuery:
			s.readQuery(t.query, place.Name)
		}
	}
	return s
}

// versionIn returns what a raw segment of the path states. It allocates only if
// that is percent-encoded and none of the versions.
func versionIn(segment string, versions []string) string {
	if strings.IndexByte(segment, '%') < 0 {
		return segment
	}
	for _, v := range versions {
		if decodesTo(segment, v) {
			return v
		}
	}
	return unescape(segment)
}

// readHeader takes the header called name. A header whose name an upstream could
// take for it is a conflict, and so is a repeated one.
func (s *statedVersion) readHeader(header map[string][]string, name string) {
	for key, values := range header {
		switch {
		case key == name:
			if len(values) != 1 {
				s.conflict = true
			} else {
				s.add(values[0])
			}
		case len(key) == len(name) && likeHeader(key, name):
			s.conflict = true
		}
	}
}

// likeHeader reports whether two names of the same length differ only in case or
// in which of "-", "_" and "." they have.
func likeHeader(a, b string) bool {
	for i := range len(a) {
		if foldNameByte(a[i]) != foldNameByte(b[i]) {
			return false
		}
	}
	return true
}

func foldNameByte(c byte) byte {
	if c == '_' || c == '.' || c == ' ' || c == '[' { // PHP makes "_" of all of them
		return '-'
	}
	return lowerASCII(c)
}

// readQuery takes the query parameter called name. It is a conflict if the
// parameter is repeated, if another's name is like it, or if it stands where only
// those upstreams would find it that also split a query at ";".
func (s *statedVersion) readQuery(query, name string) {
	found := false
	for more := query != ""; more; {
		var pair string
		pair, query, more = strings.Cut(query, "&")
		whole := strings.IndexByte(pair, ';') < 0
		for split := true; split; {
			var part string
			part, pair, split = strings.Cut(pair, ";")
			key, value, _ := strings.Cut(part, "=")
			same, alike := compareQueryName(key, name)
			switch {
			case same && whole && !found:
				found = true
				s.add(unescapeQuery(value))
			case alike:
				s.conflict = true
			}
		}
	}
}

// compareQueryName compares a raw query name, decoded once, with a parameter's:
// whether it is the same, and whether an upstream could take it for the same,
// because it differs in case, in which of "-", "_", ".", " " and "[" it has, in spaces
// around it, or in what follows "[" or NUL. It does not allocate.
func compareQueryName(raw, name string) (same, alike bool) {
	same = true
	at := 0
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch c {
		case '+':
			c = ' '
		case '%':
			if escaped, ok := unhex(raw[i+1:]); ok {
				c = escaped
				i += 2
			}
		}
		switch {
		case at == len(name):
			return false, c == '[' || c == ' ' || c == 0
		case at == 0 && c == ' ' && name[0] != ' ':
			same = false
		case foldNameByte(c) != foldNameByte(name[at]):
			return false, false
		default:
			same = same && c == name[at]
			at++
		}
	}
	return same && at == len(name), at == len(name)
}

// unescapeQuery decodes "+" and percent-escapes and leaves what is no escape. It
// allocates only if there is something to decode.
func unescapeQuery(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s
	}
	decoded := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch c {
		case '+':
			c = ' '
		case '%':
			if escaped, ok := unhex(s[i+1:]); ok {
				c = escaped
				i += 2
			}
		}
		decoded = append(decoded, c)
	}
	return string(decoded)
}

// unstatedVersion fills in the version of a request that states none: the
// token's, but only where it can be told to the upstream in a header, so that
// both sides act on the same; else the API's only one; else, for a legacy token,
// which has every version, the API's default.
func unstatedVersion(api *compiledAPI, g *Grant) (index int, setHeader string, reason Reason) {
	header := api.versionHeader()
	if header != "" && g.Version != "" {
		if index = slices.Index(api.Versions, g.Version); index >= 0 {
			return index, header, Allowed
		}
	}
	if len(api.Versions) <= 1 {
		return 0, "", Allowed
	}
	if g.Access != ScopedAccess && api.DefaultVersion != "" {
		if index = slices.Index(api.Versions, api.DefaultVersion); index >= 0 {
			return index, header, Allowed
		}
	}
	return 0, "", VersionUnknown
}

// versionHeader returns the first header in which the API reads its version; ""
// if it reads it from none.
func (a *compiledAPI) versionHeader() string {
	for _, place := range a.VersionFrom {
		if place.Kind == InHeader {
			return place.Name
		}
	}
	return ""
}
