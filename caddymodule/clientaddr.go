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
// proxies append theirs to what the client sent: then only one that stands alone,
// in all the fields that Caddy takes it from, is theirs. That holds for the proxy's
// own address too, which anybody can write.
func reliable(r *http.Request, client netip.Addr) bool {
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	if !trusted {
		return isPeer(r, client)
	}
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return false
	}
	if server.TrustedProxiesStrict > 0 {
		return true
	}
	var told []string
	for _, name := range server.ClientIPHeaders {
		told = append(told, r.Header.Values(name)...)
	}
	if len(told) == 0 {
		return isPeer(r, client) // the proxy asks on its own behalf
	}
	return len(told) == 1 && !strings.Contains(told[0], ",")
}

// isPeer reports whether a client's address is the one that the connection is from.
func isPeer(r *http.Request, client netip.Addr) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().WithZone("") == client.Unmap().WithZone("")
}
