package caddymodule_test

import (
	"encoding/json"
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
	"github.com/scopegate/scopegate/store"
)

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
		reasons = append(reasons, scopes.Reason(r).String())
	}
	var options []string
	for _, module := range []any{
		caddymodule.App{},
		caddymodule.ScopeFile{},
		caddymodule.Redis{},
		caddymodule.RedisTLS{},
		caddymodule.Notify{},
		caddymodule.NotifyWebhook{},
		caddymodule.NotifySMTP{},
		caddymodule.Handler{},
		caddymodule.AdminHandler{},
		caddymodule.CredentialPlace{},
	} {
		options = append(options, jsonNames(reflect.TypeOf(module))...)
	}
	var operations []string
	for _, op := range scopes.ManagementAPI().Operations {
		operations = append(operations, op.Name, op.Methods.String()+" "+op.Path)
	}
	for _, row := range []struct {
		page  string
		names []string
	}{
		{"decisions.md", reasons},
		{"administration.md", operations},
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

// What a store can refuse to open with is in the table of errors.
func TestDocsHaveStoreErrors(t *testing.T) {
	t.Parallel()
	text := pages(t, "operations.md")[0].text
	for _, err := range []error{store.ErrLocked, store.ErrDamaged, store.ErrForeign, store.ErrNewer, store.ErrNoLog} {
		if !strings.Contains(text, "| `"+err.Error()) {
			t.Errorf("docs/operations.md does not say what to do about %q", err)
		}
	}
}

var metricType = regexp.MustCompile(`(?m)^# TYPE (caddy_scopegate_\S+) (\S+)$`)

func TestDocsHaveMetrics(t *testing.T) {
	t.Parallel()
	g := startGateway(t, proxyCaddyfile, readFile(t, filepath.Join(docsFolder, "scopes.example.yaml")))
	get := func(url string) string {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		return answerTo(t, request)
	}
	get(g.url("/orders/v1")) // so that there is a decision to count
	found := metricType.FindAllStringSubmatch(get(g.adminURL("/metrics")), -1)
	if len(found) == 0 {
		t.Fatal("got no metrics")
	}
	text := pages(t, "operations.md")[0].text
	for _, metric := range found {
		if !strings.Contains(text, "| `"+metric[1]+"` | "+metric[2]+" |") {
			t.Errorf("docs/operations.md does not explain the %s %s", metric[2], metric[1])
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
