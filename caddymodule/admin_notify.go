package caddymodule

import (
	"errors"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/scopegate/scopegate/notify"
)

// notifyRoutes are the routes about messages. They are Caddy's admin endpoint's only: by them the
// server speaks to others.
func (m *management) notifyRoutes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: "/scopegate/notify/test", Handler: resource{http.MethodPost: m.testNotify}}}
}

// messageTests is what came of test messages.
type messageTests struct {
	Results []messageTest `json:"results"`
}

// messageTest is what came of one test message.
type messageTest struct {
	Channel   string  `json:"channel"`
	To        string  `json:"to,omitempty"` // an address; "" for a channel that has none
	Delivered bool    `json:"delivered"`
	Error     string  `json:"error,omitempty"`
	Seconds   float64 `json:"seconds"` // that it took
}

// errNoNotify: the configuration says of nobody that they are told.
var errNoNotify = errors.New("nobody is told of tokens here; add the block notify to the global option scopegate")

// testNotify sends a message to each channel at once.
func (m *management) testNotify(r *http.Request) (any, error) {
	values, err := parameters(r, "to")
	if err != nil {
		return nil, err
	}
	if err := noBody(r); err != nil {
		return nil, err
	}
	n, err := m.messages()
	if err != nil {
		return nil, err
	}
	if n == nil {
		return nil, caddy.APIError{HTTPStatus: http.StatusConflict, Err: errNoNotify}
	}
	to := values.Get("to")
	if values.Has("to") && !isAddress(to) {
		return nil, failf(http.StatusBadRequest, "to is an e-mail address, such as ops@example.com, not %q", to)
	}
	tests := messageTests{Results: []messageTest{}}
	for _, result := range n.Test(r.Context(), to) {
		tests.Results = append(tests.Results, testOf(&result))
	}
	return tests, nil
}

func testOf(r *notify.Result) messageTest {
	took := r.Took.Round(time.Millisecond)
	return messageTest{Channel: r.Channel, To: r.To, Delivered: r.Error == "", Error: r.Error, Seconds: took.Seconds()}
}
