package caddymodule

import (
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

func init() {
	caddy.RegisterModule(new(Transport))
}

// Transport is Caddy's HTTP transport with the same options, for upstreams that
// [Upstreams] names: it speaks HTTP or HTTPS as the chosen upstream's scheme says,
// and it is the last to look: if method or target are not what was decided on,
// nothing is sent and the answer is 500.
type Transport struct {
	reverseproxy.HTTPTransport
}

// CaddyModule returns the Caddy module information.
func (*Transport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.reverse_proxy.transport.scopegate",
		New: func() caddy.Module { return new(Transport) },
	}
}

// Provision sets up TLS even if no TLS option is given: an upstream with https
// needs it.
func (t *Transport) Provision(ctx caddy.Context) error {
	if t.TLS == nil {
		t.TLS = new(reverseproxy.TLSConfig)
	}
	if t.ProxyProtocol != "" && t.TLS.ServerName == "" {
		// Caddy's transport shakes hands by itself then, and leaves the name out.
		t.TLS.ServerName = "{http.reverse_proxy.upstream.host}"
	}
	return t.HTTPTransport.Provision(ctx)
}

// RequestHeaderOps returns nil: unlike Caddy's HTTP transport with TLS, this one
// passes Host through.
func (*Transport) RequestHeaderOps() *headers.HeaderOps { return nil }

// RoundTrip sends a request that still is the one that was decided on.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	v := verdictOf(r)
	if v == nil {
		return nil, caddyhttp.Error(http.StatusInternalServerError, errNoVerdict)
	}
	if !v.Unchanged(r) {
		return nil, caddyhttp.Error(http.StatusInternalServerError, errChanged)
	}
	scheme, err := schemeOf(r)
	if err != nil {
		return nil, caddyhttp.Error(http.StatusInternalServerError, err)
	}
	r.URL.Scheme = scheme
	return t.HTTPTransport.RoundTrip(r)
}

// schemeOf returns the scheme of the upstream that reverse_proxy chose.
func schemeOf(r *http.Request) (string, error) {
	addresses, err := upstreamAddresses(r)
	if err != nil {
		return "", err
	}
	chosen, _ := reverseproxy.GetDialInfo(r.Context())
	for _, address := range addresses {
		if dial, scheme, err := splitUpstream(address); err == nil && dial == chosen.Address {
			return scheme, nil
		}
	}
	return "", fmt.Errorf("scopegate: %q is no upstream of the API that was decided on", chosen.Address)
}

var (
	_ caddy.Provisioner                      = (*Transport)(nil)
	_ http.RoundTripper                      = (*Transport)(nil)
	_ reverseproxy.RequestHeaderOpsTransport = (*Transport)(nil)
)
