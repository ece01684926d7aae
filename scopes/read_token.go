package scopes

import (
	"strings"
)

var tokenTable = table[tokenDraft]{"token", "a token", []field[tokenDraft]{
	{key: "description", read: func(r *reader, n *yamlNode, d *tokenDraft) {
		d.Description = r.freeText(n, "a description", maxDescription)
	}},
	{key: "contact", required: "such as {name: Data team, email: data@acme.example}", read: (*reader).readContact},
	{key: "environment", read: func(r *reader, n *yamlNode, d *tokenDraft) {
		d.Environment = r.word(n, "environment", "production", "staging", "test")
	}},
	{key: "state", read: func(r *reader, n *yamlNode, d *tokenDraft) {
		d.Inactive = r.word(n, "state", "active", "inactive") != "active"
	}},
	{key: "version", read: (*reader).readTokenVersion},
	{key: "expires", read: (*reader).readExpires},
	{key: "rotate_every", read: func(r *reader, n *yamlNode, d *tokenDraft) { d.RotateEvery = r.interval(n, "rotate_every") }},
	{key: "sources", read: (*reader).readSources},
	{key: "access", read: (*reader).readAccess},
	{key: "scopes", read: (*reader).readScopes},
	{key: "shadow", read: (*reader).readShadow},
	{key: "keep", read: (*reader).readKeep},
	{key: "rate", read: (*reader).readRate},
	{key: "quota", read: (*reader).readQuota},
	{key: "credential", read: (*reader).readCredential},
}}

// tokenDraft is a token while it is read.
type tokenDraft struct {
	Token
	account    string
	scopesRead bool // its scopes have no problem
}

// place is "account/name".
func (d *tokenDraft) place() string { return d.account + "/" + d.Name }

func (r *reader) token(p yamlPair, account string) Token {
	draft := tokenDraft{Token: Token{Name: p.key.text}, account: account}
	if readFields(r, &tokenTable, p.key, p.value, &draft) {
		r.checkKind(p)
	}
	return draft.Token
}

// checkKind checks that a token has either scopes or access, and what a scoped
// one must have.
func (r *reader) checkKind(p yamlPair) {
	access, scopes := p.value.value("access"), p.value.value("scopes")
	switch {
	case access != nil && scopes != nil:
		r.problemf(access, "a token has either scopes, or access to every API (a legacy token); remove one of them")
	case access == nil && scopes == nil:
		r.problemf(p.key, `a token needs "scopes", such as [{api: orders, methods: [GET]}], or for a legacy token "access"`)
	}
	if access == nil && p.value.value("description") == nil {
		r.problemf(p.key, `a token needs "description", which says what it is for`)
	}
}

func (r *reader) readAccess(n *yamlNode, d *tokenDraft) {
	switch r.word(n, "access", ReadOnly.String(), ReadWrite.String()) {
	case ReadOnly.String():
		d.Access = ReadOnly
	case ReadWrite.String():
		d.Access = ReadWrite
	}
}

// readTokenVersion reads the version that the token is pinned to, which some API
// must have.
func (r *reader) readTokenVersion(n *yamlNode, d *tokenDraft) {
	v, ok := r.version(n)
	if !ok {
		return
	}
	d.Version = v
	if len(r.versions) > 0 && !r.versions[v] { // else no API reads one, or it is not known which
		r.unknownf(n, keysOf(r.versions), "the file has ", "no API has the version %q", v)
	}
}

var contactTable = table[Contact]{"contact", "a contact", []field[Contact]{
	{key: "name", read: func(r *reader, n *yamlNode, c *Contact) { c.Name = r.title(n, "a contact's name") }},
	{key: "email", required: "so that somebody can be asked about the token", read: (*reader).readEmail},
}}

func (r *reader) readContact(n *yamlNode, d *tokenDraft) {
	readFields(r, &contactTable, n, n, &d.Contact)
}

func (r *reader) readEmail(n *yamlNode, c *Contact) {
	s, ok := r.text(n, "an email address")
	if !ok {
		return
	}
	if !isEmail(s) {
		r.problemf(n, "expected an email address, such as data@acme.example, found %s", shown(s))
		return
	}
	c.Email = s
}

// isEmail reports whether s looks like one address (RFC 5322, section 3.4.1, but
// for what nobody uses).
func isEmail(s string) bool {
	local, domain, found := strings.Cut(s, "@")
	return found && local != "" && domain != "" && len(s) <= 254 && !strings.ContainsAny(s, " \t\n,;<>()\"\\") &&
		!strings.Contains(domain, "@")
}

// readCredential reads an imported credential's digest. Its messages never show
// what stands there: it may be the secret itself.
func (r *reader) readCredential(n *yamlNode, d *tokenDraft) {
	digest, err := ParseDigest(n.text)
	if err != nil {
		advice := `printf %s "$SECRET" | sha256sum prints them`
		if WellFormed(n.text) {
			advice = "this is a credential itself, which never stands in a file: replace it now"
		}
		r.problemf(n, "a credential is given by its digest: %v; %s", err, advice)
		return
	}
	if other, taken := r.digests[digest]; taken {
		r.problemf(n, "%s has the same credential as %s in %s; each token has its own", d.place(), other.token, r.place(other.node, n))
		return
	}
	r.digests[digest] = tokenPlace{d.place(), n}
	d.Credential = digest
}
