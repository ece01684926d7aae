package notify

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
)

// errNoChannel: the channel of a message is not configured any more.
var errNoChannel = errors.New("the channel of this message is not configured any more")

// ChannelStatus is how it is with a channel, as this node saw it since it was configured.
type ChannelStatus struct {
	Name        string    `json:"name"`
	LastSuccess time.Time `json:"last_success,omitzero"`
	LastError   string    `json:"last_error,omitempty"` // empty after a success
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
	// Stopped: the other side wants nothing any more.
	Stopped bool `json:"stopped,omitempty"`
	// Pending is how often somebody is still to be told of an event.
	Pending int `json:"pending"`
}

// Status is how it is with messages on this node.
type Status struct {
	Channels []ChannelStatus `json:"channels"` // by name
	// Pending is the sum of what is pending in all channels.
	Pending int `json:"pending"`
	// Held is why nothing is sent now; empty if nothing holds it.
	Held string `json:"held,omitempty"`
}

// status is what a [Notifier] remembers for [Status].
type status struct {
	mu       sync.Mutex // guards what follows
	channels map[string]*ChannelStatus
	held     string
}

// configured forgets channels that are not there any more, and lets the others send again.
func (s *status) configured(to *setup) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.channels
	s.channels = make(map[string]*ChannelStatus)
	for name := range to.channels {
		s.channels[name] = &ChannelStatus{Name: name}
		if old := before[name]; old != nil {
			s.channels[name].LastSuccess, s.channels[name].LastError, s.channels[name].LastErrorAt = old.LastSuccess, old.LastError, old.LastErrorAt
		}
	}
}

func (s *status) isStopped(channel string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.channels[channel]
	return c != nil && c.Stopped
}

// stop lets a channel send nothing more.
func (n *Notifier) stop(channel string) {
	n.status.mu.Lock()
	defer n.status.mu.Unlock()
	if c := n.status.channels[channel]; c != nil {
		c.Stopped = true
	}
}

// tried takes note of what came of a message.
func (n *Notifier) tried(s *setup, m *Message, result string, err error) {
	n.status.tried(m.Channel, n.now(), err)
	if s.Observe != nil {
		s.Observe(m.Channel, result)
	}
}

func (s *status) tried(channel string, at time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.channels[channel]
	switch {
	case c == nil:
	case err == nil:
		c.LastSuccess, c.LastError, c.LastErrorAt = at, "", time.Time{}
	default:
		c.LastError, c.LastErrorAt = err.Error(), at
	}
}

// held takes note of why nothing can be sent; nil if nothing is in the way. It is logged when
// that changes.
func (n *Notifier) held(err error) {
	why := ""
	if err != nil {
		why = err.Error()
	}
	n.status.mu.Lock()
	before := n.status.held
	n.status.held = why
	n.status.mu.Unlock()
	switch {
	case why != "" && before == "":
		n.log.Warn("messages are held, none is lost", "error", err)
	case why == "" && before != "":
		n.log.Info("messages are sent again")
	}
}

// Status returns how it is with messages on this node.
func (n *Notifier) Status() (Status, error) {
	counts := make(map[string]int)
	if err := n.journal.view(func(tx *bolt.Tx) error {
		return eachPending(tx, func(p *pending) error {
			counts[p.to.channel]++
			return nil
		})
	}); err != nil {
		return Status{}, err
	}
	n.status.mu.Lock()
	defer n.status.mu.Unlock()
	found := Status{Channels: []ChannelStatus{}, Held: n.status.held}
	for _, name := range slices.Sorted(maps.Keys(n.status.channels)) {
		c := *n.status.channels[name]
		c.Pending = counts[name]
		found.Pending += c.Pending
		found.Channels = append(found.Channels, c)
	}
	return found, nil
}

// Result is what came of a test message.
type Result struct {
	Channel string        `json:"channel"`
	To      string        `json:"to,omitempty"`
	Error   string        `json:"error,omitempty"` // empty: it was delivered
	Took    time.Duration `json:"took_ns"`
}

// Test sends a message to every channel at once, and returns what came of each. On personal
// channels it goes to an address, or to the operators if that is empty.
func (n *Notifier) Test(ctx context.Context, to string) []Result {
	s := n.setup.Load()
	var found []Result
	for _, c := range s.Channels {
		addresses := []string{""}
		if c.Personal() {
			addresses = s.Operators
		}
		if c.Personal() && to != "" {
			addresses = []string{to}
		}
		if len(addresses) == 0 {
			found = append(found, Result{Channel: c.Name(), Error: "no operator is configured; name an address"})
		}
		for _, address := range addresses {
			found = append(found, n.testOne(ctx, s, c, address))
		}
	}
	return found
}

func (n *Notifier) testOne(ctx context.Context, s *setup, c Channel, to string) Result {
	result := Result{Channel: c.Name(), To: to}
	if to != "" && !isAddress(to) {
		result.Error = "this is no e-mail address"
		return result
	}
	at := n.now()
	e := Event{
		ID: EventID(Test, "", rand.Text()), Kind: Test, At: at,
		Text: "This is a test: messages of Scopegate arrive here.",
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timing.Attempt)
	defer cancel()
	began := time.Now()
	err := c.Deliver(ctx, newMessage(recipient{c.Name(), to}, []Event{e}, nil, at, s.Link))
	result.Took = time.Since(began)
	n.status.tried(c.Name(), at, err)
	if err != nil {
		result.Error = strings.TrimSpace(err.Error())
	}
	return result
}
