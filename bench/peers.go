package main

import (
	"embed"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// peerConfigs are the templates of the configurations.
//
//go:embed peers
var peerConfigs embed.FS

// recipe says how a server is configured and run.
type recipe struct {
	template string                       // in peers
	command  func(config string) []string // config is the path of the filled template
}

// recipes by the names of the servers. Plain Caddy and Scopegate differ in nothing but what their template makes of the name.
func recipes(caddy string) map[string]recipe {
	runCaddy := func(config string) []string {
		return []string{caddy, "run", "--adapter", "caddyfile", "--config", config}
	}
	runNginx := func(config string) []string { return []string{"nginx", "-c", config} }
	runHAProxy := func(config string) []string { return []string{"haproxy", "-db", "-f", config} }
	return map[string]recipe{
		"upstream":    {"upstream.conf", runNginx},
		referenceLane: {"Caddyfile", runCaddy},
		controlLane:   {"Caddyfile", runCaddy},
		headersLane:   {"Caddyfile", runCaddy},
		"scopegate":   {"Caddyfile", runCaddy},
		"nginx":       {"nginx.conf", runNginx},
		"haproxy":     {"haproxy.cfg", runHAProxy},
	}
}

// settings fill the templates.
type settings struct {
	Dir      string // the bench's folder
	Name     string // the server's
	Listen   string // host:port
	Upstream string // host:port
	Workers  int    // processes or threads, where they do not follow from the CPUs
	Tokens   int
	Body     body
}

// HashSize is what nginx needs to find the tokens of its map without long chains.
func (s settings) HashSize() int { return max(2048, 4*s.Tokens) }

// body is the upstream's answer. One parameter in nginx's configuration has at most 4 KiB, so it is made of two variables.
type body struct {
	KiB   string // 1 KiB of JSON
	Block string // 64 KiB, by reference to KiB
	Text  string // the answer, by reference to both
}

// bodyOf makes an answer of size bytes, and four to be JSON.
func bodyOf(size int) body {
	const item = `{"id":42,"name":"item","tags":["a","b"],"price":9.5},`
	filled := strings.Repeat(item, 1024/len(item))
	return body{
		KiB:   filled + strings.Repeat(" ", 1024-len(filled)),
		Block: strings.Repeat("${kib}", 64),
		Text: "[" + strings.Repeat("${block}", size>>16) + strings.Repeat("${kib}", size>>10&63) +
			strings.Repeat(" ", size&1023) + "{}]",
	}
}

// newServer writes a server's configuration and returns the server, not yet started.
func newServer(s settings, recipes map[string]recipe) (*server, error) {
	recipe, ok := recipes[s.Name]
	if !ok {
		return nil, fmt.Errorf("no server is called %q", s.Name)
	}
	filled, err := template.ParseFS(peerConfigs, "peers/"+recipe.template)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(s.Dir, s.Name+"."+recipe.template)
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := filled.Execute(f, s); err != nil {
		f.Close() //nolint:errcheck // the error that is reported came first
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	return &server{name: s.Name, address: s.Listen, command: recipe.command(path)}, nil
}

// freeAddresses returns n loopback addresses that nobody listens on.
func freeAddresses(n int) ([]string, error) {
	addresses := make([]string, n)
	for i := range addresses {
		listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // returns at once
		if err != nil {
			return nil, err
		}
		defer listener.Close() //nolint:errcheck // all are held until the last is chosen, so that they differ
		addresses[i] = listener.Addr().String()
	}
	return addresses, nil
}
