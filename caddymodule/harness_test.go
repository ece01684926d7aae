package caddymodule_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait in these tests: longer than any of them takes on a
// loaded machine. No test passes by waiting for it.
const patience = 30 * time.Second

// proxyCaddyfile is a gateway as it is meant to be run, for [startGateway].
const proxyCaddyfile = `{
	admin {$ADMIN}
	scopegate {
		store {$STORE}
		scopes {$SCOPES}
	}
	servers {
		timeouts {
			read_body_idle -1s
			read_body 10m
		}
	}
}

http://{$GATEWAY} {
	scopegate_proxy
}
`

// gateway is a Caddy process with a folder of its own.
type gateway struct {
	addr      string // {$GATEWAY}, for a site: "127.0.0.1:port"
	admin     string // {$ADMIN}, the admin endpoint: "127.0.0.1:port"
	dir       string // {$DIR}, an empty folder
	store     string // {$STORE}
	scopes    string // {$SCOPES}
	caddyfile string
	logs      *logs

	process *os.Process
	exited  chan struct{} // closed when the process has ended
}

// startGateway runs Caddy with a Caddyfile, in which {$GATEWAY}, {$ADMIN},
// {$STORE}, {$SCOPES} and {$DIR} stand for the fields of gateway, and with a scope
// file, unless it is "". It returns when Caddy serves, and ends Caddy with the test.
func startGateway(t *testing.T, caddyfile, scopeFile string) *gateway {
	t.Helper()
	g := newGateway(t, caddyfile, scopeFile)
	g.start(t)
	return g
}

// newGateway prepares what [gateway.start] needs.
func newGateway(t *testing.T, caddyfile, scopeFile string) *gateway {
	t.Helper()
	dir := t.TempDir()
	g := &gateway{
		dir:       dir,
		store:     filepath.Join(dir, "scopegate.db"),
		scopes:    filepath.Join(dir, "scopes.yaml"),
		caddyfile: filepath.Join(dir, "Caddyfile"),
		logs:      newLogs(),
	}
	writeFile(t, g.caddyfile, caddyfile)
	if scopeFile != "" {
		writeFile(t, g.scopes, scopeFile)
	}
	t.Cleanup(func() {
		g.stop(t)
		g.checkLogs(t)
	})
	return g
}

// start starts the process, which must not run, and returns when it serves.
func (g *gateway) start(t *testing.T) {
	t.Helper()
	for range 3 {
		g.addr, g.admin = freeAddr(t), freeAddr(t)
		err := g.run()
		if err == nil {
			return
		}
		if !strings.Contains(g.logs.String(), "address already in use") {
			t.Fatalf("starting Caddy: %v\n%s", err, g.logs)
		}
	}
	t.Fatalf("starting Caddy: no free port\n%s", g.logs)
}

// run starts Caddy on the addresses that are set. It returns nil once Caddy has
// said, over the connection by which "caddy start" learns it, that it serves.
func (g *gateway) run() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()
	cmd := g.command(context.Background(), "run", "--config", g.caddyfile, "--adapter", "caddyfile",
		"--pingback", listener.Addr().String())
	cmd.Stdin = strings.NewReader("serving")
	cmd.Stdout, cmd.Stderr = g.logs, g.logs
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	g.process, g.exited = cmd.Process, exited
	go func() {
		_ = cmd.Wait() // how it ended is in the log
		close(exited)
	}()
	serving := make(chan struct{})
	go func() {
		if conn, err := listener.Accept(); err == nil {
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
			close(serving)
		}
	}()
	select {
	case <-serving:
		return nil
	case <-exited:
		return errors.New("it ended")
	case <-time.After(patience):
		g.kill()
		return errors.New("it takes too long")
	}
}

// command returns a command of the Caddy under test in the gateway's environment.
func (g *gateway) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "caddy", args...)
	cmd.Dir = g.dir
	cmd.Env = append(os.Environ(),
		"HOME="+g.dir,
		"XDG_DATA_HOME="+filepath.Join(g.dir, "data"),
		"XDG_CONFIG_HOME="+filepath.Join(g.dir, "config"),
		"XDG_CACHE_HOME="+filepath.Join(g.dir, "cache"),
		"GATEWAY="+g.addr,
		"ADMIN="+g.admin,
		"STORE="+g.store,
		"SCOPES="+g.scopes,
		"DIR="+g.dir,
	)
	return cmd
}

// output is what a command wrote and how it ended.
type output struct {
	stdout, stderr string
	code           int
}

// scopegate runs "caddy scopegate" against the gateway. The address of the admin
// endpoint is added to the arguments.
func (g *gateway) scopegate(t *testing.T, args ...string) output {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := g.command(ctx, slices.Concat([]string{"scopegate"}, args, []string{"--address", g.admin})...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatalf("caddy scopegate %q: %v", args, err)
	}
	return output{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// url returns the gateway's URL of a target such as "/orders/v1".
func (g *gateway) url(target string) string { return "http://" + g.addr + target }

// adminURL returns the URL of a path of the admin endpoint.
func (g *gateway) adminURL(path string) string { return "http://" + g.admin + path }

// stop ends the process as an operator does, if it runs, and waits for it.
func (g *gateway) stop(t *testing.T) {
	t.Helper()
	if g.process == nil {
		return
	}
	_ = g.process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-g.exited:
	case <-time.After(patience):
		g.kill()
		t.Errorf("Caddy did not end within %v of SIGTERM\n%s", patience, g.logs)
	}
	g.process = nil
}

// kill ends the process at once, as a power cut does, and waits for it.
func (g *gateway) kill() {
	_ = g.process.Kill() // it may have ended by itself
	<-g.exited
	g.process = nil
}

// checkLogs fails the test if the process has logged what never may be, and shows
// the logs of a test that failed.
func (g *gateway) checkLogs(t *testing.T) {
	t.Helper()
	for _, never := range []string{"WARNING: DATA RACE", "panic: ", "panic serving", "fatal error: "} {
		if strings.Contains(g.logs.String(), never) {
			t.Errorf("the gateway logged %q", never)
		}
	}
	if t.Failed() {
		t.Logf("the gateway's log:\n%s", g.logs)
	}
}

// logs collects what a process writes and can be waited on.
type logs struct {
	mu      sync.Mutex // guards what follows
	written []byte
	more    chan struct{} // closed and replaced at each write
}

func newLogs() *logs { return &logs{more: make(chan struct{})} }

// Write implements io.Writer.
func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.written = append(l.written, p...)
	close(l.more)
	l.more = make(chan struct{})
	return len(p), nil
}

// String returns all that was written until now.
func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.written)
}

// wait returns when a line that has all the texts was written. It looks at what
// was written before as well.
func (l *logs) wait(t *testing.T, texts ...string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		l.mu.Lock()
		written, more := string(l.written), l.more
		l.mu.Unlock()
		for line := range strings.Lines(written) {
			if strings.HasSuffix(line, "\n") && containsAll(line, texts) {
				return
			}
		}
		select {
		case <-more:
		case <-deadline:
			t.Fatalf("no line with %q was logged", texts)
		}
	}
}

func containsAll(s string, texts []string) bool {
	return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(s, text) })
}

// taken are the addresses that freeAddr has given out.
var taken sync.Map

// freeAddr returns an address on loopback that nobody listens on. Its port is
// below those that systems give to outgoing connections, so that none takes it
// before it is used.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(20000))
		if _, again := taken.LoadOrStore(addr, true); again {
			continue
		}
		if listener, err := net.Listen("tcp", addr); err == nil {
			_ = listener.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
