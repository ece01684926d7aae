package caddymodule_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store"
	"github.com/scopegate/scopegate/store/redislog/redistest"
)

// notifyBlock tells the receivers of everything as soon as may be.
func (r *receivers) notifyBlock() string {
	return fmt.Sprintf(`notify {
			operator ops@example.com
			digest 1s
			webhook %s/a-hidden-path {
				secret %s
			}
			smtp %s {
				from scopegate@example.com
				tls none
			}
		}`, r.hook.URL, hookSecret, r.smtp)
}

// notifying returns a Caddyfile with the block notify.
func (r *receivers) notifying(caddyfile string) string {
	return strings.Replace(caddyfile, "store {$STORE}", "store {$STORE}\n\t\t"+r.notifyBlock(), 1)
}

// fillStore makes a store, two months ago, with tokens and their contacts.
func fillStore(t *testing.T, path string, tokens map[string]string, expires map[string]time.Time) {
	t.Helper()
	const age = 60 * 24 * time.Hour
	s, err := store.Open(path, store.Options{Now: func() time.Time { return time.Now().Add(-age) }})
	if err != nil {
		t.Fatal(err)
	}
	for name, contact := range tokens {
		token := scopes.Token{Name: name, Contact: scopes.Contact{Email: contact}, Access: scopes.ReadOnly, Expires: expires[name]}
		if _, err := s.Create(t.Context(), store.Actor{Name: "test"}, "acme", &token); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// awaitTold waits until the webhook was told of something, which takes longer than most: nodes
// that have just met wait a minute.
func (r *receivers) awaitTold(t *testing.T, nodes []*gateway, event string) {
	t.Helper()
	const most = 4 * time.Minute
	deadline := time.NewTimer(most)
	defer deadline.Stop()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for !slices.Contains(r.told(), event) {
		select {
		case <-ticker.C:
		case <-deadline.C:
			t.Fatalf("nobody was told of %q, but of %q\n%s", event, r.told(), nodes[0].logs)
		}
	}
}

// TestNotifyNodes: on three nodes, each who is to hear of something hears of it once, whatever is
// reloaded or restarted.
func TestNotifyNodes(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	r := startReceivers(t)
	nodes := make([]*gateway, 3)
	for i := range nodes {
		nodes[i] = newGateway(t, r.notifying(clusterCaddyfile(redis.URL(), fmt.Sprintf("node-%d", i))), "")
	}
	fillStore(t, nodes[0].store, map[string]string{
		"ends": "data@acme.example", "off": "it@acme.example", "gone": "it@acme.example", "last": "data@acme.example",
	}, map[string]time.Time{"ends": time.Now().Add(20 * time.Hour)})
	for _, g := range nodes {
		g.start(t)
		poll(t, "a node to know the tokens", func() bool {
			return strings.Contains(g.scopegate(t, "token", "list").stdout, "acme/last")
		})
	}
	for _, g := range nodes { // what was so before that is no news
		poll(t, "a node to have looked once", func() bool { return g.metrics(t)["caddy_scopegate_messages_pending"] > 0 })
	}
	mustRun(t, nodes[1], "token", "deactivate", "acme/off")
	mustRun(t, nodes[2], "token", "delete", "acme/gone", "--yes")
	for _, event := range []string{"expiring acme/ends", "deactivated acme/off", "deleted acme/gone"} {
		r.awaitTold(t, nodes, event)
	}
	nodes[0].reload(t)
	nodes[1].stop(t)
	nodes[1].start(t)
	mustRun(t, nodes[0], "token", "deactivate", "acme/last")
	r.awaitTold(t, nodes, "deactivated acme/last")

	want := []string{"deactivated acme/last", "deactivated acme/off", "deleted acme/gone", "expiring acme/ends"}
	if got := r.told(); !slices.Equal(got, want) {
		t.Errorf("the webhook was told of %q, want each of %q once", got, want)
	}
	for to, tokens := range map[string][]string{
		"ops@example.com": {"acme/ends", "acme/off", "acme/gone", "acme/last"}, "data@acme.example": {"acme/ends", "acme/last"},
		"it@acme.example": {"acme/off", "acme/gone"},
	} {
		r.wantMails(t, to, tokens)
	}
	for _, g := range nodes {
		if logs := g.logs.String(); strings.Contains(logs, "a-hidden-path") || strings.Contains(logs, hookSecret) {
			t.Errorf("a log has what is secret:\n%s", logs)
		}
	}
	poll(t, "nothing to be pending", func() bool {
		return !slices.ContainsFunc(nodes, func(g *gateway) bool { return g.metrics(t)["caddy_scopegate_messages_pending"] != 0 })
	})
}

// wantMails waits until somebody has mails about tokens, and holds that there is one about each,
// and about no other.
func (r *receivers) wantMails(t *testing.T, to string, tokens []string) {
	t.Helper()
	all := []string{"acme/ends", "acme/off", "acme/gone", "acme/last"}
	poll(t, "mails to "+to, func() bool {
		mails := strings.Join(r.mailed(to), "")
		return !slices.ContainsFunc(tokens, func(token string) bool { return !strings.Contains(mails, token) })
	})
	mails := r.mailed(to)
	for _, token := range all {
		about := 0
		for _, m := range mails {
			if strings.Contains(m, token) {
				about++
			}
		}
		if want := slices.Contains(tokens, token); want != (about == 1) || about > 1 {
			t.Errorf("%s got %d mails about %s:\n%s", to, about, token, strings.Join(mails, "\n---\n"))
		}
	}
}
