package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store/redislog/redistest"
)

// clusterCaddyfile returns the Caddyfile of a node that does not apply a scope file.
func clusterCaddyfile(redisURL, name string) string {
	block := fmt.Sprintf(`redis %s {
			secret 0123456789abcdef0123456789abcdef
			max_staleness 2s
			name %s
		}`, redisURL, name)
	text := strings.Replace(proxyCaddyfile, "scopes {$SCOPES}", block, 1)
	return strings.Replace(text, "scopegate_proxy\n", "scopegate_health /healthz\n\tscopegate_proxy\n", 1)
}

// clusterScopes is a scope file with an API behind an upstream, and a token.
func clusterScopes(upstream string) string {
	return fmt.Sprintf(`format: 1
apis:
  raw: {upstream: [%q], operations: {all: "* /raw/**"}}
accounts:
  acme:
    tokens:
      writer: {description: d, contact: {email: a@b.example}, scopes: [{api: raw, methods: ["*"]}], credential: %q}
      other: {description: d, contact: {email: a@b.example}, scopes: [{api: raw, methods: [GET]}], credential: %q}
`, upstream, scopes.DigestOf(secretOf("writer")), scopes.DigestOf(secretOf("other")))
}

// awaitStatus waits until a node answers a token's requests with a status.
func awaitStatus(t *testing.T, g *gateway, secret string, want int) {
	t.Helper()
	poll(t, fmt.Sprintf("%d to a token's requests", want), func() bool { return statusOf(t, g, secret) == want })
}

// healthStatus asks as a load balancer does.
func healthStatus(t *testing.T, g *gateway) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url("/healthz"), nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// mustRun runs a command that must succeed.
func mustRun(t *testing.T, g *gateway, args ...string) output {
	t.Helper()
	out := g.scopegate(t, args...)
	if out.code != 0 {
		t.Fatalf("caddy scopegate %q: exit %d\n%s%s", args, out.code, out.stdout, out.stderr)
	}
	return out
}

// Several gateways on one Redis: what one is told all do, and what happens to Redis makes
// no node let in what was revoked.
func TestCluster(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	upstream := startEcho(t)
	a := startGateway(t, clusterCaddyfile(redis.URL(), "node-a"), "")
	b := startGateway(t, clusterCaddyfile(redis.URL(), "node-b"), "")
	awaitStatus(t, a, secretOf("writer"), http.StatusForbidden) // it may decide
	writeFile(t, a.scopes, clusterScopes(upstream.url()))
	mustRun(t, a, "apply", a.scopes, "--allow-widen", "--wait", "30s")
	for _, g := range []*gateway{a, b} {
		awaitStatus(t, g, secretOf("writer"), http.StatusOK)
		awaitStatus(t, g, secretOf("other"), http.StatusOK)
	}

	mustRun(t, b, "token", "deactivate", "acme/writer", "--wait", "30s")
	if got := statusOf(t, a, secretOf("writer")); got != http.StatusForbidden {
		t.Errorf("after --wait another node answers %d, want 403", got)
	}
	c := startGateway(t, clusterCaddyfile(redis.URL(), "node-c"), "")
	awaitStatus(t, c, secretOf("other"), http.StatusOK)
	if got := statusOf(t, c, secretOf("writer")); got != http.StatusForbidden {
		t.Errorf("a node that was added answers %d to a revoked token, want 403", got)
	}
	checkNodes(t, a, "node-a", "node-b", "node-c")

	redis.Kill()
	out := mustRun(t, a, "token", "delete", "acme/other", "--yes")
	if !strings.Contains(out.stderr, "pending elsewhere") {
		t.Errorf("a revocation without Redis says %q", out.stderr)
	}
	if got := statusOf(t, a, secretOf("other")); got != http.StatusForbidden && got != http.StatusServiceUnavailable {
		t.Errorf("where it was revoked the token gets %d", got)
	}
	if out := a.scopegate(t, "token", "activate", "acme/writer"); out.code != 1 || !strings.Contains(out.stderr, "cannot be reached") {
		t.Errorf("a change that gives, without Redis: exit %d, %s", out.code, out.stderr)
	}
	for _, g := range []*gateway{a, b, c} { // the lease runs out
		awaitStatus(t, g, secretOf("other"), http.StatusServiceUnavailable)
		if got := healthStatus(t, g); got != http.StatusServiceUnavailable {
			t.Errorf("a stale node's health is %d, want 503", got)
		}
	}

	redis.Run(t)
	for _, g := range []*gateway{a, b, c} {
		awaitStatus(t, g, secretOf("other"), http.StatusForbidden)
		if got := healthStatus(t, g); got != http.StatusOK {
			t.Errorf("health is %d, want 200", got)
		}
	}
	mustRun(t, c, "token", "activate", "acme/writer", "--wait", "30s")
	awaitStatus(t, a, secretOf("writer"), http.StatusOK)
	mustRun(t, b, "cluster", "reset", "--force")
	for _, g := range []*gateway{a, b, c} {
		awaitStatus(t, g, secretOf("writer"), http.StatusForbidden)
	}
}

