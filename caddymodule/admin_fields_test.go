package caddymodule_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// What is wrong with what was sent is told by its keys, so that a form can show each
// problem where it belongs.
func TestWrongFields(t *testing.T) {
	t.Parallel()
	g := startGateway(t, adminSite("", freeAddr(t)), roleFile())
	for _, c := range []struct {
		name, target, body string
		keys               []string
	}{
		{"a name", "/scopegate/accounts", `{"name": "no name"}`, []string{"name"}},
		{"all of an account", "/scopegate/accounts", `{"name": "-", "title": "a\nb", "ids": [""], "max_active_tokens": -1}`, []string{"ids", "max_active_tokens", "name", "title"}},
		{"the account's own name", "/scopegate/accounts", `{"name": "new", "ids": ["new"]}`, []string{"ids"}},
		{
			"of a token", "/scopegate/tokens",
			`{"token": "acme/wrong", "description": "", "contact": {"email": "nobody"}, "expires": "soon", "sources": ["here"], "environment": "moon", "scopes": [{"api": "nothing", "methods": ["GET"]}]}`,
			[]string{"contact", "description", "environment", "expires", "scopes", "sources"},
		},
		{"what is missing", "/scopegate/tokens", `{"token": "acme/wrong", "contact": {"email": "a@b.example"}, "scopes": [{"api": "partners", "methods": ["GET"]}]}`, []string{""}},
	} {
		got := g.manage(t, "admin", "POST", c.target, jsonType, c.body)
		var told struct {
			Error  string
			Fields []struct{ Key, Text string }
		}
		if err := json.Unmarshal([]byte(got.body), &told); err != nil || got.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: got %d %s", c.name, got.status, got.body)
			continue
		}
		var keys []string
		for _, f := range told.Fields {
			keys = append(keys, f.Key)
			if f.Text == "" || !strings.Contains(told.Error, f.Text) {
				t.Errorf("%s: the problem of %q is %q, and the error %q", c.name, f.Key, f.Text, told.Error)
			}
		}
		slices.Sort(keys)
		if keys = slices.Compact(keys); !slices.Equal(keys, c.keys) {
			t.Errorf("%s: got %q, want %q: %s", c.name, keys, c.keys, got.body)
		}
	}
	var issued struct{ Credential string }
	if err := json.Unmarshal([]byte(g.manage(t, "admin", "POST", "/scopegate/tokens/acme/spare/issue", "", "").body), &issued); err != nil || issued.Credential == "" {
		t.Fatal(issued, err)
	}
	body := `{"token": "acme/wrong", "description": "é", "contact": {"email": "a@b.example"}, "expires": "` + issued.Credential + `", "scopes": [{"api": "partners", "methods": ["GET"]}]}`
	got := g.manage(t, "admin", "POST", "/scopegate/tokens", jsonType, body)
	if !strings.Contains(got.body, `{"key":"expires"`) || strings.Contains(got.body, issued.Credential) {
		t.Errorf("got %s, want a problem of expires, without the credential", got.body)
	}
}
