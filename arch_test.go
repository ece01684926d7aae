package scopegate_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The rules of the house: who may import whom, and why. ARCHITECTURE.md draws
// the house; a rule that has to change is changed there and here, first.

const module = "github.com/scopegate/scopegate"

// rule is about the packages of this module that it applies to: none of them may
// import what it forbids, not even through others if it is deep.
type rule struct {
	applies func(pkg string) bool      // to a package, by its path within the module
	forbids func(imported string) bool // an import path
	deep    bool
	why     string
}

var rules = []rule{
	{
		applies: is("scopes"), forbids: is("net", "net/http", "os/exec"), deep: true,
		why: "scopes decides and does nothing else: what has no connection cannot wait for one, and every decision can be replayed",
	},
	{
		applies: is("scopes"), forbids: is("os", "io/fs", "io/ioutil", "path/filepath", "syscall", "os/signal"),
		why: "scopes opens no file: it reads what it is given",
	},
	{
		applies: is("scopes"), forbids: is("math/rand", "math/rand/v2", "crypto/rand"),
		why: "the same request, grant and time give the same decision; randomness is handed in",
	},
	{
		applies: is("scopes"), forbids: thirdPartyBut("go.yaml.in/yaml/v4"),
		why: "whoever reads what is allowed reads the standard library, a YAML parser and this package",
	},
	{
		applies: not(is("scopes/openapi")), forbids: isBelow("github.com/pb33f"),
		why: "only scopes/openapi knows the library that parses OpenAPI documents, so that it can be exchanged there",
	},
	{
		applies: is("scopes/openapi"), forbids: is("net", "net/http", "os", "os/exec", "io/fs", "io/ioutil", "path/filepath", "syscall"),
		why: "a document's references lead nowhere: what opens no file and no connection cannot be made to by a document",
	},
	{
		applies: is("store"), forbids: thirdPartyBut("go.etcd.io/bbolt", "golang.org/x", module+"/scopes", module+"/priority"),
		why: "store remembers; who asks, and how requests come in, is not its business",
	},
	{
		applies: is("store"), forbids: isBelow("github.com/redis/go-redis"), deep: true,
		why: "a single node does not need Redis: store declares what orders the changes of several, and store/redislog is one",
	},
	{
		applies: not(is("store/redislog", "store/redislog/redistest")), forbids: isBelow("github.com/redis/go-redis"),
		why: "only store/redislog knows the client, so that what a Redis may do wrong is looked after in one place",
	},
	{
		applies: not(is("caddymodule")), forbids: is(module + "/store/redislog"),
		why: "whoever opens a store chooses what orders its changes",
	},
	{
		applies: not(is("scopes/reading", "store/redislog/redistest")), forbids: is("os/exec"),
		why: "only scopes/reading starts a process, and no other program than the one that runs",
	},
	{
		applies: is("scopes/reading"), forbids: thirdPartyBut(module+"/scopes", module+"/priority"),
		why: "what is done in a process of its own needs neither the store nor the gateway, and must not get at them",
	},
	{
		applies: is("priority"), forbids: thirdPartyBut("golang.org/x/sys"),
		why: "priority asks the operating system; what work it is for is not its business",
	},
	{
		applies: is("limits"), forbids: thirdPartyBut(module + "/scopes"),
		why: "limits counts requests in memory; what it has in common with other nodes comes by an interface that it declares",
	},
	{
		applies: is("limits"), forbids: is("net", "net/http"), deep: true,
		why: "no request waits for a connection only because its token has limits",
	},
	{
		applies: is("usage"), forbids: thirdPartyBut("go.etcd.io/bbolt", module+"/scopes"),
		why: "usage counts what was decided; it must not be able to delay or change a decision, nor a token",
	},
	{
		applies: is("reports"), forbids: thirdPartyBut(module+"/scopes", module+"/usage"),
		why: "reports computes from what it is given: what it suggests can be tested against what it was told",
	},
	{
		applies: is("reports"), forbids: is("os", "net", "net/http", "os/exec"),
		why: "reports does nothing itself: who asked for one decides what becomes of it",
	},
	{
		applies: not(is("caddymodule", "reports", "store/redislog")), forbids: is(module + "/usage"),
		why: "what is counted decides nothing: caddymodule hands over what was decided, reports reads it, and store/redislog is what nodes exchange through",
	},
	{
		applies: is("store"), forbids: is(module + "/usage"), deep: true,
		why: "no change of a token may wait for what is counted: store and usage do not know each other",
	},
	{
		applies: is("notify"), forbids: func(p string) bool { return isBelow(module+"/store")(p) || isBelow(module+"/proxy")(p) }, deep: true,
		why: "notify tells people of what it is given; what nodes tell each other of that comes by an interface that it declares",
	},
	{
		applies: is("console"), forbids: thirdPartyBut(module + "/scopes"),
		why: "the page is a client of the management routes: what it can do, and to whom, is decided there and nowhere else",
	},
	{
		applies: not(is("caddymodule")), forbids: is(module + "/console"),
		why: "whoever serves the page hands it the management routes, as the holder of a credential has them",
	},
	{
		applies: is("notify"), forbids: thirdPartyBut("go.etcd.io/bbolt", "github.com/wneessen/go-mail", module+"/scopes"),
		why: "notify tells people of what it is given; whoever calls it reads the store and what was counted",
	},
	{
		applies: not(is("notify")), forbids: isBelow("github.com/wneessen/go-mail"),
		why: "only notify knows the library that sends mail, so that what it may do wrong is looked after in one place",
	},
	{
		applies: is("proxy"), forbids: thirdPartyBut(module + "/scopes"),
		why: "proxy handles one request, for whatever server it runs in and whatever the tokens come from",
	},
	{
		applies: is("store"), forbids: isBelow(module + "/proxy"), deep: true,
		why: "store and proxy do not know each other: caddymodule hands the one to the other as an interface that proxy declares",
	},
	{
		applies: is("proxy"), forbids: isBelow(module + "/store"), deep: true,
		why: "proxy and store do not know each other: caddymodule hands the one to the other as an interface that proxy declares",
	},
	{
		applies: not(is("caddymodule", "")), forbids: isBelow("github.com/caddyserver"), deep: true,
		why: "only caddymodule knows Caddy, so that the rest is tested without a server and outlives its API",
	},
	{
		applies: not(is("caddymodule", "")), forbids: isBelow(module + "/caddymodule"),
		why: "nothing stands on caddymodule; imports.go alone names it, to register the modules",
	},
}

