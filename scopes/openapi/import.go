package openapi

import (
	"fmt"

	"github.com/scopegate/scopegate/scopes"
)

// MaxBytes is the size of the largest document that [Import] reads.
const MaxBytes = 64 << 20

// Options say what to make of a document. The zero value takes all that the
// document has.
type Options struct {
	// Name is the API's; "" makes one of the document's title.
	Name string
	// Versions are the API's; none takes those that the document has.
	Versions []string
	// VersionParam is the parameter, of paths or of a server's URL, by which requests
	// state the version. "" takes one called "version" if no path is without it.
	VersionParam string
	// VersionSegment lets the first segment of a path that looks like a version, such
	// as v1 or 2010-04-01, state it. Versions that are given are found without.
	VersionSegment bool
	// AccountParam is the parameter that must equal the token's account; "" for none.
	AccountParam string
	// BasePath stands before the document's paths instead of what its servers say;
	// nil takes the servers'.
	BasePath *string
	// Hosts takes the hosts of the servers; otherwise the API is served for every host.
	Hosts bool
	// Methods are the only ones taken; the zero value takes all.
	Methods scopes.Methods
	// Skip are the names of operations that are left out.
	Skip []string
	// WholeSegments lets a segment that has text around its parameters match whatever
	// it is, so that /{id}.json becomes /{id}; otherwise such operations are left out.
	WholeSegments bool
}

// Result is what a document has.
type Result struct {
	API scopes.API
	// Places are where the API's operations stand, in the same order.
	Places []Place
	// Overlaps are the operations that were left out because another one matches the
	// same requests.
	Overlaps []scopes.Problem
	// Notes are what else the document has that scopes do not express, and what was
	// read in another way than it stands there.
	Notes []scopes.Problem
}

// Place is where something stands in a document.
type Place struct {
	Line   int // counted from 1
	Column int // counted from 1, in characters
}

// Import reads a document. The name stands in what it tells.
//
// The error is [scopes.Problems]: why nothing of the document can be used, or that
// it is not what the options say. A document without operations is one.
func Import(name string, src []byte, o Options) (*Result, error) {
	d, flaw := parse(name, src)
	if flaw != nil {
		return nil, scopes.Problems{*flaw}
	}
	im := &importer{document: d, options: o}
	im.read()
	if d.budget < 0 {
		return nil, scopes.Problems{{File: name, Line: 1, Column: 1, Text: "the document refers to itself so often that it cannot be read"}}
	}
	if len(im.problems) > 0 {
		return nil, im.problems
	}
	return im.result(), nil
}

// importer is one run of [Import].
type importer struct {
	*document
	options    Options
	operations []*operation // in the order of the document
	version    string       // the parameter that states the version; "" for none
	versions   []string     // that the document names
	hosts      []string
	seen       map[string]bool // what was noted once and for all
	problems   scopes.Problems
	notes      []scopes.Problem
	overlaps   []scopes.Problem
}

// operation is an operation of the document, once for each base path.
type operation struct {
	method   scopes.Methods
	id       string // operationId; "" for none
	segments []segment
	slash    bool // the path ends in "/"
	marked   bool // a literal was taken for the version
	place    Place
	name     string
	path     string // the template
}

// String returns the operation as messages call it.
func (o *operation) String() string { return o.method.String() + " " + pathOf(o.segments, o.slash) }

// read gathers the operations and gives them their templates and names.
func (im *importer) read() {
	im.seen = make(map[string]bool)
	im.version = im.options.VersionParam
	if im.version == "" {
		im.version = scopes.VersionParameter
	}
	im.readPaths()
	im.tellOthers()
	im.findVersion()
	im.finishTemplates()
	im.dropRepeated()
	if im.checkOptions(); len(im.problems) == 0 {
		im.nameOperations()
		im.skip()
		im.dropOverlaps()
	}
}

// checkOptions tells where the document is not what the options say.
func (im *importer) checkOptions() {
	root := Place{im.root.Line, im.root.Column}
	switch {
	case len(im.problems) > 0:
	case len(im.operations) == 0:
		im.problemf(root, "no operation of the document can be expressed%s", im.whyNone())
	case len(im.operations) > scopes.MaxOperations:
		im.problemf(root, "%d operations; an API has at most %d, so take only some of the methods", len(im.operations), scopes.MaxOperations)
	case len(im.versions) > scopes.MaxVersions:
		im.problemf(root, "%d versions; an API has at most %d", len(im.versions), scopes.MaxVersions)
	case im.options.VersionParam != "" && !im.has(scopes.VersionParameter):
		im.problemf(root, "no path has the parameter {%s}, which states the version", im.options.VersionParam)
	case im.options.AccountParam != "" && !im.has(im.options.AccountParam):
		im.problemf(root, "no path has the parameter {%s}, which names the account", im.options.AccountParam)
	}
}

// whyNone gives the first note for a reason.
func (im *importer) whyNone() string {
	if len(im.notes) == 0 {
		return ": it has none"
	}
	return ": " + im.notes[0].Text
}

// has reports whether some path has the parameter.
func (im *importer) has(parameter string) bool {
	for _, op := range im.operations {
		if indexOf(op.segments, parameter) >= 0 {
			return true
		}
	}
	return false
}

// result puts together what was read.
func (im *importer) result() *Result {
	r := &Result{Notes: im.notes, Overlaps: im.overlaps, Places: make([]Place, 0, len(im.operations))}
	r.API = scopes.API{
		Name: im.options.Name, Title: im.title(), Hosts: im.hosts, Versions: im.versions,
		Operations: make([]scopes.Operation, 0, len(im.operations)),
	}
	if r.API.Name == "" {
		r.API.Name = apiName(r.API.Title)
	}
	if im.options.AccountParam != "" {
		r.API.AccountParam = im.options.AccountParam
	}
	for _, op := range im.operations {
		r.API.Operations = append(r.API.Operations, scopes.Operation{Name: op.name, Methods: op.method, Path: op.path})
		r.Places = append(r.Places, op.place)
	}
	return r
}

// problemf tells why the document cannot be used.
func (im *importer) problemf(at Place, format string, args ...any) {
	im.problems = append(im.problems, im.told(at, format, args...))
}

// notef tells what is not expressed.
func (im *importer) notef(at Place, format string, args ...any) {
	im.notes = append(im.notes, im.told(at, format, args...))
}

// noteOncef tells what is true of many operations, at the first one.
func (im *importer) noteOncef(at Place, format string, args ...any) {
	note := im.told(at, format, args...)
	im.noteGroupf(note.Text, at, "%s", note.Text)
}

// noteGroupf tells only the first of the notes of a group.
func (im *importer) noteGroupf(group string, at Place, format string, args ...any) {
	if !im.seen[group] {
		im.seen[group] = true
		im.notef(at, format, args...)
	}
}

func (im *importer) told(at Place, format string, args ...any) scopes.Problem {
	return scopes.Problem{File: im.name, Line: at.Line, Column: at.Column, Text: scopes.Redact(fmt.Sprintf(format, args...))}
}
