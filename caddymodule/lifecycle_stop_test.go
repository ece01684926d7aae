package caddymodule_test

import (
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
)

// SIGTERM lets the requests end that were accepted, and closes the store.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	const requests = 20
	arrived := make(chan struct{}, requests)
	release := make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-release
		_, _ = w.Write([]byte("late"))
	}))
	t.Cleanup(upstream.Close)
	g := startGateway(t, proxyCaddyfile, ordersFile(upstream.URL))

	type result struct {
		reply reply
		err   error
	}
	results := make(chan result, requests)
	for range requests {
		go func() {
			got, err := tryToAsk(t, http.MethodGet, g.url("/orders/v1/7"), readerSecret)
			results <- result{got, err}
		}()
	}
	for range requests {
		<-arrived
	}
	if err := g.process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	g.logs.wait(t, "servers shutting down")
	close(release)
	for range requests {
		if got := <-results; got.err != nil || got.reply.status != http.StatusOK || got.reply.body != "late" {
			t.Errorf("a request that was accepted: got %d %q, error %v; want 200", got.reply.status, got.reply.body, got.err)
		}
	}
	<-g.exited
	g.logs.wait(t, `"msg":"shutdown complete"`, `"exit_code":0`)
	wantClosed(t, g.store)
	g.start(t)
	wantStatus(t, g, "/orders/v2/7", readerSecret, http.StatusForbidden)
}
