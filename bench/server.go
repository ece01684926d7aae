package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a gateway, or the upstream: a process that the bench starts, and all that come of it.
type server struct {
	name    string
	address string // host:port
	command []string
	log     string // the file that has its output

	process *os.Process
	ended   chan struct{} // closed when the process has ended
}

// pinned prefixes a command so that it runs on these CPUs only; empty: on any.
func pinned(cpus string, command ...string) []string {
	if cpus == "" {
		return command
	}
	return append([]string{"taskset", "-c", cpus}, command...)
}

// start runs the server's command, on the given CPUs. Only the goroutine of main may call it: see ownGroup.
func (s *server) start(dir, cpus string) error {
	s.log = filepath.Join(dir, s.name+".log")
	log, err := os.Create(s.log)
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the process has its own copy
	line := pinned(cpus, s.command...)
	command := exec.Command(line[0], line[1:]...) //nolint:noctx // stop ends it, and waits
	command.Stdout, command.Stderr = log, log
	// Caddy keeps its own state out of the user's folders.
	command.Env = append(os.Environ(), "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
	command.SysProcAttr = ownGroup()
	if err := command.Start(); err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	s.process, s.ended = command.Process, make(chan struct{})
	go func() {
		defer close(s.ended)
		_ = command.Wait() // an end that nobody asked for is reported by alive
	}()
	return nil
}

// alive returns an error, with the end of the log, when the process is not running any more.
func (s *server) alive() error {
	select {
	case <-s.ended:
		out, err := os.ReadFile(s.log)
		if err != nil {
			return fmt.Errorf("%s ended: %w", s.name, err)
		}
		return fmt.Errorf("%s ended; its log ends in:\n%s", s.name, out[max(0, len(out)-2000):])
	default:
		return nil
	}
}

// stop ends the process group and waits for the process, if it runs.
func (s *server) stop() {
	if s.process == nil {
		return
	}
	s.signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(5 * time.Second):
		s.signal(syscall.SIGKILL)
		<-s.ended
	}
	s.process = nil
}

func (s *server) signal(signal syscall.Signal) {
	_ = syscall.Kill(-s.process.Pid, signal) // one that has ended needs none
}

// cpu is what the processes of the server have used so far.
func (s *server) cpu() (time.Duration, error) {
	pids, err := groupMembers(s.process.Pid)
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, pid := range pids {
		used, err := cpuTime(pid)
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

// groupMembers lists the processes of a process group.
func groupMembers(group int) ([]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var members []int
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it has ended since
		}
		if err != nil {
			return nil, err
		}
		pid, pgrp, err := parseStat(string(stat))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if pgrp == group {
			members = append(members, pid)
		}
	}
	if len(members) == 0 {
		return nil, fmt.Errorf("process group %d has ended", group)
	}
	return members, nil
}

// parseStat reads a process's id and its group from /proc/PID/stat, proc(5). The second field is the program's name in
// parentheses, which may have spaces and parentheses itself.
func parseStat(stat string) (pid, group int, err error) {
	before, _, ok := strings.Cut(stat, " (")
	last := strings.LastIndex(stat, ") ")
	if !ok || last < 0 {
		return 0, 0, fmt.Errorf("not a process's stat: %q", stat)
	}
	var state string
	var parent int
	if _, err := fmt.Sscan(stat[last+2:], &state, &parent, &group); err != nil {
		return 0, 0, fmt.Errorf("not a process's stat: %q: %w", stat, err)
	}
	pid, err = strconv.Atoi(before)
	return pid, group, err
}

// version is the first line of what a program says about its version, in whichever way it says it.
func version(ctx context.Context, program, argument string) string {
	// wrk prints its version and ends with an error: what counts is what it printed.
	out, err := exec.CommandContext(ctx, program, argument).CombinedOutput()
	if err != nil && len(out) == 0 {
		return program + ": " + err.Error()
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}
