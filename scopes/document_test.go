package scopes

import (
	"errors"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// shelf is what documents there are for the tests, by path.
func shelf(q *DocumentQuery) (*Document, error) {
	switch q.Path {
	case "etc/catalogs.yaml":
		versions := q.Versions
		if versions == nil {
			versions = []string{"14"}
		}
		return &Document{
			Title: "Catalogs", Hosts: []string{"document.example"}, Versions: versions,
			Operations: []DocumentOperation{
				{Operation{"list", MethodOf("GET"), "/Catalogs"}, 7, 3},
				{Operation{"one", MethodOf("GET"), "/Catalogs/{Id}"}, 9, 3},
			},
			Notes: []Problem{{q.Path, 12, 3, "left out"}},
		}, nil
	case "etc/overlaps.yaml":
		return &Document{
			Operations: []DocumentOperation{{Operation{"a", MethodOf("GET"), "/a/{b}"}, 2, 1}},
			Overlaps:   []Problem{{q.Path, 3, 1, "c matches the same requests as a in line 2, column 1"}},
		}, nil
	case "etc/broken.yaml":
		return nil, Problems{{q.Path, 4, 5, "neither YAML nor JSON"}}
	}
	return nil, &fs.PathError{Op: "open", Path: q.Path, Err: fs.ErrNotExist}
}

// readShelved reads a file with one API and one token, whose keys are given.
func readShelved(api, scope string) (*File, error) {
	src := "format: 1\napis:\n  catalogs:\n" + api + "accounts:\n  acme:\n    tokens:\n" +
		"      sync: {description: d, contact: {email: a@b}, scopes: [{api: catalogs, methods: [GET]" + scope + "}]}\n"
	return ReadAll([]Source{{"etc/scopes.yaml", []byte(src)}}, Options{Now: testNow, Documents: shelf})
}

func TestReadDocument(t *testing.T) {
	t.Parallel()
	file, err := readShelved("    openapi: catalogs.yaml\n", ", operations: [one]")
	if err != nil {
		t.Fatal(err)
	}
	want := API{
		Name: "catalogs", Title: "Catalogs", Hosts: []string{"document.example"}, Versions: []string{"14"},
		Operations: []Operation{{"list", MethodOf("GET"), "/Catalogs"}, {"one", MethodOf("GET"), "/Catalogs/{Id}"}},
	}
	if !reflect.DeepEqual(file.APIs[0], want) {
		t.Errorf("got %+v, want %+v", file.APIs[0], want)
	}
	if s := file.Accounts[0].Tokens[0].Scopes[0]; !slices.Equal(s.Versions, []string{"14"}) {
		t.Errorf("the scope has the versions %q", s.Versions)
	}
	if got := Problems(file.Warnings).Error(); got != "etc/catalogs.yaml:12:3: left out" {
		t.Errorf("warnings: %s", got)
	}
}

// What the API says itself goes before what its document says.
func TestReadDocumentBeside(t *testing.T) {
	t.Parallel()
	file, err := readShelved(`    operations:
      one: GET|PUT /catalogs/{version}/{id}
      more: POST /more
    openapi: {file: ./catalogs.yaml}
    title: Mine
    hosts: [mine.example]
    versions: ["1", "2"]
    version_from: [header Api-Version]
    default_version: "2"
    upstream: {"1": ["http://127.0.0.1:1"], "2": ["http://127.0.0.1:2"]}
`, `, version: "2", operations: [one, more, list]`)
	if err != nil {
		t.Fatal(err)
	}
	want := []Operation{
		{"list", MethodOf("GET"), "/Catalogs"}, {"one", MethodOf("GET") | MethodOf("PUT"), "/catalogs/{version}/{id}"}, {"more", MethodOf("POST"), "/more"},
	}
	a := file.APIs[0]
	if !slices.Equal(a.Operations, want) || a.Title != "Mine" || !slices.Equal(a.Hosts, []string{"mine.example"}) || !slices.Equal(a.Versions, []string{"1", "2"}) {
		t.Errorf("got %+v", a)
	}
}

func TestReadDocumentRefuses(t *testing.T) {
	t.Parallel()
	schema := compileSchema(t)
	tests := []struct {
		name, api, want string
		seen            bool // by the JSON Schema
	}{
		{"absent", "openapi: none.yaml", "etc/scopes.yaml:4:14: the document etc/none.yaml cannot be read: open etc/none.yaml: file does not exist", false},
		{"broken", "openapi: broken.yaml", "etc/broken.yaml:4:5: neither YAML nor JSON", false},
		{"overlaps", "openapi: overlaps.yaml", "etc/overlaps.yaml:3:1: c matches the same requests as a in line 2, column 1; leave one of them out with skip:", false},
		{"URL", "openapi: https://example.com/a.yaml", "etc/scopes.yaml:4:14: expected the path of an OpenAPI document, relative to this file; nothing is fetched, so download it", true},
		{"absolute", "openapi: /etc/passwd", "expected the path of an OpenAPI document, relative to this file, found", true},
		{"number", "openapi: 1", `openapi is text, found the number 1`, true},
		{"list", "openapi: [catalogs.yaml]", "openapi is text, found a list", true},
		{"no file", "openapi: {hosts: true}", `openapi needs "file"`, true},
		{"unknown key", "openapi: {file: catalogs.yaml, basepath: /x}", `openapi has no key "basepath"; did you mean "base_path"?`, true},
		{"not a boolean", "openapi: {file: catalogs.yaml, hosts: 1}", "hosts is true or false, found the number 1", true},
		{"not a method", "openapi: {file: catalogs.yaml, methods: [get]}", "methods lists methods such as GET, found", true},
		{"not a base path", "openapi: {file: catalogs.yaml, base_path: v1}", `base_path starts with "/", or is "" for none, found "v1"`, true},
		{"not a name", "openapi: {file: catalogs.yaml, skip: [a b]}", `an operation cannot be called "a b"`, true},
		{"same requests", "openapi: catalogs.yaml\n    operations: {same: 'GET /Catalogs/{x}'}", "catalogs/same matches the same requests as catalogs/one in etc/catalogs.yaml, line 9", false},
		{"unknown operation of a scope", "openapi: catalogs.yaml\n    versions: [\"15\"]\n    version_from: [header A]\n    default_version: \"14\"", `API catalogs has no version "14"`, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			api := "    " + test.api + "\n"
			_, err := readShelved(api, "")
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
			if strings.Count(err.Error(), "\n") > 0 {
				t.Errorf("one slip has several problems:\n%v", err)
			}
			document := fileAsJSON(t, []byte("format: 1\napis:\n  catalogs:\n"+api))
			if err := schema.Validate(document); (err != nil) != test.seen {
				t.Errorf("the JSON Schema sees it: %t, want %t (%v)", err != nil, test.seen, err)
			}
		})
	}
}

