package scopes

import (
	"fmt"
	"time"
)

// ReadToken reads one token, by itself: a mapping with the keys that a token has in
// a scope file, in YAML or JSON. Its scopes are checked against the given APIs, by
// the same rules as those of a file, and so are the names.
//
// The error is [Problems]: all that is wrong, without a file's name. The warnings
// are what is legal but probably not meant.
func ReadToken(apis []API, account, name string, src []byte, now time.Time) (t *Token, warnings []Problem, err error) {
	r := newReader([]Source{{}}, Options{Now: now, Known: apis})
	r.digests = make(map[Digest]tokenPlace)
	for _, named := range []struct{ what, name string }{{"an account", account}, {"a token", name}} {
		if !validName(named.name) {
			r.add(0, Problem{Text: fmt.Sprintf("%s cannot be called %s; %s", named.what, shown(named.name), nameRule)})
		}
	}
	var token Token
	if root := r.parseAlone(src); root != nil {
		key := &yamlNode{kind: text, line: root.line, column: root.column, text: name}
		token = r.token(yamlPair{key, root}, account)
	}
	if len(r.problems) > 0 {
		return nil, nil, r.allProblems()
	}
	return &token, r.inOrder(r.warnings), nil
}

// CheckAccount checks an account by itself, as a scope file's is checked: its name,
// title, ids and limit. Tokens are not looked at. The error is [Problems].
func CheckAccount(a *Account) error {
	r := newReader([]Source{{}}, Options{})
	r.owners = map[string]accountID{a.Name: {a.Name, &yamlNode{text: a.Name}}}
	draft := accountDraft{Account: Account{Name: a.Name}}
	if !validName(a.Name) {
		r.add(0, Problem{Text: fmt.Sprintf("an account cannot be called %s; %s", shown(a.Name), nameRule)})
	}
	if a.Title != "" {
		r.title(&yamlNode{kind: text, text: a.Title}, "a title")
	}
	if len(a.IDs) > 0 {
		ids := &yamlNode{kind: list}
		for _, id := range a.IDs {
			ids.items = append(ids.items, &yamlNode{kind: text, text: id})
		}
		r.readIDs(ids, &draft)
	}
	if a.MaxActiveTokens < 0 || a.MaxActiveTokens > maxActiveBound {
		r.add(0, Problem{Text: fmt.Sprintf("max_active_tokens is a whole number from 1 to %d, or left out, found %d", maxActiveBound, a.MaxActiveTokens)})
	}
	if len(r.problems) > 0 {
		return r.allProblems()
	}
	return nil
}

// parseAlone turns a document that is no scope file into its mapping, or nil.
func (r *reader) parseAlone(src []byte) *yamlNode {
	root, flaw := r.parseSource(0, src)
	if flaw != nil {
		r.add(0, *flaw)
		return nil
	}
	return root
}

// ParseInterval reads a time span as a scope file has it: days or weeks such as
// "90d" and "4w", or what [time.ParseDuration] reads, such as "12h". It is at least
// a second, and at most a hundred years.
func ParseInterval(s string) (time.Duration, error) {
	d, ok := parseInterval(s)
	if !ok || d < time.Second || d > maxInterval {
		return 0, fmt.Errorf("expected a time span of at least a second, such as 90d, 4w or 12h, found %s", shown(s))
	}
	return d, nil
}
