package caddymodule_test

import (
	"net/http"
	"os"
	"testing"
)

// A store whose file was cut off while it was open decides on nothing any more.
// Once the file is restored it is opened again without a restart, and what was
// revoked since the backup was made stays revoked.
func TestStoreIsOpenedAgain(t *testing.T) {
	t.Parallel()
	upstream := startEcho(t)
	g := startGateway(t, proxyCaddyfile, ordersFile(upstream.url()))
	backup, err := os.ReadFile(g.store)
	if err != nil {
		t.Fatal(err)
	}
	if out := g.scopegate(t, "token", "deactivate", "acme/writer"); out.code != 0 {
		t.Fatalf("deactivate: exit %d: %s", out.code, out.stderr)
	}
	wantStatus(t, g, "/orders/v1/7", writerSecret, http.StatusForbidden)

	if err := os.Truncate(g.store, 4096); err != nil {
		t.Fatal(err)
	}
	g.scopegate(t, "token", "list") // reading finds it out
	pollStatus(t, g, "/orders/v1/7", readerSecret, http.StatusServiceUnavailable)

	if err := os.WriteFile(g.store, backup, 0o600); err != nil {
		t.Fatal(err)
	}
	pollStatus(t, g, "/orders/v1/7", readerSecret, http.StatusOK)
	wantStatus(t, g, "/orders/v1/7", writerSecret, http.StatusForbidden)
	g.logs.wait(t, "the store is open again")
}
