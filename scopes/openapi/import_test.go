package openapi

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

var update = flag.Bool("update", false, "write what Import gives into testdata/golden")

// goldens are documents of testdata/documents and how they are read. What comes of
// it is in testdata/golden.
var goldens = []struct {
	name, document string
	options        Options
}{
	{name: "swagger-2.0", document: "swagger-2.0.yaml"},
	{name: "swagger-2.0-hosts", document: "swagger-2.0.yaml", options: Options{Hosts: true, Name: "pets", Methods: scopes.MethodOf("GET")}},
	{name: "openapi-3.0", document: "openapi-3.0.yaml"},
	{name: "openapi-3.0-hosts", document: "openapi-3.0.yaml", options: Options{Hosts: true, BasePath: new("/orders")}},
	{name: "openapi-3.0-no-base", document: "openapi-3.0.yaml", options: Options{BasePath: new("")}},
	{name: "openapi-3.1", document: "openapi-3.1.json", options: Options{AccountParam: "AccountSID"}},
	{name: "openapi-3.2", document: "openapi-3.2.yaml"},
	{name: "not-expressed", document: "not-expressed.yaml"},
	{name: "not-expressed-whole", document: "not-expressed.yaml", options: Options{WholeSegments: true}},
	{name: "overlaps", document: "overlaps.yaml"},
	{name: "names", document: "names.yaml"},
	{name: "versions", document: "versions.yaml"},
	{name: "versions-segment", document: "versions.yaml", options: Options{VersionSegment: true}},
	{name: "versions-given", document: "versions.yaml", options: Options{Versions: []string{"v1"}}},
	{name: "versions-absent", document: "versions.yaml", options: Options{VersionParam: "v"}},
	{name: "version-variable", document: "version-variable.yaml"},
	{name: "version-parameter", document: "version-parameter.json", options: Options{VersionParam: "apiVersion"}},
	{name: "version-parameter-given", document: "version-parameter.json", options: Options{VersionParam: "apiVersion", Versions: []string{"14"}}},
	{name: "account-absent", document: "versions.yaml", options: Options{AccountParam: "account"}},
	{name: "aliases", document: "aliases.yaml"},
}

func TestImport(t *testing.T) {
	t.Parallel()
	for _, test := range goldens {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			src, err := os.ReadFile(filepath.Join("testdata", "documents", test.document))
			if err != nil {
				t.Fatal(err)
			}
			got := describe(Import(test.document, src, test.options))
			golden := filepath.Join("testdata", "golden", test.name+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// describe writes down all that an import gives.
func describe(r *Result, err error) string {
	if err != nil {
		return "error\n" + err.Error() + "\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "api %s %q\nversions %q\nhosts %q\n", r.API.Name, r.API.Title, r.API.Versions, r.API.Hosts)
	if r.API.AccountParam != "" {
		fmt.Fprintf(&b, "account_param %s\n", r.API.AccountParam)
	}
	for i, op := range r.API.Operations {
		fmt.Fprintf(&b, "%d:%d: %s: %s %s\n", r.Places[i].Line, r.Places[i].Column, op.Name, op.Methods, op.Path)
	}
	for _, p := range r.Overlaps {
		fmt.Fprintf(&b, "overlap %v\n", p)
	}
	for _, p := range r.Notes {
		fmt.Fprintf(&b, "note %v\n", p)
	}
	return b.String()
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, src, want string }{
		{"nothing", "", notOpenAPI},
		{"a list", "- a\n", notOpenAPI},
		{"text", "hello", notOpenAPI},
		{"bytes", "\xff\xfe\x00", "doc:1:1: neither YAML nor JSON: incomplete UTF-16 character"},
		{"AsyncAPI", "asyncapi: 2.0.0\nchannels: {}\n", notOpenAPI},
		{"a nested version", "info: {openapi: 3.0.0}\n", notOpenAPI},
		{"Swagger 1.2", "swagger: \"1.2\"\npaths: {}\n", `doc:1:10: swagger "1.2" is not supported; expected openapi 3.0, 3.1 or 3.2, or swagger 2.0`},
		{"OpenAPI 4", "info: {}\nopenapi: 4.0.0\n", `doc:2:10: openapi "4.0.0" is not supported`},
		{"a version that is a list", "openapi: [3]\n", "doc:1:"},
		{"bad YAML", "openapi: 3.0.0\npaths: {a: b: c}\n", "doc:2:13: neither YAML nor JSON: "},
		{"bad JSON", "{\"openapi\": \"3.0.0\",\n\"paths\": {]}", "doc:2:11: neither YAML nor JSON: "},
		{"too deep", `{"openapi": "3.0.0", "x": ` + strings.Repeat("[", 50000), "exceeded max depth"},
		{"no paths", "openapi: 3.0.0\n", "doc:1:1: no operation of the document can be expressed: it has none"},
		{"paths that are a list", "openapi: 3.0.0\npaths: [/a]\n", "no operation of the document can be expressed: it has none"},
		{"nothing expressed", "openapi: 3.0.0\npaths: {\"/#a\": {get: {}}}\n", "no operation of the document can be expressed: /#a: left out: a request has no fragment"},
		{"another document", "openapi: 3.0.0\npaths: {/a: {$ref: \"/etc/passwd\"}}\n", `its $ref "/etc/passwd" leads out of the document`},
		{"a base path that is none", "openapi: 3.0.0\nservers: [{url: /a;b}]\npaths: {/a: {get: {}}}\n", "the base path /a;b is left out"},
		{"no values of a version", "openapi: 3.0.0\npaths: {\"/{v}/a\": {get: {}}}\n", "the document does not say which versions {v} can have; list them"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := Options{}
			if strings.Contains(test.src, "{v}") {
				o.VersionParam = "v"
			}
			r, err := Import("doc", []byte(test.src), o)
			var problems scopes.Problems
			if r != nil || !errors.As(err, &problems) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %+v, %v; want an error with %q", r, err, test.want)
			}
		})
	}
}

// TestImportBounds holds for documents that would cost more than they have bytes.
func TestImportBounds(t *testing.T) {
	t.Parallel()
	if _, err := Import("doc", bytes.Repeat([]byte(" "), MaxBytes+1), Options{}); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("a document that is too large: %v", err)
	}
	many := generate(scopes.MaxOperations + 1)
	if _, err := Import("doc", many, Options{}); err == nil || !strings.Contains(err.Error(), "8193 operations; an API has at most 8192") {
		t.Errorf("too many operations: %v", err)
	}
	var bomb strings.Builder // each level has the one before it ten times over
	bomb.WriteString("openapi: 3.0.0\nx0: &x0 {get: {}}\n")
	for i := 1; i < 20; i++ {
		fmt.Fprintf(&bomb, "x%d: &x%d\n  <<: [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*x%d, ", i-1), 10), ", "))
	}
	bomb.WriteString("paths:\n  /a: *x19\n")
	if _, err := Import("doc", []byte(bomb.String()), Options{}); err == nil || !strings.Contains(err.Error(), "refers to itself") {
		t.Errorf("merge keys that multiply: %v", err)
	}
	for _, loop := range []string{
		"openapi: 3.0.0\npaths: &p\n  /a: *p\n  <<: *p\n",
		"openapi: 3.0.0\npaths: {/a: {$ref: \"#/paths/~1a\"}}\n",
		"openapi: 3.0.0\npaths: {/a: {$ref: \"#/paths/~1b\"}, /b: {$ref: \"#/paths/~1a\"}}\n",
	} {
		if r, err := Import("doc", []byte(loop), Options{}); err == nil {
			t.Errorf("%q gives %+v", loop, r)
		}
	}
}

