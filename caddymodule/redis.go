package caddymodule

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/scopegate/scopegate/store"
	"github.com/scopegate/scopegate/store/redislog"
)

// Redis makes this server one of several nodes that hold the same and decide alike.
type Redis struct {
	// URL is redis:// or rediss://, as in redis://user:password@host:6379/0;
	// redis+sentinel:// with ?master_name=, or redis+cluster://. Placeholders are
	// filled in.
	URL string `json:"url"`

	// Secret is what all nodes know and Redis does not: at least 16 bytes. It signs
	// what goes through Redis. Placeholders are filled in.
	Secret string `json:"secret"`

	// Namespace is what the keys in Redis begin with. Default: scopegate.
	Namespace string `json:"namespace,omitempty"`

	// MaxStaleness is how long a node decides that does not hear of the others: from
	// 2s to 10m, or off. Default: 60s.
	MaxStaleness string `json:"max_staleness,omitempty"`

	// OnStale is what a node does after that: deny answers 503, serve goes on with what
	// it knows. Default: deny.
	OnStale string `json:"on_stale,omitempty"`

	// Name is what people call this node. Default: the host's name.
	Name string `json:"name,omitempty"`

	// TLS is for a Redis with rediss:// whose certificate the system does not trust, or
	// that wants to see one. Default: the system's trust, and no certificate.
	TLS *RedisTLS `json:"tls,omitempty"`
}

// RedisTLS says whom to trust, and who this node is. The files are PEM, and read for each
// connection: one that was renewed counts from the next on. Placeholders are filled in.
type RedisTLS struct {
	// CA is a file with the certificates of those who sign the servers': nobody else is
	// trusted. Default: whom the system trusts.
	CA string `json:"ca,omitempty"`

	// Cert is the file of the certificate that the servers are shown. Default: none.
	Cert string `json:"cert,omitempty"`

	// Key is the file of the certificate's key.
	Key string `json:"key,omitempty"`

	// ServerName is what the servers' certificates are for. Default: the host that is
	// connected to.
	ServerName string `json:"server_name,omitempty"`
}

const (
	staleDeny  = "deny"
	staleServe = "serve"
	staleOff   = "off"
)

// peers is a Redis block with its placeholders filled in. Two that are equal mean the
// same nodes.
type peers struct {
	url, secret, namespace, name string
	tls                          redislog.TLS
	maxStaleness                 time.Duration // as store.ClusterOptions has it
}

var errNoSecret = errors.New("scopegate: redis needs a secret that all nodes know and Redis does not, such as the output of " +
	"openssl rand -hex 32; write: secret {env.SCOPEGATE_SECRET}")

// provision checks the block and fills in its placeholders. What they stand for is in no
// error.
func (r *Redis) provision() (*peers, error) {
	if r.Secret == "" {
		return nil, errNoSecret
	}
	switch r.OnStale {
	case "", staleDeny, staleServe:
	default:
		return nil, fmt.Errorf("scopegate: on_stale is deny or serve, not %q", r.OnStale)
	}
	p := &peers{namespace: r.Namespace, name: r.Name}
	if p.name == "" {
		p.name = hostname()
	}
	var err error
	if p.maxStaleness, err = readStaleness(r.MaxStaleness); err != nil {
		return nil, err
	}
	repl := caddy.NewReplacer()
	if p.url, err = repl.ReplaceOrErr(r.URL, true, true); err != nil {
		return nil, fmt.Errorf("scopegate: the URL of the Redis: %w", err)
	}
	if p.secret, err = repl.ReplaceOrErr(r.Secret, true, true); err != nil {
		return nil, fmt.Errorf("scopegate: the secret of redis: %w", err)
	}
	if len(p.secret) < store.MinSecretBytes {
		return nil, fmt.Errorf("scopegate: the secret of redis is shorter than %d bytes; make one with: openssl rand -hex 32", store.MinSecretBytes)
	}
	if p.tls, err = r.TLS.provision(repl); err != nil {
		return nil, fmt.Errorf("scopegate: tls of redis: %w", err)
	}
	return p, nil
}

// provision fills in the placeholders, and reads the files. nil is the zero value.
func (t *RedisTLS) provision(repl *caddy.Replacer) (redislog.TLS, error) {
	var filled redislog.TLS
	if t == nil {
		return filled, nil
	}
	for _, field := range []struct {
		value string
		to    *string
	}{{t.CA, &filled.CA}, {t.Cert, &filled.Cert}, {t.Key, &filled.Key}, {t.ServerName, &filled.ServerName}} {
		var err error
		if *field.to, err = repl.ReplaceOrErr(field.value, true, true); err != nil {
			return filled, err
		}
	}
	return filled, filled.Check()
}

// readStaleness reads max_staleness. The default is 0, and off negative.
func readStaleness(text string) (time.Duration, error) {
	switch text {
	case "":
		return 0, nil
	case staleOff:
		return -1, nil
	}
	d, err := caddy.ParseDuration(text)
	if err != nil || d < store.MinStaleness || d > store.MaxStaleness {
		return 0, fmt.Errorf("scopegate: max_staleness is %s to %s, such as 60s, or off; not %q", store.MinStaleness, store.MaxStaleness, text)
	}
	return d, nil
}
