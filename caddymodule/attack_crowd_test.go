package caddymodule_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// crowd is what the clients of a crowd ask for, in turn, and what they may be answered.
// Where the gateway or its upstream is overloaded, that is 502 or 503 for what is allowed,
// and for nothing else.
var crowd = []struct {
	name    string
	header  string
	answers []int
}{
	{"allowed", "Authorization: Bearer " + secretOf("writer"), []int{http.StatusOK, http.StatusBadGateway, http.StatusServiceUnavailable}},
	{"unknown", "Authorization: Bearer " + secretOf("nobody"), []int{http.StatusForbidden}},
	{"without", "X-Nothing: x", []int{http.StatusForbidden}},
	{"twice", "Authorization: Bearer " + secretOf("writer") + "\r\nAuthorization: Bearer " + secretOf("writer"), []int{http.StatusForbidden}},
	{"claimed", "X-Scopegate-Token: tok_0000000000000000000000\r\nX-Scopegate-Account: acme", []int{http.StatusForbidden}},
}

// Thousands of clients that ask at the same time: each is decided on, nothing arrives that
// was not allowed, and afterwards everything is as before.
func TestCrowd(t *testing.T) {
	t.Parallel()
	g, upstream := loadedGateway(t)
	clients := dialMany(t, g.addr, often(1_000, 10_000))
	var asked sync.WaitGroup
	statuses := make([]int, len(clients))
	for i, conn := range clients {
		asked.Go(func() { statuses[i] = askOnce(conn, g.addr, crowd[i%len(crowd)].header) })
	}
	asked.Wait()
	counts := make(map[string]int)
	for i, status := range statuses {
		who := crowd[i%len(crowd)]
		counts[fmt.Sprint(who.name, " ", status)]++
		fits := status == 0 // closed without an answer
		for _, answer := range who.answers {
			fits = fits || status == answer
		}
		if !fits {
			t.Errorf("%s: got %d, want one of %v", who.name, status, who.answers)
		}
	}
	t.Logf("%v", counts)
	arrived := upstream.requests()
	if allowed := counts["allowed 200"]; len(arrived) < allowed || len(arrived) > len(clients)/len(crowd)+1 || allowed == 0 {
		t.Errorf("%d requests arrived, and %d were answered 200", len(arrived), allowed)
	}
	for _, r := range arrived {
		if raw := string(r.raw); strings.Contains(raw, "tok_0000000000000000000000") || !strings.Contains(raw, "X-Scopegate-Token: tok_") {
			t.Errorf("this arrived:\n%s", excerpt(raw))
		}
	}
	for secret, want := range map[string]int{secretOf("writer"): http.StatusOK, secretOf("nobody"): http.StatusForbidden} {
		if got := statusOf(t, g, secret); got != want {
			t.Errorf("afterwards: got %d, want %d", got, want)
		}
	}
}

// dialMany connects clients, some at a time.
func dialMany(t *testing.T, addr string, n int) []net.Conn {
	t.Helper()
	clients := make([]net.Conn, n)
	at := make(chan int)
	var dialing sync.WaitGroup
	for range 64 {
		dialing.Go(func() {
			for i := range at {
				conn, err := net.DialTimeout("tcp", addr, patience)
				if err != nil {
					t.Error(err)
					continue
				}
				clients[i] = conn
			}
		})
	}
	for i := range n {
		at <- i
	}
	close(at)
	dialing.Wait()
	t.Cleanup(func() {
		for _, conn := range clients {
			if conn != nil {
				hangUp(conn)
			}
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	return clients
}

// askOnce sends one request, and returns the status of the answer; 0 for none.
func askOnce(conn net.Conn, host, header string) int {
	_ = conn.SetDeadline(time.Now().Add(4 * patience)) // a machine that does all this has a lot to do
	request := fmt.Sprintf("GET /raw/x HTTP/1.1\r\nHost: %s\r\n%s\r\n\r\n", host, header)
	if _, err := io.WriteString(conn, request); err != nil {
		return 0
	}
	answer, err := readAnswer(bufio.NewReader(conn), http.MethodGet)
	if err != nil {
		return 0
	}
	return answer.status
}
