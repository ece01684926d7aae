package caddymodule

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/scopes/openapi"
	"github.com/scopegate/scopegate/scopes/reading"
)

// documents are the OpenAPI documents that scope files name, by path, as they were
// read at one moment. Those that could not be read have an error instead.
type documents map[string]reading.Document

// readDocuments reads the documents that scope files on this machine name.
func readDocuments(files ...scopes.Source) documents {
	read := make(documents)
	for _, file := range files {
		for _, path := range scopes.DocumentPaths(file) {
			if _, done := read[path]; !done {
				src, err := readDocument(path)
				read[path] = reading.Document{Data: src, Err: err}
			}
		}
	}
	return read
}

// all returns the documents in the order of their paths, or why one could not be
// read.
func (d documents) all() ([]scopes.Source, error) {
	sources := make([]scopes.Source, 0, len(d))
	for _, path := range slices.Sorted(maps.Keys(d)) {
		if err := d[path].Err; err != nil {
			return nil, fmt.Errorf("reading an OpenAPI document: %w", err)
		}
		sources = append(sources, scopes.Source{Name: path, Data: d[path].Data})
	}
	return sources, nil
}

// errNotSent is why a document cannot be read that did not come with the files.
var errNotSent = errors.New("it was not sent; send it as a part called document, with this path as its filename")

// noteMissing takes note of the documents that files name and that were not sent.
func (d documents) noteMissing(files []scopes.Source) {
	for _, file := range files {
		for _, path := range scopes.DocumentPaths(file) {
			if _, sent := d[path]; !sent {
				d[path] = reading.Document{Err: errNotSent}
			}
		}
	}
}

// digest returns the digest of a scope file and of its documents, which is that of
// the file alone if it names none.
func (d documents) digest(file scopes.Source) [sha256.Size]byte {
	hash := sha256.New()
	_, _ = hash.Write(file.Data) // never fails
	for _, path := range scopes.DocumentPaths(file) {
		_, _ = hash.Write(binary.BigEndian.AppendUint64([]byte{0}, uint64(len(d[path].Data))))
		_, _ = hash.Write(d[path].Data)
	}
	return [sha256.Size]byte(hash.Sum(nil))
}

// readDocument reads an OpenAPI document from a file, unless it is too large.
func readDocument(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s is a folder", path)
	case info.Size() > openapi.MaxBytes:
		return nil, fmt.Errorf("%s has %d bytes; at most %d are read", path, info.Size(), openapi.MaxBytes)
	}
	return os.ReadFile(path)
}

// watched is how documents were when they were looked at last, by path; nil for one
// that could not be.
type watched map[string]os.FileInfo

// watchDocuments looks at the documents that a scope file names.
func watchDocuments(file scopes.Source) watched {
	w := make(watched)
	for _, path := range scopes.DocumentPaths(file) {
		w[path], _ = os.Stat(path)
	}
	return w
}

// changed looks again and reports whether some document is not as it was.
func (w watched) changed() bool {
	changed := false
	for path, before := range w {
		now, _ := os.Stat(path)
		if now == nil && before == nil || sameFile(before, now) {
			continue
		}
		w[path], changed = now, true
	}
	return changed
}
