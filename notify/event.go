package notify

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"time"
)

// Kind is what an event is about.
type Kind string

// The kinds of events.
const (
	Expiring          Kind = "expiring"            // the token, or a credential of it, ends soon
	RotationDue       Kind = "rotation_due"        // its credential is to be rotated soon
	RotationOverdue   Kind = "rotation_overdue"    // its credential should have been rotated
	Unused            Kind = "unused"              // nobody has used it for long
	DeniedAfterChange Kind = "denied_after_change" // the first denial since it was changed
	Errors            Kind = "errors"              // many of its requests fail
	Deactivated       Kind = "deactivated"         // it was deactivated
	Deleted           Kind = "deleted"             // it was deleted
	VersionDeprecated Kind = "version_deprecated"  // it uses a version that ends
	Test              Kind = "test"                // nothing has happened: somebody tries whether messages arrive
)

// Kinds returns all kinds that can be asked for, in the order in which people are told of
// them: all but [Test].
func Kinds() []Kind {
	return []Kind{
		Deactivated, Deleted, Errors, Expiring, RotationOverdue, RotationDue, DeniedAfterChange, VersionDeprecated, Unused,
	}
}

// Known reports whether there is such a kind that can be asked for.
func (k Kind) Known() bool { return slices.Contains(Kinds(), k) }

// Urgent reports whether people are told within a minute or so, for something has ended that
// perhaps should not have.
func (k Kind) Urgent() bool { return k == Deactivated || k == Deleted || k == Errors || k == Test }

// Ahead reports whether an event of the kind tells of what is still to come. These are told
// of also by a node that never told anybody anything; what is so already is not, or switching
// messages on would be a flood.
func (k Kind) Ahead() bool { return k == Expiring || k == RotationDue }

// Event is one thing that people are told, of one token. Nothing in it is secret.
type Event struct {
	// ID is the same on every node and after a restart: see [EventID].
	ID   string    `json:"id"`
	Kind Kind      `json:"kind"`
	At   time.Time `json:"at"` // when it happened, or will

	Token       string  `json:"token,omitempty"` // account/name
	TokenID     string  `json:"token_id,omitempty"`
	Account     string  `json:"account,omitempty"`
	Description string  `json:"description,omitempty"`
	Contact     Contact `json:"contact,omitzero"`

	// Where it is about one of each.
	API       string `json:"api,omitempty"`
	Version   string `json:"version,omitempty"`
	Operation string `json:"operation,omitempty"`

	Text string `json:"text"`           // one sentence, for people
	Hint string `json:"hint,omitempty"` // what to do: a command, where there is one
}

// Contact is who is responsible for a token.
type Contact struct {
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"`
}

// idChars is the length of an event's id: 132 bits in base64.
const idChars = 22

// EventID returns the id of an event of a token. The occasion tells it from others of the same
// kind and token: the time of expiry and how long before it this is, the revision of a change,
// the day of a burst of errors. Whoever finds the same event again must name the same occasion,
// or people are told twice.
func EventID(kind Kind, tokenID, occasion string) string {
	return digestOf("scopegate event", string(kind), tokenID, occasion)
}

// digestOf returns a name for a list of texts, each of which counts with its length.
func digestOf(parts ...string) string {
	const room = 256 // for most
	text := make([]byte, 0, room)
	for _, p := range parts {
		text = append(binary.BigEndian.AppendUint64(text, uint64(len(p))), p...)
	}
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:])[:idChars]
}
