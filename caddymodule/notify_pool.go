package caddymodule

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/scopegate/scopegate/notify"
)

// messagesSuffix is what the name of the file with what people were told has behind that of
// the store.
const messagesSuffix = ".messages"

// messenger tells people what is found in a store, as the newest configuration says. It is there
// for as long as the store is, so that a reload tells nobody anything twice. The zero messenger
// tells nobody.
type messenger struct {
	notifier atomic.Pointer[notify.Notifier] // nil: nobody is told
	emitter  atomic.Pointer[emitter]         // of the newest configuration; nil for none

	// Guarded by opening of the pooled store.
	wanted *messages
	peers  *peers // that what was told is shared with
	search *search
	cancel context.CancelFunc // of the search
	ended  sync.WaitGroup
}

// inform makes the messenger do what the newest configuration says. It is called with opening,
// and whenever the nodes change that the store follows.
func (p *pooled) inform() error {
	m := &p.messenger
	wanted, events := p.cluster.newestMessages()
	m.emitter.Store(events)
	switch {
	case wanted == nil:
		return m.close()
	case m.notifier.Load() != nil && *m.wanted == *wanted && m.peers == p.cluster.peers:
		return nil
	}
	options, err := p.notifyOptions(wanted)
	if err != nil {
		return err
	}
	m.wanted, m.peers = wanted, p.cluster.peers
	processMetrics.tellChannels(options.Channels)
	if n := m.notifier.Load(); n != nil {
		m.search.ask() // who is new is told of what is ahead
		return n.Configure(options)
	}
	n, err := notify.Open(p.path+messagesSuffix, notify.Local{Logger: p.logger}, options)
	if err != nil {
		p.logger.Error("nobody is told of tokens, for the file with what they were told cannot be opened; mend that and restart", "error", err)
		return nil
	}
	m.notifier.Store(n)
	m.search = newSearch(p.Store, p.usage, n.Offer, p.logger)
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	m.ended.Go(func() { m.search.run(ctx) })
	return nil
}

// close ends the search and the deliveries. What was not delivered is kept.
func (m *messenger) close() error {
	n := m.notifier.Swap(nil)
	if n == nil {
		return nil
	}
	m.cancel()
	m.ended.Wait()
	return n.Close()
}

// notifyOptions returns what messages are told by, and whom.
func (p *pooled) notifyOptions(m *messages) (notify.Options, error) {
	channels, err := m.channels()
	if err != nil {
		return notify.Options{}, err
	}
	o := notify.Options{
		Channels: append(channels, &eventsChannel{&p.messenger.emitter}), Contacts: m.contacts, Kinds: m.kinds(), Digest: m.digest, Link: m.link,
		Observe: processMetrics.told,
	}
	if m.operator != "" {
		o.Operators = []string{m.operator}
	}
	if p.cluster.log != nil {
		o.Exchange, o.Secret = p.cluster.log.Messages(), p.cluster.peers.secret
	}
	return o, nil
}

// newestMessages returns what the newest configuration says of messages, and its events; nil for
// nothing.
func (c *cluster) newestMessages() (*messages, *emitter) {
	if len(c.users) == 0 {
		return nil, nil
	}
	app := c.users[len(c.users)-1].app
	return app.messages, app.emitter
}