// checkNodes holds that a node knows of all, by their names.
func checkNodes(t *testing.T, g *gateway, names ...string) {
	t.Helper()
	var status struct {
		Mode  string
		Stale bool
		Nodes []struct {
			Name, Version string
			Revision      uint64
			Staleness     float64   `json:"staleness_seconds"`
			LastSeen      time.Time `json:"last_seen"`
		}
	}
	out := mustRun(t, g, "status", "--json")
	if err := json.Unmarshal([]byte(out.stdout), &status); err != nil {
		t.Fatal(err)
	}
	if status.Mode != "cluster" || status.Stale || len(status.Nodes) != len(names) {
		t.Fatalf("status is %s", out.stdout)
	}
	for i, n := range status.Nodes {
		if n.Name != names[i] || n.Revision == 0 || n.Name == "node-a" && n.Staleness > 60 || n.LastSeen.IsZero() {
			t.Errorf("node %d is %+v, want %s", i, n, names[i])
		}
	}
}

// watchingCaddyfile returns the Caddyfile of a node that applies its scope file.
func watchingCaddyfile(redisURL, name string) string {
	return strings.Replace(clusterCaddyfile(redisURL, name), "store {$STORE}", "store {$STORE}\n\t\tscopes {$SCOPES}", 1)
}

// A Redis that is down is no reason for a new node with a scope file not to start: it
// refuses everything, and applies the file as soon as Redis is there.
func TestClusterStartsWithoutRedis(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	redis.Kill()
	g := startGateway(t, watchingCaddyfile(redis.URL(), "node"), clusterScopes(startEcho(t).url()))
	g.logs.wait(t, "scope file not applied", "cannot be reached")
	if got := statusOf(t, g, secretOf("writer")); got != http.StatusServiceUnavailable {
		t.Errorf("without Redis a new node answers %d, want 503", got)
	}
	redis.Run(t)
	awaitStatus(t, g, secretOf("writer"), http.StatusOK)
}

// A Redis that only speaks with whom it knows, and whose certificate only the block trusts.
func TestClusterTLS(t *testing.T) {
	t.Parallel()
	authority := redistest.NewAuthority(t)
	_, url := redistest.StartMutualTLS(t, authority, "redis.test")
	cert, key := authority.Issue(t, "node")
	withTLS := func(lines ...string) string {
		block := "tls {\n" + strings.Join(lines, "\n") + "\n}\nname"
		return strings.Replace(watchingCaddyfile(url, "node"), "name", block, 1)
	}
	file := clusterScopes(startEcho(t).url())
	g := startGateway(t, withTLS("ca "+authority.CertFile, "cert "+cert, "key "+key, "server_name redis.test"), file)
	awaitStatus(t, g, secretOf("writer"), http.StatusOK)

	stranger := startGateway(t, withTLS("ca "+authority.CertFile, "server_name redis.test"), file)
	stranger.logs.wait(t, "cannot follow the other nodes", "certificate required")
	if got := statusOf(t, stranger, secretOf("writer")); got != http.StatusServiceUnavailable {
		t.Errorf("a node that shows no certificate answers %d, want 503", got)
	}
	if got := g.load(t, withTLS("ca "+key)); got.status == http.StatusOK || !strings.Contains(got.body, "no certificate to trust") {
		t.Errorf("a configuration with a key for an authority: %d %s", got.status, got.body)
	}
}

