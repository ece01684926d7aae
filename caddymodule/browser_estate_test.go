package caddymodule_test

import (
	"fmt"
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
	"github.com/scopegate/scopegate/store"
	counting "github.com/scopegate/scopegate/usage"
)

// companyFile has what a company of some size could have. The credentials of the tokens of
// ops are secretOf their names.
func companyFile(now time.Time) string {
	in := func(days int) string { return now.AddDate(0, 0, days).UTC().Format(time.DateOnly) }
	return `format: 1
apis:
  orders:
    title: Orders
    versions: ["v1", "v2"]
    deprecated: {"v1": {sunset: ` + in(45) + `, since: ` + in(-30) + `, link: https://docs.acme.example/orders-v2}}
    upstream: [http://127.0.0.1:9000]
    operations:
      list:   GET /orders/{version}
      create: POST /orders/{version}
      one:    GET|PUT|DELETE /orders/{version}/{id}
      lines:  GET|POST /orders/{version}/{id}/lines
      refund: POST /orders/{version}/{id}/refund
      files:  "* /orders/{version}/{id}/files/**"
  catalog:
    title: Product catalog
    versions: ["2025-06", "2026-01"]
    upstream: [http://127.0.0.1:9001]
    operations:
      search: GET /catalog/{version}/products
      product: GET|PUT /catalog/{version}/products/{sku}
      prices: GET|PATCH /catalog/{version}/products/{sku}/prices
  invoices:
    title: Invoices and payments
    upstream: [http://127.0.0.1:9002]
    operations:
      list: GET /invoices
      one: GET /invoices/{id}
      pay: POST /invoices/{id}/payments
  partners:
    title: Partner actions
    account_param: account
    upstream: [http://127.0.0.1:9003]
    operations:
      actions: GET|POST /partners/{account}/actions
      report: GET /partners/{account}/report
accounts:
  acme:
    title: Acme Corp
    tokens:
      storefront:
        description: The shop's own pages read products and place orders.
        contact: {name: Web team, email: web@acme.example}
        environment: production
        rotate_every: 365d
        credential: ` + digestOf("storefront") + `
        scopes:
          - {api: orders, version: "v2", methods: [GET, POST]}
          - {api: catalog, version: "2026-01", methods: [GET]}
      nightly-sync:
        description: Copies yesterday's orders into the warehouse.
        contact: {name: Data team, email: data@acme.example}
        environment: production
        rotate_every: 90d
        credential: ` + digestOf("nightly-sync") + `
        scopes:
          - {api: orders, version: "v1", methods: [GET]}
          - {api: invoices, methods: [GET]}
      returns:
        description: Refunds what comes back to the warehouse in Leipzig.
        contact: {name: Logistics, email: logistics@acme.example}
        environment: production
        sources: [203.0.113.0/24, 2001:db8::/32]
        credential: ` + digestOf("returns") + `
        scopes:
          - {api: orders, version: "v2", methods: [GET, POST], operations: [one, refund]}
      old-erp:
        contact: {email: it@acme.example}
        access: read_only
        credential: ` + digestOf("old-erp") + `
  northwind:
    title: Northwind Traders
    ids: [NW4711]
    tokens:
      pos:
        description: Tills in the shops look up prices.
        contact: {name: Store systems, email: tills@northwind.example}
        environment: production
        credential: ` + digestOf("pos") + `
        scopes:
          - {api: catalog, version: ["2025-06", "2026-01"], methods: [GET]}
      mobile-app:
        description: The backend of the app, until the new one is live.
        contact: {name: App team, email: app@northwind.example}
        environment: production
        expires: ` + in(12) + `
        credential: ` + digestOf("mobile-app") + `
        scopes:
          - {api: orders, version: "v2", methods: ["*"]}
          - {api: catalog, version: "2026-01", methods: ["*"]}
          - {api: invoices, methods: ["*"]}
      analytics:
        description: Monthly figures for the board.
        contact: {name: Controlling, email: controlling@northwind.example}
        environment: production
        credential: ` + digestOf("analytics") + `
        scopes:
          - {api: invoices, methods: [GET]}
      staging:
        description: Tests of the next release.
        contact: {name: App team, email: app@northwind.example}
        environment: staging
        scopes:
          - {api: orders, version: "v2", methods: [GET, POST, PUT]}
  globex:
    title: Globex
    tokens:
      connector:
        description: Sends actions of our partner programme.
        contact: {name: Partner desk, email: partners@globex.example}
        environment: production
        credential: ` + digestOf("connector") + `
        scopes:
          - {api: partners, methods: [GET, POST]}
          - {api: orders, version: "v1", methods: [GET]}
  initech:
    title: Initech
    tokens:
      inventory:
        description: Counts what is in stock.
        contact: {name: Warehouse, email: stock@initech.example}
        environment: production
        scopes: [{api: orders, version: "v2", methods: [GET]}]
      kiosk:
        description: Shows an order at the counter.
        contact: {name: Counter, email: counter@initech.example}
        environment: production
        credential: ` + digestOf("kiosk") + `
        scopes: [{api: orders, version: "v2", methods: [GET]}]
      label-printer:
        description: Prints what is on the parcel.
        contact: {name: Warehouse, email: stock@initech.example}
        environment: test
        credential: ` + digestOf("label-printer") + `
        scopes: [{api: orders, version: "v2", methods: [GET]}]
  hooli: {title: Hooli}
  ops:
    title: Operations
    max_active_tokens: 50
    tokens:
` + opsTokens(everything, "admin", "typist", "stolen")
}

