package scopes

import (
	"bytes"
	"path"
	"strings"
)

// Documents gives [ReadAll] what is in the OpenAPI documents that APIs name with
// openapi:. This package opens no file, so whoever reads scope files with such APIs
// says where documents come from. An error of [Problems] tells what is wrong within
// the document; any other one is told where the scope file names it.
type Documents func(*DocumentQuery) (*Document, error)

// DocumentQuery is what an API says of its OpenAPI document.
type DocumentQuery struct {
	// Path is the document's name, seen from where the scope file's is seen from.
	Path string
	// Versions are the API's own; none takes those of the document.
	Versions []string
	// AccountParam is the parameter that must equal the token's account; "" for none.
	AccountParam string
	// BasePath stands before the document's paths; nil takes what the document says.
	BasePath *string
	// VersionParam is the document's parameter that states the version; "" for none.
	VersionParam string
	// VersionSegment lets a segment that looks like a version state it.
	VersionSegment bool
	// Hosts takes the document's hosts.
	Hosts bool
	// Methods are the only ones taken; the zero value takes all.
	Methods Methods
	// WholeSegments takes a segment with text around a parameter for a parameter.
	WholeSegments bool
	// Skip are the names of operations that are left out.
	Skip []string
}

// Document is what an OpenAPI document has for an API.
type Document struct {
	Title      string
	Hosts      []string
	Versions   []string
	Operations []DocumentOperation
	// Overlaps tell operations that match the same requests as others, which is an
	// error as it is in a scope file.
	Overlaps []Problem
	// Notes tell what cannot be expressed; they become warnings.
	Notes []Problem
}

// DocumentOperation is an operation and where it stands in its document.
type DocumentOperation struct {
	Operation
	Line   int // counted from 1
	Column int // counted from 1, in characters
}

// maxNotes bounds how many warnings one document gives.
const maxNotes = 50

// documentTable has the keys of openapi: where it is a mapping.
var documentTable = table[DocumentQuery]{"openapi", "openapi", []field[DocumentQuery]{
	{key: "file", required: "the document's path, relative to this file", read: (*reader).readDocumentPath},
	{key: "base_path", read: (*reader).readBasePath},
	{key: "version_param", read: func(r *reader, n *yamlNode, q *DocumentQuery) {
		q.VersionParam, _ = r.text(n, "version_param")
	}},
	{key: "version_segment", read: func(r *reader, n *yamlNode, q *DocumentQuery) { q.VersionSegment = r.boolean(n, "version_segment") }},
	{key: "hosts", read: func(r *reader, n *yamlNode, q *DocumentQuery) { q.Hosts = r.boolean(n, "hosts") }},
	{key: "methods", read: (*reader).readDocumentMethods},
	{key: "whole_segments", read: func(r *reader, n *yamlNode, q *DocumentQuery) { q.WholeSegments = r.boolean(n, "whole_segments") }},
	{key: "skip", read: func(r *reader, n *yamlNode, q *DocumentQuery) {
		q.Skip = r.uniqueTexts(n, "skip", "[orders/create]", func(n *yamlNode) (string, bool) {
			return n.text, r.isName(n, "an operation", validOperationName, operationRule)
		})
	}},
}}

// readOpenAPI takes versions and operations from a document.
func (r *reader) readOpenAPI(n *yamlNode, d *apiDraft) {
	before := r.told()
	q := DocumentQuery{Versions: d.Versions, AccountParam: d.AccountParam}
	if n.kind == mapping {
		readFields(r, &documentTable, n, n, &q)
	} else {
		r.readDocumentPath(n, &q)
	}
	if r.told() == before && r.documents == nil {
		r.problemf(n, "OpenAPI documents cannot be read here; list the operations under operations:")
	}
	if r.told() > before {
		d.versionsKnown = false
		return
	}
	document, err := r.documents(&q)
	if err != nil {
		r.problemsOf(n, q.Path, err)
		d.versionsKnown = false
		return
	}
	r.takeDocument(n, d, &q, document)
}

// problemsOf tells why a document cannot be used.
func (r *reader) problemsOf(n *yamlNode, name string, err error) {
	problems, within := err.(Problems) //nolint:errorlint // another error that has problems within says more than they
	if !within {
		r.problemf(n, "the document %s cannot be read: %v", name, err)
	}
	for _, p := range problems {
		if !r.enough() {
			r.problems = append(r.problems, p)
		}
	}
}

