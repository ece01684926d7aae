package scopes

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

var update = flag.Bool("update", false, "write what Read says at the end of testdata/files")

// testNow is when the files of testdata are read.
var testNow = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// Files under testdata/files end in the problems, or the warnings, that Read has
// for them, one "# error: line:column: text" each. Where an invalid file begins
// with readerOnly, the JSON Schema cannot see what is wrong, for the reason given.
const (
	errorMark   = "# error: "
	warningMark = "# warning: "
	readerOnly  = "# reader only: "
)

func TestValidFiles(t *testing.T) {
	t.Parallel()
	schema := compileSchema(t)
	for path, file := range testFiles(t, "valid") {
		src, warnings := cutMarks(file, warningMark)
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			f, err := Read(path, src, testNow)
			if err != nil {
				t.Fatalf("Read(%s) = %v", path, err)
			}
			compareMarks(t, path, src, warnings, warningMark, f.Warnings)
			if err := schema.Validate(fileAsJSON(t, src)); err != nil {
				t.Errorf("%s reads, but the JSON Schema refuses it: %v", path, err)
			}
			c, err := NewCatalog(f.APIs)
			if err != nil {
				t.Fatalf("NewCatalog(%s) = %v", path, err)
			}
			if failed := RunTests(f, c); len(failed) > 0 {
				t.Errorf("RunTests(%s):\n%v", path, failed)
			}
		})
	}
}

func TestInvalidFiles(t *testing.T) {
	t.Parallel()
	schema := compileSchema(t)
	for path, file := range testFiles(t, "invalid") {
		src, errs := cutMarks(file, errorMark)
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			f, err := Read(path, src, testNow)
			var problems Problems
			if !errors.As(err, &problems) || f != nil {
				t.Fatalf("Read(%s) = %v, %v; want Problems", path, f, err)
			}
			compareMarks(t, path, src, errs, errorMark, problems)
			document := fileAsJSON(t, src)
			if document == nil {
				return // no YAML, so there is nothing to hold against the schema
			}
			err = schema.Validate(document)
			if seen, want := err != nil, !bytes.HasPrefix(src, []byte(readerOnly)); seen != want {
				t.Errorf("the JSON Schema sees that %s is wrong: %t, want %t (%v)", path, seen, want, err)
			}
		})
	}
}

