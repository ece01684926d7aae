package caddymodule_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// bareCaddyfile is a server that has the store, and no site and no scope file.
const bareCaddyfile = `{
	admin {$ADMIN}
	scopegate {
		store {$STORE}
	}
}
`

// TestCommands runs the command line on store files, and without any store.
func TestCommands(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:  "testdata/script/store",
		Cmds: scriptCommands,
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", os.Getenv("GORACE"))
			return nil
		},
	})
}

// TestCommandsAtServer runs the command line against servers, one for each script.
func TestCommandsAtServer(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob("testdata/script/server/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("scripts: %v, %v", scripts, err)
	}
	for _, script := range scripts {
		g := startGateway(t, bareCaddyfile, "")
		testscript.Run(t, testscript.Params{
			Files: []string{script},
			Cmds:  scriptCommands,
			Setup: func(env *testscript.Env) error {
				env.Setenv("GORACE", os.Getenv("GORACE"))
				env.Setenv("ADMIN", g.admin)
				env.Setenv("STORE", g.store)
				return nil
			},
		})
	}
}

// TestCommandsOverUnixSocket: Caddy's admin endpoint is best kept in a socket.
func TestCommandsOverUnixSocket(t *testing.T) {
	t.Parallel()
	g := startGateway(t, strings.ReplaceAll(bareCaddyfile, "{$ADMIN}", "unix/{$DIR}/admin.sock|0600"), "")
	g.admin = "unix/" + filepath.Join(g.dir, "admin.sock") + "|0600"
	got := g.scopegate(t, "status")
	if got.code != 0 || !strings.Contains(got.stdout, g.store) {
		t.Errorf("status over a socket: %+v", got)
	}
}

// TestCommandsAtOtherServer: the answer of a server that cannot do it says why.
func TestCommandsAtOtherServer(t *testing.T) {
	t.Parallel()
	g := startGateway(t, "{\n\tadmin {$ADMIN}\n}\n", "")
	got := g.scopegate(t, "status")
	const want = "Error: the running configuration has no scopegate app; add the global option scopegate to it\n"
	if got.code != 1 || got.stderr != want {
		t.Errorf("status of a server without the app: got %d %q, want 1 %q", got.code, got.stderr, want)
	}
}

// scriptCommands are what scripts can do besides what testscript has.
var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"exits": exits,
}

// exits runs "exits CODE PROGRAM ARGUMENTS…": the program must end with the code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code program arguments…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}
