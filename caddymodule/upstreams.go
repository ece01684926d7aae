package caddymodule

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/scopegate/scopegate/proxy"
)

func init() {
	caddy.RegisterModule(new(Upstreams))
}

// Upstreams is an upstream source for reverse_proxy: the upstreams that the scope
// file names for the API and version that were decided on. It needs a scopegate
// handler before the reverse_proxy, and [Transport] for upstreams with https.
type Upstreams struct{}

// CaddyModule returns the Caddy module information.
func (*Upstreams) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.reverse_proxy.upstreams.scopegate",
		New: func() caddy.Module { return new(Upstreams) },
	}
}

// Errors of the upstream source. They say what to change in the configuration.
var (
	errNoVerdict  = errors.New("scopegate: the request was not decided on: put a scopegate handler before this reverse_proxy")
	errNoAPI      = errors.New("scopegate: no API matches the request, which is let through in shadow only: nothing says where to")
	errNoUpstream = errors.New("scopegate: the API has no upstream for this version: name one in the scope file")
	errChanged    = errors.New("scopegate: method or target changed since the decision: no rewrite may stand between scopegate and the proxy")
)

// GetUpstreams returns the upstreams of the decided API and version.
func (*Upstreams) GetUpstreams(r *http.Request) ([]*reverseproxy.Upstream, error) {
	addresses, err := upstreamAddresses(r)
	if err != nil {
		return nil, err
	}
	upstreams := make([]*reverseproxy.Upstream, len(addresses))
	for i, address := range addresses {
		dial, _, err := splitUpstream(address)
		if err != nil {
			return nil, err
		}
		// made anew each time, for reverse_proxy writes to it
		upstreams[i] = &reverseproxy.Upstream{Dial: dial}
	}
	return upstreams, nil
}

// UnmarshalCaddyfile reads "dynamic scopegate", which takes no options.
func (*Upstreams) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() || d.NextBlock(0) {
		return d.ArgErr()
	}
	return nil
}

// upstreamAddresses returns the base addresses for a request that was decided on.
func upstreamAddresses(r *http.Request) ([]string, error) {
	v := verdictOf(r)
	if v == nil || !v.Through {
		return nil, errNoVerdict
	}
	if v.API == nil {
		return nil, errNoAPI
	}
	addresses := v.API.Upstreams.For(v.Version)
	if len(addresses) == 0 {
		return nil, fmt.Errorf("%w (API %s, version %q)", errNoUpstream, v.API.Name, v.Version)
	}
	return addresses, nil
}

func verdictOf(r *http.Request) *proxy.Verdict {
	v, _ := caddyhttp.GetVar(r.Context(), verdictVar).(*proxy.Verdict)
	return v
}

// splitUpstream splits "https://host:port" into the address to dial and the scheme.
func splitUpstream(address string) (dial, scheme string, err error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "", "", fmt.Errorf("scopegate: the upstream %q is not http(s)://host:port", address)
	}
	port := u.Port()
	if port == "" {
		port = "80"
		if u.Scheme == "https" {
			port = "443"
		}
	}
	return net.JoinHostPort(u.Hostname(), port), u.Scheme, nil
}

var (
	_ reverseproxy.UpstreamSource = (*Upstreams)(nil)
	_ caddyfile.Unmarshaler       = (*Upstreams)(nil)
)
