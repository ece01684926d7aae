package scopes

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// target is the target of a request in origin-form (RFC 9112, section 3.2.1),
// found to be one that no two parsers read differently.
type target struct {
	path    string // raw, as it goes upstream
	query   string // raw, after the "?"
	escaped bool   // some segment is percent-encoded
	slashes bool   // some segment holds an encoded slash
	count   int    // of the path's segments
	// ends are the positions where the first segments end, so that they need not be
	// searched for again.
	ends [16]int
}

// parse checks a raw target, and puts it into the zero target t. What is wrong with
// it comes back as a text for people, "" if nothing is. An encoded slash passes here
// only if slashesAllowed; whether the API allows it is known later.
func (t *target) parse(raw string, slashesAllowed bool) (flaw string) {
	t.path, t.query, _ = cutByte(raw, '?')
	if !strings.HasPrefix(t.path, "/") {
		return `the target does not start with "/"`
	}
	for i := range len(t.query) {
		if c := t.query[i]; c <= ' ' || c == 0x7f || c == '#' {
			return "the query has a space, a control character or #"
		}
	}
	return t.checkPath(slashesAllowed)
}

// checkPath goes through the path once, segment by segment.
func (t *target) checkPath(slashesAllowed bool) (flaw string) {
	path := t.path
	start, escaped := 1, false
	for i := 1; i <= len(path); i++ {
		for i < len(path) && isPlain[path[i]] {
			i++
		}
		if i < len(path) && path[i] != '/' {
			if path[i] != '%' {
				return rawFlaw(path[i])
			}
			escaped = true
			continue
		}
		segment := path[start:i]
		switch {
		case escaped:
			var slash bool
			slash, flaw = checkEscaped(segment, slashesAllowed)
			t.slashes = t.slashes || slash
		case segment == "" && i < len(path):
			flaw = "the path has an empty segment"
		default:
			flaw = dotFlaw(segment)
		}
		if flaw != "" {
			return flaw
		}
		t.escaped = t.escaped || escaped
		if t.count < len(t.ends) {
			t.ends[t.count] = i
		}
		t.count++
		start, escaped = i+1, false
	}
	return ""
}

// isPlain tells of each byte whether it can stand in a segment as it is: those of
// RFC 3986, section 3.3, without ";", and "[" and "]", which Go passes on.
var isPlain = func() (plain [256]bool) {
	for c := range utf8.RuneSelf {
		plain[c] = isAlphanumeric(byte(c)) || strings.IndexByte("-._~!$&'()*+,=:@[]", byte(c)) >= 0
	}
	return plain
}()

// checkEscaped checks a segment with percent-escapes: each by itself, then the
// segment decoded once, then what would come of decoding it more often.
func checkEscaped(segment string, slashesAllowed bool) (slash bool, flaw string) {
	decoded := make([]byte, 0, maxLiteral) // on the stack, unless the segment is longer
	for i := 0; i < len(segment); i++ {
		c := segment[i]
		if c == '%' {
			var ok bool
			if c, ok = unhex(segment[i+1:]); !ok {
				return false, "the path has a percent sign that begins no escape"
			}
			if c == '/' && slashesAllowed {
				slash = true
			} else if refusedEscape(c) {
				return false, "the path has an escape of / \\ . ; or of a control character"
			}
			i += 2
		}
		decoded = append(decoded, c)
	}
	if slash {
		if flaw := partsFlaw(decoded); flaw != "" {
			return slash, flaw
		}
	}
	if flaw := flawOf(decoded); flaw != "" {
		return slash, flaw
	}
	again, refused := decodeOn(decoded)
	if refused || runeFlaw(again) != "" {
		return slash, "the path has a doubly encoded / \\ . ; or control character"
	}
	return slash, ""
}

// refusedEscape reports whether an escape of c is refused wherever it stands.
func refusedEscape(c byte) bool {
	return c == '/' || c == '\\' || c == '.' || c == ';' || c < ' ' || c == 0x7f
}

// decodeOn decodes a segment, which was decoded once, until no escape is left,
// in place. It stops at an escape that is refused.
//
// A client chooses how deep escapes are nested, so this is one pass over a stack
// instead of a pass for each level: whatever closes an escape at the stack's top,
// be it a byte of the segment or one just decoded, has it decoded there and then.
func decodeOn(decoded []byte) (again []byte, refused bool) {
	stack := decoded[:0]
	for _, c := range decoded {
		stack = append(stack, c)
		for n := len(stack) - 3; n >= 0 && stack[n] == '%'; n = len(stack) - 3 {
			inner, ok := unhex(stack[n+1:])
			if !ok {
				break
			}
			if refusedEscape(inner) {
				return nil, true
			}
			stack = append(stack[:n], inner)
		}
	}
	return stack, false
}

