package caddymodule_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tokenIDPrefix is what an id begins with.
const tokenIDPrefix = "tok_"

// siteWith is a gateway whose site has the given directives, and which writes its
// access log to {$DIR}/access.log.
func siteWith(directives string) string {
	return `{
	admin {$ADMIN}
	scopegate {
		store {$STORE}
		scopes {$SCOPES}
	}
}

http://{$GATEWAY} {
	log {
		output file {$DIR}/access.log
	}
` + directives + "\n}\n"
}

// accessLog returns the entry of the access log for a target.
func accessLog(t *testing.T, g *gateway, target string) map[string]any {
	t.Helper()
	var found map[string]any
	poll(t, "an entry of the access log for "+target, func() bool {
		content, err := os.ReadFile(filepath.Join(g.dir, "access.log"))
		if err != nil {
			return false
		}
		for line := range strings.Lines(string(content)) {
			var entry map[string]any
			if !strings.HasSuffix(line, "\n") || json.Unmarshal([]byte(line), &entry) != nil {
				continue
			}
			if request, _ := entry["request"].(map[string]any); request["uri"] == target {
				found = entry
				return true
			}
		}
		return false
	})
	return found
}

// What was decided is in placeholders, for whatever stands behind scopegate, and in
// the access log.
func TestPlaceholders(t *testing.T) {
	t.Parallel()
	const shown = "{http.scopegate.account}|{http.scopegate.token}|{http.scopegate.api}|{http.scopegate.version}|" +
		"{http.scopegate.operation}|{http.scopegate.decision}|{http.scopegate.reason}"
	g := startGateway(t, siteWith(`
	log_append decided {http.scopegate.decision}
	header >X-Decided "`+shown+`"
	header >X-User "{http.auth.user.id}"
	scopegate
	respond "`+shown+`"`), ordersFile("http://127.0.0.1:1"))
	id := tokenIDOf(t, g, "acme/reader")
	tests := []struct {
		name, method, target, secret string
		status                       int
		decided, user                string
	}{
		{"allow", "GET", "/orders/v1/7", readerSecret, 200, "acme|acme/reader|orders|v1|one|allow|", id},
		{"allow HEAD", "HEAD", "/orders/v1/1", readerSecret, 200, "acme|acme/reader|orders|v1|one|allow|", id},
		{"method", "PUT", "/orders/v1/8", readerSecret, 403, "acme|acme/reader|orders|v1|one|deny|method_not_granted", id},
		{"version", "GET", "/orders/v2/9", readerSecret, 403, "acme|acme/reader|orders|v2|one|deny|version_not_granted", id},
		{"no API", "GET", "/nowhere", readerSecret, 403, "acme|acme/reader||||deny|no_api", id},
		{"unknown", "GET", "/orders/v1/10", "unknown-0123456789abcdef", 403, "|||||deny|unknown_token", "{http.auth.user.id}"},
		{"none", "GET", "/orders/v1/11", "", 403, "|||||deny|no_credential", "{http.auth.user.id}"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := ask(t, test.method, g.url(test.target), test.secret)
			if got.status != test.status {
				t.Errorf("got status %d, want %d", got.status, test.status)
			}
			if decided := got.header.Get("X-Decided"); decided != test.decided {
				t.Errorf("got %q in a header, want %q", decided, test.decided)
			}
			if user := got.header.Get("X-User"); user != test.user {
				t.Errorf("got {http.auth.user.id} = %q, want %q", user, test.user)
			}
			if test.status == http.StatusOK && test.method != http.MethodHead && got.body != test.decided {
				t.Errorf("got %q in the body, want %q", got.body, test.decided)
			}
			checkAccessLog(t, accessLog(t, g, test.target), test.decided, test.user)
		})
	}
}

// checkAccessLog compares an entry of the access log with the values of the
// placeholders, in order.
func checkAccessLog(t *testing.T, entry map[string]any, decided, user string) {
	t.Helper()
	got, _ := entry["scopegate"].(map[string]any)
	names := []string{"account", "token", "api", "version", "operation", "decision", "reason"}
	for i, want := range strings.Split(decided, "|") {
		if got[names[i]] != want {
			t.Errorf("access log: got %s %q, want %q", names[i], got[names[i]], want)
		}
	}
	if len(got) != len(names) {
		t.Errorf("access log: got %v, want only %v", got, names)
	}
	if entry["decided"] != got["decision"] {
		t.Errorf("log_append: got %q, want %q", entry["decided"], got["decision"])
	}
	if strings.HasPrefix(user, tokenIDPrefix) && entry["user_id"] != user {
		t.Errorf("access log: got user_id %q, want %q", entry["user_id"], user)
	}
}

// tokenIDOf returns the id of a token.
func tokenIDOf(t *testing.T, g *gateway, ref string) string {
	t.Helper()
	var token struct {
		ID string `json:"id"`
	}
	got := ask(t, http.MethodGet, g.adminURL("/scopegate/tokens/"+ref), "")
	if err := json.Unmarshal([]byte(got.body), &token); err != nil || !strings.HasPrefix(token.ID, tokenIDPrefix) {
		t.Fatalf("token %s: got %d %s", ref, got.status, got.body)
	}
	return token.ID
}

// No log and no metric has a credential, whatever its level.
func TestNoCredentialIsLogged(t *testing.T) {
	t.Parallel()
	upstream := startEcho(t)
	caddyfile := strings.Replace(siteWith("\tscopegate {\n\t\tcredentials bearer basic\n\t}\n\treverse_proxy "+upstream.addr),
		"{\n", "{\n\tdebug\n", 1)
	g := startGateway(t, caddyfile, ordersFile(upstream.url()))
	secrets := []string{readerSecret, "unknown-0123456789abcdef"}
	for _, secret := range secrets {
		ask(t, http.MethodGet, g.url("/orders/v1/7"), secret)
		ask(t, http.MethodPut, g.url("/orders/v1/7"), secret)
		ask(t, http.MethodGet, g.url("/orders/v1/7"), "", "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("acme:"+secret)))
		ask(t, http.MethodGet, g.url("/orders/v1/7"), "", "Authorization: Bearer "+secret, "Authorization: Bearer "+secret)
	}
	wantStatus(t, g, "/orders/v1/last", readerSecret, http.StatusOK)
	accessLog(t, g, "/orders/v1/last")
	access, err := os.ReadFile(filepath.Join(g.dir, "access.log"))
	if err != nil {
		t.Fatal(err)
	}
	metrics := ask(t, http.MethodGet, g.adminURL("/metrics"), "").body
	for _, secret := range secrets {
		for _, form := range []string{secret, digestOf(secret)[len("sha256:"):], base64.StdEncoding.EncodeToString([]byte("acme:" + secret))} {
			for where, text := range map[string]string{"log": g.logs.String(), "access log": string(access), "metrics": metrics} {
				if strings.Contains(text, form) {
					t.Errorf("the %s has %q", where, form)
				}
			}
		}
	}
}
