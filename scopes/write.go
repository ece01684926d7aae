package scopes

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Marshal writes the file as [Read] reads it: the same file always gives the same
// bytes, in the order of its slices. What has its default is left out, and the
// version of each scope is written out. The file must be as Read gives them; its
// warnings are not part of it.
func (f *File) Marshal() []byte {
	w := new(writer)
	w.line(0, "format: "+strconv.Itoa(Format))
	w.text(0, "owner", f.Owner)
	w.section("apis", len(f.APIs), func() {
		for i := range f.APIs {
			w.api(&f.APIs[i])
		}
	})
	w.section("accounts", len(f.Accounts), func() {
		for i := range f.Accounts {
			w.account(&f.Accounts[i])
		}
	})
	w.section("tests", len(f.Tests), func() {
		for i := range f.Tests {
			w.test(&f.Tests[i])
		}
	})
	return w.out
}

// writer writes one scope file. Its methods take how deep a line stands.
type writer struct{ out []byte }

func (w *writer) line(depth int, text string) {
	for range depth {
		w.out = append(w.out, "  "...)
	}
	w.out = append(append(w.out, text...), '\n')
}

// section writes a key at the top, unless it has nothing.
func (w *writer) section(key string, count int, write func()) {
	if count > 0 {
		w.out = append(w.out, '\n')
		w.line(0, key+":")
		write()
	}
}

// raw writes a key with a value that needs no quotes, unless it is "".
func (w *writer) raw(depth int, key, value string) {
	if value != "" {
		w.line(depth, key+": "+value)
	}
}

// text writes a key with a text, unless it is "".
func (w *writer) text(depth int, key, value string) {
	if value != "" {
		w.line(depth, key+": "+scalar(value))
	}
}

// list writes a key with a list of texts on one line, unless it is empty.
func (w *writer) list(depth int, key string, items []string, write func(string) string) {
	if len(items) > 0 {
		w.line(depth, key+": "+flow(items, write))
	}
}

func (w *writer) api(a *API) {
	const depth = 2
	w.line(depth-1, scalar(a.Name)+":")
	w.text(depth, "title", a.Title)
	w.list(depth, "hosts", a.Hosts, scalar)
	w.list(depth, "versions", a.Versions, strconv.Quote)
	w.list(depth, "version_from", placeTexts(a.VersionFrom), scalar)
	if a.DefaultVersion != "" {
		w.raw(depth, "default_version", strconv.Quote(a.DefaultVersion))
	}
	w.text(depth, "account_param", a.AccountParam)
	if a.FoldCase {
		w.line(depth, "path_case: insensitive")
	}
	if a.EncodedSlash {
		w.line(depth, "encoded_slash: allow")
	}
	w.list(depth, "upstream", a.Upstreams.All, upstreamText)
	if len(a.Upstreams.ByVersion) > 0 {
		w.line(depth, "upstream:")
		for _, version := range keysOf(a.Upstreams.ByVersion)() {
			w.list(depth+1, strconv.Quote(version), a.Upstreams.ByVersion[version], upstreamText)
		}
	}
	w.deprecated(depth, a.Deprecated)
	w.line(depth, "operations:")
	for _, op := range a.Operations {
		w.line(depth+1, scalar(op.Name)+": "+operationText(op))
	}
}

// deprecated writes the deprecated versions: their sunset by itself where nothing else is
// said.
func (w *writer) deprecated(depth int, list []Deprecation) {
	if len(list) > 0 {
		w.line(depth, "deprecated:")
	}
	for i := range list {
		d := &list[i]
		text := momentText(d.Sunset)
		if !d.Since.IsZero() || d.Link != "" {
			text = "{sunset: " + text
			if !d.Since.IsZero() {
				text += ", since: " + momentText(d.Since)
			}
			if d.Link != "" {
				text += ", link: " + scalar(d.Link)
			}
			text += "}"
		}
		w.line(depth+1, strconv.Quote(d.Version)+": "+text)
	}
}

func placeTexts(places []VersionPlace) []string {
	texts := make([]string, len(places))
	for i, p := range places {
		texts[i] = p.Kind.String() + " " + p.Name
	}
	return texts
}

// operationText writes an operation as people do, in quotes only where it needs
// them.
func operationText(op Operation) string {
	s := op.Methods.String() + " " + op.Path
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && strings.IndexByte("|/{}._- *", s[i]) < 0 {
			return strconv.Quote(s)
		}
	}
	if s[0] == '*' {
		return strconv.Quote(s)
	}
	return s
}

// upstreamText writes "http://host:port", in quotes where the brackets of an IPv6
// address need them.
func upstreamText(s string) string {
	if strings.ContainsAny(s, "[]") {
		return strconv.Quote(s)
	}
	return s
}

// addressText writes an address or a network, in quotes if it is an IPv6 one.
func addressText(s string) string {
	if strings.Contains(s, ":") {
		return strconv.Quote(s)
	}
	return s
}

func (w *writer) account(a *Account) {
	const depth = 2
	name := scalar(a.Name)
	if a.Title == "" && len(a.IDs) == 0 && a.MaxActiveTokens == 0 && len(a.Tokens) == 0 {
		w.line(depth-1, name+": {}")
		return
	}
	w.line(depth-1, name+":")
	w.text(depth, "title", a.Title)
	w.list(depth, "ids", a.IDs, scalar)
	if a.MaxActiveTokens > 0 {
		w.raw(depth, "max_active_tokens", strconv.Itoa(a.MaxActiveTokens))
	}
	if len(a.Tokens) > 0 {
		w.line(depth, "tokens:")
	}
	for i := range a.Tokens {
		w.token(&a.Tokens[i])
	}
}

