package scopes

import (
	"fmt"
	"strings"
)

// Template is a parsed path template. Segments match whole segments of a path,
// after one percent-decoding, byte for byte:
//
//   - a literal matches itself,
//   - {name} matches one non-empty segment; {version} is where the path states
//     the API's version,
//   - a final ** matches zero or more segments, a trailing slash included.
//
// A path that ends in a slash otherwise matches only a template that does.
type Template struct {
	Segments []Segment
	// Slash is set where the template ends in "/".
	Slash bool
}

// Segment is one segment of a [Template].
type Segment struct {
	Kind SegmentKind
	Text string // the literal, or the parameter's name; "" for Rest
}

// SegmentKind is the kind of a [Segment], in the order of precedence.
type SegmentKind uint8

// The kinds of segments.
const (
	Literal SegmentKind = iota
	Parameter
	Rest
)

// VersionParameter is the name of the parameter that states the version.
const VersionParameter = "version"

// maxTemplate bounds a template's length in bytes.
const maxTemplate = 4096

// TemplateError says where a path template is wrong.
type TemplateError struct {
	Offset int    // in bytes, from the template's start
	Text   string // what is wrong and what was expected
}

// Error returns the text with the offset.
func (e *TemplateError) Error() string {
	return fmt.Sprintf("%s (at character %d of the path)", e.Text, e.Offset+1)
}

// ParseTemplate reads a path template. Its error is a [*TemplateError].
func ParseTemplate(path string) (Template, error) {
	if !strings.HasPrefix(path, "/") {
		return Template{}, &TemplateError{0, `a path starts with "/"`}
	}
	if len(path) > maxTemplate {
		return Template{}, &TemplateError{maxTemplate, fmt.Sprintf("a path has at most %d bytes", maxTemplate)}
	}
	t := Template{Slash: path == "/"}
	seen := make(map[string]bool)
	for at := 1; at < len(path); {
		text, _, more := strings.Cut(path[at:], "/")
		if t.hasRest() {
			return Template{}, &TemplateError{at, `"**" takes all that follows, so nothing can stand after it`}
		}
		segment, err := parseSegment(text, at)
		if err != nil {
			return Template{}, err
		}
		if segment.Kind == Parameter {
			if seen[segment.Text] {
				return Template{}, &TemplateError{at, fmt.Sprintf("the parameter {%s} stands twice", segment.Text)}
			}
			seen[segment.Text] = true
		}
		t.Segments = append(t.Segments, segment)
		at += len(text)
		if more {
			at++
			t.Slash = at == len(path)
		}
	}
	if t.hasRest() && t.Slash {
		return Template{}, &TemplateError{len(path) - 1, `"**" takes a trailing slash too, so end the path with "**"`}
	}
	return t, nil
}

func parseSegment(text string, at int) (Segment, error) {
	switch {
	case text == "":
		return Segment{}, &TemplateError{at, "an empty segment; requests with one are refused"}
	case text == "**":
		return Segment{Kind: Rest}, nil
	case strings.HasPrefix(text, "{"):
		return parseParameter(text, at)
	}
	for i := range len(text) {
		switch text[i] {
		case '{', '}':
			return Segment{}, &TemplateError{at + i, "a {parameter} takes a whole segment"}
		case '*':
			return Segment{}, &TemplateError{at + i, `"*" is no wildcard; write a {parameter}, or "**" as the last segment`}
		case '%':
			return Segment{}, &TemplateError{at + i, "templates compare with decoded segments; write the character itself, not its percent-encoding"}
		case '?', '#':
			return Segment{}, &TemplateError{at + i, "a path has no query and no fragment"}
		}
	}
	if len(text) > maxLiteral {
		return Segment{}, &TemplateError{at, fmt.Sprintf("a segment has at most %d bytes", maxLiteral)}
	}
	if flaw := flawOf([]byte(text)); flaw != "" {
		return Segment{}, &TemplateError{at, fmt.Sprintf("no request can match the segment %q: %s", text, flaw)}
	}
	return Segment{Kind: Literal, Text: text}, nil
}

func parseParameter(text string, at int) (Segment, error) {
	name := strings.TrimSuffix(text[1:], "}")
	if len(name) != len(text)-2 {
		return Segment{}, &TemplateError{at, "a {parameter} takes a whole segment and ends in }"}
	}
	if name == "" {
		return Segment{}, &TemplateError{at, "a parameter needs a name, such as {id}"}
	}
	for i := range len(name) {
		if c := name[i]; !isAlphanumeric(c) && c != '_' && c != '-' && c != '.' {
			return Segment{}, &TemplateError{at + 1 + i, "a parameter's name has letters, digits, _, - and . only; there are no regular expressions"}
		}
	}
	return Segment{Kind: Parameter, Text: name}, nil
}

func (t Template) hasRest() bool {
	return len(t.Segments) > 0 && t.Segments[len(t.Segments)-1].Kind == Rest
}

// Parameter returns the position of the named parameter, or -1.
func (t Template) parameter(name string) int {
	for i, s := range t.Segments {
		if s.Kind == Parameter && s.Text == name {
			return i
		}
	}
	return -1
}

// String returns the template as it was written.
func (t Template) String() string {
	var b strings.Builder
	for _, s := range t.Segments {
		b.WriteByte('/')
		switch s.Kind {
		case Literal:
			b.WriteString(s.Text)
		case Parameter:
			b.WriteString("{" + s.Text + "}")
		case Rest:
			b.WriteString("**")
		}
	}
	if t.Slash {
		b.WriteByte('/')
	}
	return b.String()
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}
