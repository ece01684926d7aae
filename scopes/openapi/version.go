package openapi

import (
	"regexp"
	"slices"

	"github.com/pb33f/go-yaml"

	"github.com/scopegate/scopegate/scopes"
)

// versionName is what can be a version.
var versionName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// versionLike is what looks like a version in a path: v1, v1.2, v1beta1, 2.0 or
// 2010-04-01.
var versionLike = regexp.MustCompile(`^(?:[vV][0-9]+(?:[._][0-9]+)*(?:(?:alpha|beta|rc)[0-9]*)?|[0-9]+(?:\.[0-9]+)+|[0-9]{4}-[0-9]{2}-[0-9]{2})$`)

// notTheVersion is the name of a parameter that is called version but is not the
// one that states the API's.
const notTheVersion = "version_"

// takeVersions keeps the versions that the parameter of a path can have.
func (im *importer) takeVersions(parameter *yaml.Node, s *segment) {
	if s.raw != im.version {
		return
	}
	declared := parameter
	if schema := im.field(parameter, "schema"); schema != nil {
		if resolved, broken := im.resolve(schema); broken == "" {
			declared = resolved
		}
	}
	s.versions = im.valuesOf(declared)
}

// valuesOf returns the values that a parameter or variable can have.
func (im *importer) valuesOf(declared *yaml.Node) []string {
	var values []string
	for _, item := range im.items(im.field(declared, "enum")) {
		if item.Kind == yaml.ScalarNode {
			values = append(values, item.Value)
		}
	}
	if value := im.text(declared, "default"); len(values) == 0 && value != "" {
		values = append(values, value)
	}
	return values
}

// findVersion decides which parameter or segment of the paths states the version,
// and which versions there are.
func (im *importer) findVersion() {
	if im.options.VersionParam != "" || im.statedEverywhere() {
		im.markVersion()
	} else {
		im.renameOthers()
	}
	im.markSegments()
	if len(im.options.Versions) > 0 {
		im.versions = im.options.Versions
		return
	}
	for _, op := range im.operations {
		if i := indexOf(op.segments, scopes.VersionParameter); i >= 0 {
			for _, v := range op.segments[i].versions {
				im.addVersion(v, op.place)
			}
		}
	}
	if len(im.versions) == 0 {
		im.addInfoVersion()
	}
	if len(im.versions) == 0 {
		im.renameVersion()
	}
}

// statedEverywhere reports whether each path has the parameter {version}. Where
// only some do, it is more likely the version of a thing than the API's.
func (im *importer) statedEverywhere() bool {
	for _, op := range im.operations {
		if !slices.ContainsFunc(op.segments, im.isVersion) {
			return false
		}
	}
	return len(im.operations) > 0
}

func (im *importer) isVersion(s segment) bool {
	return s.kind == scopes.Parameter && s.raw == im.version
}

// markVersion calls the parameter that states the version {version}, and another
// one that is called so something else.
func (im *importer) markVersion() {
	for _, op := range im.operations {
		i := slices.IndexFunc(op.segments, im.isVersion)
		for j := range op.segments {
			if op.segments[j].name == scopes.VersionParameter {
				op.segments[j].name = notTheVersion
			}
		}
		if i >= 0 {
			op.segments[i].name = scopes.VersionParameter
		}
	}
}

// markSegments lets literals state the version: those that are one of the given
// versions, or that look like one.
func (im *importer) markSegments() {
	given := im.options.Versions
	if len(given) == 0 && !im.options.VersionSegment {
		return
	}
	isVersion := func(s segment) bool {
		if len(given) > 0 {
			return s.kind == scopes.Literal && slices.Contains(given, s.raw)
		}
		return looksLikeVersion(s)
	}
	marked := false
	for _, op := range im.operations {
		i := slices.IndexFunc(op.segments, isVersion)
		if i < 0 || indexOf(op.segments, scopes.VersionParameter) >= 0 {
			continue
		}
		v := op.segments[i].raw
		op.segments[i] = segment{kind: scopes.Parameter, raw: v, name: scopes.VersionParameter, versions: []string{v}}
		op.marked, marked = true, true
	}
	if marked {
		im.dropOtherVersions()
	}
}

// looksLikeVersion reports whether a segment is a literal such as v1.
func looksLikeVersion(s segment) bool {
	return s.kind == scopes.Literal && versionLike.MatchString(s.raw)
}

// dropOtherVersions leaves out the operations of versions that are not among those
// given: they would be granted with them.
func (im *importer) dropOtherVersions() {
	im.operations = slices.DeleteFunc(im.operations, func(op *operation) bool {
		i := slices.IndexFunc(op.segments, looksLikeVersion)
		if i < 0 || indexOf(op.segments, scopes.VersionParameter) >= 0 {
			return false
		}
		im.noteGroupf("version "+op.segments[i].raw, op.place, "operations of version %s, such as %s, are left out, for it is not among the versions", op.segments[i].raw, op)
		return true
	})
}

// renameOthers renames parameters that are called version but do not state it.
func (im *importer) renameOthers() {
	for _, op := range im.operations {
		if i := indexOf(op.segments, scopes.VersionParameter); i >= 0 {
			op.segments[i].name = notTheVersion
			im.noteOncef(op.place, "{version} is not in every path, so it is taken for a parameter like others; name it as the one that states the version if it does")
		}
	}
}

// addVersion adds one of the API's versions.
func (im *importer) addVersion(v string, at Place) {
	switch {
	case !versionName.MatchString(v):
		im.noteOncef(at, "%q cannot be a version and is left out; a version has up to 63 letters, digits, and . _ - after the first", cut(v))
	case !slices.Contains(im.versions, v):
		im.versions = append(im.versions, v)
	}
}

// addInfoVersion takes the version of the document itself, where requests have no
// place to state one.
func (im *importer) addInfoVersion() {
	if im.has(scopes.VersionParameter) {
		return
	}
	if value := im.field(im.field(im.root, "info"), "version"); value != nil && value.Kind == yaml.ScalarNode && value.Value != "" {
		im.addVersion(value.Value, placeOf(value))
	}
}

// renameVersion gives up on a {version} whose values nobody names.
func (im *importer) renameVersion() {
	for _, op := range im.operations {
		i := indexOf(op.segments, scopes.VersionParameter)
		switch {
		case i < 0:
		case im.options.VersionParam != "":
			im.problemf(op.place, "the document does not say which versions {%s} can have; list them", im.options.VersionParam)
			return
		default:
			op.segments[i].name = notTheVersion
			im.noteOncef(op.place, "the document does not say which versions {version} can have, so it is taken for a parameter like others; list the versions")
		}
	}
}
