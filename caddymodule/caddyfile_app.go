package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("scopegate", parseApp)
}

// parseApp reads the global option:
//
//	scopegate {
//	    store  <file>
//	    scopes <file> {
//	        review
//	    }
//	    redis  <url> {
//	        secret        <secret>
//	        namespace     <name>
//	        max_staleness <duration>|off
//	        on_stale      deny|serve
//	        name          <name>
//	        tls {
//	            ca          <file>
//	            cert        <file>
//	            key         <file>
//	            server_name <name>
//	        }
//	    }
//	    notify {
//	        operator <address>
//	        contacts on|off
//	        events   <event...>
//	        digest   <duration>
//	        link     <url>
//	        webhook  <url> {
//	            secret <secret>
//	        }
//	        smtp     <host:port> {
//	            from     <address>
//	            username <name>
//	            password <password>
//	            tls      starttls|tls|none
//	            ca       <file>
//	        }
//	    }
//	}
func parseApp(d *caddyfile.Dispenser, existing any) (any, error) {
	if existing != nil {
		d.Next() // the option's name: where the error is
		return nil, d.Err("the global option scopegate stands twice; one store serves all sites")
	}
	app := new(App)
	if err := app.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "scopegate", Value: caddyconfig.JSON(app, nil)}, nil
}

// UnmarshalCaddyfile reads the global option's block.
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the option's name
	if d.NextArg() {
		return d.Err("scopegate takes a block: scopegate { store <file> … }")
	}
	for d.NextBlock(0) {
		var err error
		switch d.Val() {
		case "store":
			err = oneArg(d, &a.StorePath)
		case "scopes":
			err = a.unmarshalScopes(d)
		case "redis":
			err = a.unmarshalRedis(d)
		case "notify":
			err = a.unmarshalNotify(d)
		default:
			err = d.Errf("unknown option %q of scopegate; expected store, scopes, redis or notify", d.Val())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *App) unmarshalScopes(d *caddyfile.Dispenser) error {
	if a.Scopes != nil {
		return d.Err("scopes stands twice; one scope file is watched")
	}
	a.Scopes = new(ScopeFile)
	if err := oneArg(d, &a.Scopes.Path); err != nil {
		return err
	}
	for d.NextBlock(1) {
		if d.Val() != "review" {
			return d.Errf("unknown option %q of scopes; expected review", d.Val())
		}
		if err := flag(d, &a.Scopes.Review); err != nil {
			return err
		}
	}
	return nil
}

func (a *App) unmarshalRedis(d *caddyfile.Dispenser) error {
	if a.Redis != nil {
		return d.Err("redis stands twice; a node follows one cluster")
	}
	a.Redis = new(Redis)
	if err := oneArg(d, &a.Redis.URL); err != nil {
		return err
	}
	for d.NextBlock(1) {
		var err error
		switch d.Val() {
		case "secret":
			err = oneArg(d, &a.Redis.Secret)
		case "namespace":
			err = oneArg(d, &a.Redis.Namespace)
		case "max_staleness":
			err = oneArg(d, &a.Redis.MaxStaleness)
		case "on_stale":
			err = oneArg(d, &a.Redis.OnStale)
		case "name":
			err = oneArg(d, &a.Redis.Name)
		case "tls":
			err = a.Redis.unmarshalTLS(d)
		default:
			err = d.Errf("unknown option %q of redis; expected secret, namespace, max_staleness, on_stale, name or tls", d.Val())
		}
		if err != nil {
			return err
		}
	}
	return a.Redis.check(d)
}

func (r *Redis) unmarshalTLS(d *caddyfile.Dispenser) error {
	if r.TLS != nil {
		return d.Err("tls stands twice")
	}
	if d.NextArg() {
		return d.Err("tls takes a block: tls { ca <file> … }")
	}
	r.TLS = new(RedisTLS)
	for d.NextBlock(2) { //nolint:mnd // in redis, in scopegate
		var err error
		switch d.Val() {
		case "ca":
			err = oneArg(d, &r.TLS.CA)
		case "cert":
			err = oneArg(d, &r.TLS.Cert)
		case "key":
			err = oneArg(d, &r.TLS.Key)
		case "server_name":
			err = oneArg(d, &r.TLS.ServerName)
		default:
			err = d.Errf("unknown option %q of tls; expected ca, cert, key or server_name", d.Val())
		}
		if err != nil {
			return err
		}
	}
	return r.TLS.check(d)
}

// check refuses a block that cannot work, where it stands in the Caddyfile.
func (t *RedisTLS) check(d *caddyfile.Dispenser) error {
	switch {
	case *t == RedisTLS{}:
		return d.Err("tls takes a block with one option at least: tls { ca <file> … }")
	case (t.Cert == "") != (t.Key == ""):
		return d.Err("a certificate and its key belong together: name cert and key, or neither")
	}
	return nil
}

// check refuses a block that cannot work, where it stands in the Caddyfile.
func (r *Redis) check(d *caddyfile.Dispenser) error {
	if r.Secret == "" {
		return d.WrapErr(errNoSecret)
	}
	if _, err := readStaleness(r.MaxStaleness); err != nil {
		return d.WrapErr(err)
	}
	if r.OnStale != "" && r.OnStale != staleDeny && r.OnStale != staleServe {
		return d.Errf("on_stale is deny or serve, not %q", r.OnStale)
	}
	return nil
}

// oneArg reads the one argument of an option that may stand once.
func oneArg(d *caddyfile.Dispenser, value *string) error {
	name := d.Val()
	if *value != "" {
		return d.Errf("%s stands twice", name)
	}
	if !d.AllArgs(value) || *value == "" {
		return d.Errf("%s takes one argument", name)
	}
	return nil
}

// flag reads an option without arguments.
func flag(d *caddyfile.Dispenser, value *bool) error {
	name := d.Val()
	if d.NextArg() {
		return d.Errf("%s takes no argument", name)
	}
	if *value {
		return d.Errf("%s stands twice", name)
	}
	*value = true
	return nil
}

var _ caddyfile.Unmarshaler = (*App)(nil)
