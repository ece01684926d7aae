package notify

import (
	"fmt"
	"strings"
)

// Lengths of what is written into one line of a mail, in bytes.
const (
	maxSubject     = 150
	maxName        = 200
	maxDescription = 120
	maxSentence    = 400
)

// titles are the headings of kinds, for people.
var titles = map[Kind]string{
	Deactivated:       "Deactivated",
	Deleted:           "Deleted",
	Errors:            "Many requests fail",
	Expiring:          "Expires soon",
	RotationOverdue:   "Rotation is overdue",
	RotationDue:       "Rotation is due",
	DeniedAfterChange: "Denied after a change",
	VersionDeprecated: "Uses a version that ends",
	Unused:            "Not used any more",
	Test:              "A test",
}

func titleOf(k Kind) string {
	if t := titles[k]; t != "" {
		return t
	}
	return line(string(k), maxName)
}

// subjectOf returns the subject of a mail: one line, in which nothing that somebody else has
// named can begin another.
func subjectOf(m *Message) string {
	first := &m.Events[0]
	subject := titleOf(first.Kind)
	if first.Token != "" {
		subject += ": " + line(first.Token, maxName)
	}
	if more := len(m.Events) + len(m.Rest) - 1; more > 0 {
		subject += fmt.Sprintf(", and %d more", more)
	}
	return "[Scopegate] " + clip(subject, maxSubject)
}

// textOf returns the text of a mail. What is called by people, names and descriptions, is in
// lines of its own or in the middle of one, never the beginning of one that is ours.
func textOf(m *Message) string {
	var b strings.Builder
	kind := Kind("")
	for i := range m.Events {
		e := &m.Events[i]
		if e.Kind != kind {
			kind = e.Kind
			fmt.Fprintf(&b, "%s\n\n", titleOf(kind))
		}
		writeEvent(&b, e)
	}
	if len(m.Rest) > 0 {
		fmt.Fprintf(&b, "… and %d more. All of them are on the page, and in: caddy scopegate report attention\n\n", len(m.Rest))
	}
	if m.Link != "" {
		fmt.Fprintf(&b, "%s\n\n", line(m.Link, maxSentence))
	}
	b.WriteString("-- \nScopegate sends this to the contact of a token, and to whoever operates the gateway. Nobody reads answers.\n")
	return b.String()
}

func writeEvent(b *strings.Builder, e *Event) {
	if e.Token != "" {
		fmt.Fprintf(b, "* %s", line(e.Token, maxName))
		if e.Description != "" {
			fmt.Fprintf(b, " (%s)", line(e.Description, maxDescription))
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(b, "  %s\n", line(e.Text, maxSentence))
	if e.Hint != "" {
		fmt.Fprintf(b, "  %s\n", line(e.Hint, maxSentence))
	}
	b.WriteString("\n")
}
