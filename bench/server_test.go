package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseStat(t *testing.T) {
	for _, test := range []struct {
		name, stat string
		pid, group int
		ok         bool
	}{
		{"plain", "17 (nginx) S 1 16 16 0 -1 4194560 0", 17, 16, true},
		{"spaces and parentheses in the name", "18 (a (b) c) d) R 1 18 18 0", 18, 18, true},
		{"no name", "19 nginx S 1 16", 0, 0, false},
		{"cut off", "19 (nginx) S", 0, 0, false},
		{"empty", "", 0, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			pid, group, err := parseStat(test.stat)
			if (err == nil) != test.ok || test.ok && (pid != test.pid || group != test.group) {
				t.Errorf("parseStat(%q) = %d, %d, %v, want %d, %d, ok %v", test.stat, pid, group, err, test.pid, test.group, test.ok)
			}
		})
	}
}

func TestServerThatEndsByItselfShowsItsLog(t *testing.T) {
	s := &server{name: "short", command: []string{"sh", "-c", "echo no such directive; exit 1"}}
	if err := s.start(t.TempDir(), ""); err != nil {
		t.Fatal(err)
	}
	<-s.ended
	if err := s.alive(); err == nil || !strings.Contains(err.Error(), "no such directive") {
		t.Errorf("alive = %v, want the end of its log", err)
	}
	s.stop()
}

func TestStopEndsTheWholeGroup(t *testing.T) {
	s := &server{name: "pair", command: []string{"sh", "-c", "sleep 600 & sleep 600"}}
	if err := s.start(t.TempDir(), ""); err != nil {
		t.Fatal(err)
	}
	if err := s.alive(); err != nil {
		t.Fatal(err)
	}
	s.stop()
	if err := s.alive(); err == nil {
		t.Error("it runs on after stop")
	}
}

// Whatever else differed would be counted as the price of authorization.
func TestPlainCaddyAndScopegateDifferInTheHandlerAlone(t *testing.T) {
	dir := t.TempDir()
	filled := map[string]string{}
	for _, name := range []string{referenceLane, controlLane, "scopegate"} {
		_, err := newServer(settings{Dir: dir, Name: name, Listen: "127.0.0.1:1", Upstream: "127.0.0.1:2"}, recipes("caddy"))
		if err != nil {
			t.Fatal(err)
		}
		config, err := os.ReadFile(filepath.Join(dir, name+".Caddyfile"))
		if err != nil {
			t.Fatal(err)
		}
		filled[name] = string(config)
	}
	if filled[referenceLane] != filled[controlLane] {
		t.Error("the control is configured in another way than plain Caddy")
	}
	stripped := filled["scopegate"]
	for _, own := range []string{
		"\tscopegate {\n\t\tstore " + dir + "/scopegate.db\n\t\tscopes " + dir + "/scopes.yaml\n\t}\n",
		"\tscopegate\n",
	} {
		if !strings.Contains(stripped, own) {
			t.Fatalf("the configuration of Scopegate has no %q:\n%s", own, stripped)
		}
		stripped = strings.Replace(stripped, own, "", 1)
	}
	if stripped != filled[referenceLane] {
		t.Errorf("without its own lines Scopegate's configuration is\n%s\nwant\n%s", stripped, filled[referenceLane])
	}
}

func TestBodyHasItsSize(t *testing.T) {
	for _, size := range []int{0, 1, 1024, 65536 + 2048 + 3, 1 << 20} {
		b := bodyOf(size)
		text := strings.ReplaceAll(b.Text, "${block}", b.Block)
		text = strings.ReplaceAll(text, "${kib}", b.KiB)
		if len(text) != size+len("[{}]") {
			t.Errorf("bodyOf(%d) makes %d bytes, want %d", size, len(text), size+len("[{}]"))
		}
	}
}
