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
)

// documents are the OpenAPI documents that scope files name, by path, as they were
// read at one moment. Those that could not be read have an error instead.
type documents map[string]documentBytes

type documentBytes struct {
	src []byte
	err error
}

// readDocuments reads the documents that scope files on this machine name.
func readDocuments(files ...scopes.Source) documents {
	read := make(documents)
	for _, file := range files {
		for _, path := range scopes.DocumentPaths(file) {
			if _, done := read[path]; !done {
				src, err := readDocument(path)
				read[path] = documentBytes{src, err}
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
		if err := d[path].err; err != nil {
			return nil, fmt.Errorf("reading an OpenAPI document: %w", err)
		}
		sources = append(sources, scopes.Source{Name: path, Data: d[path].src})
	}
	return sources, nil
}

// reader returns what reads scope files with these documents and no others: it
// opens no file.
func (d documents) reader() scopes.Documents {
	return openapi.Documents(func(path string) ([]byte, error) {
		document, known := d[path]
		if !known {
			return nil, errors.New("it was not sent; send it as a part called document, with this path as its filename")
		}
		return document.src, document.err
	})
}

// digest returns the digest of a scope file and of its documents, which is that of
// the file alone if it names none.
func (d documents) digest(file scopes.Source) [sha256.Size]byte {
	hash := sha256.New()
	_, _ = hash.Write(file.Data) // never fails
	for _, path := range scopes.DocumentPaths(file) {
		_, _ = hash.Write(binary.BigEndian.AppendUint64([]byte{0}, uint64(len(d[path].src))))
		_, _ = hash.Write(d[path].src)
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
