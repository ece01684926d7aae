package proxy

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/scopegate/scopegate/scopes"
)

// The fields that tell of a deprecated version: RFC 9745, RFC 8594 and RFC 8288.
const (
	deprecationField = "Deprecation"
	sunsetField      = "Sunset"
	linkField        = "Link"
)

// deprecationRelation is the relation of a link to what people are to read (RFC 9745,
// section 3.1).
const deprecationRelation = "deprecation"

// tellDeprecation says in a response's header that the version is deprecated. What the
// header says already stays, and is not said once more: the upstream knows best which of
// its resources go, and when.
func tellDeprecation(h http.Header, d *scopes.Deprecation) {
	if h[deprecationField] == nil && !d.Since.IsZero() {
		h[deprecationField] = []string{"@" + strconv.FormatInt(d.Since.Unix(), 10)}
	}
	if h[sunsetField] == nil {
		h[sunsetField] = []string{d.Sunset.UTC().Format(http.TimeFormat)}
	}
	if d.Link != "" && !hasRelation(h[linkField], deprecationRelation) {
		h[linkField] = append(slices.Clip(h[linkField]), "<"+d.Link+`>; rel="`+deprecationRelation+`"`)
	}
}

// hasRelation reports whether there is a link with a relation in the values of Link fields
// (RFC 8288, section 3).
func hasRelation(values []string, relation string) bool {
	for _, rest := range values {
		for rest != "" {
			var relations string
			relations, rest = nextLink(rest)
			if slices.ContainsFunc(strings.Fields(relations), func(r string) bool { return strings.EqualFold(r, relation) }) {
				return true
			}
		}
	}
	return false
}

// nextLink returns the relations of the first link of a list, and the list after it.
func nextLink(s string) (relations, rest string) {
	_, s, _ = strings.Cut(s, ">")
	for known := false; ; {
		s = strings.TrimLeft(s, " \t")
		if s == "" || s[0] != ';' {
			return relations, s // the next one begins with a comma, before its "<"
		}
		var name, value string
		name, value, s = nextParameter(s[1:])
		if !known && strings.EqualFold(name, "rel") {
			relations, known = value, true // any other is not to be looked at
		}
	}
}

// nextParameter returns the first parameter of a list, and the list after it.
func nextParameter(s string) (name, value, rest string) {
	end := strings.IndexAny(s, "=;,")
	if end < 0 {
		return s, "", ""
	}
	name = strings.Trim(s[:end], " \t")
	if s[end] != '=' {
		return name, "", s[end:]
	}
	value = strings.TrimLeft(s[end+1:], " \t")
	if strings.HasPrefix(value, `"`) {
		value, rest = nextQuoted(value[1:])
		return name, value, rest
	}
	if end = strings.IndexAny(value, ";, \t"); end >= 0 {
		value, rest = value[:end], value[end:]
	}
	return name, value, rest
}

// nextQuoted returns what stands before the quote that ends a string, as it is written
// there, and what stands after it.
func nextQuoted(s string) (text, rest string) {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}
