package caddymodule

import (
	"fmt"
	"io"
	"strings"

	"github.com/scopegate/scopegate/notify"
	"github.com/scopegate/scopegate/scopes"
)

// writeTokens prints a table of tokens. Columns are separated by tabs.
func writeTokens(w io.Writer, tokens []shownToken) {
	fmt.Fprintln(w, "TOKEN\tID\tSTATE\tMAY\tEXPIRES\tCREDENTIAL\tCONTACT")
	for i := range tokens {
		t := &tokens[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", t.Token, t.ID, t.stateText(), orDash(t.mayText()),
			showTime(t.Expires), orDash(t.credentialText()), t.Contact.Email)
	}
}

// writeToken prints all of one token.
func writeToken(w io.Writer, t *shownToken) {
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, value)
		}
	}
	row("token", t.Token)
	row("id", t.ID)
	row("state", t.stateText())
	row("description", t.Description)
	row("contact", strings.TrimSpace(t.Contact.Name+" <"+t.Contact.Email+">"))
	row("environment", t.Environment)
	row("version", t.Version)
	if !t.Expires.IsZero() {
		row("expires", showTime(t.Expires))
	}
	row("rotate every", t.RotateEvery)
	for _, source := range t.Sources {
		row("source", source.String())
	}
	row("access", t.Access)
	for i := range t.Scopes {
		row("scope", t.Scopes[i].text())
	}
	t.writeBeside(row)
	for i := range t.Credentials {
		row("credential", t.Credentials[i].text())
	}
	if len(t.Credentials) == 0 {
		row("credential", "none")
	}
	row("owner", t.Owner)
	row("created", showTime(t.Created))
	row("updated", fmt.Sprintf("%s, revision %d", showTime(t.Updated), t.Revision))
}

// writeBeside prints what a token has beside its scopes, a row each.
func (t *shownToken) writeBeside(row func(name, value string)) {
	for i := range t.Shadow {
		row("shadow", t.Shadow[i].text())
	}
	if t.Keep != nil && t.Keep.all {
		row("keep", keepAll)
	}
	if t.Keep != nil {
		for i := range t.Keep.scopes {
			row("keep", t.Keep.scopes[i].text())
		}
	}
	for _, l := range t.Limits {
		where := ""
		if l.API != "" {
			where = " on " + l.API
		}
		row("rate"+where, l.Rate)
		row("quota"+where, l.Quota)
	}
}

// stateText returns the state, and that it is held.
func (t *shownToken) stateText() string {
	if t.Held && t.State != stateDeleted {
		return t.State + " (held)"
	}
	return t.State
}

// mayText returns in short what a token may do: its legacy access, or its first
// scopes.
func (t *shownToken) mayText() string {
	if t.Access != "" {
		return t.Access
	}
	const most = 2
	var parts []string
	for i := range t.Scopes[:min(len(t.Scopes), most)] {
		parts = append(parts, t.Scopes[i].text())
	}
	if more := len(t.Scopes) - len(parts); more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, " ")
}

// credentialText returns the ends of a token's credentials.
func (t *shownToken) credentialText() string {
	ends := make([]string, len(t.Credentials))
	for i, c := range t.Credentials {
		ends[i] = "…" + c.LastFour
		if c.LastFour == "" {
			ends[i] = "imported"
		}
	}
	return strings.Join(ends, " ")
}

// text returns a scope as the command line writes it: api:versions:methods[:operations].
func (s *shownScope) text() string {
	parts := []string{s.API, strings.Join(s.Versions, ","), strings.Join(s.Methods, ",")}
	if len(s.Operations) > 0 {
		parts = append(parts, strings.Join(s.Operations, ","))
	}
	return strings.Join(parts, ":")
}

func (c *shownCredential) text() string {
	text := "…" + c.LastFour
	if c.LastFour == "" {
		text = "imported"
	}
	text += ", since " + showTime(c.Created)
	if !c.Ends.IsZero() {
		text += ", until " + showTime(c.Ends)
	}
	return text
}

