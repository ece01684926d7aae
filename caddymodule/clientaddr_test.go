package caddymodule

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// An address counts for a token's sources only if the client had no part in it.
func TestClientAddr(t *testing.T) {
	t.Parallel()
	const proxy = "127.0.0.1:1"
	tests := []struct {
		name, peer, clientIP string
		trusted              bool
		strict               int
		forwarded            []string
		want                 string
	}{
		{"the peer", "192.0.2.1:1", "192.0.2.1", false, 0, nil, "192.0.2.1"},
		{"the peer, mapped", "[::ffff:192.0.2.1]:1", "192.0.2.1", false, 0, nil, "192.0.2.1"},
		{"the peer, no proxy of ours, whatever it forwards", "192.0.2.1:1", "192.0.2.1", false, 0, []string{"203.0.113.7, 198.51.100.1"}, "192.0.2.1"},
		{"a zone", "[fe80::1%eth0]:1", "fe80::1%eth0", false, 0, nil, "fe80::1"},
		{"told by nobody of ours", proxy, "203.0.113.7", false, 0, []string{"203.0.113.7"}, "invalid IP"},
		{"told alone", proxy, "203.0.113.7", true, 0, []string{"203.0.113.7"}, "203.0.113.7"},
		{"told behind what the client wrote", proxy, "203.0.113.7", true, 0, []string{"203.0.113.7, 198.51.100.1"}, "invalid IP"},
		{"told in two fields", proxy, "203.0.113.7", true, 0, []string{"203.0.113.7", "198.51.100.1"}, "invalid IP"},
		{"the proxy itself", proxy, "127.0.0.1", true, 0, nil, "127.0.0.1"},
		{"the proxy's address, written by the client", proxy, "127.0.0.1", true, 0, []string{"127.0.0.1, 203.0.113.9"}, "invalid IP"},
		{"the proxy's address, in a field of its own", proxy, "127.0.0.1", true, 0, []string{"127.0.0.1", "203.0.113.9"}, "invalid IP"},
		{"a list without an address", proxy, "127.0.0.1", true, 0, []string{"unknown, unknown"}, "invalid IP"},
		{"told strictly", proxy, "198.51.100.1", true, 1, []string{"203.0.113.7, 198.51.100.1"}, "198.51.100.1"},
		{"no address", "@", "", false, 0, nil, "invalid IP"},
		{"out of nowhere", proxy, "203.0.113.7", true, 0, nil, "invalid IP"},
	}
	for _, test := range tests {
		server := &caddyhttp.Server{TrustedProxiesStrict: test.strict, ClientIPHeaders: []string{"X-Forwarded-For"}}
		ctx := context.WithValue(t.Context(), caddyhttp.ServerCtxKey, server)
		ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, map[string]any{
			caddyhttp.ClientIPVarKey: test.clientIP, caddyhttp.TrustedProxyVarKey: test.trusted,
		})
		r := (&http.Request{RemoteAddr: test.peer, Header: http.Header{"X-Forwarded-For": test.forwarded}}).WithContext(ctx)
		if got := clientAddr(r).String(); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

// The clock follows the wall clock forward and never goes back.
func TestSteadyNow(t *testing.T) {
	t.Parallel()
	last := steadyNow()
	for range 1000 {
		now := steadyNow()
		if now.Round(0).Before(last.Round(0)) {
			t.Fatalf("%v comes after %v", now, last)
		}
		last = now
	}
	if off := time.Since(last); off < -time.Minute || off > time.Minute {
		t.Errorf("the clock is off by %v", off)
	}
}

// A wall clock that is set back, be it to before the start or only from where it
// was set forward, revives nothing, and time goes on from there.
func TestSteadyClock(t *testing.T) {
	t.Parallel()
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	var clock steadyClock
	for _, step := range []struct {
		elapsed, wall, want time.Duration // since the start
	}{
		{0, 0, 0},
		{time.Second, time.Second, time.Second},
		{2 * time.Second, -time.Hour, 2 * time.Second},
		{3 * time.Second, time.Hour, time.Hour},
		{4 * time.Second, 4 * time.Second, time.Hour + time.Second},
		{5 * time.Second, -time.Hour, time.Hour + 2*time.Second},
		{6 * time.Second, 2 * time.Hour, 2 * time.Hour},
	} {
		if got := clock.at(start.Add(step.wall), step.elapsed).Sub(start); got != step.want {
			t.Errorf("%v after the start, the wall clock at %v: got %v, want %v", step.elapsed, step.wall, got, step.want)
		}
	}
}
