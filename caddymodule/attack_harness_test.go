package caddymodule_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// testbed is one Caddy process that attacks run against, with a site for each way
// to run a gateway that they need, and the upstreams behind it.
type testbed struct {
	*gateway
	sites    map[string]map[port]string // by form and port: the address
	bare     string                     // a plain reverse_proxy to echo, to compare with
	bareWeb  string                     // and one to web
	echo     *echo                      // the upstream of most APIs
	secret   *echo                      // the upstream of the API secret, which no token may use
	web      *web                       // the upstream of the API web
	hasty    *hasty                     // the upstream of the API hasty
	careless *careless                  // the upstream of the API careless
	trust    *tls.Config                // of who comes over TLS
}

// port names a listener by what is special about it.
type port string

const (
	portPlain     port = "plain"     // nothing: as the README has it, and HTTP/2 with prior knowledge
	portTLS       port = "tls"       // TLS, with HTTP/2
	portIdle      port = "idle"      // read_body_idle on, as Caddy has it by default
	portLax       port = "lax"       // header names with "_" and "." reach the handler
	portPlaces    port = "places"    // credentials: bearer, basic, header X-Api-Key
	portPages     port = "pages"     // on_deny error, with handle_errors that asks the upstream for a page
	portAllPages  port = "all pages" // likewise, for every method
	portShadow    port = "shadow"    // shadow
	portRetrying  port = "retrying"  // the proxy tries again
	portSilent    port = "silent"    // no handler behind scopegate
	portRewriting port = "rewriting" // a rewrite between the decision and the proxy
	portTrusting  port = "trusting"  // 127.0.0.1 is a trusted proxy, not strictly
	portRouted    port = "routed"    // below a path matcher, with a refusal for what it misses
)

// attackGates are the options of scopegate on the ports that have some.
var attackGates = map[port]string{
	portPlaces:   "credentials bearer basic header X-Api-Key",
	portPages:    "on_deny error",
	portAllPages: "on_deny error",
	portShadow:   "shadow",
}

// attackForms are the ways to write a gateway down: the body of a site, by its port.
var attackForms = map[string]func(*testbed, port) string{
	"scopegate": func(b *testbed, p port) string {
		gate := "scopegate {\n" + attackGates[p] + "\n}\n"
		switch p {
		case portSilent:
			return gate
		case portRewriting:
			return "route {\nscopegate\nrewrite /secret/x\nreverse_proxy {\ndynamic scopegate\ntransport scopegate\n}\n}\n"
		}
		return fmt.Sprintf("map {http.scopegate.api} {upstream} {\nsecret %s\nweb %s\nhasty %s\ncareless %s\ndefault %s\n}\n",
			b.secret.addr, b.web.addr, b.hasty.addr, b.careless.addr, b.echo.addr) +
			gate + "reverse_proxy {upstream} {\n" + proxyOptions(p) + "\n}\n"
	},
	"scopegate_proxy": func(_ *testbed, p port) string {
		return "scopegate_proxy {\n" + attackGates[p] + "\n" + proxyOptions(p) + "\n}\n"
	},
}

// ports are the listeners of a form.
func ports(form string) []port {
	common := []port{portPlain, portTLS, portIdle, portLax, portPlaces, portPages, portAllPages, portShadow, portRetrying, portTrusting, portRouted}
	if form == "scopegate" {
		return append(common, portSilent, portRewriting)
	}
	return common
}

func proxyOptions(p port) string {
	if p == portRetrying {
		return "lb_retries 3\nlb_try_interval 1ms"
	}
	return ""
}

// startTestbed starts everything, to end with the test.
func startTestbed(t *testing.T) *testbed {
	t.Helper()
	b := &testbed{sites: make(map[string]map[port]string), bare: freeAddr(t), bareWeb: freeAddr(t)}
	t.Cleanup(func() { b.check(t) }) // the last thing, when all upstreams have ended
	b.echo, b.secret, b.web, b.hasty, b.careless = startEcho(t), startEcho(t), startWeb(t), startHasty(t), startCareless(t)
	for name := range attackForms {
		b.sites[name] = make(map[port]string)
		for _, p := range ports(name) {
			b.sites[name][p] = freeAddr(t)
		}
	}
	b.gateway = newGateway(t, b.config(), b.scopeFile())
	b.trust = writeCertificate(t, b.dir)
	b.start(t)
	return b
}

// check looks at all that ever arrived.
func (b *testbed) check(t *testing.T) {
	t.Helper()
	for _, r := range b.secret.requests() {
		t.Errorf("this arrived where no token has access:\n%s", excerpt(string(r.raw)))
	}
	for _, r := range b.echo.requests() {
		if r.err == nil && r.request.RequestURI == incomplete {
			t.Errorf("a request of which a part is missing arrived as a whole one:\n%s", excerpt(string(r.raw)))
		}
	}
}

