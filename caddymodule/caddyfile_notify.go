package caddymodule

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// unmarshalNotify reads who is told what.
func (a *App) unmarshalNotify(d *caddyfile.Dispenser) error {
	if a.Notify != nil {
		return d.Err("notify stands twice")
	}
	if d.NextArg() {
		return d.Err("notify takes a block: notify { operator <address> … }")
	}
	n := new(Notify)
	a.Notify = n
	for d.NextBlock(1) {
		var err error
		switch d.Val() {
		case "operator":
			err = oneArg(d, &n.Operator)
		case "contacts":
			err = oneArg(d, &n.Contacts)
		case "events":
			err = n.unmarshalEvents(d)
		case "digest":
			err = oneArg(d, &n.Digest)
		case "link":
			err = oneArg(d, &n.Link)
		case "webhook":
			err = n.unmarshalWebhook(d)
		case "smtp":
			err = n.unmarshalSMTP(d)
		default:
			err = d.Errf("unknown option %q of notify; expected operator, contacts, events, digest, link, webhook or smtp", d.Val())
		}
		if err != nil {
			return err
		}
		if err := n.checkWords(); err != nil {
			return d.WrapErr(err)
		}
	}
	if n.Operator != "" && n.SMTP == nil {
		return d.WrapErr(errNoMailServer)
	}
	return nil
}

func (n *Notify) unmarshalEvents(d *caddyfile.Dispenser) error {
	if n.Events != nil {
		return d.Err("events stands twice; name all in one line")
	}
	n.Events = d.RemainingArgs()
	if len(n.Events) == 0 {
		return d.Errf("events takes the names of events; there are %s", kindNames())
	}
	return nil
}

func (n *Notify) unmarshalWebhook(d *caddyfile.Dispenser) error {
	if n.Webhook != nil {
		return d.Err("webhook stands twice; one receiver is told")
	}
	n.Webhook = new(NotifyWebhook)
	if err := oneArg(d, &n.Webhook.URL); err != nil {
		return err
	}
	for d.NextBlock(2) { //nolint:mnd // in notify, in scopegate
		if d.Val() != "secret" {
			return d.Errf("unknown option %q of webhook; expected secret", d.Val())
		}
		if err := oneArg(d, &n.Webhook.Secret); err != nil {
			return err
		}
	}
	if n.Webhook.Secret == "" {
		return d.WrapErr(errNoHookSecret)
	}
	return nil
}

func (n *Notify) unmarshalSMTP(d *caddyfile.Dispenser) error {
	if n.SMTP != nil {
		return d.Err("smtp stands twice; mail is sent by one server")
	}
	n.SMTP = new(NotifySMTP)
	if err := oneArg(d, &n.SMTP.Address); err != nil {
		return err
	}
	if !strings.Contains(n.SMTP.Address, ":") {
		return d.WrapErr(errNoMailPort)
	}
	options := map[string]*string{
		"from": &n.SMTP.From, "username": &n.SMTP.Username, "password": &n.SMTP.Password, "tls": &n.SMTP.TLS, "ca": &n.SMTP.CA,
	}
	for d.NextBlock(2) { //nolint:mnd // in notify, in scopegate
		value := options[d.Val()]
		if value == nil {
			return d.Errf("unknown option %q of smtp; expected from, username, password, tls or ca", d.Val())
		}
		if err := oneArg(d, value); err != nil {
			return err
		}
	}
	switch {
	case n.SMTP.From == "":
		return d.WrapErr(errNoSender)
	case (n.SMTP.Username == "") != (n.SMTP.Password == ""):
		return d.WrapErr(errHalfLogin)
	}
	return nil
}
