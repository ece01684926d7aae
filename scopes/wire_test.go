package scopes_test

import (
	"bytes"
	"encoding"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// What one process has read is what another gets: all of it, from files with all
// that files may have.
func TestEncodeFile(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/files/valid/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	if len(paths) == 0 {
		t.Fatal("there are no files")
	}
	for _, path := range append(paths, "../scopes.example.yaml") {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		file, err := scopes.Read(path, src, now)
		if err != nil {
			t.Fatal(err)
		}
		checkEncoding(t, file)
	}
}

// Whose each thing is goes along, where several files have owners of their own.
func TestEncodeFilesOfSeveralOwners(t *testing.T) {
	t.Parallel()
	file, err := scopes.ReadAll([]scopes.Source{
		{Name: "one.yaml", Data: []byte("format: 1\nowner: one\napis:\n  orders: {operations: {list: GET /orders}}\n")},
		{Name: "two.yaml", Data: []byte("format: 1\nowner: two\napis:\n  carts: {operations: {list: GET /carts}}\n")},
		{Name: "three.yaml", Data: []byte("format: 1\nowner: three\n")},
	}, scopes.Options{})
	if err != nil {
		t.Fatal(err)
	}
	checkEncoding(t, file)
}

// A field that is not exported would be lost on the way, but for those of a file that are
// written by hand, and of types that write themselves.
func TestEncodeFileLosesNoField(t *testing.T) {
	t.Parallel()
	byHand := map[string]bool{"File.owners": true, "File.others": true}
	marshaler := reflect.TypeFor[encoding.BinaryMarshaler]()
	seen := make(map[reflect.Type]bool)
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		if seen[typ] || typ.Implements(marshaler) {
			return
		}
		seen[typ] = true
		switch typ.Kind() {
		case reflect.Slice, reflect.Array, reflect.Map:
			walk(typ.Elem())
		case reflect.Pointer:
			t.Errorf("a pointer to a zero %v would be nil", typ.Elem())
		case reflect.Struct:
			for field := range typ.Fields() {
				if name := typ.Name() + "." + field.Name; field.IsExported() {
					walk(field.Type)
				} else if !byHand[name] {
					t.Errorf("%s is not encoded", name)
				}
			}
		default:
		}
	}
	walk(reflect.TypeFor[scopes.File]())
	if len(seen) < 10 {
		t.Errorf("looked at %d types only", len(seen))
	}
}

func checkEncoding(t *testing.T, file *scopes.File) {
	t.Helper()
	var b bytes.Buffer
	if err := file.Encode(&b); err != nil {
		t.Fatal(err)
	}
	encoded := b.Bytes()
	got, err := scopes.DecodeFile(&b)
	if err != nil {
		t.Fatalf("%s: %v", file.Name, err)
	}
	if !reflect.DeepEqual(got, file) {
		t.Errorf("%s: got\n%#v\nwant\n%#v", file.Name, got, file)
	}
	for _, end := range []int{0, 1, len(encoded) / 2, len(encoded) - 1} {
		if _, err := scopes.DecodeFile(bytes.NewReader(encoded[:end])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: of %d bytes, the first %d: got %v, want %v", file.Name, len(encoded), end, err, io.ErrUnexpectedEOF)
		}
	}
}