func is(paths ...string) func(string) bool {
	return func(p string) bool { return slices.Contains(paths, p) }
}

func isBelow(prefix string) func(string) bool {
	return func(p string) bool { return p == prefix || strings.HasPrefix(p, prefix+"/") }
}

func not(f func(string) bool) func(string) bool { return func(p string) bool { return !f(p) } }

// thirdPartyBut reports whether a path is neither of the standard library nor
// below one of those allowed.
func thirdPartyBut(allowed ...string) func(string) bool {
	return func(p string) bool {
		host, _, _ := strings.Cut(p, "/")
		return strings.Contains(host, ".") && !slices.ContainsFunc(allowed, func(a string) bool { return isBelow(a)(p) })
	}
}

// pkg is what `go list` says of a package, tests left out.
type pkg struct {
	ImportPath, Dir string
	GoFiles         []string
	Imports, Deps   []string // direct, and all there are
}

// violations returns what breaks a rule, in words.
func violations(packages []pkg) []string {
	var found []string
	for _, p := range packages {
		within, ours := strings.CutPrefix(p.ImportPath, module)
		if !ours {
			continue
		}
		within = strings.TrimPrefix(within, "/")
		for _, r := range rules {
			imports := p.Imports
			if r.deep {
				imports = p.Deps
			}
			if !r.applies(within) {
				continue
			}
			for _, imported := range imports {
				if r.forbids(imported) {
					found = append(found, fmt.Sprintf("%s imports %s; but %s", p.ImportPath, imported, r.why))
				}
			}
		}
	}
	return found
}

func TestImports(t *testing.T) {
	t.Parallel()
	for _, violation := range violations(listPackages(t)) {
		t.Error(violation)
	}
}