func (w *writer) token(t *Token) {
	const depth = 4
	w.line(depth-1, scalar(t.Name)+":")
	w.text(depth, "description", t.Description)
	if t.Contact.Name != "" {
		w.raw(depth, "contact", "{name: "+scalar(t.Contact.Name)+", email: "+scalar(t.Contact.Email)+"}")
	} else {
		w.raw(depth, "contact", "{email: "+scalar(t.Contact.Email)+"}")
	}
	w.raw(depth, "environment", t.Environment)
	if t.Inactive {
		w.line(depth, "state: inactive")
	}
	if t.Version != "" {
		w.raw(depth, "version", strconv.Quote(t.Version))
	}
	w.raw(depth, "expires", momentText(t.Expires))
	w.raw(depth, "rotate_every", intervalText(t.RotateEvery))
	sources := make([]string, len(t.Sources))
	for i, p := range t.Sources {
		sources[i] = sourceText(p)
	}
	w.list(depth, "sources", sources, addressText)
	w.raw(depth, "access", t.Access.String())
	w.scopes(depth, "scopes", t.Scopes)
	w.scopes(depth, "shadow", t.Shadow)
	if t.Keep.All {
		w.line(depth, "keep: true")
	}
	w.scopes(depth, "keep", t.Keep.Scopes)
	w.raw(depth, "rate", RateText(t.Limits))
	w.raw(depth, "quota", QuotaText(t.Limits))
	if !t.Credential.IsZero() {
		w.raw(depth, "credential", t.Credential.String())
	}
}

// scopes writes a key with a list of scopes, one a line, unless it is empty.
func (w *writer) scopes(depth int, key string, list []Scope) {
	if len(list) > 0 {
		w.line(depth, key+":")
	}
	for i := range list {
		w.line(depth+1, "- {"+scopeText(&list[i])+"}")
	}
}

// boundsText writes a token's rates, or its quotas: one that is for all APIs together
// by itself, others by API. It is "" where there are none.
func boundsText(limits []Limit, write func(*Limit) string) string {
	var texts []string
	var forAll string // if it is the only one
	for i := range limits {
		text, api := write(&limits[i]), limits[i].API
		switch {
		case text == "":
			continue
		case api == "":
			forAll, api = text, AllAPIs
		default:
			forAll = ""
		}
		texts = append(texts, scalar(api)+": "+text)
	}
	if forAll != "" || len(texts) == 0 {
		return forAll
	}
	return "{" + strings.Join(texts, ", ") + "}"
}

// YAML returns a scope as a scope file has it, on one line.
func (s *Scope) YAML() string { return "{" + scopeText(s) + "}" }

func scopeText(s *Scope) string {
	text := "api: " + scalar(s.API)
	switch len(s.Versions) {
	case 0:
	case 1:
		text += ", version: " + strconv.Quote(s.Versions[0])
	default:
		text += ", version: " + flow(s.Versions, strconv.Quote)
	}
	text += ", methods: " + flow(s.Methods.Names(), scalar)
	if len(s.Operations) > 0 {
		text += ", operations: " + flow(s.Operations, scalar)
	}
	return text
}

// momentText returns a date where it says the same, else a time (RFC 3339).
func momentText(t time.Time) string {
	t = t.UTC()
	switch {
	case t.IsZero():
		return ""
	case t.Equal(t.Truncate(24 * time.Hour)):
		return t.Format(time.DateOnly)
	}
	return t.Format(time.RFC3339Nano)
}

// intervalText returns days where it says the same, else what time.Duration says.
func intervalText(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == 0:
		return ""
	case d%day == 0:
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	return d.String()
}

func sourceText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

func (w *writer) test(t *Test) {
	const depth = 1
	w.out = append(w.out, "  -"...)
	first := len(w.out)
	w.text(depth+1, "token", t.Token)
	w.text(depth+1, "request", t.Method+" "+t.URL)
	if len(t.Headers) > 0 {
		w.line(depth+1, "headers:")
		for _, name := range keysOf(t.Headers)() {
			w.list(depth+2, scalar(name), t.Headers[name], strconv.Quote)
		}
	}
	if t.From.IsValid() {
		w.raw(depth+1, "from", addressText(t.From.String()))
	}
	w.raw(depth+1, "at", momentText(t.At))
	w.raw(depth+1, "expect", t.Expect.String())
	const inset = len("  -") // the first line's, for the mark stands there
	w.out = slices.Delete(w.out, first, first+inset)
}

// flow writes a list on one line.
func flow(items []string, write func(string) string) string {
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = write(item)
	}
	return "[" + strings.Join(texts, ", ") + "]"
}

// scalar writes a text so that every YAML parser takes it for text: in quotes
// unless it has nothing that could mean something else.
func scalar(s string) string {
	if plainText(s) {
		return s
	}
	return strconv.Quote(s) // its escapes are YAML's too
}

// plainText reports whether a text needs no quotes, in a list of YAML as well.
func plainText(s string) bool {
	if s == "" || !isLetter(s[0]) || s[len(s)-1] == ' ' {
		return false
	}
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && strings.IndexByte(" ./_@'()+-", s[i]) < 0 {
			return false
		}
	}
	switch strings.ToLower(s) { // what one version of YAML or another takes for something else
	case "null", "true", "false", "yes", "no", "on", "off", "y", "n":
		return false
	}
	return true
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
