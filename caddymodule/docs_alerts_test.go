package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store/redislog/redistest"
)

// alertsFolder has the alert rules, and the tests of them.
var alertsFolder = filepath.Join(docsFolder, "docs", "examples", "prometheus")

const (
	alertRules     = "scopegate.rules.yml"
	alertRuleTests = "scopegate.rules.test.yml"
)

// promtool runs Prometheus' own tool in a folder; what it finds wrong fails the test.
func promtool(t *testing.T, folder string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "promtool", args...)
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %q: %v\n%s\n(a promtool that is missing is installed by: .ci/deps.sh promtool)", args, err, out)
	}
}

// The rules can be loaded, and fire when their tests say so; there is one for each.
func TestAlertRules(t *testing.T) {
	t.Parallel()
	promtool(t, alertsFolder, "check", "rules", alertRules)
	promtool(t, alertsFolder, "test", "rules", alertRuleTests)
	rules, tests := readFile(t, filepath.Join(alertsFolder, alertRules)), readFile(t, filepath.Join(alertsFolder, alertRuleTests))
	alerts := regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(rules, -1)
	if len(alerts) == 0 {
		t.Fatalf("%s has no alerts", alertRules)
	}
	for _, alert := range alerts {
		if !regexp.MustCompile(`alertname: ` + alert[1] + `\n +eval_time: .*\n +exp_alerts:`).MatchString(tests) {
			t.Errorf("%s does not show when %s fires", alertRuleTests, alert[1])
		}
	}
}

// The pages show the rules of the file, and all of them.
func TestDocsAlerts(t *testing.T) {
	t.Parallel()
	comment, groups, _ := strings.Cut(readFile(t, filepath.Join(alertsFolder, alertRules)), "groups:\n")
	for line := range strings.Lines(comment) {
		if !strings.HasPrefix(line, "#") {
			t.Errorf("%s: no page has the line %s", alertRules, line)
		}
	}
	shown := 0
	for _, e := range examples(t, "yaml alerts") {
		group, whole := strings.CutPrefix(e.text, "groups:\n")
		if !whole || !strings.Contains(groups, group) {
			t.Errorf("%s shows other rules than %s:\n%s", e.place(), alertRules, group)
		}
		shown += len(group)
	}
	if shown != len(groups) {
		t.Errorf("%s has %d bytes of rules, the pages show %d", alertRules, len(groups), shown)
	}
}

var selectorPattern = regexp.MustCompile(`caddy_scopegate_\w+(\{[^}]*\})?`)

// dashboard is the example of a dashboard for Grafana.
const dashboard = "scopegate.json"

// dashboardQueries returns the queries of the dashboard, with its variables filled in.
func dashboardQueries(t *testing.T) (queries []string) {
	t.Helper()
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
		Annotations struct{ List []struct{ Expr string } }
	}
	if err := json.Unmarshal([]byte(readFile(t, filepath.Join(docsFolder, "docs", "examples", "grafana", dashboard))), &board); err != nil {
		t.Fatal(err)
	}
	variables := strings.NewReplacer("$instance", ".*", "$__rate_interval", "5m")
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			queries = append(queries, variables.Replace(target.Expr))
		}
	}
	for _, a := range board.Annotations.List {
		queries = append(queries, variables.Replace(a.Expr))
	}
	return queries
}

// Prometheus reads every query of the dashboard.
func TestDashboard(t *testing.T) {
	t.Parallel()
	var rules strings.Builder
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for i, query := range dashboardQueries(t) {
		fmt.Fprintf(&rules, "  - {record: 'query:%d', expr: %q}\n", i, query)
		if strings.Contains(query, "$") {
			t.Errorf("%s has a variable that is not known", query)
		}
	}
	folder := t.TempDir()
	writeFile(t, filepath.Join(folder, "queries.yml"), rules.String())
	promtool(t, folder, "check", "rules", "queries.yml")
}

// Each selector of the rules and of the dashboard selects something that a gateway serves to which all of it
// has happened: a name, a label or a value that does not exist would alert nobody.
func TestAlertsSelectMetrics(t *testing.T) {
	t.Parallel()
	selectors := make(map[string]bool)
	for where, text := range map[string]string{
		alertRules: readFile(t, filepath.Join(alertsFolder, alertRules)), dashboard: strings.Join(dashboardQueries(t), "\n"),
	} {
		found := selectorPattern.FindAllString(text, -1)
		if len(found) == 0 {
			t.Fatalf("%s has no selectors", where)
		}
		for _, selector := range found {
			selectors[selector] = true
		}
	}
	var test strings.Builder
	test.WriteString("tests:\n- interval: 1m\n  input_series:\n")
	for _, series := range slices.Sorted(maps.Keys(eventfulMetrics(t))) {
		if strings.HasPrefix(series, "caddy_scopegate_") {
			fmt.Fprintf(&test, "  - {series: '%s', values: 1x5}\n", series)
		}
	}
	test.WriteString("  promql_expr_test:\n")
	for _, selector := range slices.Sorted(maps.Keys(selectors)) {
		fmt.Fprintf(&test, "  - {expr: 'count(%s) > bool 0', eval_time: 1m, exp_samples: [{value: 1}]}\n", selector)
	}
	folder := t.TempDir()
	writeFile(t, filepath.Join(folder, "selectors.yml"), test.String())
	promtool(t, folder, "test", "rules", "selectors.yml")
	if t.Failed() {
		t.Logf("the series of a real gateway, and the selectors:\n%s", &test)
	}
}

// eventfulMetrics returns the metrics of a node that has allowed and denied, did not know a
// credential, has held a token to its limit, has applied a scope file, and then became stale.
func eventfulMetrics(t *testing.T) map[string]float64 {
	t.Helper()
	redis := redistest.Start(t)
	g := startGateway(t, watchingCaddyfile(redis.URL(), "node"), clusterScopes(startEcho(t).url())+
		fmt.Sprintf(`      slow: {description: d, contact: {email: a@b.example}, scopes: [{api: raw, methods: [GET]}], rate: 1/h, credential: %q}`+"\n",
			scopes.DigestOf(secretOf("slow"))))
	awaitStatus(t, g, secretOf("other"), http.StatusOK)
	awaitStatus(t, g, secretOf("slow"), http.StatusTooManyRequests)
	if got := ask(t, http.MethodPut, g.url("/raw/x"), secretOf("other")).status; got != http.StatusForbidden {
		t.Errorf("a method that the token does not have: got %d, want 403", got)
	}
	awaitStatus(t, g, secretOf("nobody"), http.StatusForbidden)
	redis.Kill()
	awaitStatus(t, g, secretOf("other"), http.StatusServiceUnavailable)
	return g.metrics(t)
}
