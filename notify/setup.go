package notify

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Options say who is told what, and how. They can be exchanged: see [Notifier.Configure].
type Options struct {
	// Channels are the ways to send messages; with none, nothing is remembered and nothing sent.
	Channels []Channel
	// Operators are the addresses that hear of everything, on personal channels.
	Operators []string
	// Contacts: each token's contact hears of their own tokens, on personal channels.
	Contacts bool
	// Kinds are those that anybody is told of; nil means all.
	Kinds []Kind
	// Digest is for how long events are gathered before a message goes out; zero means
	// [DefaultDigest]. What is urgent waits a minute at most.
	Digest time.Duration
	// Link is where the page is, for messages; empty if there is none.
	Link string

	// Exchange is what the nodes of a cluster have in common; nil for a single node. They
	// know the same Secret.
	Exchange Exchange
	Secret   string

	// Observe is called after each try to deliver a message: with the name of the channel,
	// and delivered, failed or given_up. Nil: nobody is.
	Observe func(channel, result string)
	// Timing is how long things take; tests have less time. Zero fields mean their defaults.
	Timing Timing
}

// The results that [Options.Observe] is told.
const (
	Delivered = "delivered"
	Failed    = "failed" // and it is tried again
	GivenUp   = "given_up"
)

// DefaultDigest is for how long events are gathered where nothing else is said.
const DefaultDigest = 15 * time.Minute

// Timing is how long things take.
type Timing struct {
	Urgent   time.Duration // for which urgent events are gathered: 1m, and never longer than Digest
	Interval time.Duration // between looks at what is to be done: 5s
	Attempt  time.Duration // that one delivery may take: 30s
	First    time.Duration // before the second try: 5s; then twice as long each time
	Longest  time.Duration // between tries: 1h
	GiveUp   time.Duration // after which a message is given up: 7 days
	Lease    time.Duration // for which a message is a node's that does not renew that: 2m
	Grace    time.Duration // for which nothing is sent once nodes lost what they had in common: 1m
	Ask      time.Duration // between questions for what other nodes have told: 30s
}

func (t *Timing) setDefaults() {
	const day = 24 * time.Hour
	for at, value := range map[*time.Duration]time.Duration{
		&t.Urgent: time.Minute, &t.Interval: 5 * time.Second, &t.Attempt: 30 * time.Second, &t.First: 5 * time.Second,
		&t.Longest: time.Hour, &t.GiveUp: 7 * day, &t.Lease: 2 * time.Minute, &t.Grace: time.Minute, &t.Ask: 30 * time.Second,
	} {
		if *at == 0 {
			*at = value
		}
	}
}

// setup is options, checked.
type setup struct {
	Options
	channels map[string]Channel
	sealer   *sealer // nil on a single node
}

func newSetup(o Options) (*setup, error) {
	s := &setup{Options: o, channels: make(map[string]Channel)}
	s.Timing.setDefaults()
	if s.Digest == 0 {
		s.Digest = DefaultDigest
	}
	for _, c := range o.Channels {
		name := c.Name()
		if strings.ContainsFunc(name, unicode.IsControl) || name == "" {
			return nil, fmt.Errorf("notify: %q is no name of a channel", name)
		}
		if s.channels[name] != nil {
			return nil, fmt.Errorf("notify: there are two channels %q; give one of them another name", name)
		}
		s.channels[name] = c
	}
	for _, k := range o.Kinds {
		if !k.Known() {
			return nil, fmt.Errorf("notify: there is no kind of event %q; there are %s", k, joinKinds(Kinds()))
		}
	}
	for _, address := range o.Operators {
		if !isAddress(address) {
			return nil, fmt.Errorf("notify: %q is no e-mail address", address)
		}
	}
	if o.Exchange == nil {
		return s, nil
	}
	if o.Secret == "" {
		return nil, errors.New("notify: what nodes exchange needs a secret")
	}
	var err error
	s.sealer, err = newSealer(o.Secret)
	return s, err
}

func joinKinds(kinds []Kind) string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = string(k)
	}
	return strings.Join(names, ", ")
}

// isAddress reports whether a text may be where mail goes. The mail's own syntax is looked
// at when it is sent; this keeps out what could be taken for something else before.
func isAddress(text string) bool {
	local, domain, ok := strings.Cut(text, "@")
	return ok && local != "" && domain != "" && len(text) <= 254 &&
		!strings.ContainsFunc(text, func(r rune) bool {
			return unicode.IsControl(r) || unicode.IsSpace(r) || strings.ContainsRune(`<>,;"`, r)
		})
}

func (s *setup) wants(k Kind) bool { return s.Kinds == nil || slices.Contains(s.Kinds, k) }

// recipientsOf returns who is told of an event; each address once.
func (s *setup) recipientsOf(e *Event) []recipient {
	var found []recipient
	for _, c := range s.Channels {
		if !c.Personal() {
			found = append(found, recipient{channel: c.Name()})
			continue
		}
		for _, address := range s.addressesOf(e) {
			found = append(found, recipient{c.Name(), address})
		}
	}
	return found
}

// addressesOf returns the addresses that hear of an event, in one spelling each.
func (s *setup) addressesOf(e *Event) []string {
	addresses := slices.Clone(s.Operators)
	if s.Contacts && isAddress(e.Contact.Email) {
		addresses = append(addresses, e.Contact.Email)
	}
	for i, a := range addresses {
		addresses[i] = plainAddress(a)
	}
	slices.Sort(addresses)
	return slices.Compact(addresses)
}

// plainAddress returns an address with its domain in lower case, which is what it is the same
// by.
func plainAddress(a string) string {
	at := strings.LastIndexByte(a, '@')
	return a[:at] + strings.ToLower(a[at:])
}

// isOperator reports whether an address hears of everything.
func (s *setup) isOperator(address string) bool {
	return slices.ContainsFunc(s.Operators, func(o string) bool { return plainAddress(o) == address })
}

// roles returns as what anybody is told anything.
func (s *setup) roles() []string {
	var recipients []recipient
	for _, c := range s.Channels {
		if !c.Personal() {
			recipients = append(recipients, recipient{channel: c.Name()})
			continue
		}
		for _, address := range s.Operators {
			recipients = append(recipients, recipient{c.Name(), plainAddress(address)})
		}
		if s.Contacts {
			recipients = append(recipients, recipient{c.Name(), anyContact})
		}
	}
	var roles []string
	for _, to := range recipients {
		for _, k := range Kinds() {
			if s.wants(k) {
				roles = append(roles, s.roleOf(to, k))
			}
		}
	}
	return roles
}

// anyContact is the address of no operator.
const anyContact = "@"

// roleOf returns as what a recipient is told of events of a kind: see seed.go.
func (s *setup) roleOf(to recipient, k Kind) string {
	role := to.channel + "/all/"
	switch {
	case to.to == "":
	case s.isOperator(to.to):
		role = to.channel + "/operator/" + to.to + "/"
	default:
		role = to.channel + "/contacts/"
	}
	return role + string(k)
}
