package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/reports"
	"github.com/scopegate/scopegate/scopes"
)

// operatorCaddyfile is a gateway whose tokens are managed by command.
const operatorCaddyfile = `{
	admin {$ADMIN}
	scopegate {
		store {$STORE}
	}
}

http://{$GATEWAY} {
	scopegate_proxy
}
`

// integration is a program that has a token, with more rights than it needs.
type integration struct {
	account, token string
	granted        []impactOperation // it may use
	used           []impactOperation // it uses
}

func (i *integration) ref() string { return i.account + "/" + i.token }

// newIntegrations makes integrations of three accounts. Each has every operation of some
// APIs, and uses few of them.
func newIntegrations(r *rand.Rand, operations []impactOperation) []integration {
	byAPI := make(map[string][]impactOperation)
	var apis []string
	for _, op := range operations {
		if len(byAPI[op.api]) == 0 {
			apis = append(apis, op.api)
		}
		byAPI[op.api] = append(byAPI[op.api], op)
	}
	var all []integration
	for _, account := range []string{"acme", "globex", "initech"} {
		for n := range 20 {
			one := integration{account: account, token: fmt.Sprintf("integration-%02d", n)}
			for _, at := range r.Perm(len(apis))[:4+r.IntN(5)] {
				one.granted = append(one.granted, byAPI[apis[at]]...)
			}
			for _, at := range r.Perm(len(one.granted))[:1+r.IntN(6)] {
				one.used = append(one.used, one.granted[at])
			}
			all = append(all, one)
		}
	}
	return all
}

// scopeFile returns a scope file with the APIs of the platform and the integrations' tokens.
func scopeFile(t *testing.T, upstream string, all []integration) string {
	t.Helper()
	apis, _, ok := strings.Cut(readImpactFile(t, "impact-scopes.yaml"), "\naccounts:")
	if !ok {
		t.Fatal("the scope file of the platform has no accounts")
	}
	var file strings.Builder
	file.WriteString(strings.ReplaceAll(apis, "http://127.0.0.1:9000", upstream) + "\naccounts:\n")
	account := ""
	for i := range all {
		one := &all[i]
		if one.account != account {
			account = one.account
			fmt.Fprintf(&file, "  %s:\n    tokens:\n", account)
		}
		fmt.Fprintf(&file, "      %s:\n        description: Made for the test # of the day\n        contact: {email: %s@%s.example}\n        scopes:\n",
			one.token, one.token, one.account)
		for _, op := range one.granted {
			scope := fmt.Sprintf("          - {api: %s, version: %q, methods: [\"*\"]}\n", op.api, op.version)
			if !strings.HasSuffix(file.String(), scope) {
				file.WriteString(scope)
			}
		}
		fmt.Fprintf(&file, "        credential: %s\n", scopes.DigestOf("test-credential-"+one.ref()))
	}
	return file.String()
}

// send uses an operation as an integration and returns the status.
func (i *integration) send(t *testing.T, g *gateway, op *impactOperation) int {
	t.Helper()
	raw, _, _ := op.request(g.addr, op.target(i.account), i.ref(), op.version)
	status, _ := exchange(t, g.addr, raw)
	return status
}

// TestOperatorsDay is what an operator does once a month, on the API surface of a real
// platform: sixty integrations with more rights than they need work, the reports tell, the
// patch is applied, and every integration still works with a fraction of its rights.
func TestOperatorsDay(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(2026, 11))
	g := startGateway(t, operatorCaddyfile, "")
	all := newIntegrations(random, readImpactOperations(t))
	writeFile(t, filepath.Join(g.dir, "scopes.yaml"), scopeFile(t, startEcho(t).url(), all))
	g.succeeds(t, "apply", "scopes.yaml", "--allow-widen")
	work := func() {
		t.Helper()
		for i := range all {
			for j := range all[i].used {
				if status := all[i].send(t, g, &all[i].used[j]); status != http.StatusOK {
					t.Fatalf("%s: %s %s: got %d, want 200", all[i].ref(), all[i].used[j].method, all[i].used[j].path, status)
				}
			}
		}
	}
	work()

	used := askReport[reports.UsageReport](t, g, "report", "usage")
	for i := range used.Tokens {
		if used.Tokens[i].Requests == 0 || used.Tokens[i].Status.Success != used.Tokens[i].Requests {
			t.Errorf("%s: %+v, want some requests, all answered by 2xx", used.Tokens[i].Token, used.Tokens[i].Traffic)
		}
	}
	suggested := g.awaitSuggestions(t, len(all))
	if suggested.After*2 >= suggested.Before {
		t.Errorf("%d of %d operations are left, want less than half", suggested.After, suggested.Before)
	}

	patch := g.succeeds(t, "suggest", "scopes.yaml", "--window", "1s").stdout
	apply := exec.CommandContext(t.Context(), "git", "apply", "-p0", "-")
	apply.Dir, apply.Stdin = g.dir, strings.NewReader(patch)
	if out, err := apply.CombinedOutput(); err != nil {
		t.Fatalf("git apply: %v\n%s\n%s", err, out, patch)
	}
	plan := g.scopegate(t, "plan", "scopes.yaml")
	if plan.code != 2 || strings.Contains(plan.stdout, "WIDEN") || strings.Count(plan.stdout, "NARROW") < len(all) {
		t.Errorf("plan: got %+v, want exit 2 and NARROW for each token", plan)
	}
	g.succeeds(t, "apply", "scopes.yaml")
	work()
	refused := 0
	for i := range all {
		for j := range all[i].granted {
			if status := all[i].send(t, g, &all[i].granted[j]); status == http.StatusForbidden {
				refused++
			}
		}
	}
	if refused < suggested.Before/2 {
		t.Errorf("%d operations are refused that were granted before, want more than half of %d", refused, suggested.Before)
	}
	if denied := askReport[reports.ErrorReport](t, g, "report", "errors"); len(denied.Refusals) == 0 {
		t.Error("the report of errors does not know of them")
	}
	if left := askReport[reports.Suggestions](t, g, "suggest", "--window", "1s"); len(left.Tokens) > 0 {
		t.Errorf("there is still something to take away: %+v", left.Tokens)
	}
}

