package caddymodule

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// clientAddr returns the client's address as Caddy knows it, trusted proxies taken
// into account; the zero Addr, which is in no source, if it is none or cannot be
// relied on.
func clientAddr(r *http.Request) netip.Addr {
	client, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	addr, err := netip.ParseAddr(client)
	if err != nil || !reliable(r, addr) {
		return netip.Addr{}
	}
	return addr.WithZone("")
}

// reliable reports whether a client's address is the peer's, or was told by a
// trusted proxy in a way that the client had no part in. Without
// trusted_proxies_strict Caddy takes the first address of X-Forwarded-For, and
// proxies append theirs to what the client sent: then only one that stands alone
// is theirs.
func reliable(r *http.Request, client netip.Addr) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err == nil && peer.Addr().Unmap().WithZone("") == client.Unmap().WithZone("") {
		return true
	}
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return false
	}
	if server.TrustedProxiesStrict > 0 {
		return true
	}
	for _, name := range server.ClientIPHeaders {
		if values := r.Header.Values(name); len(values) > 0 {
			return len(values) == 1 && !strings.Contains(values[0], ",")
		}
	}
	return false
}
