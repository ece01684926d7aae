package caddymodule_test

import (
	"os"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/rogpeppe/go-internal/testscript"

	_ "github.com/scopegate/scopegate/caddymodule"
)

// TestMain makes this test binary a Caddy with the modules as well: it stands in
// PATH under the name caddy, for test scripts and for exec.Command("caddy", …), so
// that tests run real processes of exactly the code under test.
//
// Under the race detector each of these processes would sleep for a second before
// it ends, by default.
func TestMain(m *testing.M) {
	if os.Getenv("GORACE") == "" {
		_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // only time is lost without it
	}
	testscript.Main(m, map[string]func(){"caddy": caddycmd.Main})
}
