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
	tests := []struct {
		name, peer, clientIP string
		strict               int
		forwarded            []string
		want                 string
	}{
		{"the peer", "192.0.2.1:1", "192.0.2.1", 0, nil, "192.0.2.1"},
		{"the peer, mapped", "[::ffff:192.0.2.1]:1", "192.0.2.1", 0, nil, "192.0.2.1"},
		{"the peer, whatever it forwards", "192.0.2.1:1", "192.0.2.1", 0, []string{"203.0.113.7, 198.51.100.1"}, "192.0.2.1"},
		{"a zone", "[fe80::1%eth0]:1", "fe80::1%eth0", 0, nil, "fe80::1"},
		{"told alone", "127.0.0.1:1", "203.0.113.7", 0, []string{"203.0.113.7"}, "203.0.113.7"},
		{"told behind what the client wrote", "127.0.0.1:1", "203.0.113.7", 0, []string{"203.0.113.7, 198.51.100.1"}, "invalid IP"},
		{"told in two fields", "127.0.0.1:1", "203.0.113.7", 0, []string{"203.0.113.7", "198.51.100.1"}, "invalid IP"},
		{"told strictly", "127.0.0.1:1", "198.51.100.1", 1, []string{"203.0.113.7, 198.51.100.1"}, "198.51.100.1"},
		{"no address", "@", "", 0, nil, "invalid IP"},
		{"out of nowhere", "127.0.0.1:1", "203.0.113.7", 0, nil, "invalid IP"},
	}
	for _, test := range tests {
		server := &caddyhttp.Server{TrustedProxiesStrict: test.strict, ClientIPHeaders: []string{"X-Forwarded-For"}}
		ctx := context.WithValue(t.Context(), caddyhttp.ServerCtxKey, server)
		ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, map[string]any{caddyhttp.ClientIPVarKey: test.clientIP})
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
