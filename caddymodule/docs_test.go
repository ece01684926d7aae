package caddymodule_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/scopegate/scopegate/caddymodule"
	"github.com/scopegate/scopegate/scopes"
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

// eachBlock runs a test for each block with one of the infos. It passes the text
// of the "text error" block that follows too, "" if none does.
func eachBlock(t *testing.T, infos []string, test func(t *testing.T, b block, message string)) {
	t.Helper()
	for _, p := range pages(t) {
		for i, b := range p.blocks {
			if !slices.Contains(infos, b.info) {
				continue
			}
			message := ""
			if next := i + 1; next < len(p.blocks) && p.blocks[next].info == "text error" {
				message = p.blocks[next].text
			}
			t.Run(filepath.Base(p.path), func(t *testing.T) {
				t.Parallel()
				t.Cleanup(func() {
					if t.Failed() {
						t.Logf("this is about %s:%d:\n%s", p.path, b.line, b.text)
					}
				})
				test(t, b, message)
			})
		}
	}
}

func TestDocsCaddyfiles(t *testing.T) {
	t.Parallel()
	eachBlock(t, []string{"caddyfile", "caddyfile site", "caddyfile refused"}, func(t *testing.T, b block, message string) {
		input := b.text
		if b.info == "caddyfile site" {
			input = "example.com {\n\t" + strings.ReplaceAll(strings.TrimSuffix(input, "\n"), "\n", "\n\t") + "\n}\n"
		}
		got := adapted(t, input)
		switch refused := !json.Valid([]byte(got)); {
		case refused != (b.info == "caddyfile refused"):
			t.Errorf("it adapts to\n%s", got)
		case refused && message == "":
			t.Error("no block \"text error\" follows")
		case refused && !strings.Contains(got, strings.TrimSuffix(message, "\n")):
			t.Errorf("got the error\n%s\nwant\n%s", got, message)
		}
	})
}

func TestDocsScopeFiles(t *testing.T) {
	t.Parallel()
	example := readFile(t, filepath.Join(docsFolder, "scopes.example.yaml"))
	eachBlock(t, []string{"yaml scopes", "yaml scopes refused"}, func(t *testing.T, b block, message string) {
		file, problem := readDocsScopes(completed(b.text, example))
		switch {
		case b.info == "yaml scopes refused":
			if message == "" || problem == nil || problem.Error()+"\n" != message {
				t.Errorf("got the error\n%v\nwant\n%s", problem, message)
			}
		case problem != nil:
			t.Error(problem)
		case len(file.Warnings) > 0:
			t.Errorf("it has warnings: %v", file.Warnings)
		}
	})
}

// readDocsScopes reads a scope file and runs its tests, as "validate" does.
func readDocsScopes(src string) (*scopes.File, error) {
	file, err := scopes.Read("scopes.yaml", []byte(src), time.Now())
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
	eachBlock(t, []string{"json"}, func(t *testing.T, b block, _ string) {
		var value any
		if err := json.Unmarshal([]byte(b.text), &value); err != nil {
			t.Error(err)
		}
	})
}

// Rows of the table of targets: `target`, result.
var targetRow = regexp.MustCompile("(?m)^\\| `(/[^`]+)` \\| (passes|refused) \\|")

func TestDocsTargets(t *testing.T) {
	t.Parallel()
	file, err := readDocsScopes("format: 1\napis:\n  all:\n    operations: {any: GET /**}\n" +
		"accounts:\n  a:\n    tokens:\n      t:\n        contact: {email: a@a.example}\n        access: read_only\n")
	if err != nil {
		t.Fatal(err)
	}
	catalog, err := scopes.NewCatalog(file.APIs)
	if err != nil {
		t.Fatal(err)
	}
	grant := scopes.GrantOf(&file.Accounts[0], &file.Accounts[0].Tokens[0], catalog)
	rows := targetRow.FindAllStringSubmatch(pages(t, "decisions.md")[0].text, -1)
	if len(rows) < 10 {
		t.Fatalf("got %d rows, want the whole table", len(rows))
	}
	for _, row := range rows {
		target := strings.ReplaceAll(row[1], `\|`, "|") // as Markdown wants it in a table
		want := scopes.Allowed
		if row[2] == "refused" {
			want = scopes.MalformedRequest
		}
		got := catalog.View().Decide(&scopes.Request{Method: "GET", Target: target, Now: time.Now()}, &grant)
		if got.Reason != want {
			t.Errorf("target %s: got %v, want %v (%s)", target, got.Reason, want, row[2])
		}
	}
}

