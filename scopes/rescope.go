package scopes

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Edit replaces some lines of a file.
type Edit struct {
	First, Last int      // counted from 1; both are replaced
	Lines       []string // without their ends
}

// Rescope returns how a scope file is to be edited so that some of its tokens, each
// "account/name", have other scopes, in the order of the file. All else stays as it is,
// comments too. Tokens that the file does not have are left out; those whose scopes
// cannot be replaced line by line are in the error.
func Rescope(src []byte, wanted map[string][]Scope) ([]Edit, error) {
	src, flaw := normalise(src)
	if flaw != nil {
		return nil, flaw
	}
	root, flaw := parseYAML(src, origin{})
	if flaw != nil {
		return nil, flaw
	}
	lines := strings.Split(string(src), "\n")
	var edits []Edit
	var unfit []string
	for _, account := range pairsAt(root, "accounts") {
		for _, token := range pairsAt(account.value, "tokens") {
			ref := account.key.text + "/" + token.key.text
			scopes, ok := wanted[ref]
			if !ok {
				continue
			}
			edit, ok := rescope(lines, token.value, scopes)
			if !ok {
				unfit = append(unfit, ref)
				continue
			}
			edits = append(edits, edit)
		}
	}
	slices.SortFunc(edits, func(a, b Edit) int { return cmp.Compare(a.First, b.First) })
	if len(unfit) > 0 {
		return edits, fmt.Errorf("the scopes of %s do not stand on lines of their own; edit them by hand", strings.Join(unfit, ", "))
	}
	return edits, nil
}

// pairsAt returns the pairs of the mapping at a key; none if it is no mapping.
func pairsAt(n *yamlNode, key string) []yamlPair {
	if n == nil || n.kind != mapping {
		return nil
	}
	if value := n.value(key); value != nil && value.kind == mapping {
		return value.pairs
	}
	return nil
}

// rescope returns the edit that gives a token other scopes.
func rescope(lines []string, token *yamlNode, scopes []Scope) (Edit, bool) {
	if token.kind != mapping {
		return Edit{}, false
	}
	at := slices.IndexFunc(token.pairs, func(p yamlPair) bool { return p.key.text == "scopes" })
	if at < 0 {
		return Edit{}, false
	}
	key, value := token.pairs[at].key, token.pairs[at].value
	indent := key.column - 1
	first := lines[key.line-1]
	if strings.TrimLeft(first[:min(indent, len(first))], " ") != "" {
		return Edit{}, false // something stands before it
	}
	last := lastLine(value)
	for last < len(lines) && strings.Trim(lines[last], " ]},") == "" && strings.TrimSpace(lines[last]) != "" {
		last++ // brackets that close what was opened before
	}
	if at+1 < len(token.pairs) && token.pairs[at+1].key.line <= last {
		return Edit{}, false
	}
	margin := strings.Repeat(" ", indent)
	edit := Edit{First: key.line, Last: last, Lines: []string{margin + "scopes:"}}
	for i := range scopes {
		edit.Lines = append(edit.Lines, margin+"  - {"+scopeText(&scopes[i])+"}")
	}
	return edit, true
}

// lastLine returns the last line on which a part of a node begins.
func lastLine(n *yamlNode) int {
	last := n.line
	for _, item := range n.items {
		last = max(last, lastLine(item))
	}
	for _, p := range n.pairs {
		last = max(last, lastLine(p.key), lastLine(p.value))
	}
	return last
}