// TestNamesKeepTheirMeaning holds because tokens are granted operations by name: a
// document that grows must not give a name to another operation.
func TestNamesKeepTheirMeaning(t *testing.T) {
	t.Parallel()
	read := func(paths string) map[string]string {
		r, err := Import("doc", []byte("openapi: 3.0.0\npaths:\n"+paths), Options{})
		if err != nil {
			t.Fatal(err)
		}
		names := make(map[string]string)
		for _, op := range r.API.Operations {
			names[op.Name] = op.Methods.String() + " " + op.Path
		}
		return names
	}
	lines := []string{
		"  /a: {get: {operationId: x}}\n", "  /b: {get: {operationId: x}}\n", "  /c: {get: {}}\n",
		"  /c!: {get: {}}\n", "  /d: {get: {operationId: get/c}}\n",
	}
	documents := make([]map[string]string, 1<<len(lines)) // by the set of their lines
	for set := range documents {
		var some []string
		for i, line := range lines {
			if set&(1<<i) != 0 {
				some = append(some, line)
			}
		}
		if set == 0 {
			continue
		}
		documents[set] = read(strings.Join(some, ""))
		slices.Reverse(some)
		if reversed := read(strings.Join(some, "")); !maps.Equal(reversed, documents[set]) {
			t.Errorf("in another order, %q is %q", documents[set], reversed)
		}
	}
	for few := range documents {
		for many := range documents {
			for name, op := range documents[few] {
				if after, kept := documents[many][name]; few&many == few && kept && after != op {
					t.Errorf("%s is %s, but once the document has grown %s", name, op, after)
				}
			}
		}
	}
}

// generate makes a document of n operations, with schemas as real ones have them.
func generate(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"openapi":"3.0.3","info":{"title":"Generated","version":"1"},"servers":[{"url":"https://api.example.com/v1"}],"paths":{`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"/things%d/{id}":{"get":{"operationId":"getThing%d","parameters":[{"$ref":"#/components/parameters/id"}],`+
			`"responses":{"200":{"description":"The thing.","content":{"application/json":{"schema":{"type":"object","properties":{`, i, i)
		for j := range 20 {
			if j > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `"property%d":{"type":"string","description":"What property %d of the thing is."}`, j, j)
		}
		b.WriteString(`}}}}}}}}`)
	}
	b.WriteString(`},"components":{"parameters":{"id":{"name":"id","in":"path","required":true,"schema":{"type":"string"}}}}}`)
	return b.Bytes()
}

func BenchmarkImport(b *testing.B) {
	src := generate(5000)
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		if r, err := Import("doc", src, Options{}); err != nil || len(r.API.Operations) != 5000 {
			b.Fatal(err)
		}
	}
}

// FuzzImport holds an import against what every reader of an API relies on.
func FuzzImport(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "documents", "*"))
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src, byte(0))
		f.Add(src, byte(0xff))
	}
	f.Fuzz(func(t *testing.T, src []byte, switches byte) {
		o := Options{Hosts: switches&1 != 0, WholeSegments: switches&2 != 0, VersionSegment: switches&4 != 0}
		if switches&8 != 0 {
			o.AccountParam = "id"
		}
		if switches&16 != 0 {
			o.VersionParam = "id"
		}
		r, err := Import("doc", src, o)
		if err != nil {
			var problems scopes.Problems
			if !errors.As(err, &problems) || len(problems) == 0 {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		if _, err := scopes.NewCatalog([]scopes.API{r.API}); err != nil {
			t.Fatalf("no catalog can be made of it: %v", err)
		}
		names := make(map[string]bool)
		for i, op := range r.API.Operations {
			if names[op.Name] || operationName(op.Name) != op.Name || op.Methods == 0 || r.Places[i].Line < 1 {
				t.Fatalf("operation %+v at %+v", op, r.Places[i])
			}
			names[op.Name] = true
		}
	})
}
