package caddymodule

import "github.com/scopegate/scopegate/notify"

// activeNotifier returns what tells people of the tokens in activeStore; nil if nobody is told.
func activeNotifier() (*notify.Notifier, error) {
	app, err := activeApp()
	if err != nil || app.Store() == nil {
		return nil, err
	}
	return app.opened.messenger.notifier.Load(), nil
}

// told counts a try to deliver a message.
func (m *metrics) told(channel, result string) { m.messages.WithLabelValues(channel, result).Inc() }

// tellChannels makes the counters of channels, so that the first message is seen as a rise from
// zero.
func (m *metrics) tellChannels(channels []notify.Channel) {
	for _, c := range channels {
		for _, result := range []string{notify.Delivered, notify.Failed, notify.GivenUp} {
			m.messages.WithLabelValues(c.Name(), result)
		}
	}
}