// TestSchemaKeys holds the keys that the reader knows against those of the
// schema: the same ones in the same places, the same ones required.
func TestSchemaKeys(t *testing.T) {
	t.Parallel()
	type mapping struct {
		Properties map[string]json.RawMessage
		Required   []string
	}
	var schema struct {
		Defs map[string]mapping `json:"$defs"`
	}
	if err := json.Unmarshal(Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	reader := make(map[string]mapping)
	for _, t := range []interface {
		describe() (string, []string, []string)
	}{
		&fileTable, &apiTable, &documentTable, &accountTable, &tokenTable, &contactTable, &scopeTable, &testTable, &deprecationTable,
	} {
		name, keys, required := t.describe()
		m := mapping{Properties: make(map[string]json.RawMessage), Required: required}
		for _, key := range keys {
			m.Properties[key] = nil
		}
		reader[name] = m
	}
	maps.DeleteFunc(schema.Defs, func(_ string, m mapping) bool { return m.Properties == nil })
	if got, want := keysOf(schema.Defs)(), keysOf(reader)(); !slices.Equal(got, want) {
		t.Fatalf("the schema has the mappings %v, the reader %v", got, want)
	}
	for name, m := range reader {
		if got, want := keysOf(schema.Defs[name].Properties)(), keysOf(m.Properties)(); !slices.Equal(got, want) {
			t.Errorf("%s: the schema has the keys %v, the reader %v", name, got, want)
		}
		slices.Sort(m.Required)
		if got := slices.Sorted(slices.Values(schema.Defs[name].Required)); !slices.Equal(got, m.Required) {
			t.Errorf("%s: the schema requires %v, the reader %v", name, got, m.Required)
		}
	}
}

// describe returns the definition's name, the keys, and those that are required.
func (t *table[T]) describe() (name string, keys, required []string) {
	for _, f := range t.fields {
		if f.required != "" {
			required = append(required, f.key)
		}
	}
	return t.schema, t.keys(), required
}

// TestSchemaWords holds the lists of words in the schema against the code's.
func TestSchemaWords(t *testing.T) {
	t.Parallel()
	var schema struct {
		Defs struct {
			Method struct{ Enum []string }
			Test   struct {
				Properties struct{ Expect struct{ Enum []string } }
			}
			API struct {
				Properties struct{ Versions struct{ MaxItems int } }
			}
		} `json:"$defs"`
	}
	if err := json.Unmarshal(Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	if got := schema.Defs.Method.Enum; !slices.Equal(got, methodNames[:]) {
		t.Errorf("methods: the schema has %v, the code %v", got, methodNames)
	}
	if got := schema.Defs.API.Properties.Versions.MaxItems; got != MaxVersions {
		t.Errorf("versions: the schema allows %d, the code %d", got, MaxVersions)
	}
	if got, want := schema.Defs.Test.Properties.Expect.Enum, testableReasons(); !slices.Equal(got, want) {
		t.Errorf("reasons: the schema has %v, the code %v", got, want)
	}
}

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("scopes.schema.json", document); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("scopes.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// testFiles returns the files of a folder under testdata/files, by path.
func testFiles(tb testing.TB, folder string) map[string][]byte {
	tb.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "files", folder, "*.yaml"))
	if err != nil || len(paths) == 0 {
		tb.Fatalf("no files in %s: %v", folder, err)
	}
	files := make(map[string][]byte, len(paths))
	for _, path := range paths {
		if files[path], err = os.ReadFile(path); err != nil {
			tb.Fatal(err)
		}
	}
	return files
}

// cutMarks splits a file into what Read is given and the marked lines at its end.
func cutMarks(file []byte, mark string) (src []byte, marks string) {
	if at := bytes.Index(file, []byte("\n"+mark)); at >= 0 {
		return file[:at+1], string(file[at+1:])
	}
	return file, ""
}

// compareMarks holds problems against the marked lines at the end of a file.
func compareMarks(t *testing.T, path string, src []byte, want, mark string, problems []Problem) {
	t.Helper()
	var got strings.Builder
	for _, p := range problems {
		got.WriteString(mark + strings.TrimPrefix(p.Error(), path+":") + "\n")
	}
	if got.String() == want {
		return
	}
	if !*update {
		t.Errorf("%s:\ngot\n%swant\n%s", path, got.String(), want)
		return
	}
	if err := os.WriteFile(path, append(slices.Clone(src), got.String()...), 0o600); err != nil {
		t.Fatal(err)
	}
}

// fileAsJSON returns a file's content as an editor would hold it against the
// schema; nil if it is not YAML.
func fileAsJSON(t *testing.T, src []byte) any {
	t.Helper()
	src, flaw := normalise(src)
	if flaw != nil {
		return nil
	}
	root, flaw := parseYAML(src, origin{})
	if flaw != nil {
		return nil
	}
	return root.asJSON()
}

func (n *yamlNode) asJSON() any {
	switch n.kind {
	case nothing:
		return nil
	case boolean:
		return strings.EqualFold(n.text, "true")
	case number:
		if i, err := strconv.ParseInt(n.text, 0, 64); err == nil {
			return i
		}
		f, _ := strconv.ParseFloat(n.text, 64)
		return f
	case list:
		items := make([]any, len(n.items))
		for i, item := range n.items {
			items[i] = item.asJSON()
		}
		return items
	case mapping:
		pairs := make(map[string]any, len(n.pairs))
		for _, p := range n.pairs {
			pairs[p.key.text] = p.value.asJSON()
		}
		return pairs
	case text:
	}
	return n.text
}
