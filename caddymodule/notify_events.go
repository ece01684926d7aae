package caddymodule

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"github.com/scopegate/scopegate/notify"
)

// eventPrefix is what the names of events begin with in Caddy's events app.
const eventPrefix = "scopegate_"

// emitter is the events app of a configuration.
type emitter struct {
	events *caddyevents.App
	ctx    caddy.Context
}

// provisionEmitter takes the events app of a configuration.
func provisionEmitter(ctx caddy.Context) (*emitter, error) {
	events, err := ctx.App("events")
	if err != nil {
		return nil, err
	}
	return &emitter{events.(*caddyevents.App), ctx}, nil //nolint:forcetypeassert // the only type under this name
}

// provisionNotify fills in what the block notify says.
func (a *App) provisionNotify(ctx caddy.Context) (err error) {
	if a.Notify == nil {
		return nil
	}
	if a.messages, err = a.Notify.provision(); err != nil {
		return err
	}
	a.emitter, err = provisionEmitter(ctx)
	return err
}

// eventsChannel hands events to the events app of the newest configuration.
type eventsChannel struct {
	emitter *atomic.Pointer[emitter]
}

// Name implements [notify.Channel].
func (*eventsChannel) Name() string { return "events" }

// Personal implements [notify.Channel].
func (*eventsChannel) Personal() bool { return false }

// errNoEvents: no configuration runs just now.
var errNoEvents = errors.New("no configuration runs that could hear of events")

// Deliver implements [notify.Channel]. What handlers do is their own affair: nothing is handed to
// them twice because one of them has failed.
func (c *eventsChannel) Deliver(_ context.Context, m *notify.Message) error {
	to := c.emitter.Load()
	if to == nil {
		return errNoEvents
	}
	for i := range m.Events {
		e := &m.Events[i]
		to.events.Emit(to.ctx, eventPrefix+string(e.Kind), eventData(e))
	}
	return nil
}

// eventData returns an event as handlers get it.
func eventData(e *notify.Event) map[string]any {
	return map[string]any{
		"id": e.ID, "kind": string(e.Kind), "at": e.At.Format(time.RFC3339),
		"token": e.Token, "token_id": e.TokenID, "account": e.Account, "description": e.Description,
		"contact_name": e.Contact.Name, "contact_email": e.Contact.Email,
		"api": e.API, "version": e.Version, "operation": e.Operation,
		"text": e.Text, "hint": e.Hint,
	}
}

var _ notify.Channel = (*eventsChannel)(nil)
