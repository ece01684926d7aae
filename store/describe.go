package store

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/scopegate/scopegate/scopes"
)

// diffToken says what differs between two tokens, a line for each field.
func diffToken(before, after *scopes.Token) []string {
	var details []string
	for i := range fields {
		switch f := &fields[i]; {
		case f.equal(before, after):
		case f.text == nil:
			details = append(details, f.name+": changed")
		default:
			details = append(details, fmt.Sprintf("%s: %s → %s", f.name, f.text(before), f.text(after)))
		}
	}
	return details
}

// plainToken has the default of every field. It is never modified.
var plainToken scopes.Token

// describeToken says what a new token is, as far as it is not the default.
func describeToken(t *scopes.Token) []string {
	var details []string
	for i := range fields {
		if f := &fields[i]; f.text != nil && !f.equal(t, &plainToken) {
			details = append(details, f.name+": "+f.text(t))
		}
	}
	return details
}

func stateText(t *scopes.Token) string {
	if t.Inactive {
		return "inactive"
	}
	return "active"
}

// grantText writes what a token may do, a scope as the command line has it:
// "orders:v1:GET,PUT:list".
func grantText(t *scopes.Token) string {
	text := t.Access.String()
	if !t.Legacy() {
		text = scopesText(t.Scopes)
	}
	if t.Version != "" {
		text += " (pinned to version " + t.Version + ")"
	}
	return text
}

func keepText(t *scopes.Token) string {
	if t.Keep.All {
		return "all"
	}
	return scopesText(t.Keep.Scopes)
}

func scopesText(list []scopes.Scope) string {
	texts := make([]string, len(list))
	for i := range list {
		texts[i] = scopeText(&list[i])
	}
	return orNone(strings.Join(texts, " "))
}

func scopeText(s *scopes.Scope) string {
	text := s.API + ":" + strings.Join(s.Versions, ",") + ":" + strings.Join(s.Methods.Names(), ",")
	if len(s.Operations) > 0 {
		text += ":" + strings.Join(s.Operations, ",")
	}
	return text
}

func expiryText(t *scopes.Token) string {
	if t.Expires.IsZero() {
		return "never"
	}
	return t.Expires.UTC().Format(time.RFC3339)
}

func sourcesText(t *scopes.Token) string {
	if len(t.Sources) == 0 {
		return "everywhere"
	}
	list := make([]string, len(t.Sources))
	for i, p := range t.Sources {
		list[i] = p.String()
	}
	return strings.Join(list, " ")
}

func contactText(c scopes.Contact) string {
	if c.Name == "" {
		return orNone(c.Email)
	}
	return c.Name + " <" + c.Email + ">"
}

func rotationText(t *scopes.Token) string {
	const day = 24 * time.Hour
	switch {
	case t.RotateEvery == 0:
		return "never"
	case t.RotateEvery%day == 0:
		return fmt.Sprintf("%dd", t.RotateEvery/day)
	}
	return t.RotateEvery.String()
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// diffAccount says what differs between two accounts, their defaults filled in.
func diffAccount(before, after *scopes.Account) []string {
	var details []string
	if before.Title != after.Title {
		details = append(details, fmt.Sprintf("title: %s → %s", orNone(before.Title), orNone(after.Title)))
	}
	if !slices.Equal(before.IDs, after.IDs) {
		details = append(details, fmt.Sprintf("ids: %s → %s",
			orNone(strings.Join(before.IDs, " ")), orNone(strings.Join(after.IDs, " "))))
	}
	if was, is := before.ActiveLimit(), after.ActiveLimit(); was != is {
		details = append(details, fmt.Sprintf("max_active_tokens: %d → %d", was, is))
	}
	return details
}

// diffAPI says what differs between two APIs: a line for each operation, and one
// for each other field.
func diffAPI(before, after *scopes.API) []string {
	var details []string
	for _, f := range []struct{ name, before, after string }{
		{"title", before.Title, after.Title},
		{"hosts", strings.Join(before.Hosts, " "), strings.Join(after.Hosts, " ")},
		{"versions", strings.Join(before.Versions, " "), strings.Join(after.Versions, " ")},
		{"version_from", placesText(before.VersionFrom), placesText(after.VersionFrom)},
		{"account_param", before.AccountParam, after.AccountParam},
		{"default_version", before.DefaultVersion, after.DefaultVersion},
		{"path_case", caseText(before.FoldCase), caseText(after.FoldCase)},
		{"encoded_slash", slashText(before.EncodedSlash), slashText(after.EncodedSlash)},
		{"deprecated", deprecationsText(before.Deprecated), deprecationsText(after.Deprecated)},
	} {
		if f.before != f.after {
			details = append(details, fmt.Sprintf("%s: %s → %s", f.name, orNone(f.before), orNone(f.after)))
		}
	}
	if !bytes.Equal(appendUpstreams(nil, &before.Upstreams), appendUpstreams(nil, &after.Upstreams)) {
		details = append(details, "upstream: changed")
	}
	return append(details, diffOperations(before.Operations, after.Operations)...)
}

// diffOperations says what differs between two lists of operations. Where only
// their order does, that is what it says.
func diffOperations(before, after []scopes.Operation) []string {
	var details []string
	for _, op := range before {
		if !slices.ContainsFunc(after, func(o scopes.Operation) bool { return o.Name == op.Name }) {
			details = append(details, "- "+operationText(op))
		}
	}
	for _, op := range after {
		at := slices.IndexFunc(before, func(o scopes.Operation) bool { return o.Name == op.Name })
		switch {
		case at < 0:
			details = append(details, "+ "+operationText(op))
		case before[at] != op:
			details = append(details, operationText(before[at])+" → "+operationText(op))
		}
	}
	if len(details) == 0 && !slices.Equal(before, after) {
		details = append(details, "operations: another order")
	}
	return details
}

func operationText(op scopes.Operation) string {
	return fmt.Sprintf("%s: %s %s", op.Name, op.Methods, op.Path)
}

func placesText(places []scopes.VersionPlace) string {
	list := make([]string, len(places))
	for i, place := range places {
		list[i] = place.Kind.String() + " " + place.Name
	}
	return strings.Join(list, ", ")
}

func caseText(fold bool) string {
	if fold {
		return "insensitive"
	}
	return "sensitive"
}

func slashText(allow bool) string {
	if allow {
		return "allow"
	}
	return "refuse"
}
