package openapi

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/pb33f/go-yaml"
	"github.com/pb33f/libopenapi/datamodel"

	"github.com/scopegate/scopegate/scopes"
)

// document is a parsed document. Its methods see through aliases, merge keys and
// references within it.
type document struct {
	name    string
	root    *yaml.Node
	swagger bool // Swagger 2.0
	budget  int  // steps that may still be made; below 0, nothing more is found
	refs    map[string]*yaml.Node
}

// Bounds of going through a document, so that one that refers to itself in
// clever ways costs no more than a large one.
const (
	maxSteps     = 1_000_000 // pairs and items looked at, and
	stepsPerByte = 4         // as many more for each byte
	maxChain     = 32        // aliases, references or merges, one to another
	maxSyntax    = 300       // characters of a parser's message
)

// parse reads the bytes of a document, or says what is wrong with them.
func parse(name string, src []byte) (d *document, flaw *scopes.Problem) {
	defer func() { // the parser's own bugs must not bring a gateway down
		if p := recover(); p != nil {
			flaw = &scopes.Problem{File: name, Line: 1, Column: 1, Text: fmt.Sprintf("the parser failed on this document: %v", p)}
		}
	}()
	at := func(line, column int, text string) *scopes.Problem {
		return &scopes.Problem{File: name, Line: line, Column: column, Text: scopes.Redact(text)}
	}
	if len(src) > MaxBytes {
		return nil, at(1, 1, fmt.Sprintf("the document has %d bytes; at most %d are read", len(src), MaxBytes))
	}
	config := datamodel.NewDocumentConfiguration()
	config.Logger = nil
	config.SkipJSONConversion = true
	info, err := datamodel.ExtractSpecInfoWithConfig(src, config)
	if err != nil {
		line, column, text := syntaxError(err)
		return nil, at(line, column, text)
	}
	d = &document{name: name, budget: maxSteps + stepsPerByte*len(src), refs: make(map[string]*yaml.Node)}
	d.root = d.follow(info.RootNode)
	if d.root != nil && d.root.Kind == yaml.DocumentNode && len(d.root.Content) > 0 {
		d.root = d.follow(d.root.Content[0])
	}
	if d.root == nil || d.root.Kind != yaml.MappingNode {
		return nil, at(1, 1, notOpenAPI)
	}
	return d, d.readFormat()
}

const notOpenAPI = `no OpenAPI document; one begins with "openapi: 3…" or "swagger: 2.0"`

// readFormat finds out what kind of document it is.
func (d *document) readFormat() *scopes.Problem {
	for _, key := range []string{"openapi", "swagger"} {
		value := d.field(d.root, key)
		if value == nil {
			continue
		}
		d.swagger = key == "swagger"
		known := value.Value == "2.0" || value.Value == "2"
		if !d.swagger {
			known = value.Value == "3" || strings.HasPrefix(value.Value, "3.")
		}
		if value.Kind != yaml.ScalarNode || !known {
			return &scopes.Problem{
				File: d.name, Line: value.Line, Column: value.Column,
				Text: scopes.Redact(fmt.Sprintf("%s %q is not supported; expected openapi 3.0, 3.1 or 3.2, or swagger 2.0", key, cut(value.Value))),
			}
		}
		return nil
	}
	return &scopes.Problem{File: d.name, Line: d.root.Line, Column: d.root.Column, Text: notOpenAPI}
}

// syntaxPlace is how the parser tells a place, such as "at L1.C5-L2.C1: text": from
// where it began to read something to where it failed.
var syntaxPlace = regexp.MustCompile(`at (?:L(\d+)\.C(\d+)(?:-(?:L(\d+)\.)?C(\d+))?|<[^>]*>): (.*)`)

// syntaxError finds the place in the parser's error.
func syntaxError(err error) (line, column int, text string) {
	if !strings.HasPrefix(err.Error(), "unable to parse") {
		return 1, 1, notOpenAPI
	}
	found := syntaxPlace.FindStringSubmatch(err.Error())
	if found == nil {
		return 1, 1, "neither YAML nor JSON: " + cut(err.Error())
	}
	line, _ = strconv.Atoi(cmp.Or(found[3], found[1]))
	column, _ = strconv.Atoi(cmp.Or(found[4], found[2]))
	return max(line, 1), max(column, 1), "neither YAML nor JSON: " + cut(found[5])
}

// cut shortens text of a document or of its parser for a message.
func cut(s string) string {
	if characters := []rune(s); len(characters) > maxSyntax {
		return string(characters[:maxSyntax]) + "…"
	}
	return s
}

// spend counts steps and reports whether there are any left.
func (d *document) spend(steps int) bool {
	d.budget -= steps
	return d.budget >= 0
}

// follow returns what an alias stands for.
func (d *document) follow(n *yaml.Node) *yaml.Node {
	for range maxChain {
		if n == nil || n.Kind != yaml.AliasNode {
			return n
		}
		n = n.Alias
	}
	return nil
}

