package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

func init() {
	// As for scopegate: it takes no matcher, and decides on what the client sent.
	httpcaddyfile.RegisterDirective("scopegate_admin", parseAdminHandler)
	httpcaddyfile.RegisterDirectiveOrder("scopegate_admin", httpcaddyfile.Before, "method")
}

// parseAdminHandler reads the directive:
//
//	scopegate_admin {
//	    credentials      bearer | basic | header <name>
//	    unauthenticated  401 | 403
//	    console          off
//	}
func parseAdminHandler(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	handler := new(AdminHandler)
	if err := handler.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return h.NewRoute(nil, handler), nil
}

// UnmarshalCaddyfile reads the directive's tokens.
func (a *AdminHandler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if err := refuseArguments(d, "write its options into a block: scopegate_admin { credentials … }"); err != nil {
		return err
	}
	var gate Handler
	for d.NextBlock(0) {
		switch d.Val() {
		case "credentials", "unauthenticated":
			if _, err := gate.option(d); err != nil {
				return err
			}
		case "console":
			if err := oneArg(d, &a.Console); err != nil {
				return err
			}
			if a.Console != consoleOff {
				return d.Errf("console is off, or left out, not %q", a.Console)
			}
		default:
			return d.Errf("unknown option %q of scopegate_admin; expected credentials, unauthenticated, console", d.Val())
		}
	}
	a.Credentials, a.Unauthenticated = gate.Credentials, gate.Unauthenticated
	return nil
}

var _ caddyfile.Unmarshaler = (*AdminHandler)(nil)