// succeeds runs a command that must not fail.
func (g *gateway) succeeds(t *testing.T, args ...string) output {
	t.Helper()
	out := g.scopegate(t, args...)
	if out.code != 0 {
		t.Fatalf("caddy scopegate %q: exit code %d\n%s%s", args, out.code, out.stdout, out.stderr)
	}
	return out
}

// askReport runs a command with --json and reads what it prints.
func askReport[R any](t *testing.T, g *gateway, args ...string) R {
	t.Helper()
	var report R
	out := g.succeeds(t, append(args, "--json")...).stdout
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("caddy scopegate %q: %v\n%s", args, err, out)
	}
	return report
}

// awaitSuggestions asks until there is one for each of some tokens: they have to be older
// than the window.
func (g *gateway) awaitSuggestions(t *testing.T, tokens int) (s reports.Suggestions) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if s = askReport[reports.Suggestions](t, g, "suggest", "--window", "1s"); len(s.Tokens) == tokens {
			return s
		}
	}
	t.Fatalf("got suggestions for %d tokens, want %d; left: %+v", len(s.Tokens), tokens, s.Left)
	return s
}

// TestCleanup deactivates what nobody uses, and nothing else.
func TestCleanup(t *testing.T) {
	t.Parallel()
	g := startGateway(t, operatorCaddyfile, "")
	token := func(name, more string) string {
		return "      " + name + ":\n        description: d\n        contact: {email: a@acme.example}\n        scopes: [{api: a, methods: [GET]}]\n" +
			"        credential: " + scopes.DigestOf("test-credential-"+name).String() + "\n" + more
	}
	writeFile(t, filepath.Join(g.dir, "scopes.yaml"), "format: 1\napis:\n  a:\n    upstream: ["+startEcho(t).url()+
		"]\n    operations: {one: GET /a}\naccounts:\n  acme:\n    tokens:\n"+
		token("used", "")+token("idle", "")+token("kept", "        keep: true\n")+token("off", "        state: inactive\n"))
	g.succeeds(t, "apply", "scopes.yaml", "--allow-widen")
	var listed reports.UnusedReport
	for deadline := time.Now().Add(patience); len(listed.Tokens) < 3 && time.Now().Before(deadline); {
		listed = askReport[reports.UnusedReport](t, g, "cleanup", "--unused", "1s")
	}
	get := "GET /a HTTP/1.1\r\nHost: " + g.addr + "\r\nAuthorization: Bearer test-credential-"
	if status, body := exchange(t, g.addr, get+"used\r\n\r\n"); status != http.StatusOK {
		t.Fatalf("got %d %s, want 200", status, body)
	}
	type done struct {
		Deactivated []string `json:"deactivated"`
	}
	if got := askReport[done](t, g, "cleanup", "--unused", "1s", "--yes"); len(got.Deactivated) != 1 || got.Deactivated[0] != "acme/idle" {
		t.Errorf("deactivated %q, want acme/idle alone", got.Deactivated)
	}
	for name, want := range map[string]int{"used": http.StatusOK, "kept": http.StatusOK, "idle": http.StatusForbidden} {
		if status, _ := exchange(t, g.addr, get+name+"\r\n\r\n"); status != want {
			t.Errorf("%s: got %d, want %d", name, status, want)
		}
	}
	if out := g.succeeds(t, "log", "--action", "deactivate").stdout; !strings.Contains(out, "acme/idle") {
		t.Errorf("the audit log does not have it:\n%s", out)
	}
}
