package caddymodule_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Caddy redacts Authorization in its logs and no other header: so a configuration
// that would write a credential in another one to an access log is refused, and
// one that is accepted writes none.
func TestCredentialsInLogs(t *testing.T) {
	t.Parallel()
	const (
		gate         = "scopegate {\n credentials bearer header x-api-key\n }\n respond ok\n"
		filter       = "format filter {\n request>headers>X-Api-Key delete\n }\n"
		filterGlobal = "log {\n " + filter + "}\n"
		site         = "http://{$GATEWAY} {\n"
	)
	tests := []struct {
		name, global, sites string
		leaks               []string // the logs that are named in the error; none if there is none
	}{
		{"no access log", "", site + gate + "}", nil},
		{"no access log, other logs", "log {\n level DEBUG\n }\n", site + gate + "}", nil},
		{"plain", "", site + "log\n" + gate + "}", []string{"default"}},
		{"plain, with an output", "", site + "log {\n output file {$DIR}/a.log\n }\n" + gate + "}", []string{"default", "log0"}},
		{"filtered for the site only", "", site + "log {\n " + filter + "}\n" + gate + "}", []string{"default"}},
		{"filtered globally only", filterGlobal, site + "log {\n output file {$DIR}/a.log\n }\n" + gate + "}", []string{"log0"}},
		{"filtered globally, plain", filterGlobal, site + "log\n" + gate + "}", nil},
		{"filtered in both", filterGlobal, site + "log {\n output file {$DIR}/a.log\n" + filter + "}\n" + gate + "}", nil},
		{
			"replaced and hashed", "log {\n format filter {\n request>headers>X-Api-Key replace gone\n }\n }\n",
			site + "log {\n output file {$DIR}/a.log\n format filter {\n request>headers>X-Api-Key hash\n }\n }\n" + gate + "}", nil,
		},
		{
			"all headers", "log {\n format filter {\n request>headers delete\n }\n }\n",
			site + "log\n" + gate + "}", nil,
		},
		{
			"another header", "log {\n format filter {\n request>headers>X-Other delete\n }\n }\n",
			site + "log\n" + gate + "}",
			[]string{"default"},
		},
		{
			"another spelling", "log {\n format filter {\n request>headers>x-api-key delete\n }\n }\n",
			site + "log\n" + gate + "}",
			[]string{"default"},
		},
		{
			"wrapped", "log {\n format filter {\n wrap console\n fields {\n request>headers>X-Api-Key delete\n }\n }\n }\n",
			site + "log\n" + gate + "}", nil,
		},
		{
			"wrapped twice", "log {\n format append {\n wrap filter {\n wrap json\n fields {\n request>headers>X-Api-Key delete\n }\n }\n fields {\n server a\n }\n }\n }\n",
			site + "log\n" + gate + "}", nil,
		},
		{
			"wrapped, not filtered", "log {\n format append {\n wrap json\n fields {\n server a\n }\n }\n }\n",
			site + "log\n" + gate + "}",
			[]string{"default"},
		},
		{
			"a second global log", filterGlobal + "log all {\n output file {$DIR}/all.log\n }\n",
			site + "log\n" + gate + "}",
			[]string{"all"},
		},
		{
			"a second global log of something else", filterGlobal + "log admin {\n output file {$DIR}/admin.log\n include admin\n }\n",
			site + "log\n" + gate + "}", nil,
		},
		{
			"a second global log without access", filterGlobal + "log most {\n output file {$DIR}/most.log\n exclude http.log\n }\n",
			site + "log\n" + gate + "}", nil,
		},
		{
			"another site of the server", filterGlobal,
			site + "log {\n output file {$DIR}/a.log\n " + filter + "}\n" + gate + "}\n" +
				"http://localhost:" + gatewayPort + " {\n log {\n output file {$DIR}/b.log\n }\n respond ok\n }",
			[]string{"log1"},
		},
		{
			"another server", filterGlobal,
			site + gate + "}\nhttp://localhost:{$OTHER} {\n log {\n output file {$DIR}/b.log\n }\n respond ok\n }", nil,
		},
		{
			"another server, both with logs", filterGlobal,
			site + "log\n" + gate + "}\nhttp://localhost:{$OTHER} {\n log {\n output file {$DIR}/b.log\n }\n respond ok\n }", nil,
		},
		{
			"a log that routes choose", filterGlobal,
			site + "log chosen {\n no_hostname\n output file {$DIR}/chosen.log\n }\n log_name chosen\n log\n" + gate + "}",
			[]string{"chosen"},
		},
		{
			"a log that routes choose, filtered", filterGlobal,
			site + "log chosen {\n no_hostname\n output file {$DIR}/chosen.log\n " + filter + "}\n log_name chosen\n log\n" + gate + "}", nil,
		},
	}
	g := startGateway(t, proxyCaddyfile, ordersFile("http://127.0.0.1:1"))
	other := freeAddr(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			caddyfile := "{\n admin {$ADMIN}\n scopegate {\n store {$STORE}\n scopes {$SCOPES}\n }\n" + test.global + "}\n" + test.sites + "\n"
			caddyfile = strings.NewReplacer("{$OTHER}", portOf(other), gatewayPort, portOf(g.addr)).Replace(caddyfile)
			got := g.load(t, caddyfile)
			if test.leaks == nil {
				if got.status != http.StatusOK {
					t.Fatalf("got %d %s, want it to be accepted", got.status, got.body)
				}
				wantNoTrace(t, g, test.name)
				return
			}
			var named []string
			for _, log := range []string{"all", "admin", "chosen", "default", "log0", "log1", "most"} {
				if strings.Contains(got.body, fmt.Sprintf(`the log \"%s\"`, log)) {
					named = append(named, log)
				}
			}
			if got.status == http.StatusOK || !slices.Equal(named, test.leaks) {
				t.Errorf("got %d %s, want an error about the logs %q", got.status, got.body, test.leaks)
			}
			if want := `\tformat filter {\n\t\trequest\u003eheaders\u003eX-Api-Key delete\n\t}`; !strings.Contains(got.body, want) {
				t.Errorf("got %s, want the block to paste, %s", got.body, want)
			}
		})
	}
}