func TestReadDocumentNowhere(t *testing.T) {
	t.Parallel()
	_, err := Read("f", []byte("format: 1\napis: {a: {openapi: a.yaml}}\n"), testNow)
	const want = "f:2:21: OpenAPI documents cannot be read here; list the operations under operations:"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// A document's problems, and its notes, stand after those of the file, and are bounded.
func TestReadDocumentNotes(t *testing.T) {
	t.Parallel()
	many := func(*DocumentQuery) (*Document, error) {
		return &Document{
			Operations: []DocumentOperation{{Operation{"a", MethodOf("GET"), "/a"}, 2, 1}},
			Notes:      slices.Repeat([]Problem{{"a.yaml", 1, 1, "left out"}}, 80),
		}, nil
	}
	file, err := ReadAll([]Source{{"f", []byte("format: 1\nowner: me\napis: {a: {openapi: a.yaml}}\n")}}, Options{Now: testNow, Documents: many})
	if err != nil {
		t.Fatal(err)
	}
	if len(file.Warnings) != maxNotes+1 || file.Warnings[0].Error() != "f:3:21: and 30 more notes on a.yaml" {
		t.Errorf("%d warnings, the first is %v", len(file.Warnings), file.Warnings[0])
	}
	if owners := file.Owners(); !slices.Equal(owners, []string{"me"}) {
		t.Errorf("the document has an owner of its own: %q", owners)
	}
}

func TestDocumentPaths(t *testing.T) {
	t.Parallel()
	tests := []struct {
		src  string
		want []string
	}{
		{"format: 1\napis: {a: {openapi: a.yaml}, b: {openapi: {file: ../b.yaml}}, c: {openapi: ./a.yaml}, d: {operations: {x: GET /}}}\n", []string{"etc/a.yaml", "b.yaml"}},
		{"format: 1\napis: {a: {openapi: /etc/passwd}, b: {openapi: 'http://x/y'}, c: {openapi: [z]}, d: openapi}\n", nil},
		{"format: 1\napis: [openapi]\n", nil},
		{"openapi: [", nil},
		{"openapi\xff", nil},
		{"format: 1\n", nil},
	}
	for _, test := range tests {
		if got := DocumentPaths(Source{"etc/scopes.yaml", []byte(test.src)}); !slices.Equal(got, test.want) {
			t.Errorf("%q names %q, want %q", test.src, got, test.want)
		}
	}
}

func TestReadDocumentErrorsWrap(t *testing.T) {
	t.Parallel()
	_, err := readShelved("    openapi: broken.yaml\n", "")
	var problems Problems
	if !errors.As(err, &problems) || problems[0].File != "etc/broken.yaml" {
		t.Errorf("got %v", err)
	}
}
