package caddymodule_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scopegate/scopegate/scopes"
)

// verboseCaddyfile logs all that Caddy can log. The filter is the one that the
// documentation has for a credential in a header of its own, and one for those
// that a client puts into the query by mistake.
const verboseCaddyfile = `{
	debug
	admin {$ADMIN}
	metrics
	log {
		level DEBUG
		format filter {
			request>headers>X-Api-Key delete
			request>uri regexp sgt_[0-9A-Za-z]{49} sgt_REDACTED
		}
	}
	scopegate {
		store {$STORE}
		scopes {$SCOPES}
	}
}

http://{$GATEWAY} {
	log {
		level DEBUG
		format filter {
			request>headers>X-Api-Key delete
			request>uri regexp sgt_[0-9A-Za-z]{49} sgt_REDACTED
		}
	}
	scopegate_proxy {
		credentials bearer basic header X-Api-Key
		verbose_logs
	}
}
`

// TestSecrets sends credentials, and what is almost one, in every place, and then
// looks for them in all that a gateway writes, answers and keeps.
func TestSecrets(t *testing.T) {
	t.Parallel()
	upstream, broken := startEcho(t), freeAddr(t)
	imported := newCredential(t)
	g := startGateway(t, verboseCaddyfile, fmt.Sprintf(`format: 1
apis:
  raw: {upstream: [%q], operations: {all: "* /raw/**"}}
  broken: {upstream: ["http://%s"], operations: {all: "* /broken/**"}}
accounts:
  acme:
    tokens:
      imported: {description: d, contact: {email: a@b.example}, scopes: [{api: raw, methods: ["*"]}, {api: broken, methods: ["*"]}], credential: %q}
      issued: {description: d, contact: {email: a@b.example}, scopes: [{api: raw, methods: ["*"]}]}
`, upstream.url(), broken, imported.Digest()))
	issued := issueTo(t, g, "acme/issued")
	unknown := newCredential(t).Reveal()
	for _, secret := range []string{imported.Reveal(), issued, unknown} {
		for _, line := range spread(secret) {
			for _, target := range []string{"/raw/x", "/broken/x", "/nothing", "/raw/.."} {
				for _, method := range []string{"GET", "POST"} {
					raw := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n\r\n", method, target, g.addr, line)
					answer := sendRaw(t, g.addr, raw)
					for _, part := range windows(secret) {
						if strings.Contains(answer, part) {
							t.Fatalf("%s\nwas answered with a part of the credential:\n%s", raw, answer)
						}
					}
				}
			}
		}
		sendRaw(t, g.addr, "GET /raw/x?access_token="+secret+"&token="+secret+" HTTP/1.1\r\nHost: "+g.addr+"\r\nConnection: close\r\nCookie: t="+secret+"\r\n\r\n")
	}
	if len(upstream.requests()) == 0 {
		t.Fatal("no credential was accepted")
	}
	g.scopegate(t, "token", "list")
	g.scopegate(t, "token", "show", "acme/issued")
	told := map[string]string{"the log": "", "the store": ""}
	for _, path := range []string{
		"/config/", "/metrics", "/reverse_proxy/upstreams", "/debug/vars", "/scopegate/status", "/scopegate/accounts",
		"/scopegate/tokens", "/scopegate/tokens/acme/issued", "/scopegate/tokens/acme/imported", "/scopegate/tokens/acme/nobody", "/scopegate/",
	} {
		told["the answer to "+path] = adminAnswer(t, g, path)
	}
	g.stop(t)
	told["the log"] = g.logs.String()
	told["the store"] = filesIn(t, g.dir, g.scopes)
	for what, text := range told {
		for name, secret := range map[string]string{"imported": imported.Reveal(), "issued": issued, "unknown": unknown} {
			if leaked := firstOf(text, windows(secret)); leaked != "" {
				t.Errorf("%s has a part of the %s credential: …%s…", what, name, around(text, leaked))
			}
			if what == "the store" {
				continue // it is there to keep digests
			}
			digest := strings.TrimPrefix(scopes.DigestOf(secret).String(), "sha256:")
			if leaked := firstOf(text, []string{digest, digest[:16]}); leaked != "" {
				t.Errorf("%s has the digest of the %s credential: …%s…", what, name, around(text, leaked))
			}
		}
	}
}