// takeDocument adds what a document has to an API. What the API says itself goes
// before it.
func (r *reader) takeDocument(n *yamlNode, d *apiDraft, q *DocumentQuery, document *Document) {
	if len(r.sources) == maxSources {
		r.problemf(n, "more than %d files and documents", maxSources)
		return
	}
	file := uint16(len(r.sources)) //nolint:gosec // below maxSources
	r.sources = append(r.sources, source{name: q.Path, owner: r.ownerOf(n)})
	if d.Title == "" {
		d.Title = document.Title
	}
	if len(d.Hosts) == 0 {
		d.Hosts = document.Hosts
	}
	d.Versions = document.Versions
	d.operations = make(map[string]declaredOperation, len(document.Operations))
	for _, op := range document.Operations {
		at := &yamlNode{kind: text, file: file, line: op.Line, column: op.Column}
		template, err := ParseTemplate(op.Path)
		if err != nil {
			r.problemf(at, "%v", err)
		}
		d.operations[op.Name] = declaredOperation{at, len(d.Operations), template}
		d.Operations = append(d.Operations, op.Operation)
	}
	for _, p := range document.Overlaps {
		if !r.enough() {
			p.Text += "; leave one of them out with skip:"
			r.problems = append(r.problems, p)
		}
	}
	for i, p := range document.Notes {
		if i == maxNotes {
			r.warnf(n, "and %d more notes on %s", len(document.Notes)-i, q.Path)
			break
		}
		r.warnings = append(r.warnings, p)
	}
}

func (r *reader) readDocumentPath(n *yamlNode, q *DocumentQuery) {
	const shape = "expected the path of an OpenAPI document, relative to this file"
	name, ok := r.text(n, "openapi")
	switch {
	case !ok:
	case strings.Contains(name, "://"):
		r.problemf(n, "%s; nothing is fetched, so download it, found %s", shape, shown(name))
	case name == "" || path.IsAbs(name) || strings.ContainsAny(name, "\\\x00\n"):
		r.problemf(n, "%s, found %s", shape, shown(name))
	default:
		q.Path = besideFile(r.sources[n.file].name, name)
	}
}

// besideFile returns a name that is relative to a file's, as the file's is seen.
func besideFile(file, name string) string { return path.Join(path.Dir(file), name) }

func (r *reader) readBasePath(n *yamlNode, q *DocumentQuery) {
	base, ok := r.text(n, "base_path")
	switch {
	case !ok:
	case base != "" && !strings.HasPrefix(base, "/"):
		r.problemf(n, `base_path starts with "/", or is "" for none, found %s`, shown(base))
	default:
		q.BasePath = &base
	}
}

func (r *reader) readDocumentMethods(n *yamlNode, q *DocumentQuery) {
	for _, item := range r.items(n, "methods", "[GET, POST]") {
		if m, flaw := parseMethod(item.text); item.kind != text || flaw != "" {
			r.problemf(item, "methods lists methods such as GET, found %s", item.describe())
		} else {
			q.Methods |= m
		}
	}
}

// boolean reads true or false.
func (r *reader) boolean(n *yamlNode, what string) bool {
	if n.kind != boolean || n.text != "true" && n.text != "false" {
		r.problemf(n, "%s is true or false, found %s", what, n.describe())
	}
	return n.text == "true"
}

// DocumentPaths returns the documents that a scope file names with openapi:, each
// once, as a [DocumentQuery] has their paths. It returns those that it can see if
// something is wrong with the file, which is for [Read] to tell.
func DocumentPaths(file Source) []string {
	if !bytes.Contains(file.Data, []byte("openapi")) {
		return nil
	}
	r := newReader([]Source{file}, Options{})
	r.pieceBytes = pieceBytes
	root, flaw := r.parseSource(0, file.Data)
	if flaw != nil {
		return nil
	}
	var paths []string
	seen := make(map[string]bool)
	apis := root.value("apis")
	if apis == nil {
		return nil
	}
	for _, api := range apis.pairs {
		n := api.value.value("openapi")
		if n != nil && n.kind == mapping {
			n = n.value("file")
		}
		if n == nil {
			continue
		}
		var q DocumentQuery
		if r.readDocumentPath(n, &q); q.Path != "" && !seen[q.Path] {
			seen[q.Path] = true
			paths = append(paths, q.Path)
		}
	}
	return paths
}