// flawOf says why a decoded segment is refused; "" if it is not.
func flawOf(decoded []byte) string {
	if !utf8.Valid(decoded) {
		return "the path is not UTF-8 when decoded"
	}
	if flaw := runeFlaw(decoded); flaw != "" {
		return flaw
	}
	return dotFlaw(decoded)
}

// runeFlaw says which character of a decoded segment is refused. What is not
// UTF-8 it passes over.
func runeFlaw(decoded []byte) string {
	for len(decoded) > 0 {
		r, size := utf8.DecodeRune(decoded)
		decoded = decoded[size:]
		switch {
		case r == '\\' || r == ';':
			return `the path has a "\" or ";"`
		case unicode.IsControl(r):
			return "the path has a control character"
		case r == '\uFF0E' || r == '\uFF0F' || r == '\uFF3C':
			return "the path has a full-width dot, slash or backslash"
		}
	}
	return ""
}

// partsFlaw says why a segment is refused that is several once its encoded
// slashes are decoded; "" if it is not.
func partsFlaw(decoded []byte) string {
	for more := true; more; {
		var part []byte
		part, decoded, more = bytes.Cut(decoded, []byte{'/'})
		if len(part) == 0 {
			return "the path would have an empty segment if its encoded slash were decoded"
		}
		if flaw := dotFlaw(part); flaw != "" {
			return flaw
		}
	}
	return ""
}

func dotFlaw[T string | []byte](segment T) string {
	if len(segment) == 1 && segment[0] == '.' || len(segment) == 2 && segment[0] == '.' && segment[1] == '.' {
		return `the path has a segment "." or ".."`
	}
	return ""
}

func rawFlaw(c byte) string {
	switch c {
	case ';', '\\':
		return `the path has a "\" or ";"`
	case '#':
		return "the target has a fragment"
	}
	return "the path has a character that must be percent-encoded (RFC 3986, section 3.3)"
}

// unhex reads the two hexadecimal digits that s starts with.
func unhex[T string | []byte](s T) (byte, bool) {
	if len(s) < 2 {
		return 0, false
	}
	high, ok1 := hexDigit(s[0])
	low, ok2 := hexDigit(s[1])
	return high<<4 | low, ok1 && ok2
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// unescapeInto appends the segment decoded once to dst. It reports false if the
// result has a slash or is longer than dst's capacity.
func unescapeInto(dst []byte, segment string) ([]byte, bool) {
	for i := 0; i < len(segment); i++ {
		c := segment[i]
		if c == '%' {
			c, _ = unhex(segment[i+1:])
			i += 2
		}
		if c == '/' || len(dst) == cap(dst) {
			return dst, false
		}
		dst = append(dst, c)
	}
	return dst, true
}

// unescape decodes a segment that parse has passed. It allocates only if
// the segment has escapes.
func unescape(segment string) string {
	if strings.IndexByte(segment, '%') < 0 {
		return segment
	}
	decoded := make([]byte, 0, len(segment))
	for i := 0; i < len(segment); i++ {
		c := segment[i]
		if c == '%' {
			c, _ = unhex(segment[i+1:])
			i += 2
		}
		decoded = append(decoded, c)
	}
	return string(decoded)
}

// hasEncodedSlash reports whether a segment that parse has passed holds an
// encoded slash.
func hasEncodedSlash(segment string) bool {
	return strings.Contains(segment, "%2F") || strings.Contains(segment, "%2f")
}

// decodesTo reports whether a segment that parse has passed is text when
// decoded. It does not allocate.
func decodesTo(segment, text string) bool {
	for i := 0; i < len(segment); i++ {
		c := segment[i]
		if c == '%' {
			c, _ = unhex(segment[i+1:])
			i += 2
		}
		if text == "" || text[0] != c {
			return false
		}
		text = text[1:]
	}
	return text == ""
}

// segment returns the raw segment at a position of the path, counted from 0.
func (t *target) segment(position int) string {
	switch {
	case position == 0:
		return t.path[1:t.ends[0]]
	case position < len(t.ends):
		return t.path[t.ends[position-1]+1 : t.ends[position]]
	}
	segment, rest, _ := cutSegment(t.path[t.ends[len(t.ends)-1]+1:])
	for range position - len(t.ends) {
		segment, rest, _ = cutSegment(rest)
	}
	return segment
}

// cutSegment cuts a path at its first slash.
func cutSegment(path string) (segment, rest string, more bool) { return cutByte(path, '/') }

// cutByte is strings.Cut for one byte, which the compiler puts where it is called: a
// decision cuts a dozen times.
func cutByte(s string, at byte) (before, after string, found bool) {
	if i := strings.IndexByte(s, at); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}
