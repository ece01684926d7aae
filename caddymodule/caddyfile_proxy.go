package caddymodule

import (
	"encoding/json"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

func init() {
	httpcaddyfile.RegisterDirective("scopegate_proxy", parseProxy)
	httpcaddyfile.RegisterDirectiveOrder("scopegate_proxy", httpcaddyfile.Before, "reverse_proxy")
}

// parseProxy reads the directive scopegate_proxy. With the options of scopegate
// and of reverse_proxy mixed in one block,
//
//	scopegate_proxy {
//	    apis      orders
//	    lb_policy least_conn
//	}
//
// is the same as
//
//	route {
//	    scopegate {
//	        apis orders
//	    }
//	    reverse_proxy {
//	        dynamic   scopegate
//	        transport scopegate
//	        lb_policy least_conn
//	    }
//	}
func parseProxy(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next() // the directive's name, where the segment begins
	d := h.NewFromNextSegment()
	gate, err := takeHandlerOptions(d)
	if err != nil {
		return nil, err
	}
	upstream := &reverseproxy.Handler{
		DynamicUpstreamsRaw: caddyconfig.JSONModuleObject(new(Upstreams), "source", "scopegate", nil),
	}
	d.Reset()
	if err := upstream.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	if err := upstream.FinalizeUnmarshalCaddyfile(h); err != nil {
		return nil, err
	}
	if upstream.TransportRaw, err = scopegateTransport(d, upstream.TransportRaw); err != nil {
		return nil, err
	}
	return []httpcaddyfile.ConfigValue{{Class: "route", Value: caddyhttp.Route{HandlersRaw: []json.RawMessage{
		caddyconfig.JSONModuleObject(gate, "handler", "scopegate", nil),
		caddyconfig.JSONModuleObject(upstream, "handler", "reverse_proxy", nil),
	}}}}, nil
}

// takeHandlerOptions reads the options that are scopegate's, removes their tokens,
// and leaves what reverse_proxy is to read.
func takeHandlerOptions(d *caddyfile.Dispenser) (*Handler, error) {
	gate := new(Handler)
	d.Next() // the directive's name
	if err := refuseArguments(d, "the upstreams are named in the scope file, under upstream: of each API"); err != nil {
		return nil, err
	}
	for d.NextBlock(0) {
		if d.Nesting() != 1 {
			continue // inside an option of reverse_proxy
		}
		if advice := unfitFor(d.Val()); advice != "" {
			return nil, d.Errf("%s does not work in scopegate_proxy: %s", d.Val(), advice)
		}
		arguments := d.CountRemainingArgs()
		known, err := gate.option(d)
		if err != nil {
			return nil, err
		}
		if known {
			d.DeleteN(arguments + 1)
			continue
		}
		d.RemainingArgs() // of an option of reverse_proxy: they are no options, whatever they read like
	}
	return gate, nil
}

// unfitFor says what to do instead of an option of reverse_proxy that would send
// something else than what was decided on, or that does nothing with upstreams
// that are chosen per request; "" for any other option.
func unfitFor(option string) string {
	switch option {
	case "to", "dynamic":
		return "the upstreams are named in the scope file, under upstream: of each API"
	case "method", "rewrite":
		return "the upstream gets exactly what was decided on; let the scope file name the path that clients send"
	}
	if strings.HasPrefix(option, "health_") {
		return "active health checks need fixed upstreams; use the passive ones: max_fails, fail_duration, unhealthy_status"
	}
	return ""
}

// scopegateTransport turns the JSON of Caddy's HTTP transport into that of ours,
// which has the same options.
func scopegateTransport(d *caddyfile.Dispenser, raw json.RawMessage) (json.RawMessage, error) {
	transport := make(map[string]json.RawMessage)
	if raw != nil {
		if err := json.Unmarshal(raw, &transport); err != nil {
			return nil, d.WrapErr(err)
		}
		if protocol := string(transport["protocol"]); protocol != `"http"` && protocol != `"scopegate"` {
			return nil, d.Errf("transport %s does not work in scopegate_proxy: upstreams are http:// or https://", protocol)
		}
	}
	transport["protocol"] = json.RawMessage(`"scopegate"`)
	return caddyconfig.JSON(transport, nil), nil
}
