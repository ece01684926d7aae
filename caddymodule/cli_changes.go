package caddymodule

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/scopegate/scopegate/store"
)

// manyChanges is how many changes are printed one by one: of more, a summary comes
// first, and then only what needs to be looked at.
const manyChanges = 100

// write prints a plan for people.
func (p planned) write(w io.Writer) {
	p.writeChanges(w)
	if !p.Differs {
		fmt.Fprintln(w, "Nothing to change: the store is as the file says.")
		return
	}
	changes, marked := p.summary()
	fmt.Fprintf(w, "%s%s; nothing was changed yet. To apply just this: --revision %d\n", changes, marked, p.Revision)
}

// writeApplied prints for people what was done.
func (p planned) writeApplied(w io.Writer) {
	p.writeChanges(w)
	if !p.Differs {
		fmt.Fprintf(w, "Nothing to change: the store is as the file says, at revision %d.\n", p.Revision)
		return
	}
	changes, marked := p.summary()
	fmt.Fprintf(w, "%s applied%s; the store is at revision %d.\n", changes, marked, p.Revision)
}

// writeDrift prints for people what differs.
func (p planned) writeDrift(w io.Writer) {
	p.writeChanges(w)
	if !p.Differs {
		fmt.Fprintf(w, "No difference: the store is as the file says, at revision %d.\n", p.Revision)
		return
	}
	_, marked := p.summary()
	fmt.Fprintf(w, "%s%s from the file; the store is at revision %d.\n", count(len(p.Changes), "difference"), marked, p.Revision)
}

func (p planned) writeChanges(w io.Writer) {
	if len(p.Changes) <= manyChanges {
		for i := range p.Changes {
			writeChange(w, &p.Changes[i])
		}
		return
	}
	p.writeSummary(w)
	shown := 0
	for i := range p.Changes {
		if c := &p.Changes[i]; shown < manyChanges && (c.Widens || c.Held || c.Kind == "api") {
			writeChange(w, c)
			shown++
		}
	}
	fmt.Fprintf(w, "%d of %d are shown, those of APIs and those that widen or are held first; --json has all.\n", shown, len(p.Changes))
}

// writeSummary counts the changes by what they do.
func (p planned) writeSummary(w io.Writer) {
	kinds := make(map[string]int)
	var order []string
	for i := range p.Changes {
		kind := changeLine(&p.Changes[i], "")
		if kinds[kind]++; kinds[kind] == 1 {
			order = append(order, kind)
		}
	}
	slices.Sort(order)
	for _, kind := range order {
		fmt.Fprintf(w, "%7d  %s\n", kinds[kind], kind)
	}
}

// summary counts the changes, those that are held left out, for they change
// nothing, and says in brackets how many widen.
func (p planned) summary() (changes, marked string) {
	made, widens := 0, 0
	for i := range p.Changes {
		if p.Changes[i].Action != store.Hold {
			made++
		}
		if p.Changes[i].Widens {
			widens++
		}
	}
	if widens > 0 {
		marked = fmt.Sprintf(" (%d marked WIDEN)", widens)
	}
	return count(made, "change"), marked
}

// writeChange prints one change: a line, and one more for each detail.
func writeChange(w io.Writer, c *store.Change) {
	fmt.Fprintln(w, changeLine(c, c.Name+"  "))
	for _, detail := range c.Details {
		fmt.Fprintf(w, "            %s\n", detail)
	}
}

// changeLine returns what a change does, to what, and its marks.
func changeLine(c *store.Change, name string) string {
	var marks []string
	for _, mark := range []struct {
		set  bool
		text string
	}{{c.Widens, "WIDEN"}, {c.Narrows, "NARROW"}, {c.Held, "HELD"}} {
		if mark.set {
			marks = append(marks, mark.text)
		}
	}
	line := fmt.Sprintf("%-10s  %-7s  %s%s", c.Action, c.Kind, name, strings.Join(marks, " "))
	return strings.TrimRight(line, " ")
}
