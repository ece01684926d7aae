package scopes

import (
	"net/url"
	"strconv"
	"strings"
	"time"
)

// deprecationTable has the keys of a deprecation that says more than its sunset.
var deprecationTable = table[Deprecation]{"deprecation", "a deprecation", []field[Deprecation]{
	{key: "sunset", required: "the date on which the version is expected to stop working", read: func(r *reader, n *yamlNode, d *Deprecation) {
		d.Sunset, _ = r.moment(n, "sunset")
	}},
	{key: "since", read: (*reader).readSince},
	{key: "link", read: (*reader).readDeprecationLink},
}}

// readDeprecated reads what is said of versions: when their sunset is, or a mapping
// that says more.
func (r *reader) readDeprecated(n *yamlNode, d *apiDraft) {
	const shape = `deprecated has the sunset of each deprecated version, such as {"v1": 2027-01-01}`
	switch {
	case n.kind != mapping:
		r.problemf(n, "%s; found %s", shape, n.describe())
		return
	case len(n.pairs) == 0:
		r.problemf(n, "deprecated is an empty mapping; leave the key out, or name a version, such as {\"v1\": 2027-01-01}")
		return
	}
	for p := range r.uniquePairs(n) {
		version, ok := r.ownVersion(p.key, d)
		said := Deprecation{Version: version}
		if p.value.kind == mapping {
			readFields(r, &deprecationTable, p.key, p.value, &said)
		} else {
			said.Sunset, _ = r.moment(p.value, "sunset")
		}
		if !ok || said.Sunset.IsZero() {
			continue
		}
		if said.Passed(r.now) {
			r.warnf(p.key, "the sunset of version %q of API %s was at %s, and it is still served; take it out of versions: if its clients are gone, or give it a later sunset",
				version, d.Name, said.Sunset.Format(time.RFC3339))
		}
		d.Deprecated = append(d.Deprecated, said)
	}
	sortDeprecations(d.Deprecated)
}

// readSince reads when a deprecation begins; its sunset is read already.
func (r *reader) readSince(n *yamlNode, d *Deprecation) {
	since, ok := r.moment(n, "since")
	if ok && !d.Sunset.IsZero() && since.After(d.Sunset) {
		r.problemf(n, "since is not after sunset, which is %s, found %s", momentText(d.Sunset), momentText(since))
		return
	}
	d.Since = since
}

func (r *reader) readDeprecationLink(n *yamlNode, d *Deprecation) {
	link, ok := r.text(n, "link")
	if !ok {
		return
	}
	if flaw := linkFlaw(link); flaw != "" {
		r.problemf(n, "%s", flaw)
		return
	}
	d.Link = link
}

// maxLink bounds a link, in bytes: it goes into a field of each response.
const maxLink = 1000

// linkFlaw says why a text is no link that can be put between the brackets of a Link
// field; "" if it is one.
func linkFlaw(s string) string {
	const shape = "link is the address of a page, such as https://example.com/migrate-to-v2"
	u, err := url.Parse(s)
	switch {
	case len(s) > maxLink:
		return shape + ", of at most " + strconv.Itoa(maxLink) + " bytes"
	case strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune("<>\"\\^`{|}", c) }):
		return shape + ", with everything percent-encoded that no address has, found " + shown(s)
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return shape + ", found " + shown(s)
	case u.User != nil:
		return shape + ", without a user name or password"
	}
	return ""
}