// write prints a status for people.
func (s *status) write(w io.Writer) {
	state := "open"
	if s.Stale {
		state = "not fit to decide with: every request is refused"
	}
	fmt.Fprintf(w, "store\t%s\n", s.Store.Path)
	fmt.Fprintf(w, "state\t%s\n", state)
	fmt.Fprintf(w, "revision\t%d\n", s.Revision)
	fmt.Fprintf(w, "size\t%d bytes\n", s.Store.Bytes)
	fmt.Fprintf(w, "APIs\t%d\n", s.Store.APIs)
	fmt.Fprintf(w, "accounts\t%d\n", s.Store.Accounts)
	fmt.Fprintf(w, "tokens\t%d active, %d inactive\n", s.Store.Tokens.Active, s.Store.Tokens.Inactive)
	if s.Store.Tokens.Damaged > 0 {
		fmt.Fprintf(w, "damaged\t%s: refused, for their records cannot be read\n", count(s.Store.Tokens.Damaged, "token"))
	}
	if s.Store.ReadOnly {
		fmt.Fprintln(w, "opened\tfor reading only")
	}
	if s.Pending > 0 {
		fmt.Fprintf(w, "pending\tthe revocation of %s: in force here, and not yet on the other nodes\n", count(s.Pending, "token"))
	}
	if s.Problem != "" {
		fmt.Fprintf(w, "problem\t%s\n", s.Problem)
	}
	for _, n := range s.Nodes {
		fmt.Fprintf(w, "node\t%s\n", n.text(s.Mode))
	}
	if s.Messages != nil {
		writeMessages(w, s.Messages)
	}
}

// writeMessages tells of channels, for people.
func writeMessages(w io.Writer, s *notify.Status) {
	if s.Held != "" {
		fmt.Fprintf(w, "messages\theld, none is lost: %s\n", s.Held)
	}
	for i := range s.Channels {
		c := &s.Channels[i]
		text := "nothing sent yet"
		if !c.LastSuccess.IsZero() {
			text = "last sent " + showTime(c.LastSuccess)
		}
		if c.LastError != "" {
			text += fmt.Sprintf(", failed %s: %s", showTime(c.LastErrorAt), c.LastError)
		}
		if c.Stopped {
			text += ", stopped: the other side wants nothing any more"
		}
		fmt.Fprintf(w, "channel\t%s, %d pending, %s\n", c.Name, c.Pending, text)
	}
}

// text tells of a node, for people.
func (n *node) text(mode string) string {
	if mode == "single" {
		return fmt.Sprintf("%s, version %s, revision %d", n.ID, n.Version, n.Revision)
	}
	heard := fmt.Sprintf("knew all changes %.1f s ago", n.StalenessSeconds)
	if n.StalenessSeconds >= neverVerified {
		heard = "has not heard of the others yet"
	}
	return fmt.Sprintf("%s (%s), version %s, revision %d, %s", n.Name, n.ID, n.Version, n.Revision, heard)
}

// write prints an explanation for people: a line for each step, then the decision.
func (e *explanation) write(w io.Writer) {
	for _, s := range e.Steps {
		mark := "ok"
		switch {
		case !s.Passed && s.Check == scopes.ShadowCheck: // it decides nothing
			mark = "note"
		case !s.Passed:
			mark = "FAIL"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", mark, s.Check, s.Detail)
	}
	fmt.Fprintln(w)
	fmt.Fprintln(w, e.verdict())
	if e.Note != "" {
		fmt.Fprintln(w, "Note: "+e.Note)
	}
}

// verdict returns the decision in one line.
func (e *explanation) verdict() string {
	if e.Reason != "" {
		return e.Decision + ": " + e.Reason
	}
	line := fmt.Sprintf("%s: API %s, operation %s", e.Decision, e.API, e.Operation)
	if e.Version != "" {
		line += ", version " + e.Version
	}
	return line
}
