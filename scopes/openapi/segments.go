package openapi

import (
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/scopegate/scopegate/scopes"
)

// segment is a segment of a path in the document.
type segment struct {
	kind scopes.SegmentKind
	raw  string // a literal, decoded, or the parameter's name in the document
	name string // a parameter's name in the template
	// versions are those that a parameter is said to have, or that a server has.
	versions []string
}

var (
	// queryTail is what URI templates (RFC 6570) write for a query at the end.
	queryTail = regexp.MustCompile(`\{[?&][^{}]*\}$`)
	// anyParameter is a parameter with whatever stands in its braces.
	anyParameter = regexp.MustCompile(`\{[^{}]*\}`)
	// patterned is a parameter with a pattern, as frameworks have them.
	patterned = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*:.`)
)

// parsePath reads a path of the document, or says why no template can express it.
func (im *importer) parsePath(path string) (segments []segment, slash bool, flaw string) {
	switch {
	case !strings.HasPrefix(path, "/"):
		return nil, false, `it does not start with "/"`
	case strings.Contains(anyParameter.ReplaceAllString(path, ""), "#"):
		return nil, false, "a request has no fragment (#…), so nothing tells it from others"
	case strings.Contains(anyParameter.ReplaceAllString(path, ""), "?"):
		return nil, false, "the query (?…) takes no part in a decision, so nothing tells it from others"
	case path == "/":
		return nil, true, ""
	}
	path, slash = strings.CutSuffix(path, "/")
	for text := range splitSegments(path[1:]) {
		if len(segments) > 0 && segments[len(segments)-1].kind == scopes.Rest {
			return nil, false, "a parameter that takes slashes can only be the last segment"
		}
		s, flaw := im.parseSegment(text)
		if flaw != "" {
			return nil, false, flaw
		}
		segments = append(segments, s)
	}
	if slash && len(segments) > 0 && segments[len(segments)-1].kind == scopes.Rest {
		slash = false // ** takes a trailing slash too
	}
	return segments, slash, ""
}

// splitSegments yields what stands between slashes, but for those within braces.
func splitSegments(path string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		start, depth := 0, 0
		for i := range len(path) {
			switch {
			case path[i] == '{':
				depth++
			case path[i] == '}' && depth > 0:
				depth--
			case path[i] == '/' && depth == 0:
				if !yield(path[start:i]) {
					return
				}
				start = i + 1
			}
		}
		yield(path[start:])
	}
}

// parseSegment reads one segment, or says why it cannot be expressed.
func (im *importer) parseSegment(text string) (s segment, flaw string) {
	if !strings.ContainsAny(text, "{}") {
		return literal(text)
	}
	if inner, ok := strings.CutPrefix(text, "{"); ok && strings.Count(text, "{") == 1 {
		if inner, ok = strings.CutSuffix(inner, "}"); ok && !strings.Contains(inner, "}") {
			return parameter(inner)
		}
	}
	if im.options.WholeSegments && anyParameter.MatchString(text) {
		name := strings.Trim(anyParameter.FindString(text), "{}")
		return segment{kind: scopes.Parameter, raw: text, name: parameterName(name)}, ""
	}
	return s, "the segment " + cut(text) + " has text around a parameter, and a {parameter} takes a whole segment"
}

// literal reads a segment without a parameter.
func literal(text string) (s segment, flaw string) {
	decoded := unescapePercent(text)
	if _, err := scopes.ParseTemplate("/" + decoded); err != nil {
		return s, "no request can match the segment " + cut(text)
	}
	if decoded == "**" { // it means something else here
		return s, "the segment ** is a pattern"
	}
	return segment{kind: scopes.Literal, raw: decoded}, ""
}

// parameter reads what stands in braces: a name, or one of the forms of URI
// templates and frameworks.
func parameter(inner string) (s segment, flaw string) {
	name := inner
	kind := scopes.Parameter
	switch {
	case inner == "":
		return s, "a parameter has no name"
	case strings.HasPrefix(inner, ";"):
		return s, "the parameter {" + cut(inner) + `} is a matrix parameter, whose ";" is refused`
	case strings.ContainsAny(inner[:1], "/?&#."):
		return s, "the parameter {" + cut(inner) + "} is no plain segment"
	case strings.ContainsAny(inner, "=/"):
		return s, "the parameter {" + cut(inner) + "} is a pattern of several segments"
	case patterned.MatchString(inner):
		var pattern string // what it matches is wider
		if name, pattern, _ = strings.Cut(inner, ":"); pattern == ".*" || pattern == ".+" {
			kind = scopes.Rest
		}
	case strings.HasPrefix(inner, "+"), strings.HasSuffix(inner, "+"), strings.HasPrefix(inner, "*"):
		name, kind = strings.Trim(inner, "+*"), scopes.Rest // takes slashes
	}
	return segment{kind: kind, raw: name, name: parameterName(name)}, ""
}

// notInName is what the name of a parameter in a template cannot have.
var notInName = regexp.MustCompile(`[^A-Za-z0-9_.-]+`)

// parameterName maps a parameter's name into what a template can have.
func parameterName(name string) string {
	const most = 60
	name = notInName.ReplaceAllString(strings.TrimRight(name, "*"), "_")
	if name == "" {
		return "_"
	}
	return name[:min(len(name), most)]
}

// pathOf writes segments as the path of a template.
func pathOf(segments []segment, slash bool) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		switch s.kind {
		case scopes.Literal:
			b.WriteString(s.raw)
		case scopes.Parameter:
			b.WriteString("{" + s.name + "}")
		case scopes.Rest:
			b.WriteString("**")
		}
	}
	if slash || len(segments) == 0 {
		b.WriteByte('/')
	}
	return b.String()
}

// indexOf returns the position of the parameter whose name in the template is
// name, or -1.
func indexOf(segments []segment, name string) int {
	for i, s := range segments {
		if s.kind == scopes.Parameter && s.name == name {
			return i
		}
	}
	return -1
}

// unescapePercent decodes percent-escapes, or returns what cannot be decoded.
func unescapePercent(s string) string {
	if decoded, err := url.PathUnescape(s); err == nil && utf8.ValidString(decoded) {
		return decoded
	}
	return s
}