// config is a Caddyfile with a site for each form and port. A site has no host, so that it
// serves requests for any.
func (b *testbed) config() string {
	var c strings.Builder
	c.WriteString("{\nadmin {$ADMIN}\nauto_https off\nscopegate {\nstore {$STORE}\nscopes {$SCOPES}\n}\n")
	c.WriteString("servers {\nprotocols h1 h2 h2c\ntimeouts {\nread_body_idle -1s\nread_body 10m\n}\n}\n")
	for _, name := range slices.Sorted(maps.Keys(attackForms)) {
		fmt.Fprintf(&c, "servers %s {\nprotocols h1\n}\n", b.sites[name][portIdle])
		fmt.Fprintf(&c, "servers %s {\nprotocols h1\ntimeouts {\nread_body_idle -1s\n}\n"+
			"expected_underscore_headers x_scopegate_* x_http_* ir_* custom_*\nexpected_dot_headers x.scopegate.* x.http.* ir.*\n}\n",
			b.sites[name][portLax])
		fmt.Fprintf(&c, "servers %s {\nprotocols h1\ntrusted_proxies static 127.0.0.1\n}\n", b.sites[name][portTrusting])
	}
	c.WriteString("}\n")
	site := func(scheme, addr, body string) {
		host, number, _ := strings.Cut(addr, ":")
		fmt.Fprintf(&c, "%s://:%s {\nbind %s\n%s}\n", scheme, number, host, body)
	}
	site("http", b.bare, "reverse_proxy "+b.echo.addr+"\n")
	site("http", b.bareWeb, "reverse_proxy "+b.web.addr+"\n")
	for _, name := range slices.Sorted(maps.Keys(attackForms)) {
		for _, p := range ports(name) {
			body := attackForms[name](b, p)
			switch p {
			case portTLS:
				site("https", b.sites[name][p], "tls {$DIR}/certificate.pem {$DIR}/key.pem\n"+body)
				continue
			case portRouted:
				body = "handle /raw/* {\n" + body + "}\nhandle {\nrespond 403\n}\n"
			case portAllPages:
				body += "handle_errors {\nreverse_proxy " + b.echo.addr + "\n}\n"
			case portPages:
				body += "handle_errors {\nroute {\n@get method GET\nreverse_proxy @get " + b.echo.addr + "\nrespond {err.status_code}\n}\n}\n"
			}
			site("http", b.sites[name][p], body)
		}
	}
	return c.String()
}

// secretOf is the credential of one of the testbed's tokens.
func secretOf(token string) string { return "the-secret-of-" + token }

// scopeFile has an API for each kind of upstream. The token acme/reader may read
// orders v1 and the actions of version 14; acme/writer may do everything but with
// the API secret.
func (b *testbed) scopeFile() string {
	const everything = `[{api: orders, version: "v1", methods: ["*"]}, {api: actions, version: ["13", "14"], methods: ["*"]}, ` +
		`{api: raw, methods: ["*"]}, {api: slashes, methods: ["*"]}, {api: hosted, methods: ["*"]}, {api: partners, methods: ["*"]}, ` +
		`{api: web, methods: ["*"]}, {api: hasty, methods: ["*"]}, {api: careless, methods: ["*"]}]`
	const reading = `[{api: orders, version: "v1", methods: [GET]}, {api: actions, version: "14", methods: [GET]}]`
	token := func(name, more, granted string) string {
		return fmt.Sprintf("      %s: {description: d, contact: {email: a@b.example}, credential: %q, %sscopes: %s}\n",
			name, scopes.DigestOf(secretOf(name)), more, granted)
	}
	return fmt.Sprintf(`format: 1
apis:
  orders:
    versions: ["v1", "v2"]
    upstream: [%[1]q]
    operations:
      list: GET|POST /orders/{version}
      one: GET|PUT|DELETE /orders/{version}/{id}
      files: "* /orders/{version}/{id}/files/**"
  actions:
    versions: ["13", "14"]
    version_from: [header IR-Version, query IrVersion]
    upstream: [%[1]q]
    operations: {list: "GET|POST|PUT /actions"}
  partners:
    account_param: account
    upstream: [%[1]q]
    operations: {read: "GET /partners/{account}/actions"}
  hosted:
    hosts: [api.example.com]
    upstream: [%[1]q]
    operations: {all: "* /hosted/**"}
  slashes:
    encoded_slash: allow
    upstream: [%[1]q]
    operations: {one: "GET /slashes/{name}", below: "GET /slashes/below/**"}
  raw: {upstream: [%[1]q], operations: {all: "* /raw/**"}}
  secret: {upstream: [%[2]q], operations: {all: "* /secret/**"}}
  web: {upstream: [%[3]q], operations: {all: "* /web/**"}}
  hasty: {upstream: [%[4]q], operations: {all: "* /hasty/**"}}
  careless: {upstream: [%[5]q], operations: {all: "* /careless/**"}}
accounts:
  acme:
    tokens:
`, b.echo.url(), b.secret.url(), "http://"+b.web.addr, "http://"+b.hasty.addr, "http://"+b.careless.addr) +
		token("reader", `version: "14", `, reading) +
		token("writer", "", everything) +
		token("victim", "", reading) +
		token("expired", "expires: 2020-01-01, ", reading) +
		token("inactive", "state: inactive, ", reading) +
		token("office", "sources: [203.0.113.0/24], ", reading) +
		token("local", "sources: [127.0.0.1], ", reading)
}

// writeCertificate writes a certificate that signs itself, and its key, and returns how
// a client trusts it.
func writeCertificate(t *testing.T, dir string) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"gateway.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(signed)
	if err != nil {
		t.Fatal(err)
	}
	keyBytes, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]pem.Block{
		"certificate.pem": {Type: "CERTIFICATE", Bytes: certificate.Raw},
		"key.pem":         {Type: "PRIVATE KEY", Bytes: keyBytes},
	} {
		writeFile(t, filepath.Join(dir, name), string(pem.EncodeToMemory(&block)))
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(certificate)
	return &tls.Config{RootCAs: trusted, ServerName: template.DNSNames[0]}
}
