package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

var updateAdapted = flag.Bool("update-adapted", false, "write what Caddyfiles adapt to into testdata/adapt")

// adaptedRule stands between a Caddyfile and what it adapts to.
const adaptedRule = "\n----------\n"

// Each file of testdata/adapt is a Caddyfile and the JSON or the error that it
// adapts to.
func TestCaddyfile(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/adapt/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("got %d files (error %v), want some", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			t.Parallel()
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, found := strings.Cut(string(content), adaptedRule)
			if !found && !*updateAdapted {
				t.Fatalf("no line %q", adaptedRule)
			}
			input = strings.TrimSuffix(input, "\n")
			got := adapted(t, input+"\n")
			if *updateAdapted {
				writeFile(t, file, input+adaptedRule+got)
				return
			}
			if got != want {
				t.Errorf("the Caddyfile\n%s\nadapts to\n%s\nwant\n%s", input, got, want)
			}
		})
	}
}

// The comment of a shorthand says what it stands for. This is that.
func TestProxyIsAShorthand(t *testing.T) {
	t.Parallel()
	short := adapted(t, `:8080 {
	scopegate_proxy {
		apis orders
		lb_policy least_conn
		transport http {
			dial_timeout 1s
		}
	}
}
`)
	long := adapted(t, `:8080 {
	scopegate {
		apis orders
	}
	reverse_proxy {
		dynamic scopegate
		lb_policy least_conn
		transport scopegate {
			dial_timeout 1s
		}
	}
}
`)
	if short != long {
		t.Errorf("scopegate_proxy adapts to\n%s\nscopegate and reverse_proxy to\n%s", short, long)
	}
}

// adapted returns the JSON that a Caddyfile adapts to, indented, or the error.
func adapted(t *testing.T, input string) string {
	t.Helper()
	if formatted := caddyfile.Format([]byte(input)); string(formatted) != input {
		t.Errorf("the Caddyfile is not formatted; got\n%s\nwant\n%s", input, formatted)
	}
	config, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(input), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err.Error() + "\n"
	}
	for _, w := range warnings {
		t.Errorf("adapting warns: %s", w)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, config, "", "\t"); err != nil {
		t.Fatalf("adapting gives no JSON: %v\n%s", err, config)
	}
	return out.String() + "\n"
}
