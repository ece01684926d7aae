package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/scopes/openapi"
)

// What the documentation shows is true: examples are read, links lead somewhere,
// and nothing that a user can write is left out. CONTRIBUTING.md says how blocks
// are marked.

// docsFolder is where the README is.
const docsFolder = ".."

// page is a page of the documentation.
type page struct {
	path   string // such as "../docs/cli.md"
	text   string
	blocks []block
}

// block is a fenced block of code.
type block struct {
	line int    // of its first fence, counted from 1
	info string // behind that fence, such as "caddyfile site"
	text string
}

// pages returns all pages, or the named ones of docs/.
func pages(t *testing.T, names ...string) []page {
	t.Helper()
	var paths []string
	for _, name := range names {
		paths = append(paths, filepath.Join(docsFolder, "docs", name))
	}
	if len(names) == 0 {
		for _, pattern := range []string{"*.md", "docs/*.md"} {
			found, err := filepath.Glob(filepath.Join(docsFolder, pattern))
			if err != nil || len(found) == 0 {
				t.Fatalf("%s: got %d pages (error %v), want some", pattern, len(found), err)
			}
			paths = append(paths, found...)
		}
	}
	all := make([]page, len(paths))
	for i, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[i] = page{path: path, text: string(text), blocks: blocksOf(t, path, string(text))}
	}
	return all
}

// blocksOf returns the fenced blocks of a page. A fence has three backticks and
// stands at the start of its line.
func blocksOf(t *testing.T, path, text string) []block {
	t.Helper()
	var blocks []block
	var current *block
	number := 0
	for line := range strings.Lines(text) {
		number++
		info, fence := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "```")
		switch {
		case !fence && current != nil:
			current.text += line
		case fence && current == nil:
			current = &block{line: number, info: info}
		case fence:
			blocks = append(blocks, *current)
			current = nil
		}
	}
	if current != nil {
		t.Fatalf("%s:%d: the block is never closed", path, current.line)
	}
	return blocks
}

// example is a block that a test tries out.
type example struct {
	block
	page    string
	message string // the text of the "text error" block that follows; "" if none does
}

// examples returns the blocks of all pages that have one of the infos.
func examples(t *testing.T, infos ...string) []example {
	t.Helper()
	var found []example
	for _, p := range pages(t) {
		for i, b := range p.blocks {
			if !slices.Contains(infos, b.info) {
				continue
			}
			e := example{block: b, page: p.path}
			if next := i + 1; next < len(p.blocks) && p.blocks[next].info == "text error" {
				e.message = p.blocks[next].text
			}
			found = append(found, e)
		}
	}
	return found
}

// place is where the example is, as editors know it.
func (e *example) place() string { return fmt.Sprintf("%s:%d", e.page, e.line) }

func TestDocsCaddyfiles(t *testing.T) {
	t.Parallel()
	for _, e := range examples(t, "caddyfile", "caddyfile site", "caddyfile refused") {
		t.Run(fmt.Sprintf("%s line %d", filepath.Base(e.page), e.line), func(t *testing.T) {
			t.Parallel()
			input := e.text
			if e.info == "caddyfile site" {
				input = "example.com {\n\t" + strings.ReplaceAll(strings.TrimSuffix(input, "\n"), "\n", "\n\t") + "\n}\n"
			}
			got := adapted(t, input)
			switch refused := !json.Valid([]byte(got)); {
			case refused != (e.info == "caddyfile refused"):
				t.Errorf("%s adapts to\n%s", e.place(), got)
			case refused && e.message == "":
				t.Errorf("%s: no block \"text error\" follows", e.place())
			case refused && !strings.Contains(got, strings.TrimSuffix(e.message, "\n")):
				t.Errorf("%s: got the error\n%s\nwant\n%s", e.place(), got, e.message)
			}
		})
	}
}

func TestDocsScopeFiles(t *testing.T) {
	t.Parallel()
	whole := readFile(t, filepath.Join(docsFolder, "scopes.example.yaml"))
	for _, e := range examples(t, "yaml scopes", "yaml scopes refused") {
		file, problem := readDocsScopes(completed(e.text, whole))
		switch {
		case e.info == "yaml scopes refused":
			if e.message == "" || problem == nil || problem.Error()+"\n" != e.message {
				t.Errorf("%s: got the error\n%v\nwant\n%s", e.place(), problem, e.message)
			}
		case problem != nil:
			t.Errorf("%s: %v", e.place(), problem)
		case len(file.Warnings) > 0:
			t.Errorf("%s has warnings: %v", e.place(), file.Warnings)
		}
	}
}

// readDocsScopes reads a scope file and runs its tests, as "validate" does.
func readDocsScopes(src string) (*scopes.File, error) {
	documents := openapi.Documents(func(path string) ([]byte, error) {
		return os.ReadFile(filepath.Join(docsFolder, "docs", path))
	})
	source := scopes.Source{Name: "scopes.yaml", Data: []byte(src)}
	file, err := scopes.ReadAll([]scopes.Source{source}, scopes.Options{Now: time.Now(), Documents: documents})
	if err != nil {
		return nil, err
	}
	catalog, err := scopes.NewCatalog(file.APIs)
	if err != nil {
		return nil, err
	}
	if problems := scopes.RunTests(file, catalog); len(problems) > 0 {
		return nil, problems
	}
	return file, nil
}

// completed adds to a scope file the sections that it leaves out and that those it
// has refer to: from the example.
func completed(src, example string) string {
	has := func(key string) bool { return strings.HasPrefix(src, key) || strings.Contains(src, "\n"+key) }
	if !has("format:") {
		src = "format: 1\n" + src
	}
	if has("tests:") && !has("accounts:") {
		src += section(example, "accounts:")
	}
	if has("accounts:") && !has("apis:") {
		src += section(example, "apis:")
	}
	return src
}

// section returns a key at the top of a scope file, and all that is below it.
func section(file, key string) string {
	_, rest, _ := strings.Cut(file, "\n"+key)
	text := key
	for line := range strings.Lines(rest) {
		if text != key && unicode.IsLetter(rune(line[0])) {
			break
		}
		text += line
	}
	return text
}

func TestDocsJSON(t *testing.T) {
	t.Parallel()
	for _, e := range examples(t, "json") {
		if !json.Valid([]byte(e.text)) {
			t.Errorf("%s is no JSON:\n%s", e.place(), e.text)
		}
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