// A machine that was cloned brings along a copy of a node's store: the two tell that they
// have one id, one takes another, and each is waited for.
func TestClusterCopiedStore(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	a := startGateway(t, watchingCaddyfile(redis.URL(), "node-a"), clusterScopes(startEcho(t).url()))
	awaitStatus(t, a, secretOf("writer"), http.StatusOK)
	a.stop(t)
	b := newGateway(t, clusterCaddyfile(redis.URL(), "node-b"), "")
	for _, suffix := range []string{"", ".revocations"} {
		writeFile(t, b.store+suffix, readFile(t, a.store+suffix))
	}
	a.start(t)
	b.start(t)
	poll(t, "one to tell that the other has its id", func() bool {
		return strings.Contains(a.logs.String()+b.logs.String(), "another node goes by the id of this one")
	})
	for _, g := range []*gateway{a, b} {
		awaitStatus(t, g, secretOf("writer"), http.StatusOK)
	}
	poll(t, "two nodes", func() bool { return strings.Count(mustRun(t, a, "status", "--json").stdout, `"id"`) == 2 })
	mustRun(t, a, "token", "deactivate", "acme/writer", "--wait", "30s")
	if got := statusOf(t, b, secretOf("writer")); got != http.StatusForbidden {
		t.Errorf("after --wait the other node answers %d, want 403", got)
	}
}

// A reload can make a single node one of several, and back, and loses nothing.
func TestClusterReload(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	upstream := startEcho(t)
	g := startGateway(t, proxyCaddyfile, clusterScopes(upstream.url()))
	awaitStatus(t, g, secretOf("writer"), http.StatusOK)
	other := startGateway(t, clusterCaddyfile(redis.URL(), "other"), "")
	for range 2 {
		writeFile(t, g.caddyfile, clusterCaddyfile(redis.URL(), "first"))
		g.reload(t)
		awaitStatus(t, g, secretOf("writer"), http.StatusOK)
		awaitStatus(t, other, secretOf("writer"), http.StatusOK) // it brought along what it had
		writeFile(t, g.caddyfile, proxyCaddyfile)
		g.reload(t)
		awaitStatus(t, g, secretOf("writer"), http.StatusOK)
	}
	mustRun(t, g, "token", "deactivate", "acme/writer") // on its own
	writeFile(t, g.caddyfile, clusterCaddyfile(redis.URL(), "first"))
	g.reload(t)
	awaitStatus(t, other, secretOf("writer"), http.StatusForbidden)
}

// However often a node becomes one of several and leaves them again, it leaves nothing
// behind: no goroutine and no file here, no connection, no node and no key there, but for what
// was counted.
func TestClusterLeavesNothing(t *testing.T) {
	t.Parallel()
	const times = 12 // more than what wantUsage lets pass
	redis := redistest.Start(t)
	client := redis.Client(t)
	g := startGateway(t, proxyCaddyfile, clusterScopes(startEcho(t).url()))
	toggle := func() {
		writeFile(t, g.caddyfile, clusterCaddyfile(redis.URL(), "node"))
		g.reload(t)
		awaitStatus(t, g, secretOf("writer"), http.StatusOK)
		writeFile(t, g.caddyfile, proxyCaddyfile)
		g.reload(t)
	}
	toggle()
	before := g.usage(t)
	for range times {
		toggle()
	}
	other := startGateway(t, clusterCaddyfile(redis.URL(), "other"), "")
	awaitStatus(t, other, secretOf("writer"), http.StatusOK)
	other.stop(t)
	g.wantUsage(t, before)
	poll(t, "no connection but this one", func() bool {
		list, err := client.ClientList(t.Context()).Result()
		return err == nil && strings.Count(list, "\n") == 1
	})
	keys, err := client.Keys(t.Context(), "*").Result()
	keys = slices.DeleteFunc(keys, func(key string) bool { return strings.HasPrefix(key, "{scopegate}:usage") }) // what was counted
	slices.Sort(keys)
	if want := []string{"{scopegate}:head", "{scopegate}:log", "{scopegate}:records"}; err != nil || !slices.Equal(keys, want) {
		t.Errorf("the keys are %q, %v, want %q", keys, err, want)
	}
}

// reload has the process load the Caddyfile as it is now.
func (g *gateway) reload(t *testing.T) {
	t.Helper()
	out, err := g.command(t.Context(), "reload", "--config", g.caddyfile, "--adapter", "caddyfile", "--address", g.admin).CombinedOutput()
	if err != nil {
		t.Fatalf("caddy reload: %v\n%s", err, out)
	}
}
