package scopes

import (
	"slices"
	"strings"
)

// version reads a version. Numbers are refused, for YAML would read 1.10 as 1.1.
func (r *reader) version(n *yamlNode) (string, bool) {
	switch {
	case n.kind == number:
		r.problemf(n, `a version is text, and YAML reads %s as a number; quote it: "%s"`, n.text, n.text)
	case n.kind != text:
		r.problemf(n, `expected a version in quotes, such as "v1", found %s`, n.describe())
	case !validName(n.text):
		r.problemf(n, "%s is no version; a version has up to 63 letters, digits, and . _ - after the first", shown(n.text))
	default:
		return n.text, true
	}
	return "", false
}

func (r *reader) readVersions(n *yamlNode, d *apiDraft) {
	before := r.told()
	d.Versions = r.uniqueTexts(n, "versions", `["v1", "v2"]`, r.version)
	d.versionsKnown = r.told() == before
	if len(d.Versions) > MaxVersions {
		r.problemf(n, "%d versions; an API has at most %d", len(d.Versions), MaxVersions)
		d.Versions = d.Versions[:MaxVersions]
	}
}

// versionOf reads a version that the API must have.
func (r *reader) versionOf(n *yamlNode, api *API) (string, bool) {
	v, ok := r.version(n)
	if !ok {
		return "", false
	}
	if len(api.Versions) == 0 {
		r.problemf(n, "API %s has no versions, so none can be named", api.Name)
		return "", false
	}
	if !slices.Contains(api.Versions, v) {
		r.unknownf(n, func() []string { return api.Versions }, "it has ", "API %s has no version %q", api.Name, v)
		return "", false
	}
	return v, true
}

func (r *reader) readDefaultVersion(n *yamlNode, d *apiDraft) {
	d.DefaultVersion, _ = r.ownVersion(n, d)
}

// ownVersion reads a version that the API itself must have. Where its versions
// have a problem of their own, any will do.
func (r *reader) ownVersion(n *yamlNode, d *apiDraft) (string, bool) {
	if !d.versionsKnown {
		return r.version(n)
	}
	return r.versionOf(n, &d.API)
}

func (r *reader) readVersionFrom(n *yamlNode, d *apiDraft) {
	if len(d.Versions) == 0 && d.versionsKnown {
		r.problemf(n, "version_from says where requests state their version, but API %s has no versions; list them under versions:", d.Name)
		return
	}
	seen := make(map[VersionPlace]bool)
	for _, item := range r.items(n, "version_from", "[header API-Version, query version]") {
		place, ok := r.versionPlace(item)
		switch {
		case !ok:
		case seen[place]:
			r.problemf(item, "%s %s stands twice in version_from", place.Kind, place.Name)
		default:
			d.VersionFrom = append(d.VersionFrom, place)
		}
		seen[place] = true
	}
}

// versionPlace reads "header NAME" or "query NAME".
func (r *reader) versionPlace(n *yamlNode) (place VersionPlace, ok bool) {
	const shape = `expected "header NAME" or "query NAME"`
	if n.kind != text {
		r.problemf(n, "%s, found %s", shape, n.describe())
		return place, false
	}
	kind, name, _ := strings.Cut(n.text, " ")
	name = strings.TrimSpace(name)
	var flaw string
	switch kind {
	case "header":
		place, flaw = VersionPlace{InHeader, canonicalHeader(name)}, versionHeaderFlaw(name)
	case "query":
		place, flaw = VersionPlace{InQuery, name}, queryNameFlaw(name)
	default:
		flaw = shape + ", found " + shown(n.text)
	}
	if flaw != "" {
		r.problemf(n, "%s", flaw)
	}
	return place, flaw == ""
}

// canonicalHeader returns a header's name as net/http has it in its maps: upper
// case at the start and after "-", lower case elsewhere.
func canonicalHeader(name string) string {
	canonical := []byte(name)
	upper := true
	for i, c := range canonical {
		switch {
		case upper && 'a' <= c && c <= 'z':
			canonical[i] = c - 'a' + 'A'
		case !upper:
			canonical[i] = lowerASCII(c)
		}
		upper = c == '-'
	}
	return string(canonical)
}

// isToken reports whether s is a token (RFC 9110, section 5.6.2), as the names of
// headers and methods are.
func isToken(s string) bool {
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && strings.IndexByte("!#$%&'*+-.^_`|~", s[i]) < 0 {
			return false
		}
	}
	return s != ""
}

// unusableHeaders have a meaning of their own, are removed on the way (RFC 9110,
// section 7.6.1), or are set by proxies.
var unusableHeaders = []string{
	"Authorization", "Connection", "Content-Length", "Cookie", "Forwarded", "Host", "Keep-Alive",
	"Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Set-Cookie", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade", "X-Http-Method", "X-Http-Method-Override", "X-Http-Methodoverride", "X-Method",
	"X-Method-Override", "X-Original-Url", "X-Rewrite-Url",
}

// versionHeaderFlaw says why a header cannot state versions; "" if it can.
func versionHeaderFlaw(name string) string {
	canonical := canonicalHeader(name)
	switch {
	case name == "":
		return `the header's name is missing, such as "header API-Version"`
	case !isToken(name):
		return shown(name) + " is no name of a header"
	case strings.ContainsAny(name, "_."):
		return "the header " + name + " has _ or ., which some servers read as -; use another name"
	case slices.Contains(unusableHeaders, canonical),
		strings.HasPrefix(canonical, "X-Scopegate-"), strings.HasPrefix(canonical, "X-Forwarded-"):
		return "the header " + canonical + " has another purpose and cannot state the version; use another name"
	}
	return ""
}

// queryNameFlaw says why a query parameter cannot state versions; "" if it can.
func queryNameFlaw(name string) string {
	if name == "" {
		return `the parameter's name is missing, such as "query version"`
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c > '~' || strings.IndexByte("&=;#%+", c) >= 0 {
			return shown(name) + " is no usable name of a query parameter; use letters, digits, - and _"
		}
	}
	return ""
}
