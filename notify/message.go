package notify

import (
	"slices"
	"time"
)

// Message is what is sent at once, to one recipient of one channel. It never changes once it
// is made: whoever sends it, and however often, it has the same id and says the same.
type Message struct {
	// ID follows from whom it is for and which events it tells of: a receiver can drop one
	// that comes twice.
	ID      string    `json:"id"`
	Channel string    `json:"channel"`      // the name of the channel
	To      string    `json:"to,omitempty"` // an address; empty for a channel that has no addresses
	At      time.Time `json:"at"`           // when it was made
	Events  []Event   `json:"events"`       // the most urgent first
	// Rest are the ids of events that it only counts.
	Rest []string `json:"rest,omitempty"`
	// Link is where the page is, and empty if there is none.
	Link string `json:"link,omitempty"`
}

const (
	// maxEvents is how many events a message for people tells of, and maxRest how many more it
	// counts.
	maxEvents = 50
	maxRest   = 10_000
	// maxBatch is how many events a message for programs has. They get all of them in full, in
	// more messages.
	maxBatch = 200
)

// recipient is whom a message is for.
type recipient struct{ channel, to string }

// keyOf returns the name of an event as told to a recipient. It is what nodes tell each other,
// and says nothing to anybody else.
func (r recipient) keyOf(event string) string {
	return digestOf("scopegate told", r.channel, r.to, event)
}

func (m *Message) recipient() recipient { return recipient{m.Channel, m.To} }

// ids returns the ids of all its events.
func (m *Message) ids() []string {
	ids := make([]string, 0, len(m.Events)+len(m.Rest))
	for i := range m.Events {
		ids = append(ids, m.Events[i].ID)
	}
	return append(ids, m.Rest...)
}

// pending returns all its events as what its recipient is to be told of.
func (m *Message) pending() []pending {
	ids := m.ids()
	list := make([]pending, len(ids))
	for i, id := range ids {
		list[i] = pending{to: m.recipient(), event: id}
	}
	return list
}

// keys returns the names of all its events, as told to its recipient.
func (m *Message) keys() []string {
	keys := m.ids()
	for i, id := range keys {
		keys[i] = m.recipient().keyOf(id)
	}
	return keys
}

// newMessage returns a message with an id that follows from its recipient and events.
func newMessage(to recipient, events []Event, rest []string, at time.Time, link string) *Message {
	m := &Message{Channel: to.channel, To: to.to, At: at.UTC().Truncate(time.Second), Events: events, Rest: rest, Link: link}
	ids := m.ids()
	slices.Sort(ids)
	m.ID = digestOf(append([]string{"scopegate message", to.channel, to.to}, ids...)...)
	return m
}

// byUrgency compares events for the order in which people read of them.
func byUrgency(a, b Event) int {
	if d := rank(a.Kind) - rank(b.Kind); d != 0 {
		return d
	}
	return a.At.Compare(b.At)
}

// rank is the place of a kind in [Kinds]; those that nobody knows are last.
func rank(k Kind) int {
	if i := slices.Index(Kinds(), k); i >= 0 {
		return i
	}
	return len(Kinds())
}
