package openapi

import (
	"errors"
	"fmt"
	"slices"

	"github.com/scopegate/scopegate/scopes"
)

// finishTemplates writes the templates, and leaves out operations that no template
// expresses.
func (im *importer) finishTemplates() {
	im.operations = slices.DeleteFunc(im.operations, func(op *operation) bool {
		uniqueNames(op.segments)
		op.path = pathOf(op.segments, op.slash)
		if _, err := scopes.ParseTemplate(op.path); err != nil {
			im.notef(op.place, "%s %s: left out: %v", op.method, cut(op.path), err)
			return true
		}
		return false
	})
}

// uniqueNames renames parameters that stand twice in a path.
func uniqueNames(segments []segment) {
	seen := make(map[string]int)
	for i := range segments {
		s := &segments[i]
		if s.kind != scopes.Parameter {
			continue
		}
		if seen[s.name]++; seen[s.name] > 1 {
			s.name = fmt.Sprintf("%s_%d", s.name, seen[s.name])
			seen[s.name]++
		}
	}
}

// dropRepeated leaves out what is the same operation again: once the version is a
// parameter, two base paths may be one.
func (im *importer) dropRepeated() {
	type key struct {
		method scopes.Methods
		path   string
	}
	seen := make(map[key]*operation)
	im.operations = slices.DeleteFunc(im.operations, func(op *operation) bool {
		k := key{op.method, op.path}
		first := seen[k]
		if first == nil {
			seen[k] = op
			return false
		}
		same := first.place == op.place
		versioned := op.marked && first.marked
		if versioned && !same {
			im.noteOncef(op.place, "operations of several versions that are alike but for the version are one operation, such as %s, first in line %d", op, first.place.Line)
		}
		return same || versioned
	})
	im.tellSeveralBases()
}

// tellSeveralBases tells that operations are there several times.
func (im *importer) tellSeveralBases() {
	paths := make(map[Place]string)
	for _, op := range im.operations {
		if first, twice := paths[op.place]; twice {
			im.noteGroupf("bases", op.place, "the servers have several base paths, so operations are there once for each, as %s and %s; give a base path to choose one",
				cut(first), cut(op.path))
		}
		paths[op.place] = op.path
	}
}

// skip leaves out the operations that are not wanted.
func (im *importer) skip() {
	for _, name := range im.options.Skip {
		before := len(im.operations)
		im.operations = slices.DeleteFunc(im.operations, func(op *operation) bool { return op.name == name })
		if len(im.operations) == before {
			im.problemf(placeOf(im.root), "no operation is called %q, which is to be left out", cut(name))
		}
	}
	if len(im.operations) == 0 && len(im.problems) == 0 {
		im.problemf(placeOf(im.root), "all operations are to be left out")
	}
}

// dropOverlaps leaves out operations that match the same requests as one before
// them, and tells both places.
func (im *importer) dropOverlaps() {
	for range maxChain {
		conflicts := im.conflicts()
		if len(conflicts) == 0 {
			return
		}
		byName := make(map[string]*operation, len(im.operations))
		for _, op := range im.operations {
			byName[op.name] = op
		}
		drop := make(map[string]bool)
		for _, c := range conflicts {
			a, b := byName[c.A.Operation], byName[c.B.Operation]
			if !drop[b.name] {
				drop[b.name] = true
				im.overlaps = append(im.overlaps, im.told(b.place, "%s (%s) matches the same requests as %s (%s) in line %d, column %d",
					b.name, b, a.name, a, a.place.Line, a.place.Column))
			}
		}
		im.operations = slices.DeleteFunc(im.operations, func(op *operation) bool { return drop[op.name] })
	}
}

// conflicts returns the operations that match the same requests.
func (im *importer) conflicts() scopes.Conflicts {
	api := scopes.API{Name: "document", Operations: make([]scopes.Operation, 0, len(im.operations))}
	for _, op := range im.operations {
		api.Operations = append(api.Operations, scopes.Operation{Name: op.name, Methods: op.method, Path: op.path})
	}
	_, err := scopes.NewCatalog([]scopes.API{api})
	var conflicts scopes.Conflicts
	if !errors.As(err, &conflicts) && err != nil && len(im.problems) == 0 {
		im.problemf(Place{1, 1}, "%v", err)
	}
	return conflicts
}
