package scopes

import (
	"fmt"
	"strings"
)

// Problem is something wrong at a place in a scope file: what it is, and what to
// write instead.
type Problem struct {
	File   string // as given to [Read]; "" where there is no file
	Line   int    // counted from 1; 0 if no place is known
	Column int    // counted from 1, in characters
	Text   string // what is wrong, what was expected, what to do
}

// Error returns "file:line:column: text".
func (p Problem) Error() string {
	if p.Line == 0 {
		if p.File == "" {
			return p.Text
		}
		return p.File + ": " + p.Text
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Text)
}

// Problems are all that is wrong with a scope file, in the order of the file.
type Problems []Problem

// Error returns one line for each problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

var (
	_ error = Problem{}
	_ error = Problems(nil)
)
