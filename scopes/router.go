package scopes

import (
	"slices"
	"strings"
)

// node is one segment's worth of all templates: a trie. Each node is reached by
// one way only, so a lookup visits none twice, whatever the path.
type node struct {
	literals  children
	folded    children // literals of APIs that fold case, in lower case; after those that do not
	parameter *node
	ends      []leaf // operations whose template ends here
	slashEnds []leaf // and in a slash
	rests     []leaf // and in a segment "**"
}

// leaf is an operation at the end of its template.
type leaf struct {
	api      *compiledAPI
	op       int
	methods  Methods // HEAD included where GET is: HEAD falls to GET
	declared Methods
	// Positions of the segments {version} and the account parameter, or -1.
	version, account int
}

// maxLiteral bounds the length of a literal segment in bytes, so that a decoded
// segment to look up fits on the stack.
const maxLiteral = 255

// add puts an operation into the trie, or returns the first that it collides with.
func (n *node) add(api *compiledAPI, op int) Conflicts {
	template := api.templates[op]
	at := n
	for _, s := range template.Segments {
		at = at.child(s, api.FoldCase)
	}
	declared := api.Operations[op].Methods
	l := leaf{
		api: api, op: op, methods: declared.WithHead(), declared: declared,
		version: template.parameter(VersionParameter), account: -1,
	}
	if api.AccountParam != "" {
		l.account = template.parameter(api.AccountParam)
	}
	ends := at.endsOf(template)
	for i := range *ends {
		if both := (*ends)[i].collides(&l); both != 0 {
			return Conflicts{{(*ends)[i].ref(), l.ref(), both, template.String()}}
		}
	}
	// APIs with hosts come before those without; else the order is the file's.
	before := len(*ends)
	if l.hostRank() > 0 {
		before = 0
		for before < len(*ends) && (*ends)[before].hostRank() > 0 {
			before++
		}
	}
	*ends = slices.Insert(*ends, before, l)
	return nil
}

// child returns the node below n for a segment, made if need be. A final "**" is
// no node of its own: it ends at its parent.
func (n *node) child(s Segment, fold bool) *node {
	switch {
	case s.Kind == Rest:
		return n
	case s.Kind == Parameter:
		if n.parameter == nil {
			n.parameter = new(node)
		}
		return n.parameter
	case fold:
		return n.folded.add(string(appendLower(nil, s.Text)))
	}
	return n.literals.add(s.Text)
}

// children are the nodes below one, by their segments. Mostly they are few, and then
// comparing with each is faster than hashing.
type children struct {
	few  []child          // the first ones
	many map[string]*node // all of them, where few has not all
}

type child struct {
	segment string
	node    *node
}

// fewChildren is how many are compared with one by one.
const fewChildren = 4

// add returns the child for a segment, a new one if need be.
func (c *children) add(segment string) *node {
	if n := childOf(c, segment); n != nil {
		return n
	}
	n := new(node)
	if len(c.few) < fewChildren {
		c.few = append(c.few, child{segment, n})
		return n
	}
	if c.many == nil {
		c.many = make(map[string]*node)
		for _, first := range c.few {
			c.many[first.segment] = first.node
		}
	}
	c.many[segment] = n
	return n
}

func (c *children) none() bool { return len(c.few) == 0 }

// childOf returns the child for a segment, or nil.
func childOf[T string | []byte](c *children, segment T) *node {
	if c.many != nil {
		return c.many[string(segment)]
	}
	for i := range c.few {
		if c.few[i].segment == string(segment) {
			return c.few[i].node
		}
	}
	return nil
}

func (n *node) endsOf(t Template) *[]leaf {
	switch {
	case t.hasRest():
		return &n.rests
	case t.Slash:
		return &n.slashEnds
	}
	return &n.ends
}

func (l *leaf) ref() OperationRef { return OperationRef{l.api.Name, l.api.Operations[l.op].Name} }

func (l *leaf) hostRank() int { return min(len(l.api.hosts), 1) }

// collides returns the methods that two operations at the same end share, if a
// host is served by both and neither is the more specific one.
func (l *leaf) collides(other *leaf) Methods {
	if l.hostRank() != other.hostRank() {
		return 0
	}
	if l.hostRank() == 1 && !slices.ContainsFunc(l.api.hosts, other.api.sharesHost) {
		return 0
	}
	return l.declared & other.declared
}

