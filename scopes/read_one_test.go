package scopes_test

import (
	"strings"
	"testing"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

var oneAPI = []scopes.API{{
	Name: "orders", Versions: []string{"v1", "v2"},
	Operations: []scopes.Operation{
		{Name: "list", Methods: scopes.MethodOf("GET"), Path: "/orders/{version}"},
		{Name: "one", Methods: scopes.MethodOf("GET") | scopes.MethodOf("PUT"), Path: "/orders/{version}/{id}"},
	},
}}

func TestReadToken(t *testing.T) {
	t.Parallel()
	const body = `{"description": "d", "contact": {"email": "a@b.example"}, "version": "v1", "expires": "2099-04-01",
		"scopes": [{"api": "orders", "methods": ["GET"], "operations": ["one"]}]}`
	token, warnings, err := scopes.ReadToken(oneAPI, "acme", "sync", []byte(body), corpusNow)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("got %v and the warnings %v", err, warnings)
	}
	if token.Name != "sync" || token.Expires.Year() != 2099 || len(token.Scopes) != 1 || token.Scopes[0].Versions[0] != "v1" {
		t.Errorf("got %+v", token)
	}
	inYAML, _, err := scopes.ReadToken(oneAPI, "acme", "old", []byte("contact: {email: a@b.example}\naccess: read_only\n"), corpusNow)
	if err != nil || inYAML.Access != scopes.ReadOnly {
		t.Errorf("got %+v, %v", inYAML, err)
	}
}

func TestReadTokenProblems(t *testing.T) {
	t.Parallel()
	const scope = `"scopes": [{"api": "orders", "version": "v1", "methods": ["GET"]}]`
	const about = `"description": "d", "contact": {"email": "a@b.example"}`
	for _, test := range []struct{ name, account, token, body, want string }{
		{"account", "a/b", "sync", "{" + about + "," + scope + "}", `an account cannot be called "a/b"`},
		{"token", "acme", "", "{" + about + "," + scope + "}", `a token cannot be called ""`},
		{"nothing", "acme", "sync", "", "is empty"},
		{"no mapping", "acme", "sync", "[1]", "a token is a mapping"},
		{"unknown key", "acme", "sync", "{" + about + `, "scope": [],` + scope + "}", `a token has no key "scope"; did you mean "scopes"?`},
		{"unknown API", "acme", "sync", "{" + about + `, "scopes": [{"api": "order", "methods": ["GET"]}]}`, `there is no API "order"; did you mean "orders"?`},
		{"unknown operation", "acme", "sync", "{" + about + `, "scopes": [{"api": "orders", "version": "v1", "methods": ["GET"], "operations": ["lst"]}]}`, `has no operation "lst"; did you mean "list"?`},
		{"version", "acme", "sync", "{" + about + `, "scopes": [{"api": "orders", "methods": ["GET"]}]}`, `say which one this scope grants`},
		{"contact", "acme", "sync", `{"description": "d",` + scope + "}", `needs "contact"`},
		{"description", "acme", "sync", `{"contact": {"email": "a@b.example"},` + scope + "}", `needs "description"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := scopes.ReadToken(oneAPI, test.account, test.token, []byte(test.body), corpusNow)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestParseInterval(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]time.Duration{"7d": 7 * 24 * time.Hour, "2w": 14 * 24 * time.Hour, "36h": 36 * time.Hour, "1s": time.Second} {
		if got, err := scopes.ParseInterval(s); got != want || err != nil {
			t.Errorf("%s: got %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "7", "-1d", "0s", "1ms", "101y", "99999d", "1h30"} {
		if got, err := scopes.ParseInterval(s); err == nil {
			t.Errorf("%q: got %v, want an error", s, got)
		}
	}
}