// Every name that a user meets is explained where it belongs.
func TestDocsAreComplete(t *testing.T) {
	t.Parallel()
	var reasons []string
	for r := range scopes.NumReasons {
		reasons = append(reasons, scopes.Reason(r).String()) //nolint:gosec // fewer than 256
	}
	var options []string
	for _, module := range []any{caddymodule.App{}, caddymodule.ScopeFile{}, caddymodule.Handler{}, caddymodule.CredentialPlace{}} {
		options = append(options, jsonNames(reflect.TypeOf(module))...)
	}
	for _, row := range []struct {
		page  string
		names []string
	}{
		{"decisions.md", reasons},
		{"scope-file.md", schemaKeys(t)},
		{"caddyfile.md", options},
	} {
		text := pages(t, row.page)[0].text
		for _, name := range row.names {
			if !regexp.MustCompile("[`\"]" + regexp.QuoteMeta(name) + "[`\" ]").MatchString(text) {
				t.Errorf("docs/%s does not mention `%s`", row.page, name)
			}
		}
	}
}

// jsonNames returns the names that the exported fields of a struct have in JSON.
func jsonNames(structure reflect.Type) []string {
	var names []string
	for field := range structure.Fields() {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// schemaKeys returns every key that a scope file may have.
func schemaKeys(t *testing.T) []string {
	t.Helper()
	var schema struct {
		Defs map[string]struct {
			Properties map[string]any `json:"properties"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal(scopes.Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, d := range schema.Defs {
		for key := range d.Properties {
			keys = append(keys, key)
		}
	}
	return keys
}

var (
	fenced  = regexp.MustCompile("(?ms)^```.*?^```$")
	spanned = regexp.MustCompile("`[^`\n]*`")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

func TestDocsLinks(t *testing.T) {
	t.Parallel()
	for _, p := range pages(t) {
		prose := fenced.ReplaceAllString(p.text, "")
		for _, match := range link.FindAllStringSubmatch(spanned.ReplaceAllString(prose, ""), -1) {
			target, anchor, _ := strings.Cut(match[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			text := p.text
			if target != "" {
				content, err := os.ReadFile(filepath.Join(filepath.Dir(p.path), target))
				if err != nil && !isFolder(filepath.Join(filepath.Dir(p.path), target)) {
					t.Errorf("%s: the link %s leads nowhere: %v", p.path, match[1], err)
					continue
				}
				text = string(content)
			}
			if anchor != "" && !slices.Contains(anchorsOf(text), anchor) {
				t.Errorf("%s: the link %s leads to no heading", p.path, match[1])
			}
		}
	}
}

// anchorsOf returns the anchors that the headings of a page get on GitHub.
func anchorsOf(text string) []string {
	var anchors []string
	for _, match := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		anchors = append(anchors, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, match[1]))
	}
	return anchors
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// TestDocsConsole runs the commands that a page shows, in its order, against one
// gateway with the example scope file, and compares what they print. What differs
// each time, such as ids and times, is not compared.
func TestDocsConsole(t *testing.T) {
	t.Parallel()
	example := readFile(t, filepath.Join(docsFolder, "scopes.example.yaml"))
	g := startGateway(t, proxyCaddyfile, example)
	writeFile(t, filepath.Join(g.dir, "next.yaml"), nextScopes(t, example))
	for _, b := range pages(t, "cli.md")[0].blocks {
		if b.info != "console" {
			continue
		}
		for command, want := range commandsOf(b.text) {
			if got := g.console(t, command); simplified(got) != simplified(want) {
				t.Errorf("docs/cli.md, below line %d: %s\nprints\n%s\nand is said to print\n%s", b.line, command, got, want)
			}
		}
	}
}

// nextScopes is the example as docs/cli.md says that it is changed.
func nextScopes(t *testing.T, example string) string {
	t.Helper()
	next := strings.Replace(example, "methods: [GET, POST, PUT]", "methods: [GET, POST, PUT, DELETE]", 1)
	next = regexp.MustCompile(`(?m)^      old-erp:\n(        .*\n)+`).ReplaceAllString(next, "")
	next = regexp.MustCompile(`(?m)^.*acme/old-erp.*\n`).ReplaceAllString(next, "")
	if !strings.Contains(next, "PUT, DELETE]") || strings.Contains(next, "old-erp") {
		t.Fatal("the example is no longer what docs/cli.md changes")
	}
	return next
}

// commandsOf yields the commands of a console block and what each prints.
func commandsOf(text string) iter.Seq2[string, string] {
	return func(yield func(command, output string) bool) {
		for part := range strings.SplitSeq("\n"+text, "\n$ ") {
			command, output, _ := strings.Cut(part, "\n")
			if command != "" && !yield(command, output) {
				return
			}
		}
	}
}

// console runs a command as docs/cli.md shows it and returns what it prints, what
// is for people before what is the result.
func (g *gateway) console(t *testing.T, command string) string {
	t.Helper()
	var words []string
	for _, word := range regexp.MustCompile(`'[^']*'|\S+`).FindAllString(command, -1) {
		words = append(words, strings.Trim(word, "'"))
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	switch {
	case words[0] == "curl":
		return g.curl(ctx, t, words[1:])
	case len(words) < 3 || words[0] != "caddy" || words[1] != "scopegate":
		t.Fatalf("no command that the documentation can show: %s", command)
	case words[2] != "validate" && !slices.Contains(words, "--scopes"):
		words = append(words, "--address", g.admin)
	}
	cmd := g.command(ctx, words[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && stderr.Len() == 0 && cmd.ProcessState == nil {
		t.Fatalf("%s: %v", command, err)
	}
	return stderr.String() + stdout.String()
}

// curl does what curl does with the few options that docs/cli.md uses.
func (g *gateway) curl(ctx context.Context, t *testing.T, words []string) string {
	t.Helper()
	method, url, body := http.MethodGet, "", ""
	header := make(http.Header)
	for i := 0; i < len(words); i++ {
		option := words[i]
		if !strings.HasPrefix(option, "-") {
			url = "http://" + strings.Replace(option, "localhost:2019", g.admin, 1)
			continue
		}
		i++
		switch option {
		case "-X":
			method = words[i]
		case "-H":
			name, value, _ := strings.Cut(words[i], ": ")
			header.Set(name, value)
		case "-d":
			body = words[i]
		case "--data-binary":
			body = readFile(t, filepath.Join(g.dir, strings.TrimPrefix(words[i], "@")))
		default:
			t.Fatalf("curl %s is not known here", option)
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = header
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// varying are the parts of outputs that differ from run to run, and what each
// becomes in a comparison.
var varying = []struct {
	pattern *regexp.Regexp
	becomes string
}{
	{regexp.MustCompile(`tok_[0-9A-Za-z]{22}`), "tok_"},
	{regexp.MustCompile(`sgt_[0-9A-Za-z]{49}`), "sgt_"},
	{regexp.MustCompile(`…[0-9A-Za-z]{4}\b`), "…"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`), "TIME"},
	{regexp.MustCompile(`(?m)^(store|size|node) .*$`), "$1"},
	{regexp.MustCompile(`"(path|bytes|id|version|last_seen)":("[^"]*"|\d+)`), `"$1":0`},
	{regexp.MustCompile(`(?m) +$`), ""},
	{regexp.MustCompile(` {2,}`), "  "},
}

// simplified is an output without what differs each time. JSON is on one line.
func simplified(output string) string {
	output = strings.TrimRight(output, "\n")
	var compact bytes.Buffer
	if json.Compact(&compact, []byte(output)) == nil {
		output = compact.String()
	}
	for _, v := range varying {
		output = v.pattern.ReplaceAllString(output, v.becomes)
	}
	return output
}