// sharesHost reports whether a request can be for both h and a host of the API.
func (a *compiledAPI) sharesHost(h host) bool {
	return slices.ContainsFunc(a.hosts, func(own host) bool { return own.serves(h) || h.serves(own) })
}

// serves reports whether the leaf's API exists on the host of a request.
func (l *leaf) serves(h host) bool {
	return len(l.api.hosts) == 0 || slices.ContainsFunc(l.api.hosts, func(own host) bool { return own.serves(h) })
}

// search is one lookup: what is looked for, and the best that was found.
type search struct {
	target target
	host   host
	method Methods
	found  *leaf // the most specific that matches host, path and method
	near   *leaf // the most specific that matches host and path
}

// find walks the trie below n along the path from a segment on, in the order of
// precedence, and reports whether it found a leaf that matches wholly.
func (s *search) find(n *node, at int) bool {
	segment := s.target.segment(at)
	switch {
	case segment == "" && at+1 == s.target.count: // a trailing slash
		if s.choose(n.slashEnds) {
			return true
		}
	case s.findLiteral(n, segment, at):
		return true
	case n.parameter != nil && s.descend(n.parameter, at):
		return true
	}
	return s.choose(n.rests)
}

// descend goes on below n, where the segment at a position led, or ends there if the
// path does.
func (s *search) descend(n *node, at int) bool {
	if at+1 < s.target.count {
		return s.find(n, at+1)
	}
	return s.choose(n.ends) || s.choose(n.rests)
}

func (s *search) findLiteral(n *node, segment string, at int) bool {
	if n.literals.none() && n.folded.none() {
		return false
	}
	if !s.target.escaped || strings.IndexByte(segment, '%') < 0 {
		if child := childOf(&n.literals, segment); child != nil && s.descend(child, at) {
			return true
		}
		return !n.folded.none() && findFolded(s, n, segment, at)
	}
	var buf [maxLiteral]byte
	decoded, ok := unescapeInto(buf[:0], segment)
	if !ok {
		return false // an encoded slash, or longer than any literal
	}
	if child := childOf(&n.literals, decoded); child != nil && s.descend(child, at) {
		return true
	}
	return !n.folded.none() && findFolded(s, n, decoded, at)
}

func findFolded[T string | []byte](s *search, n *node, segment T, at int) bool {
	if len(segment) > maxLiteral {
		return false
	}
	var buf [maxLiteral]byte
	child := childOf(&n.folded, appendLower(buf[:0], segment))
	return child != nil && s.descend(child, at)
}

// choose takes the first of the leaves that matches host and method. An
// operation that declares HEAD comes before one whose GET it would fall to.
func (s *search) choose(leaves []leaf) bool {
	var fallback *leaf
	for i := range leaves {
		l := &leaves[i]
		if !l.serves(s.host) {
			continue
		}
		if fallback != nil && l.hostRank() < fallback.hostRank() {
			break
		}
		if l.declared.Has(s.method) {
			s.found = l
			return true
		}
		if fallback == nil && l.methods.Has(s.method) {
			fallback = l
		}
		if s.near == nil {
			s.near = l
		}
	}
	s.found = fallback
	return fallback != nil
}

// host is a host name with an optional port.
type host struct{ name, port string }

// splitHost splits "name:port", "[::1]:port" or a name alone. The dot that ends a
// fully qualified name is cut off: "example.com." is the same host. With a port
// that is no number it is the zero host, which is no API's.
func splitHost(s string) host {
	h := host{name: s}
	if colon := strings.LastIndexByte(s, ':'); colon >= 0 && strings.IndexByte(s[colon:], ']') < 0 {
		h.name, h.port = s[:colon], s[colon+1:]
		for i := range len(h.port) {
			if h.port[i] < '0' || h.port[i] > '9' {
				return host{}
			}
		}
	}
	h.name = strings.TrimSuffix(h.name, ".")
	return h
}

// serves reports whether h, as an API names it, is the host of a request: any
// port will do where the API names none.
func (h host) serves(requested host) bool {
	return equalFold(h.name, requested.name) && (h.port == "" || h.port == requested.port)
}

// equalFold compares ASCII without regard to case.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lowerASCII(a[i]) != lowerASCII(b[i]) {
			return false
		}
	}
	return true
}

func appendLower[T string | []byte](dst []byte, s T) []byte {
	for i := range len(s) {
		dst = append(dst, lowerASCII(s[i]))
	}
	return dst
}

func lowerASCII(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}
