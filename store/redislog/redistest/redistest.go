// Package redistest runs real Redis servers for tests.
package redistest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Server is a running redis-server.
type Server struct {
	Port    int
	folder  string
	args    []string
	command *exec.Cmd
	exited  chan struct{}
}

// Start starts a redis-server on a free port of 127.0.0.1, and ends it with the test. More
// arguments are those of its command line, such as "--requirepass", "x". A missing
// redis-server fails the test.
func Start(tb testing.TB, args ...string) *Server {
	tb.Helper()
	s := &Server{Port: freePort(tb), folder: tb.TempDir(), args: args}
	s.Run(tb)
	tb.Cleanup(s.Kill)
	return s
}

// Run starts the server again after Kill, on the same port, with what it has saved.
func (s *Server) Run(tb testing.TB) {
	tb.Helper()
	args := append([]string{
		"--port", strconv.Itoa(s.Port), "--bind", "127.0.0.1", "--dir", s.folder,
		"--save", "", "--appendonly", "yes", "--appendfsync", "always", "--daemonize", "no",
		"--logfile", filepath.Join(s.folder, "redis.log"),
	}, s.args...)
	s.launch(tb, args...)
}

// launch starts the process, and waits until it answers.
func (s *Server) launch(tb testing.TB, args ...string) {
	tb.Helper()
	s.command = exec.Command("redis-server", args...) //nolint:gosec,noctx // a test's own server, which Kill ends
	if err := s.command.Start(); err != nil {
		tb.Fatalf("starting redis-server: %v", err)
	}
	s.exited = make(chan struct{})
	go func(command *exec.Cmd, exited chan struct{}) {
		_ = command.Wait()
		close(exited)
	}(s.command, s.exited)
	s.await(tb)
}

// await waits until the server answers.
func (s *Server) await(tb testing.TB) {
	tb.Helper()
	client := redis.NewClient(&redis.Options{Addr: s.Addr(), MaxRetries: -1})
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		err := client.Ping(ctx).Err()
		if err == nil || redis.HasErrorPrefix(err, "NOAUTH") {
			return
		}
		select {
		case <-s.exited:
			log, _ := os.ReadFile(filepath.Join(s.folder, "redis.log"))
			tb.Fatalf("redis-server ended: %s", log)
		case <-ctx.Done():
			tb.Fatalf("redis-server does not answer: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Addr is where the server listens.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)) }

// URL is the server's, for a client.
func (s *Server) URL() string { return fmt.Sprintf("redis://%s/0", s.Addr()) }

// Client returns a client that the test closes.
func (s *Server) Client(tb testing.TB) *redis.Client {
	tb.Helper()
	client := redis.NewClient(&redis.Options{Addr: s.Addr()})
	tb.Cleanup(func() { _ = client.Close() })
	return client
}

// Kill ends the server at once, as a crash does.
func (s *Server) Kill() {
	_ = s.command.Process.Signal(syscall.SIGCONT)
	_ = s.command.Process.Kill()
	<-s.exited
}

// Pause stops the server without closing its connections, until Resume.
func (s *Server) Pause() { _ = s.command.Process.Signal(syscall.SIGSTOP) }

// Resume lets it go on.
func (s *Server) Resume() { _ = s.command.Process.Signal(syscall.SIGCONT) }

func freePort(tb testing.TB) int {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is closed at once
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // it is TCP
}

// Save returns a copy of what the server has written to its disk.
func (s *Server) Save(tb testing.TB) (folder string) {
	tb.Helper()
	folder = tb.TempDir()
	if err := os.CopyFS(folder, os.DirFS(s.folder)); err != nil {
		tb.Fatal(err)
	}
	return folder
}

// Restore kills the server, and starts it with what was saved, as after the restore of an
// older dump or a failover to a replica that lagged.
func (s *Server) Restore(tb testing.TB, saved string) {
	tb.Helper()
	s.Kill()
	for _, name := range []string{"appendonlydir", "dump.rdb"} {
		if err := os.RemoveAll(filepath.Join(s.folder, name)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(s.folder, "appendonlydir"), os.DirFS(filepath.Join(saved, "appendonlydir"))); err != nil {
		tb.Fatal(err)
	}
	s.Run(tb)
}
