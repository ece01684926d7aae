package caddymodule_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// axeFile is where .ci/deps.sh puts axe-core; it has the version too.
const axeFile = "../.tools/axe-core-4.14.1/axe.min.js"

// axeScript returns what finds faults in a page's accessibility.
var axeScript = sync.OnceValues(func() (string, error) {
	script, err := os.ReadFile(axeFile)
	if err != nil {
		return "", fmt.Errorf("axe-core is missing: run .ci/deps.sh axe-core, which needs npm: %w", err)
	}
	return string(script), nil
})

// axeFault is a rule that a page breaks.
type axeFault struct {
	ID    string   `json:"id"`
	Help  string   `json:"help"`
	Nodes []string `json:"nodes"` // where, and what to do
}

// wantAccessible fails the test if axe-core finds a fault in the page that is shown: by
// the named rules, or by all.
func (p *tab) wantAccessible(t *testing.T, where string, rules ...string) {
	t.Helper()
	if !eval[bool](t, p, `"axe" in window`) {
		script, err := axeScript()
		if err != nil {
			t.Fatal(err)
		}
		get(t, p, "loading axe-core", chromedp.Evaluate[chromedp.Void](script+"; undefined"))
	}
	options := `{resultTypes: ["violations"]}`
	if len(rules) > 0 {
		options = `{resultTypes: ["violations"], runOnly: ["` + strings.Join(rules, `", "`) + `"]}`
	}
	faults := get(t, p, "axe-core", chromedp.Evaluate[[]axeFault](`axe.run(`+options+`).then((result) => result.violations.map((v) => ({
		id: v.id, help: v.help, nodes: v.nodes.map((n) => n.target.join(" ") + ": " + n.failureSummary),
	})))`, chromedp.EvalAwaitPromise))
	for _, fault := range faults {
		t.Errorf("%s: %s (%s)", where, fault.Help, fault.ID)
		for _, node := range fault.Nodes {
			t.Logf("\t%s", node)
		}
	}
}
