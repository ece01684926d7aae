package caddymodule_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"iter"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// consolePages are the pages whose commands are run.
var consolePages = []string{"cli.md", "daily-work.md", "usage.md"}

// TestDocsConsole runs the commands that a page shows, in its order, against one
// gateway with the example scope file, and compares what they print. What differs
// each time, such as ids and times, is not compared.
func TestDocsConsole(t *testing.T) {
	t.Parallel()
	for _, name := range consolePages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testConsolePage(t, name)
		})
	}
}

func testConsolePage(t *testing.T, name string) {
	t.Helper()
	example := readFile(t, filepath.Join(docsFolder, "scopes.example.yaml"))
	running := example
	if name == "usage.md" { // it tells of traffic
		running = strings.ReplaceAll(example, "http://127.0.0.1:9000", startEcho(t).url())
	}
	g := startGateway(t, proxyCaddyfile, running)
	writeFile(t, filepath.Join(g.dir, "next.yaml"), nextScopes(t, example))
	writeFile(t, filepath.Join(g.dir, "catalogs.yaml"), readFile(t, filepath.Join(docsFolder, "docs", "examples", "catalogs.yaml")))
	for _, b := range pages(t, name)[0].blocks {
		if b.info != "console" {
			continue
		}
		for command, want := range commandsOf(b.text) {
			if got := g.console(t, command); simplified(got) != simplified(want) {
				t.Errorf("docs/%s, below line %d: %s\nprints\n%s\nand is said to print\n%s", name, b.line, command, got, want)
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

// console runs a command as a page shows it and returns what it prints, what
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
	case words[2] != "validate" && words[2] != "import" && !slices.Contains(words, "--scopes"):
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

// curl does what curl does with the few options that the pages use.
func (g *gateway) curl(ctx context.Context, t *testing.T, words []string) string {
	t.Helper()
	method, url, body := http.MethodGet, "", ""
	silent := false
	header := make(http.Header)
	for i := 0; i < len(words); i++ {
		option := words[i]
		if !strings.HasPrefix(option, "-") {
			url = "http://" + strings.NewReplacer("localhost:2019", g.admin, "localhost:8080", g.addr).Replace(option)
			continue
		}
		i++
		switch option {
		case "-so":
			silent = true
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
	if answer := answerTo(t, request); !silent {
		return answer
	}
	return ""
}

// answerTo sends a request and returns the body of the answer.
func answerTo(t *testing.T, request *http.Request) string {
	t.Helper()
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
	{regexp.MustCompile(`says it is user "[^"]*"`), "says"},
	{regexp.MustCompile(`\d+(\.\d+)?(µs|ms) `), "SPAN "},
	{regexp.MustCompile(`[▁▂▃▄▅▆▇█]+`), "▁"},
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