// TestImportRulesBite breaks each rule once.
func TestImportRulesBite(t *testing.T) {
	t.Parallel()
	const caddy = "github.com/caddyserver/caddy/v2"
	tests := []struct {
		pkg, imported string
		allowed       bool
	}{
		{"/scopes", "net/http", false},
		{"/scopes", "os", false},
		{"/scopes", "io/fs", false},
		{"/scopes", "crypto/rand", false},
		{"/scopes", "golang.org/x/net/idna", false},
		{"/scopes", module + "/store", false},
		{"/scopes", "net/netip", true},
		{"/scopes", "go.yaml.in/yaml/v4", true},
		{"/store", module + "/proxy", false},
		{"/store", caddy, false},
		{"/store", "go.etcd.io/bbolt", true},
		{"/store", module + "/scopes", true},
		{"/proxy", module + "/store", false},
		{"/proxy", "go.etcd.io/bbolt", false},
		{"/proxy", caddy, false},
		{"/proxy", "net/http", true},
		{"/scopes", "github.com/pb33f/libopenapi/datamodel", false},
		{"/scopes/openapi", caddy, false},
		{"/scopes/openapi", "os", false},
		{"/scopes/openapi", "net/http", false},
		{"/scopes/openapi", "github.com/pb33f/libopenapi/datamodel", true},
		{"/caddymodule", "github.com/pb33f/libopenapi", false},
		{"/caddymodule", "os/exec", false},
		{"/scopes/reading", "os/exec", true},
		{"/scopes/reading", module + "/store", false},
		{"/scopes/reading", module + "/priority", true},
		{"/priority", module + "/scopes", false},
		{"/limits", module + "/store", false},
		{"/limits", module + "/proxy", false},
		{"/limits", "go.etcd.io/bbolt", false},
		{"/limits", "net", false},
		{"/limits", module + "/scopes", true},
		{"/proxy", module + "/limits", false},
		{"/store", module + "/limits", false},
		{"/store/redislog", module + "/limits", true},
		{"/usage", module + "/caddymodule", false},
		{"/usage", module + "/store", false},
		{"/notify", module + "/store", false},
		{"/notify", module + "/store/redislog", false},
		{"/notify", module + "/proxy", false},
		{"/notify", caddy, false},
		{"/notify", "net/http", true},
		{"/notify", "github.com/wneessen/go-mail", true},
		{"/notify", "go.etcd.io/bbolt", true},
		{"/notify", module + "/scopes", true},
		{"/notify", module + "/usage", false},
		{"/notify", module + "/reports", false},
		{"/caddymodule", "github.com/wneessen/go-mail", false},
		{"/store/redislog", module + "/notify", true},
		{"/proxy", module + "/notify", false},
		{"/store", module + "/notify", false},
		{"/reports", module + "/store", false},
		{"/reports", "os", false},
		{"/reports", module + "/usage", true},
		{"/usage", module + "/proxy", false},
		{"/usage", "go.etcd.io/bbolt", true},
		{"/proxy", module + "/usage", false},
		{"/store", module + "/usage", false},
		{"/store/redislog", module + "/usage", true},
		{"/caddymodule", module + "/usage", true},
		{"/store/redislog/redistest", module + "/usage", false},
		{"/caddymodule", caddy, true},
		{"/caddymodule", module + "/store", true},
		{"", module + "/caddymodule", true},
	}
	for _, test := range tests {
		p := pkg{ImportPath: module + test.pkg, Imports: []string{test.imported}, Deps: []string{test.imported}}
		if found := violations([]pkg{p}); (len(found) == 0) != test.allowed {
			t.Errorf("%s imports %s: violations %q, want allowed %t", p.ImportPath, test.imported, found, test.allowed)
		}
	}
}

// clock is what package time has that reads the clock or waits for it.
var clock = []string{"Now", "Since", "Until", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer", "Sleep", "Local"}

// TestScopesReadsNoClock holds because a decision is about the time that the
// request is given, so that it can be tested, explained and replayed.
func TestScopesReadsNoClock(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		if p.ImportPath != module+"/scopes" {
			continue
		}
		for _, name := range p.GoFiles {
			src, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			for _, use := range clockUses(t, name, src) {
				t.Errorf("%s; but scopes has no clock: the time is in the request", use)
			}
		}
	}
}

func TestClockRuleBites(t *testing.T) {
	t.Parallel()
	const src = "package x\nimport when \"time\"\nvar a = when.Now()\nvar f = when.Since\nvar d = when.Hour\nvar t struct{ Now func() }\nvar b = t.Now\n"
	want := []string{"x.go:3:9: when.Now", "x.go:4:9: when.Since"}
	if got := clockUses(t, "x.go", []byte(src)); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// clockUses returns where a file uses the clock.
func clockUses(t *testing.T, name string, src []byte) []string {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	local := ""
	for _, spec := range file.Imports {
		if spec.Path.Value == `"time"` {
			local = "time"
			if spec.Name != nil {
				local = spec.Name.Name
			}
		}
	}
	var uses []string
	ast.Inspect(file, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := selector.X.(*ast.Ident); ok && local != "" && x.Name == local && slices.Contains(clock, selector.Sel.Name) {
			uses = append(uses, fmt.Sprintf("%s: %s.%s", files.Position(n.Pos()), local, selector.Sel.Name))
		}
		return true
	})
	return uses
}

// listPackages lists the packages of this module, with all that they import.
func listPackages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Dir,GoFiles,Imports,Deps", "./...")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, stderr.String())
	}
	var packages []pkg
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		switch err := decoder.Decode(&p); {
		case errors.Is(err, io.EOF):
			if !slices.ContainsFunc(packages, func(p pkg) bool { return p.ImportPath == module+"/scopes" }) {
				t.Fatalf("%s lists no package scopes:\n%s", cmd, out)
			}
			return packages
		case err != nil:
			t.Fatalf("%s: %v", cmd, err)
		}
		packages = append(packages, p)
	}
}
