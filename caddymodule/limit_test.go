package caddymodule_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// limitAPI is what the scope files of TestLimitUnderConcurrency begin with.
const limitAPI = `format: 1
apis:
  orders:
    versions: ["v1"]
    operations:
      list: GET /orders/{version}
accounts:
  acme:
    tokens:
`

// limitToken returns the lines of a token in a scope file.
func limitToken(name, state string) string {
	return fmt.Sprintf(`      %s:
        description: One of many.
        contact: {email: data@acme.example}
        state: %s
        scopes: [{api: orders, version: "v1", methods: [GET]}]
`, name, state)
}

// TestLimitUnderConcurrency: an account has 19 active tokens, and 50 more are created
// at the same time, by command, admin route and scope file, while others of its tokens
// are activated. There is room for one, and one it is, every time. SCOPEGATE_SOAK=1
// makes 20 rounds of it.
func TestLimitUnderConcurrency(t *testing.T) {
	t.Parallel()
	rounds := 2
	if os.Getenv("SCOPEGATE_SOAK") != "" {
		rounds = 20
	}
	file := limitAPI
	for i := range 19 {
		file += limitToken(fmt.Sprintf("active-%02d", i), "active")
	}
	for i := range numActivations {
		file += limitToken(fmt.Sprintf("idle-%d", i), "inactive")
	}
	g := startGateway(t, proxyCaddyfile, file)
	for round := range rounds {
		won := raceForOne(t, g, round)
		t.Logf("round %d: %s", round, won)
	}
}

// How many tokens are created, and in which way, and how many are activated.
const (
	numRoutes      = 22
	numFiles       = 22 // by the admin route
	numCommands    = 3
	numFileCommand = 3
	numActivations = 5
)

// attempt is one of those who want the last place.
type attempt struct {
	name string // of the token
	by   string
	// run returns whether the token is active now, and what was answered. It calls
	// ready once it waits for start.
	run  func(ready func(), start <-chan struct{}) (made bool, said string)
	undo func() // once it was made
}

// raceForOne lets all try at the same time, and says who was made active.
func raceForOne(t *testing.T, g *gateway, round int) string {
	t.Helper()
	attempts := attemptsFor(t, g, round)
	start := make(chan struct{})
	var ready, done sync.WaitGroup
	made, said := make([]bool, len(attempts)), make([]string, len(attempts))
	for i, a := range attempts {
		ready.Add(1)
		done.Go(func() {
			made[i], said[i] = a.run(sync.OnceFunc(ready.Done), start)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
	var winners []string
	for i, a := range attempts {
		switch {
		case made[i]:
			winners = append(winners, a.name+" by "+a.by)
		case !strings.Contains(said[i], "limit of active tokens reached"):
			t.Errorf("round %d: %s by %s failed for another reason than the limit: %s", round, a.name, a.by, said[i])
		}
	}
	account := g.admit(t, "GET", "/scopegate/accounts/acme", "", "")
	if !strings.Contains(account.body, `"active_tokens":20`) {
		t.Errorf("round %d: the account is %s, want 20 active tokens", round, account.body)
	}
	if len(winners) != 1 {
		t.Fatalf("round %d: %d of %d were made active, want 1: %q", round, len(winners), len(attempts), winners)
	}
	for i, a := range attempts {
		if made[i] {
			a.undo()
		}
	}
	return winners[0]
}

func attemptsFor(t *testing.T, g *gateway, round int) []attempt {
	t.Helper()
	var attempts []attempt
	add := func(n int, by string, run func(name string) func(func(), <-chan struct{}) (bool, string)) {
		for i := range n {
			name := fmt.Sprintf("%s-%d-%d", by, round, i)
			attempts = append(attempts, attempt{name, by, run(name), func() {
				g.admit(t, http.MethodDelete, "/scopegate/tokens/acme/"+name, "", "")
			}})
		}
	}
	add(numRoutes, "route", func(name string) func(func(), <-chan struct{}) (bool, string) {
		return g.tryRequest(t, "/scopegate/tokens", "application/json", fmt.Sprintf(`{"token":"acme/%s","description":"One more.",`+
			`"contact":{"email":"data@acme.example"},"scopes":[{"api":"orders","version":"v1","methods":["GET"]}]}`, name))
	})
	add(numFiles, "file", func(name string) func(func(), <-chan struct{}) (bool, string) {
		return g.tryRequest(t, "/scopegate/apply", "application/yaml", limitAPI+limitToken(name, "active"))
	})
	add(numCommands, "command", func(name string) func(func(), <-chan struct{}) (bool, string) {
		late := round%2 == 0 // else they are likely to be the first
		return g.tryCommand(t, late, "", "token", "create", "acme/"+name, "--description", "One more.",
			"--contact", "data@acme.example", "--scope", "orders:v1:GET")
	})
	add(numFileCommand, "apply", func(name string) func(func(), <-chan struct{}) (bool, string) {
		return g.tryCommand(t, false, limitAPI+limitToken(name, "active"), "apply", "-")
	})
	for i := range numActivations {
		path := fmt.Sprintf("/scopegate/tokens/acme/idle-%d/", i)
		attempts = append(attempts, attempt{
			fmt.Sprintf("idle-%d", i), "activation", g.tryRequest(t, path+"activate", "", ""),
			func() { g.admit(t, http.MethodPost, path+"deactivate", "", "") },
		})
	}
	return attempts
}

// tryRequest returns an attempt that posts to the admin endpoint.
func (g *gateway) tryRequest(t *testing.T, path, contentType, body string) func(func(), <-chan struct{}) (bool, string) {
	t.Helper()
	return func(ready func(), start <-chan struct{}) (bool, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.adminURL(path), strings.NewReader(body))
		ready()
		<-start
		if err != nil {
			return false, err.Error()
		}
		if contentType != "" {
			request.Header.Set("Content-Type", contentType)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false, err.Error()
		}
		defer response.Body.Close()
		answer, err := io.ReadAll(response.Body)
		return err == nil && response.StatusCode == http.StatusOK, string(answer)
	}
}

// tryCommand returns an attempt that runs a command, if late is set not before start.
// Its standard input, if there is one, begins with more comments than fit into a pipe:
// once they are written the command runs, and waits for the rest.
func (g *gateway) tryCommand(t *testing.T, late bool, stdin string, args ...string) func(func(), <-chan struct{}) (bool, string) {
	t.Helper()
	return func(ready func(), start <-chan struct{}) (bool, string) {
		defer ready() // whatever happens
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		cmd := g.command(ctx, append(append([]string{"scopegate"}, args...), "--address", g.admin)...)
		if stdin == "" {
			ready()
			if late {
				<-start
			}
			out, err := cmd.CombinedOutput()
			return err == nil, string(out)
		}
		out, err := runFed(cmd, strings.Repeat("# A comment.\n", 10_000), stdin, ready, start)
		return err == nil, out
	}
}

// runFed runs a command that reads first, and after start the rest.
func runFed(cmd *exec.Cmd, first, rest string, ready func(), start <-chan struct{}) (string, error) {
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err.Error(), err
	}
	if err := cmd.Start(); err != nil {
		return err.Error(), err
	}
	_, err = io.WriteString(stdin, first)
	ready()
	<-start
	if err == nil {
		_, err = io.WriteString(stdin, rest)
	}
	_ = stdin.Close() // the command says what it lacks
	if ended := cmd.Wait(); err == nil {
		err = ended
	}
	return out.String(), err
}
