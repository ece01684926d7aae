package openapi

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
)

// maxName is the length of the longest name, in bytes.
const maxName = 63

var (
	notInOperation = regexp.MustCompile(`[^A-Za-z0-9._/-]+`)
	notInAPI       = regexp.MustCompile(`[^a-z0-9._-]+`)
	// separators are what a name does not begin or end with.
	separators = "._-/"
)

// nameOperations gives each operation a name that no other one has.
func (im *importer) nameOperations() {
	byID := make(map[string][]*operation)
	for _, op := range im.operations {
		op.name = operationName(op.id)
		byID[op.name] = append(byID[op.name], op)
	}
	taken := make(map[string]int)
	for _, op := range im.operations {
		if same := byID[op.name]; op.name == "" || len(same) > 1 {
			im.tellSameName(op, same)
			op.name = operationName(methodAndPath(op))
		}
		taken[op.name]++
	}
	for _, op := range im.operations {
		if taken[op.name] > 1 {
			op.name = shorten(op.name, op.String(), true)
		}
	}
}

// tellSameName tells that operations have one operationId. The same operation with
// several base paths has been told.
func (im *importer) tellSameName(op *operation, same []*operation) {
	if i := slices.IndexFunc(same, func(o *operation) bool { return o.place != op.place }); op.name != "" && i >= 0 {
		im.noteGroupf("name "+op.name, op.place, "%d operations are called %s, such as the one in line %d; they are named by method and path",
			len(same), op.name, same[i].place.Line)
	}
}

// methodAndPath names an operation as get/orders/id.
func methodAndPath(op *operation) string {
	text := strings.NewReplacer("{", "", "}", "", "**", "rest").Replace(op.path)
	return strings.ToLower(op.method.String()) + text
}

// operationName maps text into the name of an operation; "" if nothing is left.
func operationName(text string) string {
	name := strings.Trim(notInOperation.ReplaceAllString(text, "-"), separators)
	return shorten(name, text, false)
}

// shorten cuts a name that is too long, and gives it a mark by which it differs
// from others that begin alike.
func shorten(name, of string, always bool) string {
	if len(name) <= maxName && !always {
		return name
	}
	const digits = 8
	sum := sha256.Sum256([]byte(of))
	return name[:min(len(name), maxName-digits-1)] + "-" + hex.EncodeToString(sum[:])[:digits]
}

// apiName maps a title into the name of an API.
func apiName(title string) string {
	name := strings.Trim(notInAPI.ReplaceAllString(strings.ToLower(title), "-"), separators)
	if name == "" || name == "scopegate" {
		return "api"
	}
	return strings.Trim(name[:min(len(name), maxName)], separators)
}