// pair is a key of a mapping and its value.
type pair struct{ key, value *yaml.Node }

// pairs returns the pairs of a mapping, with those that are merged into it.
func (d *document) pairs(n *yaml.Node) []pair {
	return d.mergedPairs(n, maxChain)
}

func (d *document) mergedPairs(n *yaml.Node, depth int) []pair {
	n = d.follow(n)
	if n == nil || n.Kind != yaml.MappingNode || depth == 0 || !d.spend(len(n.Content)/2+1) {
		return nil
	}
	pairs := make([]pair, 0, len(n.Content)/2)
	var merged []pair
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := d.follow(n.Content[i]), d.follow(n.Content[i+1])
		switch {
		case key == nil || value == nil || key.Kind != yaml.ScalarNode:
		case isMerge(key) && value.Kind == yaml.SequenceNode:
			for _, item := range value.Content {
				merged = append(merged, d.mergedPairs(item, depth-1)...)
			}
		case isMerge(key):
			merged = append(merged, d.mergedPairs(value, depth-1)...)
		default:
			pairs = append(pairs, pair{key, value})
		}
	}
	return addMerged(pairs, merged)
}

// isMerge reports whether a key is YAML's "<<", which merges a mapping.
func isMerge(key *yaml.Node) bool { return key.Value == "<<" && key.Style == 0 }

// addMerged adds those pairs whose keys are not there yet.
func addMerged(pairs, merged []pair) []pair {
	if len(merged) == 0 {
		return pairs
	}
	has := make(map[string]bool, len(pairs)+len(merged))
	for _, p := range pairs {
		has[p.key.Value] = true
	}
	for _, p := range merged {
		if !has[p.key.Value] {
			has[p.key.Value] = true
			pairs = append(pairs, p)
		}
	}
	return pairs
}

// field returns the value of a mapping's key, or nil.
func (d *document) field(n *yaml.Node, key string) *yaml.Node {
	n = d.follow(n)
	if n == nil || n.Kind != yaml.MappingNode || !d.spend(len(n.Content)/2+1) {
		return nil
	}
	merges := false
	for i := 0; i+1 < len(n.Content); i += 2 {
		if name := n.Content[i]; name.Kind == yaml.ScalarNode && name.Value == key {
			return d.follow(n.Content[i+1])
		} else if isMerge(name) {
			merges = true
		}
	}
	if merges {
		for _, p := range d.pairs(n) {
			if p.key.Value == key {
				return p.value
			}
		}
	}
	return nil
}

// text returns the scalar at a mapping's key, or "".
func (d *document) text(n *yaml.Node, key string) string {
	if value := d.field(n, key); value != nil && value.Kind == yaml.ScalarNode && value.Tag != "!!null" {
		return value.Value
	}
	return ""
}

// items returns the items of a list.
func (d *document) items(n *yaml.Node) []*yaml.Node {
	n = d.follow(n)
	if n == nil || n.Kind != yaml.SequenceNode || !d.spend(len(n.Content)+1) {
		return nil
	}
	items := make([]*yaml.Node, 0, len(n.Content))
	for _, item := range n.Content {
		if item = d.follow(item); item != nil {
			items = append(items, item)
		}
	}
	return items
}

// resolve returns what a node's $ref refers to, or the node itself if it has none.
// It is nil with the reference where that leads out of the document, or nowhere.
func (d *document) resolve(n *yaml.Node) (resolved *yaml.Node, broken string) {
	for range maxChain {
		ref := d.text(n, "$ref")
		if ref == "" {
			return n, ""
		}
		if n = d.target(ref); n == nil {
			return nil, ref
		}
	}
	return nil, d.text(n, "$ref")
}

// target returns what a reference such as "#/components/parameters/id" means.
func (d *document) target(ref string) *yaml.Node {
	if n, known := d.refs[ref]; known {
		return n
	}
	n := d.point(ref)
	d.refs[ref] = n
	return n
}

// point follows a JSON pointer (RFC 6901) as the fragment of a URL.
func (d *document) point(ref string) *yaml.Node {
	pointer, local := strings.CutPrefix(ref, "#")
	if !local || pointer != "" && pointer[0] != '/' {
		return nil
	}
	n := d.root
	for token := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		token = unescapePercent(token)
		token = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		switch {
		case n == nil:
			return nil
		case n.Kind == yaml.SequenceNode:
			i, err := strconv.Atoi(token)
			if items := d.items(n); err != nil || i < 0 || i >= len(items) {
				n = nil
			} else {
				n = items[i]
			}
		default:
			n = d.field(n, token)
		}
	}
	return n
}

func placeOf(n *yaml.Node) Place { return Place{max(n.Line, 1), max(n.Column, 1)} }