// gatewayPort stands for the gateway's port.
const gatewayPort = "{$PORT}"

func portOf(addr string) string {
	_, port, _ := cutLast(addr, ":")
	return port
}

// wantNoTrace fails the test if a credential that is sent to the gateway, as it
// should be and to another host, is in a file or log afterwards.
func wantNoTrace(t *testing.T, g *gateway, name string) {
	t.Helper()
	secret := fmt.Sprintf("%x-0123456789abcdef", name)
	for _, line := range []string{"X-Other: a", "Host: elsewhere.example"} {
		ask(t, http.MethodGet, g.url("/orders/v1/7"), "", "X-Api-Key: "+secret, line)
	}
	if strings.Contains(g.logs.String(), secret) {
		t.Errorf("the log has the credential %s", secret)
	}
	files, err := filepath.Glob(filepath.Join(g.dir, "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(content), secret) {
			t.Errorf("%s has the credential %s", file, secret)
		}
	}
}

// Caddy's option to log credentials is refused beside scopegate.
func TestLogCredentialsIsRefused(t *testing.T) {
	t.Parallel()
	g := newGateway(t, strings.Replace(proxyCaddyfile, "servers {", "servers {\n\t\tlog_credentials", 1)+"\nhttp://localhost:1 {\n\tlog\n}\n", "")
	g.addr, g.admin = freeAddr(t), freeAddr(t)
	if err := g.run(); err == nil {
		t.Fatal("Caddy serves, want an error")
	}
	g.logs.wait(t, "log_credentials would write the credentials of every request")
}