// everything are scopes of an administrator, who may hand on all that the estate has.
const everything = `[{api: scopegate, methods: ["*"]}, {api: orders, version: ["v1", "v2"], methods: ["*"]}, ` +
	`{api: catalog, version: ["2025-06", "2026-01"], methods: ["*"]}, {api: invoices, methods: ["*"]}, {api: partners, methods: ["*"]}]`

// opsTokens are the lines of administrators' tokens with scopes and names, and of one that
// may only look, viewer.
func opsTokens(granted string, names ...string) string {
	const line = "      %s: {description: %s, contact: {name: Platform team, email: platform@ops.example}, credential: %q, scopes: %s}\n"
	lines := fmt.Sprintf(line, "viewer", "Shows the estate to everybody.", digestOf(secretOf("viewer")), "[{api: scopegate, methods: [GET]}]")
	for _, name := range names {
		lines += fmt.Sprintf(line, name, "Manages the gateway.", digestOf(secretOf(name)), granted)
	}
	return lines
}

// past is a store, and what its tokens were used for, that is filled as of an earlier time.
type past struct {
	now    time.Time
	store  *store.Store
	ledger *counting.Ledger
	file   *scopes.File
}

// makePast writes the scope file into the store of a gateway that has not started yet, as
// of some days ago.
func makePast(t *testing.T, g *gateway, days int, file func(time.Time) string) *past {
	t.Helper()
	now := time.Now()
	p := &past{now: now.AddDate(0, 0, -days)}
	var err error
	if p.store, err = store.Open(g.store, store.Options{Now: p.clock}); err != nil {
		t.Fatal(err)
	}
	if p.ledger, err = counting.Open(g.store+".usage", counting.Options{Now: p.clock}); err != nil {
		t.Fatal(err)
	}
	if p.file, err = scopes.Read("scopes.yaml", []byte(file(now)), now); err != nil {
		t.Fatal(err)
	}
	plan, err := p.store.Plan(t.Context(), p.file, store.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.store.Apply(t.Context(), plan, store.ApplyOptions{Actor: p.actor(), AllowWiden: true}); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *past) clock() time.Time { return p.now }

func (*past) actor() store.Actor { return store.Actor{Name: "scope file /etc/scopegate/scopes.yaml"} }

// must fails the test if a change was not made.
func (*past) must(t *testing.T, _ store.Token, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// close gives the files to the gateway.
func (p *past) close(t *testing.T) {
	t.Helper()
	if err := p.ledger.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.store.Close(); err != nil {
		t.Fatal(err)
	}
}

// used is what a token does, over and over.
type used struct {
	token, api, operation, version, method string
	reason                                 scopes.Reason
	share                                  float64 // of the traffic
	status                                 int     // of the upstream's answer
}

// count counts requests that were made at the time that the past has come to.
func (p *past) count(t *testing.T, u *used, n int) {
	t.Helper()
	token, err := p.store.Token(u.token)
	if err != nil {
		t.Fatal(err)
	}
	use := counting.Use{
		Credential: digestNamed(t, token.Name), Token: token.ID, Version: u.version, Method: scopes.MethodOf(u.method), Reason: u.reason, Shadow: u.reason,
	}
	for i := range p.file.APIs {
		if api := &p.file.APIs[i]; api.Name == u.api {
			use.API = api
			for j := range api.Operations {
				if api.Operations[j].Name == u.operation {
					use.Operation = &api.Operations[j]
				}
			}
		}
	}
	for range n {
		p.ledger.Meter.Decided(&use, p.now)
		if u.reason == scopes.Allowed {
			p.ledger.Meter.Answered(&use, u.status, 20*time.Millisecond, p.now)
		}
	}
}

func digestNamed(t *testing.T, secret string) scopes.Digest {
	t.Helper()
	d, err := scopes.ParseDigest(digestOf(secret))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// traffic is what the estate's tokens do all the time.
var traffic = []used{
	{"acme/storefront", "catalog", "search", "2026-01", "GET", scopes.Allowed, 1, 200},
	{"acme/storefront", "catalog", "product", "2026-01", "GET", scopes.Allowed, 0.7, 200},
	{"acme/storefront", "orders", "create", "v2", "POST", scopes.Allowed, 0.15, 201},
	{"acme/storefront", "orders", "one", "v2", "GET", scopes.Allowed, 0.2, 200},
	{"acme/nightly-sync", "orders", "list", "v1", "GET", scopes.Allowed, 0.1, 200},
	{"acme/nightly-sync", "orders", "one", "v1", "GET", scopes.Allowed, 0.3, 200},
	{"acme/old-erp", "orders", "list", "v1", "GET", scopes.Allowed, 0.05, 200},
	{"northwind/pos", "catalog", "prices", "2026-01", "GET", scopes.Allowed, 0.8, 200},
	{"northwind/pos", "catalog", "prices", "2025-06", "GET", scopes.Allowed, 0.1, 200},
	{"northwind/mobile-app", "orders", "list", "v2", "GET", scopes.Allowed, 0.4, 200},
	{"northwind/mobile-app", "catalog", "product", "2026-01", "GET", scopes.Allowed, 0.3, 200},
	{"northwind/mobile-app", "catalog", "product", "2026-01", "GET", scopes.Allowed, 0.03, 500},
	{"northwind/pos", "catalog", "product", "2026-01", "PUT", scopes.MethodNotGranted, 0.06, 0},
	{"globex/connector", "partners", "actions", "", "POST", scopes.Allowed, 0.2, 201},
	{"globex/connector", "orders", "create", "v1", "POST", scopes.MethodNotGranted, 0.12, 0},
	{"globex/connector", "orders", "list", "v2", "GET", scopes.VersionNotGranted, 0.05, 0},
}

// live has the estate's tokens do what they do, up to now: less at night than by day.
func (p *past) live(t *testing.T, days int) {
	t.Helper()
	now := time.Now()
	for p.now = now.AddDate(0, 0, -days); p.now.Before(now); p.now = p.now.Add(p.step(now)) {
		busy := 60 * p.step(now).Hours() * (1.2 - math.Cos(2*math.Pi*float64(p.now.Hour())/24))
		for i := range traffic {
			u := &traffic[i]
			p.count(t, u, int(math.Round(busy*u.share*(1+0.3*math.Sin(float64(p.now.YearDay()*(i+1)))))))
		}
		if err := p.ledger.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	p.now = now
}

// step is from one time that requests are counted at to the next: each hour of the last two
// days, and before them some.
func (p *past) step(now time.Time) time.Duration {
	if now.Sub(p.now) <= 50*time.Hour {
		return time.Hour
	}
	return 7 * time.Hour
}

// company is a gateway with an estate.
type company struct {
	*gateway
	orders string // the URL of what most of its tokens may read
}

// accepts reports whether a credential is accepted where clients send it.
func (c *company) accepts(t *testing.T, credential string) bool {
	t.Helper()
	return ask(t, http.MethodGet, c.orders, credential).status == http.StatusOK
}

// startCompany runs a gateway with an estate that has been there for half a year.
func startCompany(t *testing.T) *company {
	t.Helper()
	clients := freeAddr(t)
	g := newGateway(t, consoleSite(clients), "")
	p := makePast(t, g, 180, companyFile)
	p.now = time.Now().AddDate(0, 0, -130)
	p.count(t, &used{"northwind/analytics", "invoices", "list", "", "GET", scopes.Allowed, 1, 200}, 40)
	if err := p.ledger.Flush(); err != nil {
		t.Fatal(err)
	}
	p.now = time.Now().AddDate(0, 0, -40)
	_, err := p.store.Rotate(t.Context(), store.Actor{Name: "admin endpoint, from 127.0.0.1, says it is user \"kim\""}, "acme/storefront", 0)
	p.must(t, store.Token{}, err)
	p.live(t, 30)
	p.now = time.Now().AddDate(0, 0, -3)
	token, err := p.store.Deactivate(t.Context(), store.Actor{Name: "admin endpoint, from 127.0.0.1, says it is user \"kim\""}, "acme/returns")
	p.must(t, token, err)
	p.now = time.Now()
	p.close(t)
	g.start(t)
	return &company{g, "http://" + clients + "/orders/v2"}
}
