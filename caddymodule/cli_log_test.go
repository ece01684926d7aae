package caddymodule_test

import (
	"context"
	"syscall"
	"testing"
)

// TestLogFollow: "log --follow" shows what happens while it runs, waits for a server
// that is away, and ends when it is interrupted.
func TestLogFollow(t *testing.T) {
	t.Parallel()
	g := startGateway(t, proxyCaddyfile, managedFile)
	printed := newLogs()
	cmd := g.command(context.Background(), "scopegate", "log", "--follow", "--address", g.admin, "--name", "acme")
	cmd.Stdout, cmd.Stderr = printed, printed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // if it has not ended by itself

	printed.wait(t, "create token acme/sync, by scope file ")
	g.scopegate(t, "token", "deactivate", "acme/sync")
	printed.wait(t, "deactivate token acme/sync, by admin endpoint, 127.0.0.1, says it is user ")

	g.stop(t)
	printed.wait(t, "waiting: ")
	if err := g.run(); err != nil {
		t.Fatalf("starting the gateway again: %v\n%s", err, g.logs)
	}
	printed.wait(t, "going on")
	g.scopegate(t, "token", "activate", "acme/sync")
	printed.wait(t, "activate token acme/sync")

	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("interrupted: %v\n%s", err, printed)
	}
}
