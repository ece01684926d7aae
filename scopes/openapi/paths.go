package openapi

import (
	"slices"
	"strings"

	"github.com/pb33f/go-yaml"

	"github.com/scopegate/scopegate/scopes"
)

// leadsNowhere says why what stands behind a reference is not known.
const leadsNowhere = "its $ref %q leads out of the document or nowhere, and is not followed; bundle the document into one file"

// readPaths gathers the operations of all paths.
func (im *importer) readPaths() {
	paths := im.field(im.root, "paths")
	if paths == nil || paths.Kind != yaml.MappingNode {
		return
	}
	root := im.basesOf(im.root)
	first := make(map[string]Place)
	for _, p := range im.pairs(paths) {
		at := placeOf(p.key)
		if strings.HasPrefix(p.key.Value, "x-") {
			continue
		}
		if before, twice := first[p.key.Value]; twice {
			im.notef(at, "the path %s stands twice, first in line %d; the second one is left out", cut(p.key.Value), before.Line)
			continue
		}
		first[p.key.Value] = at
		item, broken := im.resolve(p.value)
		switch {
		case broken != "":
			im.notef(at, "%s: left out: "+leadsNowhere, cut(p.key.Value), cut(broken))
		case item == nil || item.Kind != yaml.MappingNode:
			im.notef(at, "%s: left out: it is not a mapping of methods", cut(p.key.Value))
		default:
			im.readPath(p.key, item, root)
		}
		if len(im.operations) > 8*scopes.MaxOperations {
			return // enough to tell that they are too many
		}
	}
}

// pathItem is a path with what its operations have in common.
type pathItem struct {
	path       string
	place      Place
	segments   []segment
	slash      bool
	parameters *yaml.Node
	bases      []base
}

// readPath reads the operations of one path.
func (im *importer) readPath(key, node *yaml.Node, bases []base) {
	item := &pathItem{path: key.Value, place: placeOf(key), parameters: im.field(node, "parameters"), bases: bases}
	if im.field(node, "servers") != nil {
		item.bases = im.basesOf(node)
	}
	var flaw string
	path := strings.TrimSpace(queryTail.ReplaceAllString(item.path, ""))
	if item.segments, item.slash, flaw = im.parsePath(path); flaw != "" {
		im.notef(item.place, "%s: left out: %s", cut(item.path), flaw)
		return
	}
	for _, p := range im.pairs(node) {
		if method, known := methodOfKey(p.key.Value); known {
			im.readOperation(method, p.key, p.value, item)
		}
	}
	for _, p := range im.pairs(im.field(node, "additionalOperations")) { // OpenAPI 3.2
		im.readOperation(p.key.Value, p.key, p.value, item)
	}
}

// methodOfKey returns the method that a key of a path item stands for.
func methodOfKey(key string) (method string, known bool) {
	switch key {
	case "get", "put", "post", "delete", "options", "head", "patch", "trace", "query":
		return strings.ToUpper(key), true
	}
	return "", false
}

// readOperation adds an operation, once for each base path.
func (im *importer) readOperation(name string, key, node *yaml.Node, item *pathItem) {
	at, called := placeOf(key), cut(name)+" "+cut(item.path)
	method := scopes.MethodOf(name)
	node, broken := im.resolve(node)
	switch {
	case method == 0:
		im.notef(at, "%s: left out: %s cannot be granted", called, cut(name))
		return
	case len(method.Names()) == 0:
		im.notef(at, "%s: left out: the method %s has no name in scopes", called, cut(name))
		return
	case broken != "":
		im.notef(at, "%s: left out: "+leadsNowhere, called, cut(broken))
		return
	case node == nil || node.Kind != yaml.MappingNode:
		im.notef(at, "%s: left out: it is not a mapping", called)
		return
	case im.options.Methods != 0 && !im.options.Methods.Has(method):
		return
	}
	segments, flaw := im.withParameters(item, im.field(node, "parameters"), called, at)
	if flaw != "" {
		im.notef(at, "%s: left out: %s", called, flaw)
		return
	}
	if im.field(node, "callbacks") != nil {
		im.noteOncef(at, "callbacks are requests that the API sends, not requests to it, and are left out")
	}
	bases := item.bases
	if im.field(node, "servers") != nil {
		bases = im.basesOf(node)
	}
	for _, b := range bases {
		im.operations = append(im.operations, &operation{
			method: method, id: im.text(node, "operationId"),
			segments: slices.Concat(b.segments, segments), slash: item.slash, place: at,
		})
	}
}

// withParameters returns the segments of a path, given what its parameters are
// said to look like.
func (im *importer) withParameters(item *pathItem, own *yaml.Node, called string, at Place) (segments []segment, flaw string) {
	segments = slices.Clone(item.segments)
	for _, list := range []*yaml.Node{item.parameters, own} {
		for _, node := range im.items(list) {
			parameter, broken := im.resolve(node)
			if broken != "" || im.text(parameter, "in") != "path" {
				continue
			}
			i := slices.IndexFunc(segments, func(s segment) bool { return s.kind == scopes.Parameter && s.raw == im.text(parameter, "name") })
			if i < 0 {
				continue
			}
			if im.text(parameter, "style") == "matrix" {
				return nil, "its parameter {" + cut(segments[i].raw) + `} has the style matrix, whose ";" is refused`
			}
			im.takeVersions(parameter, &segments[i])
			if im.takesSlashes(parameter) {
				segments[i] = im.rest(segments[i], i+1 == len(segments) && !item.slash, called, at)
			}
		}
	}
	return segments, ""
}

// takesSlashes reports whether a parameter of a path is said to take several segments.
func (im *importer) takesSlashes(parameter *yaml.Node) bool {
	return im.text(parameter, "x-multi-segment") == "true" || im.text(parameter, "allowReserved") == "true"
}

// rest turns the last segment into "**", if a parameter that takes slashes is it.
func (im *importer) rest(s segment, last bool, called string, at Place) segment {
	if !last {
		im.noteGroupf("inner "+s.raw, at, "{%s} may have slashes, but matches one segment where it is not the last, as in %s", cut(s.raw), called)
		return s
	}
	im.noteGroupf("last "+s.raw, at, "{%s} may have slashes, so it is written as **, which also matches nothing, as in %s", cut(s.raw), called)
	return segment{kind: scopes.Rest, raw: s.raw}
}

// tellOthers tells what a document has beside the paths.
func (im *importer) tellOthers() {
	for _, key := range []string{"webhooks", "x-webhooks"} {
		for _, p := range im.pairs(im.root) {
			if p.key.Value == key && len(im.pairs(p.value)) > 0 {
				im.notef(placeOf(p.key), "webhooks are requests that the API sends, not requests to it, and are left out")
			}
		}
	}
}

// title returns the document's title as one line.
func (im *importer) title() string {
	const most = 200
	title := []rune(strings.Join(strings.Fields(im.text(im.field(im.root, "info"), "title")), " "))
	title = slices.DeleteFunc(title, func(c rune) bool { return c < ' ' || c == 0x7f || c == '\uFFFD' })
	return strings.TrimSpace(string(title[:min(len(title), most)]))
}
