package caddymodule

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"github.com/scopegate/scopegate/notify"
)

// heard is a handler that takes note of events, and says that it has failed.
type heard struct{ events []caddy.Event }

func (h *heard) Handle(_ context.Context, e caddy.Event) error {
	h.events = append(h.events, e)
	return errors.New("a handler that fails")
}

// A handler of Caddy's events app gets each event with all that is told of it.
func TestEventsChannel(t *testing.T) {
	t.Parallel()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	handler := new(heard)
	app := &caddyevents.App{Subscriptions: []*caddyevents.Subscription{{
		Events: []string{"scopegate_expiring"}, Handlers: []caddyevents.Handler{handler},
	}}}
	if err := app.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	if err := app.Start(); err != nil {
		t.Fatal(err)
	}
	var to atomic.Pointer[emitter]
	c := &eventsChannel{&to}
	at := time.Date(2027, 4, 1, 0, 0, 0, 0, time.UTC)
	m := &notify.Message{Events: []notify.Event{
		{ID: "one", Kind: notify.Expiring, At: at, Token: "acme/sync", Contact: notify.Contact{Email: "data@acme.example"}, Text: "It expires."},
		{ID: "other", Kind: notify.Deleted, At: at, Token: "acme/old"},
	}}
	if err := c.Deliver(t.Context(), m); !errors.Is(err, errNoEvents) {
		t.Errorf("without a configuration: %v, want that it is tried again", err)
	}
	to.Store(&emitter{app, ctx})
	if err := c.Deliver(t.Context(), m); err != nil {
		t.Errorf("a handler that fails: %v, want that it is not told again", err)
	}
	if len(handler.events) != 1 {
		t.Fatalf("it heard %+v, want the event that it asked for", handler.events)
	}
	data := handler.events[0].Data
	for key, want := range map[string]string{
		"id": "one", "kind": "expiring", "at": "2027-04-01T00:00:00Z", "token": "acme/sync", "contact_email": "data@acme.example", "text": "It expires.",
	} {
		if data[key] != want {
			t.Errorf("%s is %v, want %s", key, data[key], want)
		}
	}
}