// spread returns header lines that hold a credential in every place and form.
func spread(secret string) []string {
	encoded := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	return []string{
		"Authorization: Bearer " + secret,
		"Authorization: Bearer " + secret + "x",
		"Authorization: Bearer " + secret + ", Bearer " + secret,
		"Authorization: Bearer " + secret + "\r\nAuthorization: Bearer " + secret,
		"Authorization: " + secret,
		"Authorization: Basic " + encoded(":"+secret),
		"Authorization: Basic " + encoded("acme:"+secret),
		"Authorization: Basic " + encoded("globex:"+secret),
		"Authorization: Basic " + encoded(secret+":"),
		"X-Api-Key: " + secret,
		"X-Api-Key: " + secret + "x",
		"X-Api-Key: " + secret + "\r\nAuthorization: Bearer " + secret,
		"Proxy-Authorization: Bearer " + secret,
		"Cookie: session=" + secret,
		"Authorization: Bearer " + secret + "\r\nX-HTTP-Method-Override: BREW",
		"Authorization: Bearer " + secret + "\r\nExpect: 100-continue\r\nContent-Length: 0",
	}
}

// windows returns all parts of 8 characters.
func windows(secret string) []string {
	const length = 8
	var parts []string
	for i := len("sgt_"); i+length <= len(secret); i++ {
		parts = append(parts, secret[i:i+length])
	}
	// as it stands in Basic, wherever it begins
	for shift := range 3 {
		encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + secret[len("sgt_"):]))
		parts = append(parts, encoded[4:16], encoded[16:28])
	}
	return parts
}

func firstOf(text string, parts []string) string {
	for _, part := range parts {
		if strings.Contains(text, part) {
			return part
		}
	}
	return ""
}

func around(text, part string) string {
	at := strings.Index(text, part)
	return text[max(0, at-300):min(len(text), at+100)]
}

func newCredential(t *testing.T) scopes.Credential {
	t.Helper()
	credential, err := scopes.NewCredential(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return credential
}

// issueTo gives a token a credential and returns it.
func issueTo(t *testing.T, g *gateway, token string) string {
	t.Helper()
	out := g.scopegate(t, "token", "issue", token, "--json")
	_, credential, found := strings.Cut(out.stdout, `"sgt_`)
	if out.code != 0 || !found {
		t.Fatalf("issuing a credential: exit %d\n%s", out.code, out.stderr)
	}
	credential, _, _ = strings.Cut(credential, `"`)
	return "sgt_" + credential
}

// sendRaw sends bytes and returns all that comes back.
func sendRaw(t *testing.T, addr, raw string) string {
	t.Helper()
	conn := dialGateway(t, addr)
	defer hangUp(conn)
	if _, err := io.WriteString(conn, raw); err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(conn) // it may end in a reset
	return string(answer)
}

func adminAnswer(t *testing.T, g *gateway, path string) string {
	t.Helper()
	response, err := http.Get(g.adminURL(path))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var all bytes.Buffer
	_ = response.Header.Write(&all) // to memory
	if _, err := all.ReadFrom(response.Body); err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// filesIn returns the content of all files below a folder but one, and holds that
// the store's are for their owner only.
func filesIn(t *testing.T, dir, except string) string {
	t.Helper()
	var all strings.Builder
	folder := os.DirFS(dir)
	err := fs.WalkDir(folder, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path == filepath.Base(except) {
			return err
		}
		if info, err := entry.Info(); err == nil && strings.Contains(path, "scopegate") && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", path, info.Mode().Perm())
		}
		content, err := fs.ReadFile(folder, path)
		all.Write(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
